//! Who has which Unix name: a file's, or an abstract one.
//!
//! A file is known by its number, so that other names of it lead to the same socket. Entries are weak: a socket that was closed is not there,
//! and its file, which stays until it is removed, refuses connections.

use super::address::{Address, UnixName};
use super::{Kind, Name, Socket};
use crate::fs::context::{FsContext, MAY_WRITE};
use crate::fs::inode::{Create, FileKind};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Device and inode number, or kind and abstract name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    File(u64, u64),
    Abstract(Kind, Vec<u8>),
}

static NAMES: Mutex<BTreeMap<Key, Weak<Socket>>> = Mutex::new(BTreeMap::new());

/// `bind`. EINVAL if it has a name, EADDRINUSE if the name is somebody's.
pub fn bind(socket: &Arc<Socket>, address: &Address, fs: &FsContext) -> Result<(), Errno> {
    let Address::Unix(name) = address else { return Err(Errno::EINVAL) };
    let mut own = socket.name.lock();
    let is_named = own.address != Address::Unix(UnixName::Unnamed);
    match name {
        // No name asks for any.
        UnixName::Unnamed if is_named => Ok(()),
        // That the file is there already is noticed first.
        UnixName::Path(path) if is_named => match fs.resolve(&fs.cwd, path, false) {
            Ok(_) => Err(Errno::EADDRINUSE),
            Err(_) => Err(Errno::EINVAL),
        },
        _ if is_named => Err(Errno::EINVAL),
        UnixName::Unnamed => bind_anywhere(socket, &mut own),
        UnixName::Abstract(name) => {
            let mut names = NAMES.lock();
            take_name(&mut names, Key::Abstract(socket.kind, name.clone()), socket)?;
            own.address = address.clone();
            Ok(())
        }
        UnixName::Path(path) => {
            let node = Create::Node { kind: FileKind::Socket, device: 0 };
            let in_use = |errno| if errno == Errno::EEXIST { Errno::EADDRINUSE } else { errno };
            let place = fs.make_node(&fs.cwd, path, node, 0o777).map_err(in_use)?;
            let metadata = place.inode().metadata()?;
            NAMES.lock().insert(Key::File(metadata.device, metadata.inode), Arc::downgrade(socket));
            *own = Name { address: address.clone(), place: Some(place), port: None };
            Ok(())
        }
    }
}

fn take_name(names: &mut BTreeMap<Key, Weak<Socket>>, key: Key, socket: &Arc<Socket>) -> Result<(), Errno> {
    if names.get(&key).is_some_and(|holder| holder.strong_count() > 0) {
        return Err(Errno::EADDRINUSE);
    }
    names.insert(key, Arc::downgrade(socket));
    Ok(())
}

/// Gives it an abstract name that nobody has: five hexadecimal digits.
fn bind_anywhere(socket: &Arc<Socket>, own: &mut Name) -> Result<(), Errno> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    const LAST: u32 = 0xf_ffff;
    let mut names = NAMES.lock();
    for _ in 0..=LAST {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) & LAST;
        let name = alloc::format!("{number:05x}").into_bytes();
        if take_name(&mut names, Key::Abstract(socket.kind, name.clone()), socket).is_ok() {
            own.address = Address::Unix(UnixName::Abstract(name));
            return Ok(());
        }
    }
    Err(Errno::ENOSPC)
}

/// Gives it any name if it has none and passes credentials, so that it can be answered (Linux does the same).
pub fn name_for_credentials(socket: &Arc<Socket>) -> Result<(), Errno> {
    if !socket.options.lock().passes_credentials {
        return Ok(());
    }
    let mut own = socket.name.lock();
    if own.address == Address::Unix(UnixName::Unnamed) { bind_anywhere(socket, &mut own) } else { Ok(()) }
}

/// The socket of this name, of this kind. ECONNREFUSED if there is none, EPROTOTYPE if it is of another kind.
pub fn find(name: &UnixName, kind: Kind, fs: &FsContext) -> Result<Arc<Socket>, Errno> {
    let key = match name {
        UnixName::Unnamed => return Err(Errno::EINVAL),
        UnixName::Abstract(name) => Key::Abstract(kind, name.clone()),
        UnixName::Path(path) => {
            let place = fs.resolve(&fs.cwd, path, true)?;
            fs.check(&place, MAY_WRITE)?;
            if place.kind() != FileKind::Socket {
                return Err(Errno::ECONNREFUSED);
            }
            let metadata = place.inode().metadata()?;
            Key::File(metadata.device, metadata.inode)
        }
    };
    let found = NAMES.lock().get(&key).and_then(Weak::upgrade).ok_or(Errno::ECONNREFUSED)?;
    if found.kind == kind { Ok(found) } else { Err(Errno::EPROTOTYPE) }
}

/// A socket is closed: its name is free.
pub fn forget(name: &Name) {
    let is_gone = |holder: &Weak<Socket>| holder.strong_count() == 0;
    let mut names = NAMES.lock();
    match (&name.address, &name.place) {
        (_, Some(place)) => {
            if let Ok(metadata) = place.inode().metadata() {
                let key = Key::File(metadata.device, metadata.inode);
                if names.get(&key).is_some_and(is_gone) {
                    names.remove(&key);
                }
            }
        }
        (Address::Unix(UnixName::Abstract(abstract_name)), None) => {
            for kind in [Kind::Stream, Kind::Datagram, Kind::Messages] {
                let key = Key::Abstract(kind, abstract_name.clone());
                if names.get(&key).is_some_and(is_gone) {
                    names.remove(&key);
                }
            }
        }
        _ => {}
    }
}
