//! The life of the kernel: get the machine ready, find the devices, mount, start the program, run it.
#![allow(unsafe_code, reason = "the entry point has a fixed symbol name")]

use crate::{mounts, service};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::boot::BootPage;
use septum_abi::config::BootConfig;
use septum_abi::linux::Errno;
use septum_abi::report::start_error;
use septum_abi::service::FIRST_SESSION;
use septum_guest_core::fs::anonymous;
use septum_guest_core::fs::block;
use septum_guest_core::fs::context::FsContext;
use septum_guest_core::fs::dentry::Dentry;
use septum_guest_core::fs::descriptors::DescriptorTable;
use septum_guest_core::fs::inode::FileKind;
use septum_guest_core::fs::mount::Namespace;
use septum_guest_core::fs::open::OpenFlags;
use septum_guest_core::fs::pci;
use septum_guest_core::memory::layout::STACK_LIMIT;
use septum_guest_core::memory::{discard, reclaim};
use septum_guest_core::names;
use septum_guest_core::net::outside;
use septum_guest_core::process::limits;
use septum_guest_core::process::load::{LoadError, Request, load};
use septum_guest_core::process::sessions::{self, program};
use septum_guest_core::process::thread::Thread;
use septum_guest_core::process::{First, Machine, Process, vcpus};
use septum_guest_core::random;
use septum_guest_drivers::virtio::console::{Console, Stream};
use septum_guest_hal::frame::Frame;
use septum_guest_hal::report::{self, End};
use septum_guest_hal::user::Program;
use septum_guest_hal::{boot, cpu, log_line};

septum_guest_hal::entry!(main);

/// The vDSO, on pages of its own so that programs can map it where it is.
#[repr(align(4096))]
struct Vdso<const LEN: usize>([u8; LEN]);
static VDSO: Vdso<{ include_bytes!(env!("SEPTUM_VDSO")).len() }> = Vdso(*include_bytes!(env!("SEPTUM_VDSO")));
const _: () = assert!(VDSO.0.len() as u64 <= septum_abi::layout::VDSO_LEN);

fn main() -> ! {
    let page = boot::page();
    assert!(page.debug_panic == 0, "the boot page asked for a panic");
    random::seed(&page.seed, page.random);
    let Some(config) = boot::config() else {
        report::end(End::NotStarted(start_error::ROOT, u32::from(Errno::EINVAL.number())))
    };
    match start(page, &config) {
        Ok(thread) => {
            service::ready();
            report::set_first_user_time();
            vcpus::run_first(thread, end)
        }
        Err(error) => report::end(End::NotStarted(error.reason, u32::from(error.errno.number()))),
    }
}

/// The first program has ended, and the partition with it.
fn end(end: End) -> ! {
    sessions::show_the_last();
    report::end(end)
}

/// For `map_err`.
fn because(reason: u32) -> impl Fn(Errno) -> LoadError {
    move |errno| LoadError { reason, errno }
}

