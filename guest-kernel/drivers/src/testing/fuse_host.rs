//! A host that serves a directory tree in memory by the FUSE protocol, as strictly as a real one.

use super::device::{Answer, Model};
use std::collections::{BTreeMap, HashMap};

const ENOENT: i32 = -2;
const EBADF: i32 = -9;
const EEXIST: i32 = -17;
const ENOTEMPTY: i32 = -39;
const ENOSYS: i32 = -38;

/// A file of the host.
#[derive(Clone, Default)]
pub struct HostNode {
    pub mode: u32,
    pub data: Vec<u8>,
    pub children: BTreeMap<Vec<u8>, u64>,
    pub links: u32,
    pub modified: u64,
    pub uid: u32,
    /// How often the driver was told of it, minus what it has forgotten.
    pub lookups: u64,
}

#[derive(Default)]
pub struct FuseHost {
    pub nodes: BTreeMap<u64, HostNode>,
    /// Open files: node and flags.
    pub handles: HashMap<u64, (u64, u32)>,
    /// Opcodes of all requests.
    pub requests: Vec<u32>,
    /// Seconds for which answers hold.
    pub validity: u64,
    /// Flags to grant at INIT.
    pub granted: u32,
    /// Segments of the last request.
    pub segments: (usize, usize),
    /// Answers this instead of what is right.
    pub lie: Option<Vec<u8>>,
    pub next: u64,
}

pub fn word(bytes: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(bytes[8 * index..8 * index + 8].try_into().unwrap())
}

fn half(bytes: &[u8], index: usize) -> u32 {
    u32::from_le_bytes(bytes[4 * index..4 * index + 4].try_into().unwrap())
}

