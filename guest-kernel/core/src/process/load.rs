//! Programs into an address space: ELF files (what they say is read by [`elf`]) and `#!` scripts.

use super::elf::{Headers, Pieces, Segment};
use super::{Image, Machine};
use crate::fs::context::FsContext;
use crate::fs::dentry::Dentry;
use crate::fs::inode::File;
use crate::io::KernelDestination;
use crate::memory::area::{Backing, Label, Protection};
use crate::memory::layout::{Layout, page_down};
use crate::memory::space::Place;
use crate::memory::{AddressSpace, buffer};
use crate::process::stack;
use crate::random;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::layout::{PAGE_SIZE, VDSO_LEN};
use septum_abi::linux::Errno;
use septum_abi::report::start_error;
use septum_guest_hal::sync::Mutex;

const PAGE: u64 = PAGE_SIZE as u64;
/// Bytes of a file that are read to tell what it is; program headers beyond it are read separately.
const HEAD: usize = 1024;
/// Scripts may name a script as interpreter, this often.
const MAX_SCRIPTS: usize = 4;

/// Why a program cannot be started: a [`start_error`] for the worker, an error number for `execve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// One of [`start_error`].
    pub reason: u32,
    /// What `execve` returns.
    pub errno: Errno,
}

/// For `map_err`.
fn because(reason: u32) -> impl Fn(Errno) -> LoadError {
    move |errno| LoadError {
        reason: if errno == Errno::ENOMEM { start_error::MEMORY } else { reason },
        errno,
    }
}

/// What to start, and with what.
pub struct Request<'a> {
    /// Path.
    pub path: &'a [u8],
    /// Arguments, each with its NUL.
    pub arguments: Vec<u8>,
    /// How many.
    pub argument_count: usize,
    /// Environment, each with its NUL.
    pub environment: Vec<u8>,
    /// How many.
    pub environment_count: usize,
    /// Bytes that its stack may have.
    pub stack_limit: u64,
}

/// A program ready to run.
pub struct Loaded {
    /// Its memory.
    pub space: AddressSpace,
    /// First instruction.
    pub entry: u64,
    /// Stack pointer.
    pub stack: u64,
    /// For `/proc`.
    pub image: Image,
}

/// Reads up to `len` bytes at `offset`.
fn read(file: &Arc<dyn File>, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
    let mut data = alloc::vec![0; len];
    let mut done = 0;
    while done < len {
        match file.read_at(offset + done as u64, &mut KernelDestination(&mut data[done..]))? {
            0 => break,
            count => done += count,
        }
    }
    data.truncate(done);
    Ok(data)
}

fn parse(file: &Arc<dyn File>, head: &[u8]) -> Result<Headers, Errno> {
    Headers::parse(head, |offset, len| read(file, offset, len))
}

fn protection(flags: u32) -> Protection {
    let mut protection = Protection::empty();
    protection.set(Protection::READ, flags & 4 != 0);
    protection.set(Protection::WRITE, flags & 2 != 0);
    protection.set(Protection::EXECUTE, flags & 1 != 0);
    protection
}

/// Maps one file's segments, moved by `bias`.
fn map_segments(
    space: &Mutex<AddressSpace>,
    file: &Arc<dyn File>,
    dentry: &Arc<Dentry>,
    headers: &Headers,
    bias: u64,
) -> Result<(), Errno> {
    for segment in headers.loads() {
        let Pieces { start, file_end, anonymous_start, end, tail } = segment.pieces(bias)?;
        let protection = protection(segment.flags);
        if segment.file_len > 0 {
            let backing = Backing::File {
                file: Arc::clone(file),
                dentry: Some(Arc::clone(dentry)),
                offset: page_down(segment.offset),
                is_shared: false,
                may_write: true,
                may_execute: true,
                writer: None,
            };
            space.lock().map(
                Place::Fixed(start),
                anonymous_start - start,
                protection,
                backing,
                Label::None,
            )?;
        }
        if end > anonymous_start {
            let len = end - anonymous_start;
            space.lock().map(
                Place::Fixed(anonymous_start),
                len,
                protection,
                Backing::Anonymous,
                Label::None,
            )?;
        }
        // The rest of the last file page belongs to the bss, and what follows it in the page is zero too: the dynamic
        // linker allocates from there.
        if segment.file_len > 0 && tail > 0 && protection.contains(Protection::WRITE) {
            const ZEROS: [u8; PAGE_SIZE] = [0; PAGE_SIZE];
            let tail = usize::try_from(tail).map_err(|_| Errno::ENOEXEC)?;
            buffer::write(space, file_end, &ZEROS[..tail.min(PAGE_SIZE)]).map_err(|_| Errno::ENOMEM)?;
        }
    }
    Ok(())
}

