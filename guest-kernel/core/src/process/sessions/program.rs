//! What the host wants to be run in a session: read, found in the partition's own files, loaded and begun as a child of the kernel.

use super::accounts::{self, Account};
use super::line::Line;
use super::stream::{Input, InputFile, Output, OutputFile};
use super::{Ends, add, refuse};
use crate::fs::anonymous;
use crate::fs::context::FsContext;
use crate::fs::descriptors::{DescriptorTable, OpenFile};
use crate::fs::devices;
use crate::fs::inode::FileKind;
use crate::fs::open::OpenFlags;
use crate::memory::layout::STACK_LIMIT;
use crate::process::load::{LoadError, Loaded, Request, load};
use crate::process::task::Task;
use crate::process::thread::Start;
use crate::process::vcpus::Vcpu;
use crate::process::{FIRST_PID, Process, family};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_abi::report::start_error;
use septum_abi::service::{program, stream as number};
use septum_guest_hal::float::FloatState;
use septum_guest_hal::service::Channel;
use septum_guest_hal::sync::Once;
use septum_guest_hal::user::Registers;

/// Where programs are looked for if the environment does not say.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What further programs have of the first one.
#[derive(Clone, Debug)]
pub struct Template {
    /// Working directory.
    pub workdir: &'static [u8],
    /// Environment, each variable with its NUL.
    pub environment: &'static [u8],
    /// User and group.
    pub identity: (u32, u32),
    /// Supplementary groups, ascending; none if there are none.
    pub groups: Option<Arc<[u32]>>,
    /// File mode creation mask.
    pub umask: u32,
}

static TEMPLATE: Once<Template> = Once::new();

/// Says what further programs have of the first one.
pub fn set_template(template: Template) {
    TEMPLATE.call_once(|| template);
}

/// What is wanted; see [`septum_abi::service::program`].
struct Wanted {
    flags: u32,
    size: [u16; 2],
    workdir: Vec<u8>,
    user: Vec<u8>,
    arguments: Vec<Vec<u8>>,
    environment: Vec<Vec<u8>>,
}

impl Wanted {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |index: usize| {
            let word = bytes.get(4 * index..4 * index + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(word))
        };
        let size = [word(1)?, word(2)?].map(|length| u16::try_from(length).unwrap_or(u16::MAX));
        let (arguments, variables) = (word(3)? as usize, word(4)? as usize);
        let mut strings = bytes.get(program::HEADER..)?.split(|&byte| byte == 0).map(<[u8]>::to_vec);
        let (workdir, user) = (strings.next()?, strings.next()?);
        let arguments: Vec<_> = strings.by_ref().take(arguments).collect();
        let environment = strings.take(variables).collect();
        if arguments.is_empty() {
            None
        } else {
            Some(Self { flags: word(0)?, size, workdir, user, arguments, environment })
        }
    }

    /// The first program's environment, in which some variables are replaced and others added; `home` is where another user lives.
    fn whole_environment(&self, of_first: &[u8], home: Option<&[u8]>) -> Vec<Vec<u8>> {
        let key = |variable: &[u8]| variable.split(|&byte| byte == b'=').next().map(<[u8]>::to_vec);
        let mut whole: Vec<Vec<u8>> =
            of_first.split(|&byte| byte == 0).filter(|one| !one.is_empty()).map(<[u8]>::to_vec).collect();
        let home = home.map(|home| [b"HOME=", home].concat());
        for variable in home.iter().chain(&self.environment) {
            whole.retain(|known| key(known) != key(variable));
            whole.push(variable.clone());
        }
        whole
    }
}

fn joined(strings: &[Vec<u8>]) -> Vec<u8> {
    strings.iter().flat_map(|one| one.iter().copied().chain([0])).collect()
}

/// Begins a session's program; the host is told if that fails.
pub fn begin(session: u32) {
    if let Err(errno) = try_to_begin(session) {
        refuse(session, errno);
    }
}

fn try_to_begin(session: u32) -> Result<(), Errno> {
    let first = family::find(FIRST_PID).ok_or(Errno::EAGAIN)?;
    let template = TEMPLATE.get().ok_or(Errno::EAGAIN)?;
    let wanted = Wanted::parse(&read_all(session)?).ok_or(Errno::EINVAL)?;
    let mut fs = FsContext::new(Arc::clone(first.namespace.root()));
    fs.umask = template.umask;
    let other = if wanted.user.is_empty() { None } else { Some(accounts::find(&fs, &wanted.user)?) };
    let home = other.as_ref().map(|account| account.home.clone());
    let (identity, groups) = match other {
        Some(Account { identity, groups, .. }) => (identity, (!groups.is_empty()).then(|| groups.into())),
        None => (template.identity, template.groups.clone()),
    };
    fs.set_identity(identity.0, identity.1);
    fs.groups = groups;
    let workdir = if wanted.workdir.is_empty() { template.workdir } else { &wanted.workdir };
    let cwd = fs.resolve(&fs.root, workdir, true)?;
    if !cwd.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    fs.cwd = cwd;
    let vcpu = Vcpu::take()?;
    let environment = wanted.whole_environment(template.environment, home.as_deref());
    let loaded = find_and_load(&fs, &first, &wanted.arguments, &environment)?;
    // It was this vCPU's for the time of loading.
    loaded.space.deactivate();
    let (entry, stack) = (loaded.entry, loaded.stack);
    let process = Process::of_session(&first, fs, loaded.space, loaded.image);
    let ends = ends(session, &wanted)?;
    *process.descriptors.lock() = descriptors(&ends, &wanted, process.pid)?;
    let name = process.image.lock().name.clone();
    let task = Arc::new(Task::new(&process, process.pid, name));
    // The first one is always let in.
    let _ = process.add_thread(Arc::clone(&task));
    add(session, process.pid, ends);
    family::add(&process);
    let registers = Registers { rip: entry, rsp: stack, ..Registers::default() };
    let float = FloatState::current();
    vcpu.launch(Box::new(Start { task, registers, fs_base: 0, gs_base: 0, float, clear_tid: 0, set_tid: 0 }));
    Ok(())
}

