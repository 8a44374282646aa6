//! From a descriptor chain to a reply, whatever the chain holds.
//!
//! The FUSE server answers well-formed requests. This module takes care of the rest: requests too short to be one,
//! operations that the server should not see, requests that it refuses without a reply, and, should it panic, that
//! too. A request that expects a reply gets one: if nothing else, `EIO`.

use std::io::{Read as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};

use fuse_backend_rs::abi::fuse_abi::{InHeader, OutHeader};
use fuse_backend_rs::api::filesystem::FileSystem as _;
use fuse_backend_rs::api::server::Server;
use fuse_backend_rs::transport::{FsCacheReqHandler, Reader, VirtioFsWriter};
use vm_memory::ByteValued;

use super::super::chain::{ChainError, copy_out, with_reader, with_writer};
use super::super::ring::Chain;
use super::locks::{ARGUMENTS, Locks, Wish};
use super::tree::Tree;
use super::window::{Mapper, Mappings};
use crate::core::{Fault, FileWindow, Misbehaviour, lock};

/// Bytes of a request's header.
const IN_HEADER: usize = 40;
/// Bytes of a reply's header.
const OUT_HEADER: u32 = 16;

/// What the guest and the tree have agreed on.
pub(super) struct Session {
    server: Server<Tree>,
    tree: Tree,
    locks: Mutex<Locks>,
    mappings: Option<Arc<Mutex<Mappings>>>,
}

impl Session {
    pub(super) fn new(tree: Tree, window: Option<Arc<dyn FileWindow>>) -> Self {
        let mappings = window.map(|window| Arc::new(Mutex::new(Mappings::new(window))));
        Self { server: Server::new(tree.clone()), tree, locks: Mutex::default(), mappings }
    }

    /// Forgets every inode and open file of the guest.
    pub(super) fn reset(&self) {
        if catch_unwind(AssertUnwindSafe(|| self.tree.destroy())).is_err() {
            log::error!("the file system could not be reset");
        }
        lock(&self.locks).clear();
        if let Some(mappings) = &self.mappings {
            lock(mappings).clear();
        }
    }

    /// What is mapped for the guest, if anything can be.
    pub(super) fn mappings(&self) -> Option<MutexGuard<'_, Mappings>> {
        self.mappings.as_ref().map(|mappings| lock(mappings))
    }

    /// Whether the host may have something to tell about mapped files.
    pub(super) fn has_notifications(&self) -> bool {
        self.mappings().is_some_and(|mappings| mappings.notifications().is_some())
    }

    /// Serves one request; returns the length of the reply.
    pub(super) fn serve(&self, chain: &Chain, misbehaviour: &Misbehaviour) -> Result<u32, ChainError> {
        let header = with_reader(chain, 0, |reader| {
            let mut bytes = [0; IN_HEADER];
            reader.read_exact(&mut bytes).map_err(|_| ChainError::TooShort)?;
            InHeader::from_slice(&bytes).copied().ok_or(ChainError::TooShort)
        })??;
        match policy(header.opcode) {
            Policy::Refuse => return reply_error(chain, header.unique, libc::ENOSYS),
            Policy::Ignore => return Ok(0),
            Policy::Lock => return self.serve_lock(chain, &header, misbehaviour),
            Policy::NeedsWindow if self.mappings.is_none() => {
                return reply_error(chain, header.unique, libc::ENOSYS);
            }
            Policy::Serve | Policy::ServeWithoutReply | Policy::NeedsWindow => {}
        }
        let reader =
            Reader::from_descriptor_chain(chain.memory(), chain.clone()).map_err(|_| ChainError::Outside)?;
        let writer = VirtioFsWriter::new(chain.memory(), chain.clone()).map_err(|_| ChainError::Outside)?;
        let room = u32::try_from(writer.available_bytes()).unwrap_or(u32::MAX);
        let mut mapper = match header.opcode {
            opcode::SETUP_MAPPING | opcode::REMOVE_MAPPING => {
                let mappings = self.mappings.clone();
                mappings.map(|mappings| Mapper { mappings, node: header.nodeid })
            }
            _ => None,
        };
        let mapper = mapper.as_mut().map(|mapper| mapper as &mut dyn FsCacheReqHandler);
        let served = catch_unwind(AssertUnwindSafe(|| {
            self.server.handle_message(reader, writer.into(), mapper, None)
        }));
        if matches!(header.opcode, opcode::SET_ATTRIBUTES | opcode::WRITE | opcode::FALLOCATE)
            && let Some(mut mappings) = self.mappings()
        {
            mappings.changed(header.nodeid);
        }
        match served {
            Ok(Ok(length)) => {
                // The server replies to this one without saying so.
                let is_silent = length == 0 && header.opcode == opcode::DESTROY;
                let length = if is_silent { OUT_HEADER } else { u32::try_from(length).unwrap_or(u32::MAX) };
                Ok(if length <= room { length } else { 0 })
            }
            Ok(Err(error)) => {
                misbehaviour.count(Fault::Request, "malformed FUSE request");
                log::debug!("FUSE request {}: {error}", header.opcode);
                refuse(chain, &header)
            }
            Err(_) => {
                log::error!("the file system server panicked in FUSE request {}", header.opcode);
                refuse(chain, &header)
            }
        }
    }
}