fn names(bytes: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(bytes.last(), Some(&0), "names end with NUL");
    bytes[..bytes.len() - 1].split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

impl FuseHost {
    pub fn new() -> Self {
        let root = HostNode { mode: 0o040_755, links: 2, lookups: 1, ..HostNode::default() };
        Self { nodes: [(1, root)].into(), next: 2, granted: 1 << 22, ..Self::default() }
    }

    /// Adds a file at `path`, and the directories that lead to it.
    pub fn add(&mut self, path: &str, mode: u32, data: &[u8]) -> u64 {
        let mut parent = 1;
        let parts: Vec<_> = path.split('/').collect();
        for (index, part) in parts.iter().enumerate() {
            let is_last = index + 1 == parts.len();
            let known = self.nodes[&parent].children.get(part.as_bytes()).copied();
            parent = known.unwrap_or_else(|| {
                let mode = if is_last { mode } else { 0o040_755 };
                let data = if is_last { data.to_vec() } else { Vec::new() };
                self.insert(parent, part.as_bytes(), HostNode { mode, data, links: 1, ..HostNode::default() })
            });
        }
        parent
    }

    fn insert(&mut self, parent: u64, name: &[u8], node: HostNode) -> u64 {
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.nodes.get_mut(&parent).unwrap().children.insert(name.to_vec(), number);
        number
    }

    pub fn count(&self, opcode: u32) -> usize {
        self.requests.iter().filter(|&&request| request == opcode).count()
    }

    fn attributes(&self, number: u64) -> Vec<u8> {
        let node = &self.nodes[&number];
        let words = [1000 + number, node.data.len() as u64, 8, 11, node.modified, 13];
        let halves = [1, 2, 3, node.mode, node.links, node.uid, 0, 0, 4096, 0];
        let words = words.into_iter().flat_map(u64::to_le_bytes);
        words.chain(halves.into_iter().flat_map(u32::to_le_bytes)).collect()
    }

    fn entry(&mut self, number: u64) -> Vec<u8> {
        self.nodes.get_mut(&number).unwrap().lookups += 1;
        let words = [number, 0, self.validity, self.validity, 0];
        words.into_iter().flat_map(u64::to_le_bytes).chain(self.attributes(number)).collect()
    }

    fn attributes_reply(&self, number: u64) -> Vec<u8> {
        [self.validity, 0].into_iter().flat_map(u64::to_le_bytes).chain(self.attributes(number)).collect()
    }

    fn child(&self, parent: u64, name: &[u8]) -> Result<u64, i32> {
        self.nodes[&parent].children.get(name).copied().ok_or(ENOENT)
    }

    fn opened(&mut self, number: u64, flags: u32) -> Vec<u8> {
        self.next += 1;
        self.handles.insert(self.next, (number, flags));
        [self.next, 0].into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn make(&mut self, parent: u64, name: &[u8], mode: u32, data: &[u8]) -> Result<u64, i32> {
        if self.child(parent, name).is_ok() {
            return Err(EEXIST);
        }
        Ok(self.insert(parent, name, HostNode { mode, data: data.to_vec(), links: 1, ..HostNode::default() }))
    }

    fn check_handle(&self, handle: u64, number: u64, is_write: bool) -> Result<(), i32> {
        match self.handles.get(&handle) {
            _ if self.granted & 1 << 17 != 0 => Ok(()),
            // Opened for this one request.
            None if handle == 0 && !is_write => Ok(()),
            Some(&(node, flags)) if node == number => {
                let access = flags & 3;
                if access == 2 || access == u32::from(is_write) { Ok(()) } else { Err(EBADF) }
            }
            _ => Err(EBADF),
        }
    }

    fn serve(&mut self, opcode: u32, number: u64, body: &[u8], room: usize) -> Result<Vec<u8>, i32> {
        match opcode {
            26 => {
                assert_eq!((half(body, 0), half(body, 1)), (7, 31));
                let granted = half(body, 3) & self.granted;
                let halves = [7, 33, half(body, 2), granted, 0, 1 << 20, 1, 256];
                let rest = [0; 8];
                return Ok(halves.into_iter().chain(rest).flat_map(u32::to_le_bytes).collect());
            }
            42 => {
                for forget in body[8..].chunks(16).take(usize::try_from(half(body, 0)).unwrap()) {
                    let node = self.nodes.get_mut(&word(forget, 0)).expect("forgotten node exists");
                    node.lookups = node.lookups.checked_sub(word(forget, 1)).expect("forgotten too often");
                }
                return Ok(Vec::new());
            }
            _ => assert!(self.nodes.contains_key(&number), "request {opcode} about an unknown node"),
        }
        match opcode {
            1 => {
                let child = self.child(number, &names(body)[0])?;
                Ok(self.entry(child))
            }
            3 => Ok(self.attributes_reply(number)),
            4 => {
                let valid = half(body, 0);
                if valid & 8 != 0 && self.nodes[&number].mode & 0o222 == 0 {
                    self.check_handle(word(body, 1), number, true)?;
                }
                let node = self.nodes.get_mut(&number).unwrap();
                if valid & 1 != 0 {
                    node.mode = half(body, 17);
                }
                if valid & 2 != 0 {
                    node.uid = half(body, 19);
                }
                if valid & 8 != 0 {
                    node.data.resize(usize::try_from(word(body, 2)).unwrap(), 0);
                }
                if valid & 32 != 0 {
                    node.modified = word(body, 5);
                }
                Ok(self.attributes_reply(number))
            }
            5 => Ok(self.nodes[&number].data.clone()),
            6 => {
                let names = names(body);
                let made = self.make(number, &names[0], 0o120_777, &names[1])?;
                Ok(self.entry(made))
            }
            8 | 9 => {
                let (mode, start) =
                    if opcode == 8 { (half(body, 0), 16) } else { (half(body, 0) | 0o040_000, 8) };
                let made = self.make(number, &names(&body[start..])[0], mode, &[])?;
                Ok(self.entry(made))
            }
            10 | 11 => {
                let name = &names(body)[0];
                let child = self.child(number, name)?;
                if !self.nodes[&child].children.is_empty() {
                    return Err(ENOTEMPTY);
                }
                self.nodes.get_mut(&number).unwrap().children.remove(name);
                self.nodes.get_mut(&child).unwrap().links -= 1;
                Ok(Vec::new())
            }
            12 | 45 => {
                let names = names(&body[if opcode == 12 { 8 } else { 16 }..]);
                let child = self.child(number, &names[0])?;
                let target = word(body, 0);
                if opcode == 45 && half(body, 2) == 1 && self.child(target, &names[1]).is_ok() {
                    return Err(EEXIST);
                }
                self.nodes.get_mut(&number).unwrap().children.remove(&names[0]);
                self.nodes.get_mut(&target).unwrap().children.insert(names[1].clone(), child);
                Ok(Vec::new())
            }
            13 => {
                let target = word(body, 0);
                self.nodes.get_mut(&number).unwrap().children.insert(names(&body[8..])[0].clone(), target);
                self.nodes.get_mut(&target).unwrap().links += 1;
                Ok(self.entry(target))
            }
            14 | 27 => Ok(self.opened(number, half(body, 0))),
            15 => {
                self.check_handle(word(body, 0), number, false)?;
                let len = usize::try_from(half(body, 4)).unwrap();
                assert_eq!(room, len, "the buffers have the size that is asked for");
                let data = &self.nodes[&number].data;
                let start = usize::try_from(word(body, 1)).unwrap().min(data.len());
                Ok(data[start..data.len().min(start + len)].to_vec())
            }
            16 => {
                self.check_handle(word(body, 0), number, true)?;
                let (bytes, node) = (&body[40..], self.nodes.get_mut(&number).unwrap());
                assert_eq!(usize::try_from(half(body, 4)), Ok(bytes.len()));
                let is_append = half(body, 8) & 0o2000 != 0;
                let start = if is_append { node.data.len() } else { usize::try_from(word(body, 1)).unwrap() };
                if node.data.len() < start + bytes.len() {
                    node.data.resize(start + bytes.len(), 0);
                }
                node.data[start..start + bytes.len()].copy_from_slice(bytes);
                node.modified += 1;
                Ok(u64::from(half(body, 4)).to_le_bytes().to_vec())
            }
            17 => Ok((1..=5u64).chain([255 << 32 | 4096, 512, 0, 0, 0]).flat_map(u64::to_le_bytes).collect()),
            18 | 29 => self.handles.remove(&word(body, 0)).map(|_| Vec::new()).ok_or(EBADF),
            20 | 30 => Ok(Vec::new()),
            28 => {
                self.check_handle(word(body, 0), number, false)?;
                let mut reply = Vec::new();
                let children =
                    self.nodes[&number].children.iter().map(|(name, child)| (name.clone(), *child));
                let all = [(b".".to_vec(), 1), (b"..".to_vec(), 1)].into_iter().chain(children);
                for (position, (name, child)) in
                    (1u64..).zip(all).skip(usize::try_from(word(body, 1)).unwrap())
                {
                    let len = (24 + name.len()).next_multiple_of(8);
                    if reply.len() + len > room {
                        break;
                    }
                    let end = reply.len() + len;
                    let kind = self.nodes[&child].mode >> 12;
                    reply.extend([1000 + child, position].into_iter().flat_map(u64::to_le_bytes));
                    let halves = [u32::try_from(name.len()).unwrap(), kind];
                    reply.extend(halves.into_iter().flat_map(u32::to_le_bytes));
                    reply.extend(&name);
                    reply.resize(end, 0);
                }
                Ok(reply)
            }
            35 => {
                let made = self.make(number, &names(&body[16..])[0], half(body, 1), &[])?;
                let entry = self.entry(made);
                Ok(entry.into_iter().chain(self.opened(made, half(body, 0))).collect())
            }
            _ => Err(ENOSYS),
        }
    }
}

impl Model for FuseHost {
    fn device_type(&self) -> u16 {
        26
    }
    fn features(&self) -> u64 {
        0
    }
    fn queue_sizes(&self) -> Vec<u16> {
        vec![128, 256]
    }
    fn request(&mut self, queue: u16, output: &[u8], capacity: usize) -> Answer {
        assert_eq!(usize::try_from(half(output, 0)), Ok(output.len()), "the header has the request's length");
        let (opcode, node) = (half(output, 1), word(output, 2));
        self.requests.push(opcode);
        assert_eq!(queue == 0, opcode == 42, "only FORGET is urgent");
        let result = self.serve(opcode, node, &output[40..], capacity.saturating_sub(16));
        if let Some(lie) = self.lie.take() {
            return Answer::Reply(lie);
        }
        if opcode == 42 {
            assert_eq!(capacity, 0);
            return Answer::Reply(Vec::new());
        }
        let (error, data) = result.map_or_else(|error| (error, Vec::new()), |data| (0, data));
        let mut reply = u32::try_from(16 + data.len()).unwrap().to_le_bytes().to_vec();
        reply.extend(error.to_le_bytes());
        reply.extend(word(output, 1).to_le_bytes());
        reply.extend(data);
        Answer::Reply(reply)
    }
    fn saw_segments(&mut self, _queue: u16, readable: usize, writable: usize) {
        self.segments = (readable, writable);
    }
    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}
