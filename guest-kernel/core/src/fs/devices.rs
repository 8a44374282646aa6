//! `/dev`: a RAM file system with the device files that programs expect, and what opening one gives.
//!
//! A device file is a number; [`open`] knows the drivers, so `mknod` makes working devices too.
//!
//! ```text
//! null 1:3  zero 1:5  full 1:7  random 1:8  urandom 1:9  tty 5:0  console 5:1  ptmx 5:2  vsock 10:122, with a way out
//! uio0 247:0 …, with functions of the host
//! fd → /proc/self/fd   stdin stdout stderr → /proc/self/fd/{0,1,2}   pts/ shm/ mqueue/
//! ```

use super::block;
use super::inode::{Create, File, FileKind, InodeRef, Ownership};
use super::pci;
use super::ramfs::RamFs;
use super::terminal::{self, Terminal};
use crate::io::{Destination, Source};
use crate::net::outside;
use crate::random;
use alloc::format;
use alloc::sync::Arc;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Once;

/// Bytes made at a time by devices that make bytes.
const PIECE: usize = 512;
static ZEROS: [u8; PIECE] = [0; PIECE];

/// The kernel's console, if the image has one.
static CONSOLE: Once<Arc<dyn File>> = Once::new();

/// Says what `/dev/console` is; the first call counts. Without it, opening that is ENXIO.
pub fn set_console(file: Arc<dyn File>) {
    CONSOLE.call_once(|| file);
}

/// The number of a device, as `st_rdev` has it (both parts below 256).
#[must_use]
pub const fn device_number(major: u8, minor: u8) -> u64 {
    (major as u64) << 8 | minor as u64
}

/// Opens the character device with this number; ENXIO if there is none.
pub fn open(number: u64) -> Result<Arc<dyn File>, Errno> {
    let driver = match number {
        0x103 => Driver::Null,
        0x105 => Driver::Zero,
        0x107 => Driver::Full,
        0x108 | 0x109 => Driver::Random,
        VSOCK => Driver::Vsock,
        0x500 => return terminal::open_controlling(),
        terminal::file_system::MASTER => return Ok(Arc::new(Terminal::open_master()?)),
        0x501 => return CONSOLE.get().cloned().ok_or(Errno::ENXIO),
        _ => return pci::open_uio(number),
    };
    Ok(Arc::new(driver))
}

/// A new `/dev`.
pub fn file_system() -> Result<InodeRef, Errno> {
    let root = RamFs::new().root();
    let with = |permissions| Ownership { uid: 0, gid: 0, permissions };
    let nodes: [(&[u8], u64, u32); 8] = [
        (b"null", device_number(1, 3), 0o666),
        (b"zero", device_number(1, 5), 0o666),
        (b"full", device_number(1, 7), 0o666),
        (b"random", device_number(1, 8), 0o666),
        (b"urandom", device_number(1, 9), 0o666),
        (b"tty", device_number(5, 0), 0o666),
        (b"ptmx", terminal::file_system::MASTER, 0o666),
        (b"console", device_number(5, 1), 0o600),
    ];
    for (name, device, permissions) in nodes {
        root.create(name, Create::Node { kind: FileKind::CharacterDevice, device }, with(permissions))?;
    }
    if outside::carrier().is_some() {
        root.create(b"vsock", Create::Node { kind: FileKind::CharacterDevice, device: VSOCK }, with(0o666))?;
    }
    for index in 0..u8::try_from(pci::count()).unwrap_or(u8::MAX) {
        let (name, device) = (format!("uio{index}"), pci::uio_number(index));
        let node = Create::Node { kind: FileKind::CharacterDevice, device };
        let (uid, gid) = pci::owner();
        root.create(name.as_bytes(), node, Ownership { uid, gid, permissions: 0o600 })?;
    }
    for (name, device) in (0..block::count()).map(block::name) {
        root.create(&name, Create::Node { kind: FileKind::BlockDevice, device }, block::ownership())?;
    }
    let links: [(&[u8], &[u8]); 4] = [
        (b"fd", b"/proc/self/fd"),
        (b"stdin", b"/proc/self/fd/0"),
        (b"stdout", b"/proc/self/fd/1"),
        (b"stderr", b"/proc/self/fd/2"),
    ];
    for (name, text) in links {
        root.create(name, Create::Symlink(text), with(0o777))?;
    }
    for (name, permissions) in [(&b"pts"[..], 0o755), (b"shm", 0o1777), (b"mqueue", 0o1777)] {
        root.create(name, Create::Directory, with(permissions))?;
    }
    Ok(root)
}

/// `/dev/vsock`, among the devices of a kind of its own.
const VSOCK: u64 = device_number(10, 122);
/// IOCTL_VM_SOCKETS_GET_LOCAL_CID
pub const LOCAL_CID: u32 = 0x7b9;

/// Whether it is `/dev/vsock`, which only tells the partition's CID.
#[must_use]
pub fn is_vsock(file: &dyn File) -> bool {
    matches!(file.as_any().downcast_ref(), Some(Driver::Vsock))
}

/// The devices that are made of nothing.
#[derive(Clone, Copy, Debug)]
enum Driver {
    Null,
    Zero,
    Full,
    Random,
    Vsock,
}

impl File for Driver {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn stays_at_start(&self) -> bool {
        true
    }

    fn is_zero_device(&self) -> bool {
        matches!(self, Self::Zero)
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let mut total = 0;
        let mut bytes = [0; PIECE];
        while to.remaining() > 0 {
            let len = to.remaining().min(PIECE);
            let moved = match self {
                Self::Null => return Ok(0),
                Self::Vsock => return Err(Errno::EINVAL),
                Self::Zero | Self::Full => to.put(&ZEROS[..len]),
                Self::Random => {
                    random::fill(&mut bytes[..len]);
                    to.put(&bytes[..len])
                }
            };
            match moved {
                Ok(0) => break,
                Ok(len) => total += len,
                Err(_) if total > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(total)
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        match self {
            Self::Full => return Err(Errno::ENOSPC),
            Self::Vsock => return Err(Errno::EINVAL),
            _ => {}
        }
        let len = from.remaining();
        from.advance(len);
        Ok(len)
    }

    fn append(&self, from: &mut dyn Source) -> Option<Result<(usize, u64), Errno>> {
        Some(self.write_at(0, from).map(|len| (len, 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::inode::Access;
    use crate::io::{KernelDestination, KernelSource};

    fn device(name: &[u8]) -> Result<Arc<dyn File>, Errno> {
        let dev = file_system().unwrap();
        dev.lookup(name).unwrap().open(Access { read: true, write: true })
    }

    #[test]
    fn each_device_does_what_its_name_says() {
        let mut bytes = [1; 1000];
        let mut read = |name: &[u8]| {
            bytes.fill(1);
            let len = device(name).unwrap().read_at(0, &mut KernelDestination(&mut bytes)).unwrap();
            (len, bytes.iter().all(|&byte| byte == 0))
        };
        assert_eq!(read(b"null"), (0, false));
        assert_eq!(read(b"zero"), (1000, true));
        assert_eq!(read(b"full"), (1000, true));
        assert_eq!(read(b"urandom"), (1000, false));
        let write = |name: &[u8]| device(name).unwrap().write_at(0, &mut KernelSource(b"hello"));
        assert_eq!(write(b"null"), Ok(5));
        assert_eq!(write(b"full"), Err(Errno::ENOSPC));
        assert_eq!(device(b"tty").err(), Some(Errno::ENXIO));
    }
}
