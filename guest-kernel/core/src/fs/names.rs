//! Making, removing and moving names.
//!
//! Each function here walks to the directory of the last component, decides what Linux says about a last component that is
//! not a name (`.`, `..`, `/`) or that is a mount point, checks permissions, and leaves the rest to
//! [`Dentry`](super::dentry::Dentry) and the file system. Nothing is followed at the end of the path.

use super::context::{FsContext, check_writable_mount};
use super::dentry::Dentry;
use super::inode::{Create, FileKind};
use super::path::{Last, Walker};
use super::watch;
use alloc::boxed::Box;
use alloc::sync::Arc;
use septum_abi::linux::Errno;

/// A directory and a name in it.
struct Target {
    directory: Arc<Dentry>,
    name: Box<[u8]>,
    /// The path ended with a slash.
    must_be_directory: bool,
}

/// How `renameat2` treats what is at the new place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It is replaced.
    Yes,
    /// EEXIST.
    Never,
    /// It takes the old place; ENOENT if there is nothing.
    Exchange,
}

impl FsContext {
    /// `mkdir`. Returns the new directory.
    pub fn make_directory(
        &self,
        at: &Arc<Dentry>,
        path: &[u8],
        permissions: u32,
    ) -> Result<Arc<Dentry>, Errno> {
        let target = self.target(at, path, Errno::EEXIST)?;
        self.create(&target, Create::Directory, permissions & 0o1777)
    }