/// `#!interpreter argument` at the start of a file.
fn script_line(head: &[u8]) -> Result<(&[u8], Option<&[u8]>), Errno> {
    let line = head.strip_prefix(b"#!").ok_or(Errno::ENOEXEC)?;
    let end = line.iter().position(|&byte| byte == b'\n').ok_or(Errno::ENOEXEC)?;
    let line = line[..end].trim_ascii();
    let split = line.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(line.len());
    let (interpreter, argument) = line.split_at(split);
    if interpreter.is_empty() {
        return Err(Errno::ENOEXEC);
    }
    let argument = argument.trim_ascii();
    Ok((interpreter, (!argument.is_empty()).then_some(argument)))
}

/// A file to run.
struct Found {
    dentry: Arc<Dentry>,
    file: Arc<dyn File>,
    /// Its first bytes.
    head: Vec<u8>,
    path: Vec<u8>,
}

/// The file that really runs, after following `#!` lines; arguments are rewritten on the way.
fn find_program(fs: &FsContext, request: &mut Request<'_>) -> Result<Found, LoadError> {
    let mut path = request.path.to_vec();
    for _ in 0..=MAX_SCRIPTS {
        let dentry = fs.resolve(&fs.cwd, &path, true).map_err(because(start_error::PROGRAM))?;
        let file = fs.open_program(&dentry).map_err(because(start_error::PROGRAM))?;
        let head = read(&file, 0, HEAD).map_err(because(start_error::PROGRAM))?;
        if !head.starts_with(b"#!") {
            return Ok(Found { dentry, file, head, path });
        }
        let (interpreter, argument) = script_line(&head).map_err(because(start_error::FORMAT))?;
        let first = request.arguments.iter().position(|&byte| byte == 0).map_or(0, |end| end + 1);
        let mut arguments = Vec::new();
        for piece in [Some(interpreter), argument, Some(&path)].into_iter().flatten() {
            arguments.extend_from_slice(piece);
            arguments.push(0);
        }
        arguments.extend_from_slice(&request.arguments[first..]);
        request.arguments = arguments;
        request.argument_count = request.argument_count.max(1) + 1 + usize::from(argument.is_some());
        path = interpreter.to_vec();
    }
    Err(LoadError { reason: start_error::FORMAT, errno: Errno::ELOOP })
}

