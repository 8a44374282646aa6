//! Opening the partition's disks, as the caller may, before the host is left behind.
//!
//! A disk that is written to belongs to one partition: a lock on the file (`flock`) says so to other partitions, and to other programs that
//! ask. Several may read one at once.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use septum_abi::block::MOST;
use septum_api_types::disk::Disk;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;
use septum_machine::BlockFile;

use crate::outcome::without_number;

/// Opens them, in their order.
pub(crate) fn open(spec: &PartitionSpec) -> Result<Vec<BlockFile>, Failure> {
    if spec.disks.len() > MOST {
        let what = format!("cannot give a partition {} disks", spec.disks.len());
        return Err(Failure::new(Code::Usage, what, format!("the most is {MOST}")));
    }
    let start =
        spec.current_directory.as_ref().map(|directory| directory.as_path().to_owned()).unwrap_or_default();
    spec.disks.iter().map(|disk| open_one(&start, disk)).collect()
}

fn open_one(start: &Path, disk: &Disk) -> Result<BlockFile, Failure> {
    let what = || format!("cannot use '{}' as a disk", disk.host);
    let failed = |error: io::Error| {
        let failure = Failure::new(Code::Path, what(), without_number(&error));
        match error.kind() {
            io::ErrorKind::NotFound => {
                failure.hint(format!("truncate -s 1G '{}' makes an empty one", disk.host))
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem if !disk.read_only => {
                failure.hint("add ':ro' if reading is enough")
            }
            _ => failure,
        }
    };
    let path = start.join(disk.host.as_path());
    // A fifo or a terminal would wait for somebody.
    let kind = std::fs::metadata(&path).map_err(failed)?.file_type();
    if !kind.is_file() && !std::os::unix::fs::FileTypeExt::is_block_device(&kind) {
        let why = "it is neither a regular file nor a block device";
        let hint = "a directory is shared with --volume HOST:GUEST";
        return Err(Failure::new(Code::Path, what(), why).hint(hint));
    }
    let file = File::options().read(true).write(!disk.read_only).open(&path).map_err(failed)?;
    let lock = if disk.read_only {
        FlockOperation::NonBlockingLockShared
    } else {
        FlockOperation::NonBlockingLockExclusive
    };
    // Where the host's file system has no locks, nobody can be asked.
    if flock(&file, lock) == Err(Errno::WOULDBLOCK) {
        let why = "another partition or program uses it";
        let hint = "end that first; partitions that all name it with ':ro' may share it";
        return Err(Failure::new(Code::Path, what(), why).hint(hint));
    }
    let name = path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    Ok(BlockFile { file, is_read_only: disk.read_only, name })
}