    /// `mkdir -p` of an absolute path. Returns the directory, which may have been there.
    pub fn make_directories(&self, path: &[u8], permissions: u32) -> Result<Arc<Dentry>, Errno> {
        let mut at = Arc::clone(&self.root);
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            at = match self.make_directory(&at, name, permissions) {
                Err(Errno::EEXIST) => {
                    let there = self.resolve(&at, name, true)?;
                    if !there.is_directory() {
                        return Err(Errno::ENOTDIR);
                    }
                    there
                }
                made => made?,
            };
        }
        Ok(at)
    }

    /// `mknod`
    pub fn make_node(
        &self,
        at: &Arc<Dentry>,
        path: &[u8],
        what: Create<'_>,
        permissions: u32,
    ) -> Result<Arc<Dentry>, Errno> {
        let target = self.target(at, path, Errno::EEXIST)?;
        if target.must_be_directory {
            return Err(self.exists(&target).err().unwrap_or(Errno::ENOENT));
        }
        if let Create::Node { kind: FileKind::CharacterDevice | FileKind::BlockDevice, .. } = what
            && self.uid != 0
        {
            return Err(Errno::EPERM);
        }
        self.create(&target, what, permissions)
    }

    /// `symlink`
    pub fn make_link_to(&self, text: &[u8], at: &Arc<Dentry>, path: &[u8]) -> Result<(), Errno> {
        if text.is_empty() {
            return Err(Errno::ENOENT);
        }
        let target = self.target(at, path, Errno::EEXIST)?;
        if target.must_be_directory {
            return Err(self.exists(&target).err().unwrap_or(Errno::ENOENT));
        }
        // A symbolic link has all permissions, whatever the umask.
        let context = Self { umask: 0, ..self.clone() };
        context.create(&target, Create::Symlink(text), 0o777).map(drop)
    }

    /// `link`: one more name for `file`.
    pub fn link(&self, file: &Arc<Dentry>, at: &Arc<Dentry>, path: &[u8]) -> Result<(), Errno> {
        let target = self.target(at, path, Errno::EEXIST)?;
        self.exists(&target)?;
        if target.must_be_directory {
            return Err(Errno::ENOENT);
        }
        if !Arc::ptr_eq(file.mount(), target.directory.mount()) {
            return Err(Errno::EXDEV);
        }
        if file.is_directory() {
            return Err(Errno::EPERM);
        }
        self.check_change(&target.directory)?;
        target.directory.link(&target.name, file)?;
        watch::tell_linked(&target.directory, &target.name, file);
        Ok(())
    }

    /// `unlink`
    pub fn unlink(&self, at: &Arc<Dentry>, path: &[u8]) -> Result<(), Errno> {
        let target = self.target(at, path, Errno::EISDIR)?;
        let child = target.directory.child(&target.name)?;
        if child.is_directory() {
            return Err(Errno::EISDIR);
        }
        if target.must_be_directory {
            return Err(Errno::ENOTDIR);
        }
        self.check_removal(&target.directory, &child)?;
        target.directory.unlink(&target.name)?;
        watch::tell_removed(&target.directory, &target.name, &child);
        Ok(())
    }

    /// `rmdir`
    pub fn remove_directory(&self, at: &Arc<Dentry>, path: &[u8]) -> Result<(), Errno> {
        let mut walker = Walker::new(self, at, path)?;
        let name = match walker.to_last()? {
            Last::Name(name) => name,
            Last::Dot => return Err(Errno::EINVAL),
            Last::DotDot => return Err(Errno::ENOTEMPTY),
            Last::Root => return Err(Errno::EBUSY),
        };
        let directory = walker.current();
        let child = directory.child(walker.name(&name))?;
        if !child.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        self.check_removal(directory, &child)?;
        if Arc::ptr_eq(&child, &self.root) {
            return Err(Errno::EBUSY);
        }
        directory.remove_directory(walker.name(&name))?;
        watch::tell_removed(directory, walker.name(&name), &child);
        Ok(())
    }

    /// `rename`
    pub fn rename(
        &self,
        from: (&Arc<Dentry>, &[u8]),
        to: (&Arc<Dentry>, &[u8]),
        replace: Replace,
    ) -> Result<(), Errno> {
        // Both directories are looked for before anything is said about the names.
        let old = self.target(from.0, from.1, Errno::EBUSY);
        let otherwise = if replace == Replace::Never { Errno::EEXIST } else { Errno::EBUSY };
        let new = self.target(to.0, to.1, otherwise);
        let (old, new) = match (old, new) {
            (Err(Errno::EBUSY), Err(errno)) if errno != otherwise => return Err(errno),
            (old, new) => (old?, new?),
        };
        if !Arc::ptr_eq(old.directory.mount(), new.directory.mount()) {
            return Err(Errno::EXDEV);
        }
        let child = old.directory.child(&old.name)?;
        let there = match new.directory.child(&new.name) {
            Ok(_) if replace == Replace::Never => return Err(Errno::EEXIST),
            Ok(there) => Some(there),
            Err(Errno::ENOENT) if replace != Replace::Exchange => None,
            Err(errno) => return Err(errno),
        };
        if let (Replace::Exchange, Some(there)) = (replace, &there) {
            return self.exchange((&old, &child), (&new, there));
        }
        if !child.is_directory() && (old.must_be_directory || new.must_be_directory) {
            return Err(Errno::ENOTDIR);
        }
        if child.contains(&new.directory) {
            return Err(Errno::EINVAL);
        }
        if let Some(there) = &there {
            if there.contains(&old.directory) {
                return Err(Errno::ENOTEMPTY);
            }
            if Arc::ptr_eq(there.inode(), child.inode()) {
                return Ok(());
            }
            match (child.is_directory(), there.is_directory()) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                _ => self.check_removal(&new.directory, there)?,
            }
        } else {
            self.check_change(&new.directory)?;
        }
        self.check_removal(&old.directory, &child)?;
        old.directory.rename(&old.name, &child, &new.directory, &new.name, replace == Replace::Never)?;
        let places = ((&*old.directory, &*old.name), (&*new.directory, &*new.name));
        watch::tell_moved(places.0, places.1, &child, there.as_deref());
        Ok(())
    }

    /// Two files take each other's place.
    fn exchange(&self, one: (&Target, &Arc<Dentry>), other: (&Target, &Arc<Dentry>)) -> Result<(), Errno> {
        let ((old, child), (new, there)) = (one, other);
        for (target, dentry) in [one, other] {
            if target.must_be_directory && !dentry.is_directory() {
                return Err(Errno::ENOTDIR);
            }
        }
        if child.contains(&new.directory) || there.contains(&old.directory) {
            return Err(Errno::EINVAL);
        }
        if Arc::ptr_eq(there.inode(), child.inode()) {
            return Ok(());
        }
        self.check_removal(&new.directory, there)?;
        self.check_removal(&old.directory, child)?;
        old.directory.exchange((&old.name, child), &new.directory, (&new.name, there))?;
        let places = ((&*old.directory, &*old.name), (&*new.directory, &*new.name));
        watch::tell_moved(places.0, places.1, child, None);
        watch::tell_moved(places.1, places.0, there, None);
        Ok(())
    }

    /// Walks to the directory of the last component; `otherwise` if that is not a name.
    fn target(&self, at: &Arc<Dentry>, path: &[u8], otherwise: Errno) -> Result<Target, Errno> {
        let mut walker = Walker::new(self, at, path)?;
        let Last::Name(name) = walker.to_last()? else { return Err(otherwise) };
        Ok(Target {
            directory: Arc::clone(walker.current()),
            name: walker.name(&name).into(),
            must_be_directory: walker.has_trailing_slash(),
        })
    }

    /// EEXIST if the name is there.
    fn exists(&self, target: &Target) -> Result<(), Errno> {
        match target.directory.child(&target.name) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn create(&self, target: &Target, what: Create<'_>, permissions: u32) -> Result<Arc<Dentry>, Errno> {
        self.exists(target)?;
        self.check_change(&target.directory)?;
        let made = target.directory.create(&target.name, what, self.ownership(permissions))?;
        watch::tell_created(&target.directory, &target.name, &made);
        Ok(made)
    }

    fn check_removal(&self, directory: &Dentry, victim: &Arc<Dentry>) -> Result<(), Errno> {
        check_writable_mount(directory)?;
        self.check_change(directory)?;
        self.check_sticky(directory, victim)?;
        victim.settle();
        if victim.is_covered() { Err(Errno::EBUSY) } else { Ok(()) }
    }
}