impl Session {
    /// GETLK and SETLK, which the server does not know.
    fn serve_lock(
        &self,
        chain: &Chain,
        header: &InHeader,
        misbehaviour: &Misbehaviour,
    ) -> Result<u32, ChainError> {
        let arguments = with_reader(chain, IN_HEADER, |reader| {
            let mut bytes = [0; ARGUMENTS];
            reader.read_exact(&mut bytes).ok().map(|()| bytes)
        });
        let Ok(Some(arguments)) = arguments else {
            misbehaviour.count(Fault::Request, "FUSE request about a lock too short");
            return refuse(chain, header);
        };
        let Some(wish) = Wish::parse(&arguments) else {
            return reply_error(chain, header.unique, libc::EINVAL);
        };
        let open = || self.tree.open_for_locks(header.nodeid);
        let mut locks = lock(&self.locks);
        let served = catch_unwind(AssertUnwindSafe(|| match header.opcode {
            opcode::GET_LOCK => locks.get(header.nodeid, wish, open).map(Vec::from),
            _ => locks.set(header.nodeid, wish, open).map(|()| Vec::new()),
        }));
        match served {
            Ok(Ok(words)) => {
                let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
                let len = OUT_HEADER + u32::try_from(bytes.len()).map_err(|_| ChainError::TooLarge)?;
                let reply = OutHeader { len, error: 0, unique: header.unique };
                copy_out(chain, &[reply.as_slice(), &bytes].concat())
            }
            Ok(Err(error)) => reply_error(chain, header.unique, error.raw_os_error().unwrap_or(libc::EIO)),
            Err(_) => {
                log::error!("the file system server panicked in FUSE request {}", header.opcode);
                refuse(chain, header)
            }
        }
    }
}

/// What to do with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Serve,
    ServeWithoutReply,
    NeedsWindow,
    /// About locks.
    Lock,
    Refuse,
    Ignore,
}

/// Numbers of the FUSE protocol.
mod opcode {
    pub const FIRST: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const SET_ATTRIBUTES: u32 = 4;
    pub const WRITE: u32 = 16;
    pub const GET_LOCK: u32 = 31;
    pub const SET_LOCK: u32 = 32;
    /// As SETLK, but waiting, which nobody does here.
    pub const SET_LOCK_WAITING: u32 = 33;
    pub const CREATE: u32 = 35;
    pub const INTERRUPT: u32 = 36;
    pub const DESTROY: u32 = 38;
    pub const BATCH_FORGET: u32 = 42;
    pub const FALLOCATE: u32 = 43;
    pub const LSEEK: u32 = 46;
    pub const SETUP_MAPPING: u32 = 48;
    pub const REMOVE_MAPPING: u32 = 49;
    /// Numbers in the range that name no operation.
    pub const UNUSED: [u32; 2] = [7, 19];
}

fn policy(opcode: u32) -> Policy {
    match opcode {
        opcode::FORGET | opcode::BATCH_FORGET => Policy::ServeWithoutReply,
        // Requests are served one at a time: whatever is to be interrupted is done.
        opcode::INTERRUPT => Policy::Ignore,
        unused if opcode::UNUSED.contains(&unused) => Policy::Refuse,
        opcode::GET_LOCK | opcode::SET_LOCK => Policy::Lock,
        opcode::SET_LOCK_WAITING => Policy::Refuse,
        opcode::FIRST..=opcode::CREATE | opcode::DESTROY | opcode::FALLOCATE..=opcode::LSEEK => Policy::Serve,
        opcode::SETUP_MAPPING | opcode::REMOVE_MAPPING => Policy::NeedsWindow,
        // Needs of swap files and devices, and what is not an operation at all.
        _ => Policy::Refuse,
    }
}

fn refuse(chain: &Chain, header: &InHeader) -> Result<u32, ChainError> {
    if policy(header.opcode) == Policy::ServeWithoutReply {
        return Ok(0);
    }
    reply_error(chain, header.unique, libc::EIO)
}

fn reply_error(chain: &Chain, unique: u64, errno: i32) -> Result<u32, ChainError> {
    let header = OutHeader { len: OUT_HEADER, error: -errno, unique };
    with_writer(chain, |writer| writer.write_all(header.as_slice()).map_err(|_| ChainError::TooShort))??;
    Ok(OUT_HEADER)
}
