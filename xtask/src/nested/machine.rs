//! The emulator and the file servers of one nested host.
//!
//! ```text
//!   this process                                 QEMU (software emulation)
//!     out, err, control  ◄── Unix sockets ──────  virtio-serial ports
//!     console.log        ◄── file ──────────────  serial port (the kernel's messages)
//!   virtiofsd "host"     ◄── vhost-user ────────  virtio-fs  /   (mounted read-only)
//!   virtiofsd "out"      ◄── vhost-user ────────  virtio-fs  /septum-out
//! ```
//!
//! Nothing outlives this process: the kernel ends the children when their parent dies (`setpriv
//! --pdeathsig`), the file servers also end when QEMU closes their sockets, and dropping the machine ends
//! them all and removes the sockets.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Options;
use super::output::{Event, Streams};
use crate::setup;

const QEMUS_FILE_SERVER: &str = "/usr/lib/qemu/virtiofsd";

/// Where distributions keep the vhost-user file server: QEMU's own (Debian 12), then its successor.
pub const FILE_SERVER_PROGRAMS: &[&str] =
    &[QEMUS_FILE_SERVER, "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/bin/virtiofsd"];

/// A host that is alive says so every second; emulation on a busy machine may pause for a while.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// Output that is still on its way when the command has ended arrives within this time.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// The status of a program that SIGPIPE ended, as a shell reports it.
const BROKEN_PIPE: u8 = 128 + 13;

/// IOMMU on, and nothing that costs start-up time without being tested here.
///
/// Addresses of processes are not randomized: the emulator keeps its translation of code by the address that it runs at, and would
/// translate every program anew in every process (8,000 blocks, 130 ms, for `septum --version`).
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 rdinit=/init intel_iommu=on iommu=pt \
     mitigations=off nokaslr norandmaps no_timer_check cryptomgr.notests tsc=reliable";

/// The command gets the emulated processors from this one on.
///
/// The first runs no virtual machines. Whichever of QEMU's emulated processors loads x87 state also changes, without a lock, the word in
/// which the *first* keeps whether it is in a guest's nested page tables and whether it takes interrupts (`cpu_clear_ignne` of QEMU's
/// `target/i386/tcg/sysemu/fpu_helper.c`: FERR# goes to the first processor). A VMRUN of the first can be lost in it: the guest then runs
/// in the host's physical memory, or the processor takes no interrupt ever again.
const FIRST_OF_COMMAND: u16 = 1;

/// The processors of a command that asked for `count`, as `taskset -c` takes them.
pub fn processors_of_command(count: u8) -> String {
    format!("{FIRST_OF_COMMAND}-{count}")
}

/// How a run ended.
pub enum Outcome {
    /// The command ended with this status.
    Exited(u8),
    /// The time given to the run was over.
    TimedOut,
    /// The nested host stopped showing signs of life.
    Silent(Duration),
    /// The emulator ended before the command did.
    Ended(String),
}

/// A running nested host.
pub struct Machine {
    sockets: PathBuf,
    children: Vec<Child>,
    emulator: Child,
    streams: Streams,
    folder: PathBuf,
}

