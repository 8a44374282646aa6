//! The files of an image in the making, in memory: all but their contents.
//!
//! Layers are put on each other here, and every path and link of an archive is followed here and nowhere else: `..` and absolute links
//! cannot lead out of a tree that has nothing outside.

use std::collections::BTreeMap;

use crate::error::Error;

/// The longest name, path and target of a link. Paths are a little shorter than Linux's, because the stage adds to them.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 3000;
const LONGEST_LINK: usize = 4095;
/// Symbolic links followed in one path, as on Linux.
const LINK_LIMIT: u32 = 40;

/// A file's number in its tree.
pub(crate) type Id = usize;
/// The root's.
pub(crate) const ROOT: Id = 0;

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Directory(BTreeMap<Vec<u8>, Entry>),
    /// Contents, by their number in the build's directory.
    Regular(u64),
    Symlink(Vec<u8>),
    CharacterDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    Socket,
}

/// A name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Id,
    /// The layer that it came with.
    layer: u32,
}

/// Whose a file is, and what else is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) permissions: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: (i64, u32),
    pub(crate) extended: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Attributes {
    /// Of a directory that nobody describes.
    pub(crate) fn plain() -> Self {
        Self { permissions: 0o755, ..Self::default() }
    }
}

/// A file.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) attributes: Attributes,
}

/// All files.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    layer: u32,
}

impl Tree {
    /// An empty root.
    pub(crate) fn new() -> Self {
        let root = Node { body: Body::Directory(BTreeMap::new()), attributes: Attributes::plain() };
        Self { nodes: vec![root], layer: 0 }
    }

    /// What follows is a layer on what is there.
    pub(crate) fn next_layer(&mut self) {
        self.layer += 1;
    }

    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The entries of a directory; `None` of another file.
    pub(crate) fn entries(&self, id: Id) -> Option<&BTreeMap<Vec<u8>, Entry>> {
        if let Body::Directory(entries) = &self.nodes[id].body { Some(entries) } else { None }
    }

    fn entries_mut(&mut self, id: Id) -> Option<&mut BTreeMap<Vec<u8>, Entry>> {
        if let Body::Directory(entries) = &mut self.nodes[id].body { Some(entries) } else { None }
    }

    /// Puts a file at `path`. What is there goes, unless both are directories: then that one gets the attributes.
    pub(crate) fn insert(&mut self, path: &[u8], body: Body, attributes: Attributes) -> Result<Id, Error> {
        if let Body::Symlink(target) = &body
            && (!(1..=LONGEST_LINK).contains(&target.len()) || target.contains(&0))
        {
            return Err(refused(path, "the target of its link is empty, too long or has a NUL"));
        }
        let Some((parent, name)) = self.place(path)? else {
            return match body {
                Body::Directory(_) => {
                    self.nodes[ROOT].attributes = attributes;
                    Ok(ROOT)
                }
                _ => Err(refused(path, "the root is no directory")),
            };
        };
        let layer = self.layer;
        let known = self.entries(parent).and_then(|entries| entries.get(&name)).copied();
        if let Some(known) = known
            && matches!((&body, &self.nodes[known.id].body), (Body::Directory(_), Body::Directory(_)))
        {
            self.nodes[known.id].attributes = attributes;
            self.name(parent, name, Entry { id: known.id, layer });
            return Ok(known.id);
        }
        let id = self.nodes.len();
        self.nodes.push(Node { body, attributes });
        self.name(parent, name, Entry { id, layer });
        Ok(id)
    }

    /// Gives the file at `target`, which is no directory, another name.
    pub(crate) fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Error> {
        let absent = || refused(path, "it is a hard link to a file that is not there");
        let (directory, name) = self.existing(target)?.ok_or_else(absent)?;
        let id = self.entries(directory).and_then(|entries| entries.get(&name)).ok_or_else(absent)?.id;
        if self.entries(id).is_some() {
            return Err(refused(path, "it is a hard link to a directory"));
        }
        let (parent, name) = self.place(path)?.ok_or_else(|| refused(path, "the root is no directory"))?;
        let layer = self.layer;
        self.name(parent, name, Entry { id, layer });
        Ok(())
    }

    /// Removes what lower layers have at `path`.
    pub(crate) fn white_out(&mut self, path: &[u8]) -> Result<(), Error> {
        let Some((parent, name)) = self.existing(path)? else { return Ok(()) };
        let found = self.entries(parent).and_then(|entries| entries.get(&name)).copied();
        let Some(found) = found else { return Ok(()) };
        if found.layer == self.layer && self.entries(found.id).is_some() {
            self.clear(found.id);
        } else if found.layer != self.layer
            && !self.keep_new(found.id)
            && let Some(entries) = self.entries_mut(parent)
        {
            entries.remove(&name);
        }
        Ok(())
    }

