//! For whom files are looked up: root, working directory, umask and identity; and what that identity may do.
//!
//! Permissions are checked here and in the modules next to it ([`path`](super::path), [`open`](super::open),
//! [`names`](super::names)), never by a file system. User 0 may do everything except execute a file without
//! an `x` bit, and is asked no questions: no metadata is fetched on its behalf.

use super::dentry::Dentry;
use super::inode::{Metadata, Ownership, SetMetadata, Timestamp};
use super::path::Walker;
use super::watch;
use crate::process::limits;
use alloc::sync::Arc;
use septum_abi::linux::Errno;

/// Execute a file, search a directory; the values are those of `access`.
pub const MAY_EXECUTE: u32 = 1;
/// Write.
pub const MAY_WRITE: u32 = 2;
/// Read.
pub const MAY_READ: u32 = 4;

/// A thread's view of files.
#[derive(Clone, Debug)]
pub struct FsContext {
    /// `/`
    pub root: Arc<Dentry>,
    /// Where relative paths start.
    pub cwd: Arc<Dentry>,
    /// Permission bits that new files do not get.
    pub umask: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Real and saved user.
    pub other_uids: [u32; 2],
    /// Real and saved group.
    pub other_gids: [u32; 2],
    /// Supplementary groups, ascending; none if there are none.
    pub groups: Option<Arc<[u32]>>,
}

impl FsContext {
    /// User 0 at `root`.
    #[must_use]
    pub fn new(root: Arc<Dentry>) -> Self {
        let cwd = Arc::clone(&root);
        let (other_uids, other_gids) = ([0; 2], [0; 2]);
        Self { cwd, root, umask: 0o022, uid: 0, gid: 0, other_uids, other_gids, groups: None }
    }

    /// Becomes another user and group altogether.
    pub fn set_identity(&mut self, uid: u32, gid: u32) {
        (self.uid, self.other_uids) = (uid, [uid; 2]);
        (self.gid, self.other_gids) = (gid, [gid; 2]);
    }

    /// `execve`: the effective user and group are also the saved ones from now on.
    pub fn save_effective(&mut self) {
        (self.other_uids[1], self.other_gids[1]) = (self.uid, self.gid);
    }

    /// The same for whom real user and group count (`access`).
    #[must_use]
    pub fn as_real(self) -> Self {
        Self { uid: self.other_uids[0], gid: self.other_gids[0], ..self }
    }

