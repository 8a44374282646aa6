//! What a program finds on its stack (System V ABI, x86-64 supplement, §3.4.1).
//!
//! ```text
//! stack top   8 zero bytes, path of the program, environment strings, argument strings
//!             16 random bytes, platform string
//!             auxiliary vector, 0
//!             environment pointers, 0
//!             argument pointers, 0
//! rsp ->      argument count                                    16-byte aligned
//! ```

use super::load::Request;
use crate::memory::area::{Backing, Label, Protection};
use crate::memory::layout::STACK_LIMIT;
use crate::memory::space::Place;
use crate::memory::{AddressSpace, buffer};
use alloc::vec::Vec;
use core::ffi::CStr;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Mapped at the start; the stack grows when it is touched below.
const INITIAL: u64 = 128 << 10;
/// Strings and pointers may take a quarter of the stack, as on Linux.
const MAX_STRINGS: usize = (STACK_LIMIT / 4) as usize;
const PLATFORM: &[u8] = b"x86_64\0";

/// What the auxiliary vector tells.
pub struct Facts<'a> {
    /// AT_PHDR
    pub program_headers: u64,
    /// AT_PHNUM
    pub program_header_count: u64,
    /// AT_ENTRY
    pub entry: u64,
    /// AT_BASE
    pub interpreter_base: u64,
    /// AT_SYSINFO_EHDR
    pub vdso: u64,
    /// User and group.
    pub identity: [u32; 4],
    /// AT_HWCAP, AT_HWCAP2
    pub hwcap: [u64; 2],
    /// AT_EXECFN
    pub path: &'a [u8],
    /// What AT_RANDOM points to.
    pub random: [u8; 16],
}

/// Addresses of strings that lie one after the other from `address` on.
fn pointers(strings: &[u8], count: usize, mut address: u64, into: &mut Vec<u8>) {
    let mut rest = strings;
    for _ in 0..count {
        // Looks at words instead of bytes.
        let Ok(string) = CStr::from_bytes_until_nul(rest) else { break };
        let len = string.count_bytes() + 1;
        into.extend_from_slice(&address.to_le_bytes());
        address += len as u64;
        rest = &rest[len..];
    }
    into.extend_from_slice(&0u64.to_le_bytes());
}

/// Maps and fills the stack; returns the stack pointer and the auxiliary vector.
pub fn build(
    space: &Mutex<AddressSpace>,
    request: &Request<'_>,
    facts: &Facts<'_>,
) -> Result<(u64, Vec<u8>), Errno> {
    let top = space.lock().layout().stack_top;
    let strings = request.arguments.len() + request.environment.len();
    if strings + 8 * (request.argument_count + request.environment_count) > MAX_STRINGS {
        return Err(Errno::E2BIG);
    }
    map(space, top, strings)?;

    let mut high = Vec::with_capacity(strings + facts.path.len() + 64);
    high.extend_from_slice(&facts.random);
    high.extend_from_slice(PLATFORM);
    let arguments_at = high.len();
    high.extend_from_slice(&request.arguments);
    let environment_at = high.len();
    high.extend_from_slice(&request.environment);
    let path_at = high.len();
    high.extend_from_slice(facts.path);
    high.extend_from_slice(&[0; 9]);
    let high_start = (top - high.len() as u64) & !15;
    let at = |offset: usize| high_start + offset as u64;

    let mut auxiliary = Vec::with_capacity(20 * 16);
    let [uid, effective_uid, gid, effective_gid] = facts.identity.map(u64::from);
    for (kind, value) in [
        (33, facts.vdso),                // AT_SYSINFO_EHDR
        (51, 3632),                      // AT_MINSIGSTKSZ: what a signal frame takes
        (16, facts.hwcap[0]),            // AT_HWCAP
        (6, PAGE_SIZE as u64),           // AT_PAGESZ
        (17, 100),                       // AT_CLKTCK
        (3, facts.program_headers),      // AT_PHDR
        (4, 56),                         // AT_PHENT
        (5, facts.program_header_count), // AT_PHNUM
        (7, facts.interpreter_base),     // AT_BASE
        (8, 0),                          // AT_FLAGS
        (9, facts.entry),                // AT_ENTRY
        (11, uid),                       // AT_UID
        (12, effective_uid),             // AT_EUID
        (13, gid),                       // AT_GID
        (14, effective_gid),             // AT_EGID
        (23, 0),                         // AT_SECURE
        (25, at(0)),                     // AT_RANDOM
        (26, facts.hwcap[1]),            // AT_HWCAP2
        (31, at(path_at)),               // AT_EXECFN
        (15, at(facts.random.len())),    // AT_PLATFORM
        (0, 0),                          // AT_NULL
    ] {
        let kind: u64 = kind;
        if kind == 33 && value == 0 {
            continue;
        }
        auxiliary.extend_from_slice(&kind.to_le_bytes());
        auxiliary.extend_from_slice(&value.to_le_bytes());
    }

    let mut low =
        Vec::with_capacity(8 * (request.argument_count + request.environment_count + 3) + auxiliary.len());
    low.extend_from_slice(&(request.argument_count as u64).to_le_bytes());
    pointers(&request.arguments, request.argument_count, at(arguments_at), &mut low);
    pointers(&request.environment, request.environment_count, at(environment_at), &mut low);
    low.extend_from_slice(&auxiliary);
    let stack = (high_start - low.len() as u64) & !15;
    buffer::write(space, stack, &low).map_err(|_| Errno::ENOMEM)?;
    buffer::write(space, high_start, &high).map_err(|_| Errno::ENOMEM)?;
    Ok((stack, auxiliary))
}

fn map(space: &Mutex<AddressSpace>, top: u64, strings: usize) -> Result<(), Errno> {
    let len = INITIAL + 2 * (strings as u64).next_multiple_of(PAGE_SIZE as u64);
    let mut space = space.lock();
    let protection = Protection::READ | Protection::WRITE;
    space.map(Place::FixedFree(top - len), len, protection, Backing::Anonymous, Label::Stack)?;
    let lowest = top - space.layout().stack_room;
    space.let_grow(top - len, lowest);
    Ok(())
}