/// The first program, ready to run.
fn start(page: &BootPage, config: &BootConfig<'static>) -> Result<Thread, LoadError> {
    let passed = u32::try_from(page.passed_functions).unwrap_or(0);
    let devices = septum_guest_drivers::discover(
        &page.ready,
        page.ecam_base,
        (page.pci_devices, passed),
        |kind, error| {
            log_line!("virtio device {kind} cannot be used: {error:?}");
        },
    );
    discard::bind(Box::leak(Box::new(devices.balloon())));
    if let Some(files) = &devices.file_system {
        reclaim::bind(Box::leak(Box::new(Arc::clone(files))));
    }
    if config.disks > 0 {
        let count = u8::try_from(config.disks).unwrap_or(u8::MAX);
        block::set_disks(Box::new(devices.disks(count)), config.uid, config.gid);
    }
    if passed != 0 {
        pci::set_functions(devices.passed(), config.uid, config.gid);
    }
    if config.has_network {
        outside::bind(Box::leak(Box::new(devices.vsock())));
    }
    let namespace = mounts::make(&devices, config, page).map_err(because(start_error::ROOT))?;
    let mut fs = FsContext::new(Arc::clone(namespace.root()));
    fs.set_identity(config.uid, config.gid);
    let mut groups: Vec<u32> = config.groups().collect();
    groups.sort_unstable();
    fs.groups = (!groups.is_empty()).then(|| groups.into());
    fs.umask = config.umask;
    let cwd = working_directory(&namespace, &fs, config.workdir).map_err(because(start_error::WORKDIR))?;
    if !cwd.is_directory() {
        return Err(LoadError { reason: start_error::WORKDIR, errno: Errno::ENOTDIR });
    }
    fs.cwd = cwd;
    // One that is too long was refused before it came here.
    let _ = names::HOST.set(config.hostname);
    let (hwcap, hwcap2) = cpu::hardware_capabilities();
    let machine = Machine {
        cpus: page.cpu_count,
        thread_limit: page.vcpu_limit,
        ram_bytes: page.ram.iter().map(|range| range.len).sum(),
        hwcap,
        hwcap2,
        vdso: &VDSO.0,
        vdso_frames,
    };
    let limits = || {
        config
            .limits()
            .filter_map(|limit| Some((usize::try_from(limit.resource).ok()?, (limit.soft, limit.hard))))
    };
    let stack = limits().filter(|(resource, _)| *resource == limits::STACK).last();
    let request = Request {
        path: config.program,
        arguments: config.arguments.bytes.to_vec(),
        argument_count: config.arguments.count,
        environment: config.environment.bytes.to_vec(),
        environment_count: config.environment.count,
        stack_limit: stack.map_or(STACK_LIMIT, |(_, (soft, _))| soft),
    };
    let groups = fs.groups.clone();
    let loaded = load(&fs, &machine, request)?;
    let program = Program::take().ok_or(LoadError { reason: start_error::MEMORY, errno: Errno::EBUSY })?;
    let console = devices.console.as_deref();
    let descriptors = match config.terminal {
        Some(size) => {
            program::terminal_of_first(FIRST_SESSION, size).map_err(because(start_error::MEMORY))?
        }
        None => descriptors(console, config.closed_streams),
    };
    program::set_template(program::Template {
        workdir: config.workdir,
        environment: config.environment.bytes,
        identity: (config.uid, config.gid),
        groups,
        umask: config.umask,
    });
    let (space, image) = (loaded.space, loaded.image);
    let process = Process::first(First { namespace, fs, machine, space, image, descriptors });
    let thread = Thread::new(Arc::clone(&process), program);
    limits().for_each(|(resource, limit)| process.set_limit(resource, limit));
    thread.start_at(loaded.entry, loaded.stack);
    Ok(thread)
}

/// Where the program starts: mostly the root of a mount, to which nobody needs to walk. If it is not there, it is made, and the program's.
fn working_directory(tree: &Namespace, fs: &FsContext, path: &[u8]) -> Result<Arc<Dentry>, Errno> {
    let found = match tree.enter(path) {
        Some((root, [] | [b'/'])) => Ok(root),
        Some((root, [b'/', rest @ ..] | rest)) => fs.resolve(&root, rest, true),
        None => fs.resolve(&fs.root, path, true),
    };
    if found.as_ref().is_err_and(|errno| *errno == Errno::ENOENT) {
        // The program may not be allowed to.
        let root = FsContext::new(Arc::clone(&fs.root));
        let made = root.make_directories(path, 0o755)?;
        root.set_owner(&made, Some(fs.uid), Some(fs.gid))?;
        return Ok(made);
    }
    found
}

/// The standard streams, except those that the caller closed.
fn descriptors(console: Option<&Console>, closed_streams: u32) -> DescriptorTable {
    let mut descriptors = DescriptorTable::new(1024);
    let Some(console) = console else { return descriptors };
    let streams = [
        (Stream::Input, OpenFlags::empty(), b"stdin"),
        (Stream::Output, OpenFlags::WRITE_ONLY, b"stdou"),
        (Stream::Error, OpenFlags::WRITE_ONLY, b"stder"),
    ];
    for (number, (stream, flags, name)) in streams.into_iter().enumerate() {
        if closed_streams & 1 << number == 0 {
            let file = anonymous::open(name, FileKind::Fifo, console.stdio(stream), flags);
            // Three descriptors fit into any table.
            let _ = descriptors.insert(file, false, number);
        }
    }
    descriptors
}

fn vdso_frames(object: &'static [u8]) -> Option<[Vec<Frame>; 2]> {
    Some([alloc::vec![boot::clock_frame()], boot::image_frames(object)])
}