impl Machine {
    /// Starts the emulator and its file servers; logs go to `folder`.
    pub fn start(options: &Options, folder: &Path, kernel: &Path, initramfs: &[u8]) -> Result<Self> {
        let sockets = socket_folder(folder)?;
        let initramfs_path = folder.join("initramfs");
        fs::write(&initramfs_path, initramfs).context("cannot write the initramfs")?;
        let mut shares = vec![("host", PathBuf::from("/"))];
        if let Some(out) = &options.write_back {
            fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
            shares.push(("out", out.canonicalize()?));
        }
        let mut children = Vec::new();
        for (tag, source) in &shares {
            children.push(start_file_server(&sockets, folder, tag, source)?);
        }
        let listen = |name: &str| {
            UnixListener::bind(sockets.join(name))
                .with_context(|| format!("cannot listen for the {name} port"))
        };
        let streams = Streams::listen(listen("out")?, listen("err")?, listen("control")?);
        let mut command = emulator(options, &sockets, &shares);
        command.args([
            "-kernel".as_ref(),
            kernel.as_os_str(),
            "-initrd".as_ref(),
            initramfs_path.as_os_str(),
        ]);
        command.arg("-serial").arg(format!("file:{}", folder.join("console.log").display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(folder.join("qemu.log"))?);
        let emulator = command.spawn().context("cannot start qemu-system-x86_64")?;
        Ok(Self { sockets, children, emulator, streams, folder: folder.to_owned() })
    }

    /// Carries the command's output to our streams until it ends, the time is over or the host falls silent.
    pub fn follow(&mut self, limit: Duration) -> Result<Outcome> {
        let start = Instant::now();
        let mut sign_of_life = start;
        loop {
            match self.streams.next(Duration::from_millis(200)) {
                Some(Event::Exit(status)) => {
                    self.streams.drain(DRAIN_LIMIT);
                    return Ok(Outcome::Exited(status));
                }
                Some(Event::OutputClosed) => return Ok(Outcome::Exited(BROKEN_PIPE)),
                Some(Event::Progress) => sign_of_life = Instant::now(),
                None => {}
            }
            for child in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    return Ok(Outcome::Ended(self.last_words(&format!("a file server: {status}"))));
                }
            }
            if let Some(status) = self.emulator.try_wait()? {
                return Ok(Outcome::Ended(self.last_words(&format!("QEMU: {status}"))));
            }
            if start.elapsed() > limit {
                return Ok(Outcome::TimedOut);
            }
            if sign_of_life.elapsed() > SILENCE_LIMIT {
                self.record_processors();
                return Ok(Outcome::Silent(sign_of_life.elapsed()));
            }
        }
    }

    /// Writes what each emulated processor is doing to `processors.log`: the only witness of a hang.
    fn record_processors(&self) {
        let ask = || -> std::io::Result<Vec<u8>> {
            let mut monitor = UnixStream::connect(self.sockets.join("monitor"))?;
            monitor.set_read_timeout(Some(Duration::from_secs(1)))?;
            let mut answer = Vec::new();
            // Twice, to tell a processor that loops from one that stands still.
            for _ in 0..2 {
                monitor.write_all(b"info cpus\ninfo registers -a\ninfo lapic 0\ninfo lapic 1\n")?;
                // The monitor stays open, so reading ends by the time limit.
                let _ = monitor.read_to_end(&mut answer);
            }
            Ok(answer)
        };
        let text = ask().unwrap_or_else(|error| error.to_string().into_bytes());
        // The record helps a person; without it the run ends the same way.
        let _ = fs::write(self.folder.join("processors.log"), text);
    }

    /// What the console and QEMU said last, for an error message.
    fn last_words(&self, otherwise: &str) -> String {
        let last = |name: &str, wanted: &str| {
            let text = fs::read(self.folder.join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines().rev().find(|line| line.contains(wanted)).map(|line| line.trim().to_owned())
        };
        last("console.log", "nested:")
            .or_else(|| last("console.log", "Kernel panic"))
            .or_else(|| last("qemu.log", "qemu-system-x86_64: -"))
            .or_else(|| last("share-host.log", " "))
            .unwrap_or_else(|| otherwise.to_owned())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Each may be gone already, which is what is wanted.
        for child in std::iter::once(&mut self.emulator).chain(&mut self.children) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.sockets);
    }
}

