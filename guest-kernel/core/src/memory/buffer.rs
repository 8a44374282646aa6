//! The program's memory as source or destination of a file operation.
//!
//! Copies go straight to the program's addresses; a fault on the way is resolved as the program's own would
//! be, and the copy goes on. Pinning instead names the frames behind the addresses, for a device to fill.

use super::AddressSpace;
use super::fault::{self, Access};
use crate::io::{Destination, Pinned, Source};
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::address::UserAddr;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::sync::{Mutex, MutexGuard};
use septum_guest_hal::user::{self, CopyFault};

/// `len` bytes of the program's memory at `address`, not checked yet.
pub struct UserBuffer<'a> {
    space: &'a Mutex<AddressSpace>,
    address: u64,
    len: usize,
}

fn resolve(space: &Mutex<AddressSpace>, fault: CopyFault, access: Access) -> Result<(), Errno> {
    fault::resolve(space, fault.address.get(), access).map_err(|_| Errno::EFAULT)
}

/// Copies `bytes` to the program's `address`; says how many went before an error.
fn copy_out(space: &Mutex<AddressSpace>, address: u64, bytes: &[u8]) -> (usize, Result<(), Errno>) {
    let mut done = 0;
    while done < bytes.len() {
        let Some(at) = UserAddr::new(address.wrapping_add(done as u64)) else {
            return (done, Err(Errno::EFAULT));
        };
        let Err(fault) = user::copy_to_user(at, &bytes[done..]) else { break };
        done += fault.copied;
        if let Err(errno) = resolve(space, fault, Access::Write) {
            return (done, Err(errno));
        }
    }
    (bytes.len(), Ok(()))
}

/// Fills `bytes` from the program's `address`; says how many came before an error.
fn copy_in(space: &Mutex<AddressSpace>, address: u64, bytes: &mut [u8]) -> (usize, Result<(), Errno>) {
    let mut done = 0;
    while done < bytes.len() {
        let Some(at) = UserAddr::new(address.wrapping_add(done as u64)) else {
            return (done, Err(Errno::EFAULT));
        };
        let Err(fault) = user::copy_from_user(at, &mut bytes[done..]) else { break };
        done += fault.copied;
        if let Err(errno) = resolve(space, fault, Access::Read) {
            return (done, Err(errno));
        }
    }
    (bytes.len(), Ok(()))
}

/// Copies all of `bytes` to the program, or EFAULT.
pub fn write(space: &Mutex<AddressSpace>, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    copy_out(space, address, bytes).1
}

/// Fills all of `bytes` from the program, or EFAULT.
pub fn read(space: &Mutex<AddressSpace>, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
    copy_in(space, address, bytes).1
}

/// The string at `address` without its NUL. `None` if it is longer than `limit`.
pub fn read_string(
    space: &Mutex<AddressSpace>,
    address: u64,
    limit: usize,
) -> Result<Option<Vec<u8>>, Errno> {
    const STEP: usize = 64;
    let mut string = Vec::with_capacity(STEP);
    loop {
        let at = address.wrapping_add(string.len() as u64);
        // Never across a page end, behind which there may be nothing.
        let in_page = PAGE_SIZE - septum_guest_hal::address::to_usize(at % PAGE_SIZE as u64);
        let step = STEP.min(in_page);
        let start = string.len();
        string.resize(start + step, 0);
        read(space, at, &mut string[start..])?;
        if let Some(end) = string[start..].iter().position(|&byte| byte == 0) {
            string.truncate(start + end);
            return Ok((string.len() <= limit).then_some(string));
        }
        if string.len() > limit {
            return Ok(None);
        }
    }
}

impl<'a> UserBuffer<'a> {
    /// Nothing is checked before it is used.
    #[must_use]
    pub fn new(space: &'a Mutex<AddressSpace>, address: u64, len: usize) -> Self {
        Self { space, address, len }
    }

    fn advance_by(&mut self, len: usize) {
        let len = len.min(self.len);
        self.address += len as u64;
        self.len -= len;
    }

    fn moved(&mut self, (done, result): (usize, Result<(), Errno>)) -> Result<usize, Errno> {
        self.advance_by(done);
        if done == 0 { result.map(|()| 0) } else { Ok(done) }
    }