    /// Removes what lower layers have in the directory at `path`.
    pub(crate) fn make_opaque(&mut self, path: &[u8]) -> Result<(), Error> {
        let id = match self.existing(path)? {
            None => ROOT,
            Some((parent, name)) => match self.entries(parent).and_then(|entries| entries.get(&name)) {
                Some(entry) => entry.id,
                None => return Ok(()),
            },
        };
        self.clear(id);
        Ok(())
    }

    /// Removes what lower layers have in a directory.
    fn clear(&mut self, id: Id) {
        let children: Vec<(Vec<u8>, Entry)> =
            self.entries(id).into_iter().flatten().map(|(name, entry)| (name.clone(), *entry)).collect();
        for (name, entry) in children {
            let is_kept = entry.layer == self.layer || self.keep_new(entry.id);
            if entry.layer == self.layer && self.entries(entry.id).is_some() {
                self.clear(entry.id);
            }
            if !is_kept && let Some(entries) = self.entries_mut(id) {
                entries.remove(&name);
            }
        }
    }

    /// Clears a directory, and says whether something of this layer is left in it.
    fn keep_new(&mut self, id: Id) -> bool {
        if self.entries(id).is_none() {
            return false;
        }
        self.clear(id);
        self.entries(id).is_some_and(|entries| !entries.is_empty())
    }

    fn name(&mut self, parent: Id, name: Vec<u8>, entry: Entry) {
        if let Some(entries) = self.entries_mut(parent) {
            entries.insert(name, entry);
        }
    }

    /// The directory that `path` is in, made if need be, and its name there; `None` for the root.
    fn place(&mut self, path: &[u8]) -> Result<Option<(Id, Vec<u8>)>, Error> {
        self.walk(path, true)
    }

    /// As [`place`](Self::place), of what is there already: nothing is made.
    fn existing(&mut self, path: &[u8]) -> Result<Option<(Id, Vec<u8>)>, Error> {
        self.walk(path, false)
    }

    fn walk(&mut self, path: &[u8], makes: bool) -> Result<Option<(Id, Vec<u8>)>, Error> {
        let mut names = components(path)?;
        let Some(last) = names.pop() else { return Ok(None) };
        let mut pending: Vec<Vec<u8>> = names.into_iter().rev().collect();
        // The way from the root, so that links can go up.
        let mut way = vec![ROOT];
        let mut links = 0;
        while let Some(name) = pending.pop() {
            let here = way.last().copied().unwrap_or(ROOT);
            if name == b".." {
                // Only of a link; above the root is the root.
                if way.len() > 1 {
                    way.pop();
                }
                continue;
            }
            let known = self.entries(here).and_then(|entries| entries.get(&name)).map(|entry| entry.id);
            match known.map(|id| (id, &self.nodes[id].body)) {
                Some((id, Body::Directory(_))) => way.push(id),
                Some((_, Body::Symlink(target))) => {
                    links += 1;
                    if links > LINK_LIMIT || pending.len() > LONGEST_PATH {
                        return Err(refused(path, "it leads through too many symbolic links"));
                    }
                    if target.starts_with(b"/") {
                        way.truncate(1);
                    }
                    let steps = target.split(|&byte| byte == b'/');
                    let steps = steps.filter(|step| !step.is_empty() && *step != b".").rev();
                    pending.extend(steps.map(<[u8]>::to_vec));
                }
                Some(_) => return Err(refused(path, "what it should be in is no directory")),
                None if makes => {
                    let id = self.nodes.len();
                    let body = Body::Directory(BTreeMap::new());
                    self.nodes.push(Node { body, attributes: Attributes::plain() });
                    let layer = self.layer;
                    self.name(here, name, Entry { id, layer });
                    way.push(id);
                }
                // A place where nothing is.
                None => return Ok(Some((here, name))),
            }
        }
        Ok(Some((way.last().copied().unwrap_or(ROOT), last)))
    }

    /// Files there are, each once, and the root.
    pub(crate) fn count(&self) -> u64 {
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = vec![ROOT];
        let mut count = 0;
        while let Some(id) = waiting.pop() {
            if !std::mem::replace(&mut seen[id], true) {
                count += 1;
                waiting.extend(self.entries(id).into_iter().flatten().map(|(_, entry)| entry.id));
            }
        }
        count
    }
}

fn refused(path: &[u8], why: &str) -> Error {
    Error::refused(format!("'{}'", String::from_utf8_lossy(path)), why)
}

/// The names of a path of an archive.
fn components(path: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    if path.len() > LONGEST_PATH {
        return Err(refused(&path[..80], "its path is too long"));
    }
    let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    names
        .map(|name| match name {
            b".." => Err(refused(path, "it leads out of the archive")),
            _ if name.len() > LONGEST_NAME => Err(refused(path, "a name in it is too long")),
            _ if name.contains(&0) => Err(refused(path, "there is a NUL in its name")),
            _ => Ok(name.to_vec()),
        })
        .collect()
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
