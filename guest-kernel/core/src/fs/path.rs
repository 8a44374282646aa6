//! Walking a path.
//!
//! A [`Walker`] holds where it is and the text that is left. A symbolic link on the way replaces the text by its target
//! followed by what was left, so that nothing recurses; after [`LINK_LIMIT`] links it is ELOOP.
//!
//! ```text
//! current: /usr     text: lib/python3/os.py         at the start of a component
//!                         ^at
//! ```
//!
//! The last component is special: it may not exist yet, may be a link that is not to be followed, or may not be a name
//! at all. [`to_last`](Walker::to_last) stops before it; [`to_end`](Walker::to_end) and
//! [`to_creation`](Walker::to_creation) go on as their callers need.

use super::context::{FsContext, MAY_EXECUTE};
use super::dentry::Dentry;
use super::inode::FileKind;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Range;
use septum_abi::linux::Errno;

/// Longest path, its terminator included, bytes.
pub const PATH_MAX: usize = 4096;
/// Longest name, bytes.
pub const NAME_MAX: usize = 255;
/// Most symbolic links of one walk.
pub const LINK_LIMIT: u32 = 40;

/// What `openat2` forbids on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// EXDEV when the path leaves the directory it starts in.
    pub is_beneath: bool,
    /// ELOOP at any symbolic link.
    pub has_no_links: bool,
    /// ELOOP at links such as `/proc/self/exe`.
    pub has_no_magic_links: bool,
    /// EXDEV when the path changes mounts.
    pub stays_on_mount: bool,
}

/// The last component of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    /// These bytes of the text are a name.
    Name(Range<usize>),
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// The path is `/`.
    Root,
}

/// What [`Walker::to_creation`] finds.
#[derive(Debug)]
pub enum Place {
    /// The file is there.
    Existing(Arc<Dentry>),
    /// The directory is, the name is not.
    Missing {
        /// Where to create.
        directory: Arc<Dentry>,
        /// What.
        name: Box<[u8]>,
    },
}

/// A walk along one path.
pub struct Walker<'a> {
    context: &'a FsContext,
    start: Arc<Dentry>,
    current: Arc<Dentry>,
    text: Cow<'a, [u8]>,
    at: usize,
    links: u32,
    restrictions: Restrictions,
}

impl<'a> Walker<'a> {
    /// Starts at `at`, or at the root if `path` is absolute. ENOENT if it is empty.
    pub fn new(context: &'a FsContext, at: &Arc<Dentry>, path: &'a [u8]) -> Result<Self, Errno> {
        Self::restricted(context, at, path, Restrictions::default())
    }

    /// As [`new`](Self::new), with restrictions.
    pub fn restricted(
        context: &'a FsContext,
        at: &Arc<Dentry>,
        path: &'a [u8],
        restrictions: Restrictions,
    ) -> Result<Self, Errno> {
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let start = match path.first() {
            None => return Err(Errno::ENOENT),
            Some(b'/') if restrictions.is_beneath => return Err(Errno::EXDEV),
            Some(b'/') => &context.root,
            Some(_) => at,
        };
        Ok(Self {
            context,
            start: Arc::clone(at),
            current: Arc::clone(start),
            text: Cow::Borrowed(path),
            at: 0,
            links: 0,
            restrictions,
        })
    }

    /// Where the walk is.
    #[must_use]
    pub fn current(&self) -> &Arc<Dentry> {
        &self.current
    }

    /// The bytes of a [`Last::Name`].
    #[must_use]
    pub fn name(&self, range: &Range<usize>) -> &[u8] {
        &self.text[range.clone()]
    }

    /// Whether the path ends with a slash: what it names has to be a directory.
    #[must_use]
    pub fn has_trailing_slash(&self) -> bool {
        self.text.last() == Some(&b'/')
    }

    /// Goes to the directory of the last component.
    pub fn to_last(&mut self) -> Result<Last, Errno> {
        let mut last = Last::Root;
        loop {
            self.at += self.text[self.at..].iter().take_while(|&&byte| byte == b'/').count();
            if self.at >= self.text.len() {
                return Ok(last);
            }
            self.enter_last(&last)?;
            if !self.current.is_directory() {
                return Err(Errno::ENOTDIR);
            }
            self.context.check(&self.current, MAY_EXECUTE)?;
            let len = self.text[self.at..].iter().take_while(|&&byte| byte != b'/').count();
            let range = self.at..self.at + len;
            self.at = range.end;
            last = match &self.text[range.clone()] {
                b"." => Last::Dot,
                b".." => Last::DotDot,
                name if name.len() > NAME_MAX => return Err(Errno::ENAMETOOLONG),
                _ if self.text[range.end..].iter().all(|&byte| byte == b'/') => {
                    return Ok(Last::Name(range));
                }
                _ => {
                    let child = self.child(&range)?;
                    if child.kind() == FileKind::Symlink {
                        self.follow(&child)?;
                    } else {
                        self.current = child;
                    }
                    Last::Root
                }
            };
        }
    }