    /// [`pin_pages`](Self::pin_pages), or `None` if the first of them cannot be pinned.
    fn pin_reachable(
        &mut self,
        max: usize,
        pieces: &mut Vec<Pinned>,
        access: Access,
    ) -> Option<Result<usize, Errno>> {
        match self.pin_pages(max, pieces, access) {
            Ok(0) if max.min(self.len) > 0 => None,
            pinned => Some(pinned),
        }
    }

    /// Stops before pages that no device can reach.
    fn pin_pages(&mut self, max: usize, pieces: &mut Vec<Pinned>, access: Access) -> Result<usize, Errno> {
        let max = max.min(self.len);
        let mut space = self.space.lock();
        let mut done = 0;
        while done < max {
            let at = UserAddr::new(self.address + done as u64);
            let Some((at, frame)) = at.and_then(|at| Some((at, space.present(at, access)?))) else {
                if space.is_of_device(self.address + done as u64) {
                    break;
                }
                drop(space);
                match fault::resolve_locked(self.space, self.address + done as u64, access) {
                    Ok(locked) => space = locked,
                    Err(_) if done > 0 => return Ok(done),
                    Err(_) => return Err(Errno::EFAULT),
                }
                continue;
            };
            if frame.is_in_window() {
                break;
            }
            let offset = at.page_offset();
            let len = (PAGE_SIZE - offset).min(max - done);
            let pin = if access == Access::Write { frame.pin() } else { None };
            pieces.push(Pinned { frame, offset, len, pin });
            done += len;
        }
        Ok(done)
    }
}

impl AddressSpace {
    /// The frame behind `address`, if it is present for `access`.
    fn present(&self, address: UserAddr, access: Access) -> Option<Frame> {
        let is_enough = |rights: septum_guest_hal::paging::Rights| {
            rights.read && (access != Access::Write || rights.write)
        };
        self.table.query(address).filter(|(_, rights)| is_enough(*rights)).map(|(frame, _)| frame)
    }
}

/// Makes the frame behind `address` present for `access`. It stays what is mapped there for as long as the lock that comes with it
/// is held.
pub fn pin(
    space: &Mutex<AddressSpace>,
    address: UserAddr,
    access: Access,
) -> Result<(MutexGuard<'_, AddressSpace>, Frame), Errno> {
    let mut locked = space.lock();
    loop {
        match locked.present(address, access) {
            Some(frame) => return Ok((locked, frame)),
            None if locked.is_of_device(address.get()) => return Err(Errno::EFAULT),
            None => drop(locked),
        }
        locked = fault::resolve_locked(space, address.get(), access).map_err(|_| Errno::EFAULT)?;
    }
}

impl Destination for UserBuffer<'_> {
    fn remaining(&self) -> usize {
        self.len
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.len);
        let moved = copy_out(self.space, self.address, &bytes[..len]);
        self.moved(moved)
    }

    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let len = len.min(self.len);
        let mut done = 0;
        while done < len {
            let Some(at) = UserAddr::new(self.address.wrapping_add(done as u64)) else { break };
            let Err(fault) = user::copy_frame_to_user(at, frame, offset + done, len - done) else {
                done = len;
                break;
            };
            done += fault.copied;
            if resolve(self.space, fault, Access::Write).is_err() {
                break;
            }
        }
        self.advance_by(done);
        if done == 0 && len > 0 { Err(Errno::EFAULT) } else { Ok(done) }
    }

    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        self.pin_reachable(max, pieces, Access::Write)
    }

    fn advance(&mut self, len: usize) {
        self.advance_by(len);
    }
}

impl Source for UserBuffer<'_> {
    fn remaining(&self) -> usize {
        self.len
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.len);
        let moved = copy_in(self.space, self.address, &mut bytes[..len]);
        self.moved(moved)
    }

    fn take_to_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let len = len.min(self.len);
        let mut done = 0;
        while done < len {
            let Some(at) = UserAddr::new(self.address.wrapping_add(done as u64)) else { break };
            let Err(fault) = user::copy_frame_from_user(at, frame, offset + done, len - done) else {
                done = len;
                break;
            };
            done += fault.copied;
            if resolve(self.space, fault, Access::Read).is_err() {
                break;
            }
        }
        self.advance_by(done);
        if done == 0 && len > 0 { Err(Errno::EFAULT) } else { Ok(done) }
    }

    fn pin(&mut self, max: usize, pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        self.pin_reachable(max, pieces, Access::Read)
    }

    fn advance(&mut self, len: usize) {
        self.advance_by(len);
    }
}