    /// Whether it belongs to a group, in whatever way.
    #[must_use]
    pub fn is_in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.as_ref().is_some_and(|groups| groups.binary_search(&gid).is_ok())
    }

    /// The file that `path` names, starting at `at` if it is relative. `follow`: through a symbolic link at its end.
    pub fn resolve(&self, at: &Arc<Dentry>, path: &[u8], follow: bool) -> Result<Arc<Dentry>, Errno> {
        Walker::new(self, at, path)?.to_end(follow)
    }

    /// Permission bits and owner of a new file.
    #[must_use]
    pub fn ownership(&self, permissions: u32) -> Ownership {
        Ownership { uid: self.uid, gid: self.gid, permissions: permissions & 0o7777 & !self.umask }
    }

    /// Whether all of `wanted` ([`MAY_READ`] and so on) is allowed; EACCES if not.
    pub fn check(&self, dentry: &Dentry, wanted: u32) -> Result<(), Errno> {
        if self.uid == 0 && (wanted & MAY_EXECUTE == 0 || dentry.is_directory()) {
            return Ok(());
        }
        let metadata = dentry.inode().metadata()?;
        if is_allowed(&metadata, self.uid, self.is_in_group(metadata.gid), wanted) {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }

    /// EACCES unless entries of `directory` may be made and removed, EROFS if its mount is read-only.
    pub fn check_change(&self, directory: &Dentry) -> Result<(), Errno> {
        check_writable_mount(directory)?;
        self.check(directory, MAY_WRITE | MAY_EXECUTE)
    }

    /// EPERM unless `victim` may be removed from a sticky `directory`.
    pub fn check_sticky(&self, directory: &Dentry, victim: &Dentry) -> Result<(), Errno> {
        if self.uid == 0 {
            return Ok(());
        }
        let directory = directory.inode().metadata()?;
        let is_owner = |metadata: &Metadata| metadata.uid == self.uid;
        if directory.permissions & 0o1000 == 0
            || is_owner(&directory)
            || is_owner(&victim.inode().metadata()?)
        {
            Ok(())
        } else {
            Err(Errno::EPERM)
        }
    }

    /// `chmod`. EPERM unless the owner or user 0.
    pub fn set_permissions(&self, dentry: &Dentry, permissions: u32) -> Result<(), Errno> {
        check_writable_mount(dentry)?;
        if self.uid != 0 && dentry.inode().metadata()?.uid != self.uid {
            return Err(Errno::EPERM);
        }
        let changes = SetMetadata { permissions: Some(permissions & 0o7777), ..SetMetadata::default() };
        dentry.inode().set_metadata(&changes)?;
        watch::tell(dentry, watch::event::ATTRIBUTES);
        Ok(())
    }

    /// `chown`; `None` stays. Only user 0 may give a file away; its owner may set the group to its own.
    pub fn set_owner(&self, dentry: &Dentry, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        check_writable_mount(dentry)?;
        let metadata = dentry.inode().metadata()?;
        let is_own = metadata.uid == self.uid
            && uid.is_none_or(|uid| uid == metadata.uid)
            && gid.is_none_or(|gid| self.is_in_group(gid) || gid == metadata.gid);
        if self.uid != 0 && !is_own {
            return Err(Errno::EPERM);
        }
        if uid.is_none() && gid.is_none() {
            return Ok(());
        }
        // A file that changes hands loses the bits that lend its owner's rights.
        let lends = !dentry.is_directory() && metadata.permissions & 0o6000 != 0;
        let permissions = lends.then_some(metadata.permissions & !0o6000);
        dentry.inode().set_metadata(&SetMetadata { permissions, uid, gid, ..SetMetadata::default() })?;
        watch::tell(dentry, watch::event::ATTRIBUTES);
        Ok(())
    }

    /// `utimensat`; `None` stays. `is_now`: both are the present, which whoever may write the file may set.
    pub fn set_times(
        &self,
        dentry: &Dentry,
        accessed: Option<Timestamp>,
        modified: Option<Timestamp>,
        is_now: bool,
    ) -> Result<(), Errno> {
        if accessed.is_none() && modified.is_none() {
            return Ok(());
        }
        check_writable_mount(dentry)?;
        if self.uid != 0 && dentry.inode().metadata()?.uid != self.uid {
            if !is_now {
                return Err(Errno::EPERM);
            }
            self.check(dentry, MAY_WRITE)?;
        }
        dentry.inode().set_metadata(&SetMetadata { accessed, modified, ..SetMetadata::default() })?;
        watch::tell(dentry, watch::event::ATTRIBUTES);
        Ok(())
    }

    /// `truncate`
    pub fn truncate(&self, dentry: &Dentry, size: u64) -> Result<(), Errno> {
        use super::inode::FileKind;
        match dentry.kind() {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        check_writable_mount(dentry)?;
        self.check(dentry, MAY_WRITE)?;
        limits::check_file_size(|| dentry.metadata().map(|metadata| metadata.size), size)?;
        dentry.inode().set_metadata(&SetMetadata { size: Some(size), ..SetMetadata::default() })?;
        watch::tell(dentry, watch::event::MODIFY);
        Ok(())
    }
}

/// EROFS if the file's mount is read-only.
pub fn check_writable_mount(dentry: &Dentry) -> Result<(), Errno> {
    if dentry.mount().is_read_only { Err(Errno::EROFS) } else { Ok(()) }
}

/// Linux's rule: user 0 needs an `x` bit to execute; others have the bits of the first class they belong to.
#[must_use]
pub fn is_allowed(metadata: &Metadata, uid: u32, is_in_group: bool, wanted: u32) -> bool {
    use super::inode::FileKind;
    if uid == 0 {
        return wanted & MAY_EXECUTE == 0
            || metadata.kind == FileKind::Directory
            || metadata.permissions & 0o111 != 0;
    }
    let class = if metadata.uid == uid {
        metadata.permissions >> 6
    } else if is_in_group {
        metadata.permissions >> 3
    } else {
        metadata.permissions
    };
    wanted & !class & 0o7 == 0
}