/// What the host says is to be run.
fn read_all(session: u32) -> Result<Vec<u8>, Errno> {
    let mut channel = Channel::open().ok_or(Errno::ENOMEM)?;
    let mut bytes = Vec::new();
    loop {
        match channel.read(session, number::PROGRAM, Channel::MOST)? {
            0 => return Ok(bytes),
            len => bytes.extend(channel.get(0..len)),
        }
        if bytes.len() > program::MOST {
            return Err(Errno::E2BIG);
        }
    }
}

/// Loads the program, which is a path, or a name that is looked for as a shell does.
fn find_and_load(
    fs: &FsContext,
    first: &Process,
    arguments: &[Vec<u8>],
    environment: &[Vec<u8>],
) -> Result<Loaded, Errno> {
    let name = &arguments[0];
    let attempt = |path: &[u8]| {
        let request = Request {
            path,
            arguments: joined(arguments),
            argument_count: arguments.len(),
            environment: joined(environment),
            environment_count: environment.len(),
            stack_limit: STACK_LIMIT,
        };
        load(fs, &first.machine, request)
    };
    if name.contains(&b'/') {
        return attempt(name).map_err(|error| error.errno);
    }
    let places = environment.iter().find_map(|variable| variable.strip_prefix(b"PATH="));
    let mut result = Errno::ENOENT;
    for place in places.unwrap_or(DEFAULT_PATH).split(|&byte| byte == b':') {
        let path = if place.is_empty() { [b"./", &name[..]].concat() } else { [place, b"/", name].concat() };
        match attempt(&path) {
            Ok(loaded) => return Ok(loaded),
            Err(LoadError { reason: start_error::PROGRAM, errno: Errno::ENOENT | Errno::ENOTDIR }) => {}
            Err(LoadError { errno: Errno::EACCES, .. }) => result = Errno::EACCES,
            Err(error) => return Err(error.errno),
        }
    }
    Err(result)
}

fn ends(session: u32, wanted: &Wanted) -> Result<Ends, Errno> {
    if wanted.flags & program::TERMINAL != 0 {
        return Line::new(session, wanted.size).map(Ends::Terminal);
    }
    let channel = || Channel::open().ok_or(Errno::ENOMEM);
    let output = |stream| channel().map(|channel| Arc::new(Output::new(session, stream, channel)));
    let input = Arc::new(Input::new(session, channel()?));
    Ok(Ends::Streams(input, [output(number::OUTPUT)?, output(number::ERROR)?]))
}

fn descriptors(ends: &Ends, wanted: &Wanted, leader: u32) -> Result<DescriptorTable, Errno> {
    let files: [Arc<OpenFile>; 3] = match ends {
        Ends::Terminal(line) => {
            let file = line.open(leader)?;
            [Arc::clone(&file), Arc::clone(&file), file]
        }
        Ends::Streams(input, [output, error]) => {
            let fifo = |name: &[u8], file, flags| anonymous::open(name, FileKind::Fifo, file, flags);
            let read = if wanted.flags & program::INPUT != 0 {
                fifo(b"pipe", Arc::new(InputFile(Arc::clone(input))), OpenFlags::empty())
            } else {
                let null = devices::open(devices::device_number(1, 3))?;
                anonymous::open_named(b"/dev/null", FileKind::CharacterDevice, null, OpenFlags::empty())
            };
            let write = |output: &Arc<Output>| {
                fifo(b"pipe", Arc::new(OutputFile(Arc::clone(output))), OpenFlags::WRITE_ONLY)
            };
            [read, write(output), write(error)]
        }
    };
    let mut table = DescriptorTable::new(1024);
    for (number, file) in files.into_iter().enumerate() {
        table.insert(file, false, number)?;
    }
    Ok(table)
}

/// The first program's terminal, and its standard streams by it.
pub fn terminal_of_first(session: u32, size: [u16; 2]) -> Result<DescriptorTable, Errno> {
    let wanted = Wanted {
        flags: program::TERMINAL,
        size,
        workdir: Vec::new(),
        user: Vec::new(),
        arguments: Vec::new(),
        environment: Vec::new(),
    };
    let ends = ends(session, &wanted)?;
    let table = descriptors(&ends, &wanted, FIRST_PID)?;
    add(session, FIRST_PID, ends);
    Ok(table)
}
