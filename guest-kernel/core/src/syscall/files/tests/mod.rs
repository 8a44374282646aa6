//! Stories told through the table, with kernel memory for the program's.

mod contents;
mod events;
mod names;

use super::{FileContext, file_calls};
use crate::fs::context::FsContext;
use crate::fs::descriptors::DescriptorTable;
use crate::fs::devices;
use crate::fs::mount::{MountOptions, Namespace};
use crate::fs::ramfs::RamFs;
use crate::io::{Destination, Pinned, Source};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::linux::{Errno, syscall as nr};
use septum_guest_hal::frame::Frame;
use septum_guest_hal::sync::Mutex;

/// The program's memory is at these addresses.
const BASE: u64 = 0x1000;
const LEN: usize = 256 * 1024;

/// A program of one thread.
struct Program {
    memory: Mutex<Vec<u8>>,
    descriptors: Mutex<DescriptorTable>,
    fs: Mutex<FsContext>,
    sigpipes: AtomicU32,
    namespace: Arc<Namespace>,
    /// Where the next argument is put.
    next: Mutex<usize>,
}

struct Piece<'a> {
    memory: &'a Mutex<Vec<u8>>,
    at: usize,
    end: usize,
}

impl Destination for Piece<'_> {
    fn remaining(&self) -> usize {
        self.end - self.at
    }
    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.end - self.at);
        self.memory.lock()[self.at..self.at + len].copy_from_slice(&bytes[..len]);
        self.at += len;
        Ok(len)
    }
    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let mut bytes = alloc::vec![0; len];
        frame.read(offset, &mut bytes);
        self.put(&bytes)
    }
    fn pin(&mut self, _max: usize, _pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        None
    }
    fn advance(&mut self, len: usize) {
        self.at += len;
    }
}

impl Source for Piece<'_> {
    fn remaining(&self) -> usize {
        self.end - self.at
    }
    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.end - self.at);
        bytes[..len].copy_from_slice(&self.memory.lock()[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
    fn take_to_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let mut bytes = alloc::vec![0; len];
        let len = self.take(&mut bytes)?;
        frame.write(offset, &bytes[..len]);
        Ok(len)
    }
    fn pin(&mut self, _max: usize, _pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        None
    }
    fn advance(&mut self, len: usize) {
        self.at += len;
    }
}

fn range(address: u64, len: usize) -> Result<(usize, usize), Errno> {
    let at = usize::try_from(address.checked_sub(BASE).ok_or(Errno::EFAULT)?).map_err(|_| Errno::EFAULT)?;
    let end = at.checked_add(len).filter(|&end| end <= LEN).ok_or(Errno::EFAULT)?;
    Ok((at, end))
}

impl FileContext for Program {
    type Destination<'a> = Piece<'a>;
    type Source<'a> = Piece<'a>;

    fn pid(&self) -> u32 {
        1
    }

    fn descriptors(&self) -> &Mutex<DescriptorTable> {
        &self.descriptors
    }
    fn fs(&self) -> &Mutex<FsContext> {
        &self.fs
    }
    fn copy_in(&self, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        let (at, end) = range(address, bytes.len())?;
        bytes.copy_from_slice(&self.memory.lock()[at..end]);
        Ok(())
    }
    fn copy_out(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let (at, end) = range(address, bytes.len())?;
        self.memory.lock()[at..end].copy_from_slice(bytes);
        Ok(())
    }
    fn copy_in_string(&self, address: u64, limit: usize) -> Result<Vec<u8>, Errno> {
        let (at, _) = range(address, 1)?;
        let memory = self.memory.lock();
        let text = &memory[at..LEN.min(at + limit)];
        let end = text.iter().position(|&byte| byte == 0).ok_or(Errno::ENAMETOOLONG)?;
        Ok(text[..end].to_vec())
    }
    fn destination(&self, address: u64, len: usize) -> Result<Piece<'_>, Errno> {
        let (at, end) = range(address, len)?;
        Ok(Piece { memory: &self.memory, at, end })
    }
    fn source(&self, address: u64, len: usize) -> Result<Piece<'_>, Errno> {
        self.destination(address, len)
    }
    fn deliver_sigpipe(&self) {
        self.sigpipes.fetch_add(1, Ordering::Relaxed);
    }
    fn with_signal_mask(
        &self,
        _mask: u64,
        wait: &mut dyn FnMut() -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        wait()
    }
}