    /// Goes all the way. `follow`: through a symbolic link at the end too.
    pub fn to_end(mut self, follow: bool) -> Result<Arc<Dentry>, Errno> {
        loop {
            let last = self.to_last()?;
            let Last::Name(range) = last else {
                self.enter_last(&last)?;
                if self.has_trailing_slash() && !self.current.is_directory() {
                    return Err(Errno::ENOTDIR);
                }
                return Ok(self.current);
            };
            let child = self.child(&range)?;
            if child.kind() == FileKind::Symlink && (follow || self.has_trailing_slash()) {
                self.follow(&child)?;
                continue;
            }
            if self.has_trailing_slash() && !child.is_directory() {
                return Err(Errno::ENOTDIR);
            }
            return Ok(child);
        }
    }

    /// Goes to where a file is, or could be created: a link at the end that leads to nothing yet is followed to where it leads
    /// (unless `follow` is false). EISDIR if the path ends with a slash.
    pub fn to_creation(mut self, follow: bool) -> Result<Place, Errno> {
        loop {
            let last = self.to_last()?;
            let Last::Name(range) = last else {
                self.enter_last(&last)?;
                return Ok(Place::Existing(self.current));
            };
            if self.has_trailing_slash() {
                return Err(Errno::EISDIR);
            }
            match self.child(&range) {
                Ok(child) if child.kind() == FileKind::Symlink && follow => self.follow(&child)?,
                Ok(child) => return Ok(Place::Existing(child)),
                Err(Errno::ENOENT) => {
                    let name = self.name(&range).into();
                    return Ok(Place::Missing { directory: self.current, name });
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The entry with this name, or what is mounted on it.
    pub fn child(&self, name: &Range<usize>) -> Result<Arc<Dentry>, Errno> {
        let child = self.current.child(&self.text[name.clone()])?;
        if self.restrictions.stays_on_mount && child.is_covered() {
            return Err(Errno::EXDEV);
        }
        Ok(child.uppermost())
    }

    /// Makes the step that [`to_last`](Self::to_last) left out, unless it is a name.
    fn enter_last(&mut self, last: &Last) -> Result<(), Errno> {
        if *last == Last::DotDot { self.up() } else { Ok(()) }
    }

    fn up(&mut self) -> Result<(), Errno> {
        if self.restrictions.is_beneath && Arc::ptr_eq(&self.current, &self.start) {
            return Err(Errno::EXDEV);
        }
        loop {
            if Arc::ptr_eq(&self.current, &self.context.root) {
                return Ok(());
            }
            if let Some(parent) = self.current.parent() {
                self.current = parent.uppermost();
                return Ok(());
            }
            let Some(covered) = self.current.mount().covered() else { return Ok(()) };
            if self.restrictions.stays_on_mount {
                return Err(Errno::EXDEV);
            }
            self.current = covered;
        }
    }

    /// Continues along the target of `link`, an entry of `current`.
    fn follow(&mut self, link: &Arc<Dentry>) -> Result<(), Errno> {
        self.links += 1;
        if self.links > LINK_LIMIT || self.restrictions.has_no_links {
            return Err(Errno::ELOOP);
        }
        if let Some(target) = link.inode().follow() {
            if self.restrictions.has_no_magic_links {
                return Err(Errno::ELOOP);
            }
            if self.restrictions.is_beneath {
                return Err(Errno::EXDEV);
            }
            self.current = target.uppermost();
            return Ok(());
        }
        let mut text = link.inode().read_link()?;
        match text.first() {
            None => return Err(Errno::ENOENT),
            Some(b'/') if self.restrictions.is_beneath => return Err(Errno::EXDEV),
            Some(b'/') => self.current = Arc::clone(&self.context.root),
            Some(_) => {}
        }
        text.extend_from_slice(&self.text[self.at..]);
        if text.len() >= 2 * PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        self.text = Cow::Owned(text);
        self.at = 0;
        Ok(())
    }
}