/// Loads a program; nothing is changed if that fails.
pub fn load(fs: &FsContext, machine: &Machine, mut request: Request<'_>) -> Result<Loaded, LoadError> {
    let Found { dentry, file, head, path } = find_program(fs, &mut request)?;
    let format = because(start_error::FORMAT);
    let headers = parse(&file, &head).map_err(&format)?;
    let (low, high) = headers.extent().map_err(&format)?;
    // One request, since each costs a block of the generator: for the layout, and for the program (AT_RANDOM).
    let mut random = [0; 32];
    random::fill(&mut random);
    let entropy = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| random[8 * at + byte]));
    let layout = Layout::random([entropy(0), entropy(1)], request.stack_limit);
    let space = Mutex::new(AddressSpace::new(layout, request.stack_limit).map_err(&format)?);
    space.lock().activate();
    let bias = if headers.is_fixed { 0 } else { layout.program.wrapping_sub(low) };
    map_segments(&space, &file, &dentry, &headers, bias).map_err(&format)?;
    space.lock().set_break(high.wrapping_add(bias).wrapping_add(layout.break_gap));

    let mut entry = headers.entry.wrapping_add(bias);
    let mut interpreter_base = 0;
    if let Some(segment) = headers.interpreter() {
        (entry, interpreter_base) = load_interpreter(fs, &space, &file, segment)?;
    }
    let vdso = map_vdso(&space, machine).map_err(&format)?;
    let facts = stack::Facts {
        program_headers: headers.table_address().map_or(0, |address| address.wrapping_add(bias)),
        program_header_count: headers.count() as u64,
        entry: headers.entry.wrapping_add(bias),
        interpreter_base,
        vdso,
        identity: [fs.other_uids[0], fs.uid, fs.other_gids[0], fs.gid],
        hwcap: [machine.hwcap, machine.hwcap2],
        path: &path,
        random: core::array::from_fn(|at| random[16 + at]),
    };
    let (stack, auxiliary) = stack::build(&space, &request, &facts).map_err(&format)?;
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let image = Image {
        executable: dentry,
        arguments: request.arguments.into(),
        environment: request.environment.into(),
        auxiliary: auxiliary.into(),
        name: name[..name.len().min(15)].to_vec(),
    };
    Ok(Loaded { space: space.into_inner(), entry, stack, image })
}

fn load_interpreter(
    fs: &FsContext,
    space: &Mutex<AddressSpace>,
    program: &Arc<dyn File>,
    segment: &Segment,
) -> Result<(u64, u64), LoadError> {
    let format = because(start_error::FORMAT);
    let missing = because(start_error::INTERPRETER);
    let len = usize::try_from(segment.file_len).ok().filter(|len| (2..=4096).contains(len));
    let len = len.ok_or(Errno::ENOEXEC).map_err(&format)?;
    let path = read(program, segment.offset, len).map_err(&format)?;
    let path = path.strip_suffix(&[0]).ok_or(Errno::ENOEXEC).map_err(&format)?;
    let dentry = fs.resolve(&fs.cwd, path, true).map_err(&missing)?;
    let file = fs.open_program(&dentry).map_err(&missing)?;
    let head = read(&file, 0, HEAD).map_err(&missing)?;
    let headers = parse(&file, &head)
        .map_err(|_| LoadError { reason: start_error::INTERPRETER, errno: Errno::ELIBBAD })?;
    let (low, high) = headers.extent().map_err(&missing)?;
    let bias = if headers.is_fixed {
        0
    } else {
        space.lock().reserve(high - low).map_err(&missing)?.wrapping_sub(low)
    };
    map_segments(space, &file, &dentry, &headers, bias).map_err(&missing)?;
    Ok((headers.entry.wrapping_add(bias), low.wrapping_add(bias)))
}

/// Maps the clock page and, above it, the vDSO; returns the vDSO's address, 0 if there is none.
fn map_vdso(space: &Mutex<AddressSpace>, machine: &Machine) -> Result<u64, Errno> {
    let Some([clock, vdso]) = (machine.vdso_frames)(machine.vdso) else { return Ok(0) };
    let mut space = space.lock();
    let base = space.reserve(PAGE + VDSO_LEN)?;
    space.map_kernel_frames(base, clock, Protection::READ, Label::Vvar)?;
    space.map_kernel_frames(base + PAGE, vdso, Protection::READ | Protection::EXECUTE, Label::Vdso)?;
    Ok(base + PAGE)
}

/// Maps the vDSO for a program that has unmapped it, as Valgrind does: signals go through it. Returns its address.
pub(super) fn map_vdso_again(space: &Mutex<AddressSpace>, machine: &Machine) -> Result<u64, Errno> {
    let [_, vdso] = (machine.vdso_frames)(machine.vdso).ok_or(Errno::ENOMEM)?;
    let mut space = space.lock();
    let address = space.reserve(VDSO_LEN)?;
    space.map_kernel_frames(address, vdso, Protection::READ | Protection::EXECUTE, Label::Vdso)?;
    Ok(address)
}