impl Program {
    fn new() -> Self {
        let options = |file_system| MountOptions::plain(b"none", file_system);
        let namespace = Namespace::new(RamFs::new().root(), options("ramfs"));
        let fs = FsContext::new(Arc::clone(namespace.root()));
        let dev = fs.make_directories(b"/dev", 0o755).unwrap();
        namespace.mount(&dev, devices::file_system().unwrap(), options("devtmpfs")).unwrap();
        fs.make_directories(b"/tmp", 0o1777).unwrap();
        Self {
            memory: Mutex::new(alloc::vec![0; LEN]),
            descriptors: Mutex::new(DescriptorTable::new(64)),
            fs: Mutex::new(fs),
            sigpipes: AtomicU32::new(0),
            namespace,
            next: Mutex::new(0),
        }
    }

    fn call(&self, number: usize, arguments: &[u64]) -> Result<usize, Errno> {
        let entry = file_calls::<Self>().iter().find(|entry| entry.number == number).unwrap();
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        *self.next.lock() = 0;
        (entry.handler)(self, all)
    }

    /// Puts bytes into the program's memory.
    fn bytes(&self, bytes: &[u8]) -> u64 {
        let mut next = self.next.lock();
        let at = *next;
        self.memory.lock()[at..at + bytes.len()].copy_from_slice(bytes);
        *next = (at + bytes.len()).next_multiple_of(16);
        BASE + at as u64
    }

    fn path(&self, path: &str) -> u64 {
        self.bytes(&[path.as_bytes(), &[0]].concat())
    }

    /// What is at the upper half of memory, where the results are put.
    fn out(&self, len: usize) -> Vec<u8> {
        self.memory.lock()[LEN / 2..LEN / 2 + len].to_vec()
    }

    fn open(&self, path: &str, flags: u64) -> Result<u64, Errno> {
        self.call(nr::OPEN, &[self.path(path), flags, 0o644]).map(|fd| fd as u64)
    }

    fn write(&self, fd: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.call(nr::WRITE, &[fd, self.bytes(bytes), bytes.len() as u64])
    }

    fn read(&self, fd: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let len = self.call(nr::READ, &[fd, OUT, len as u64])?;
        Ok(self.out(len))
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let fd = self.open(path, CREATE | WRITE | TRUNCATE).unwrap();
        self.write(fd, bytes).unwrap();
        self.call(nr::CLOSE, &[fd]).unwrap();
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let fd = self.open(path, 0)?;
        let bytes = self.read(fd, 100_000);
        self.call(nr::CLOSE, &[fd]).unwrap();
        bytes
    }

    fn on_path(&self, number: usize, path: &str) -> Result<usize, Errno> {
        self.call(number, &[self.path(path), 0, 0])
    }

    fn on_paths(&self, number: usize, first: &str, second: &str) -> Result<usize, Errno> {
        self.call(number, &[self.path(first), self.path(second)])
    }

    /// Mode, number of links, size.
    fn stat(&self, number: usize, path: &str) -> Result<(u32, u64, u64), Errno> {
        self.call(number, &[self.path(path), OUT])?;
        let stat = self.out(144);
        let u64_at = |at: usize| u64::from_le_bytes(stat[at..at + 8].try_into().unwrap());
        Ok((u32::from_le_bytes(stat[24..28].try_into().unwrap()), u64_at(16), u64_at(48)))
    }

    fn cwd(&self) -> Vec<u8> {
        let len = self.call(nr::GETCWD, &[OUT, 4096]).unwrap();
        self.out(len - 1)
    }

    /// Names, as `getdents64` gives them with a buffer of `len` bytes.
    fn list(&self, path: &str, len: u64) -> Vec<alloc::string::String> {
        let fd = self.open(path, 0o200_000).unwrap();
        let mut names = Vec::new();
        loop {
            let filled = self.call(nr::GETDENTS64, &[fd, OUT, len]).unwrap();
            if filled == 0 {
                break;
            }
            let entries = self.out(filled);
            let mut at = 0;
            while at < filled {
                let len = usize::from(u16::from_le_bytes([entries[at + 16], entries[at + 17]]));
                assert_eq!(len % 8, 0);
                let name: Vec<u8> =
                    entries[at + 19..at + len].iter().copied().take_while(|&b| b != 0).collect();
                names.push(alloc::string::String::from_utf8(name).unwrap());
                at += len;
            }
        }
        self.call(nr::CLOSE, &[fd]).unwrap();
        names
    }
}

const OUT: u64 = BASE + LEN as u64 / 2;
const WRITE: u64 = 1;
const BOTH: u64 = 2;
const CREATE: u64 = 0o100;
const EXCLUSIVE: u64 = 0o200;
const TRUNCATE: u64 = 0o1000;
const APPEND: u64 = 0o2000;
const NON_BLOCKING: u64 = 0o4000;
const NO_FOLLOW: u64 = 0o400_000;
const HERE: u64 = 0xffff_ff9c;