/// A private folder for sockets. Their paths must be short (108 bytes), so they are not below the target.
fn socket_folder(folder: &Path) -> Result<PathBuf> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let path = std::env::temp_dir().join(format!("septum-nested-{name}"));
    // What an earlier process with our number left behind.
    let _ = fs::remove_dir_all(&path);
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// A command that the kernel ends when this process dies.
fn bound_to_us(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// Starts the file server of one share; it listens on a socket that it is given as its standard input.
fn start_file_server(sockets: &Path, logs: &Path, tag: &str, source: &Path) -> Result<Child> {
    let program =
        FILE_SERVER_PROGRAMS.iter().find(|path| Path::new(path).exists()).context("no virtiofsd")?;
    let is_qemus_own = *program == QEMUS_FILE_SERVER;
    let is_root = setup::is_root()?;
    let mut command = if is_qemus_own && !is_root {
        // It insists on dropping groups, which takes a user namespace with more than one user in it.
        let mut command = bound_to_us("unshare");
        command.args(["--user", "--map-root-user", "--map-auto", "--", program]);
        command
    } else {
        bound_to_us(program)
    };
    // What the command reads is not expected to change under it; what it writes is read from outside.
    let cache = if tag == "host" { "always" } else { "auto" };
    command.arg("--fd=0");
    if is_qemus_own {
        command.args(["-f", "-o", &format!("cache={cache}"), "-o", "sandbox=chroot", "-o", "log_level=warn"]);
        command.arg("-o").arg(format!("source={}", source.display()));
    } else {
        command.arg(format!("--cache={cache}")).args(["--log-level=warn", "--shared-dir"]).arg(source);
        command.arg(if is_root { "--sandbox=chroot" } else { "--sandbox=namespace" });
    }
    let socket = UnixListener::bind(share_socket(sockets, tag)).context("cannot listen for a file server")?;
    command.stdin(OwnedFd::from(socket)).stdout(Stdio::null());
    command.stderr(File::create(logs.join(format!("share-{tag}.log")))?);
    command.spawn().with_context(|| format!("cannot start {program}"))
}

fn share_socket(sockets: &Path, tag: &str) -> PathBuf {
    sockets.join(format!("share-{tag}"))
}

/// QEMU's command line, without the kernel and the console.
fn emulator(options: &Options, sockets: &Path, shares: &[(&str, PathBuf)]) -> Command {
    let memory = options.memory;
    let monitor = format!("unix:{},server=on,wait=off", sockets.join("monitor").display());
    let mut command = bound_to_us("qemu-system-x86_64");
    command.args(["-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-monitor", &monitor]);
    command.args(["-machine", "q35,kernel-irqchip=split,memory-backend=memory"]);
    command.args(["-accel", "tcg,thread=multi", "-cpu", "EPYC,+svm,+npt"]);
    command.args(["-smp", &(u16::from(options.cpus) + FIRST_OF_COMMAND).to_string()]);
    // The file servers read the emulated memory, so it is shared.
    command.args(["-m", &format!("{memory}M"), "-object"]);
    command.arg(format!("memory-backend-memfd,id=memory,size={memory}M,share=on"));
    command.args(["-device", "intel-iommu,intremap=on,device-iotlb=on"]);
    for (tag, _) in shares {
        let socket = share_socket(sockets, tag);
        command.arg("-chardev").arg(format!("socket,id=share-{tag},path={}", socket.display()));
        command.arg("-device").arg(format!("vhost-user-fs-pci,chardev=share-{tag},tag={tag}"));
    }
    command.args(["-device", "virtio-serial-pci"]);
    for port in ["out", "err", "control"] {
        command.arg("-chardev").arg(format!("socket,id={port},path={}", sockets.join(port).display()));
        command.arg("-device").arg(format!("virtserialport,chardev={port},name={port}"));
    }
    command.args(["-device", "edu"]);
    // MSI-X, and a reset of its own.
    command.args(["-device", "nvme,serial=septum"]);
    // A BAR as large as a GPU's.
    command.args(["-device", "pci-testdev,membar=64G"]);
    for device in &options.device {
        command.arg("-device").arg(device);
    }
    command.args(&options.emulator);
    command.arg("-append").arg(KERNEL_ARGUMENTS);
    command
}
