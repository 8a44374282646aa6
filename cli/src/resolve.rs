//! From what was typed to what it means: flags, and the process's own surroundings, become a partition's spec.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;

use rustix::fs::Mode;
use septum_api_types::bytes::ByteString;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::mount::Mount;
use septum_api_types::network::is_reachable_name;
use septum_api_types::places;
use septum_api_types::signal::Signal;
use septum_api_types::size::Size;
use septum_api_types::spec::{DEFAULT_NAME, PartitionSpec};
use septum_api_types::tmpfs::Tmpfs;
use septum_api_types::volume::Volume;
use septum_worker::keeping::{Detached, Keeping, LogLimits};
use septum_worker::terminal;

use crate::args::{LogOption, Run};
use crate::env_file;
use crate::image::choice::{self, Chosen};
use crate::linux;
use crate::partitions::exec::no_terminal;

/// Variables of the caller that the program gets: how to talk to the person in front of the terminal. The first three concern the
/// terminal itself; an image speaks its own language.
const PASSED_ON: [&str; 5] = ["TERM", "COLORTERM", "NO_COLOR", "LANG", "TZ"];

/// The whole spec; nothing but the image is looked up yet.
pub fn resolve(mut run: Run) -> Result<PartitionSpec, Failure> {
    if run.tty && !run.detach && !std::io::stdin().is_terminal() {
        return Err(no_terminal("cannot give the program a terminal"));
    }
    check_exposed(&run)?;
    let linux = linux::guest(&run)?;
    let chosen = choice::choose(&mut run)?;
    let around = std::mem::take(&mut run.surroundings);
    let mut given = Vec::new();
    for file in &around.env_file {
        given.extend(env_file::read(file)?);
    }
    given.append(&mut run.env);
    let (mut stop_signal, mut of_image) = (run.stop_signal, Vec::new());
    let (words, environment, image) = match chosen {
        None => (with_entry_point(&mut run), environment(&given, std::env::vars_os(), &[], &PASSED_ON), None),
        Some(Chosen { source, words, environment: variables, volumes, stop_signal: of_choice }) => {
            of_image = volumes;
            let environment = environment(&given, std::env::vars_os(), &variables, &PASSED_ON[..3]);
            stop_signal = stop_signal.or(of_choice);
            (words, environment, Some(source))
        }
    };
    let (mut volumes, mut tmpfs) = (run.volume, around.tmpfs);
    for mount in run.mount {
        match mount {
            Mount::Volume(volume) => volumes.push(volume),
            Mount::Tmpfs(ram) => tmpfs.push(ram),
        }
    }
    add_volumes(&of_image, &mut volumes, &tmpfs)?;
    tmpfs.extend(around.shm_size.map(|Size(bytes)| shared_memory(bytes)));
    let mut program = words.into_iter();
    let name = run.name.unwrap_or_else(|| DEFAULT_NAME.to_owned());
    Ok(PartitionSpec {
        hostname: around.hostname.unwrap_or_else(|| name.clone()),
        name,
        program: program.next().unwrap_or_default().into(),
        arguments: program.map(ByteString::from).collect(),
        current_directory: std::env::current_dir().ok().map(|directory| directory.into_os_string().into()),
        working_directory: run.workdir.map(ByteString::from),
        environment,
        caller_path: std::env::var_os("PATH").map(ByteString::from),
        memory_bytes: run.memory.0,
        huge_pages: run.hugepages,
        cpus: run.cpus,
        threads: run.threads,
        privilege: run.privilege,
        jail: run.jail,
        volumes,
        tmpfs,
        read_only_root: around.read_only,
        disks: run.block,
        devices: run.device,
        linux,
        root: run.rootfs.map(ByteString::from),
        image,
        stop_signal: stop_signal.unwrap_or(Signal::TERM),
        timeout: run.timeout,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        user: around.user,
        groups: around.group_add,
        limits: around.ulimit,
        umask: umask(),
        terminal: run.tty.then(terminal::size_or_usual),
        streams_open: if run.detach { [true; 3] } else { septum_worker::standard_streams_open() },
        network: run.network.network(),
        verbose: run.verbose,
        debug_panic: run.debug_panic,
        debug_profile: run.debug_profile,
    })
}

/// Directories that an image declares to be volumes, where the command line puts nothing else.
fn add_volumes(declared: &[String], volumes: &mut Vec<Volume>, tmpfs: &[Tmpfs]) -> Result<(), Failure> {
    for path in declared {
        let volume = Volume::anonymous(path.as_bytes()).map_err(|error| {
            let what = format!("cannot use the volume '{path}' that the image declares");
            Failure::new(Code::Usage, what, error.to_string())
        })?;
        let is_taken = volumes.iter().map(|other| &other.guest).chain(tmpfs.iter().map(|other| &other.guest));
        if !is_taken.into_iter().any(|guest| *guest == volume.guest) {
            volumes.push(volume);
        }
    }
    Ok(())
}

/// How the partition is kept. Its name has gone into the spec; `id` is for one in the background.
pub fn keeping(run: &Run, id: String) -> Keeping {
    let uid = rustix::process::getuid().as_raw();
    let mut log_limits = LogLimits::default();
    for option in &run.log_opt {
        match *option {
            LogOption::Size(bytes) => log_limits.file_bytes = bytes,
            LogOption::Files(files) => log_limits.files = files,
        }
    }
    Keeping {
        runtime: places::runtime_directory(uid),
        name: run.name.clone(),
        labels: run.label.iter().cloned().collect(),
        restart: run.restart,
        // A Linux guest would hear of none.
        passes_signals: run.sig_proxy && run.kernel.is_none(),
        detached: run.detach.then(|| Detached {
            log_directory: places::data_directory(uid).join("logs").join(&id),
            id,
            log_limits,
            keeps_input: run.interactive,
            removes_itself: run.rm,
        }),
    }
}

/// What `--shm-size` says in the words of `--tmpfs`.
fn shared_memory(bytes: u64) -> Tmpfs {
    Tmpfs {
        guest: "/dev/shm".into(),
        bytes: Some(bytes),
        permissions: 0o1777,
        uid: None,
        gid: None,
        read_only: false,
        executable: false,
    }
}

/// Others look for a partition that exposes ports by its name, as names are looked up.
fn check_exposed(run: &Run) -> Result<(), Failure> {
    let what = "cannot let other partitions reach this one";
    let (why, hint) = match run.name.as_deref() {
        _ if run.network.expose.is_empty() => return Ok(()),
        Some(name) if is_reachable_name(name) => return Ok(()),
        Some(_) => {
            ("its name cannot be looked up", "lower-case letters, digits, '-' and '_' that is not 'host'")
        }
        None => (
            "--expose needs a --name",
            "lower-case letters and digits, and others reach it as NAME.septum.internal",
        ),
    };
    Err(Failure::new(Code::Usage, what, why).hint(format!("choose a --name of {hint}")))
}

/// The program and its arguments, where there is no image.
fn with_entry_point(run: &mut Run) -> Vec<OsString> {
    run.entrypoint.take().into_iter().chain(std::mem::take(&mut run.program)).collect()
}

/// Variables that are passed on, then those of the image, then those of `--env` in their order.
fn environment(
    given: &[OsString],
    callers: impl Iterator<Item = (OsString, OsString)>,
    of_image: &[String],
    passed_on: &[&str],
) -> Vec<ByteString> {
    let callers: Vec<(OsString, OsString)> = callers.collect();
    let join = |key: &OsStr, value: &OsStr| {
        ByteString([key.as_encoded_bytes(), value.as_encoded_bytes()].join(&b'='))
    };
    let is_passed_on = |key: &OsStr| {
        let is_language = passed_on.contains(&"LANG") && key.as_encoded_bytes().starts_with(b"LC_");
        is_language || passed_on.iter().any(|name| key == OsStr::new(name))
    };
    let mut variables: Vec<ByteString> =
        callers.iter().filter(|(key, _)| is_passed_on(key)).map(|(key, value)| join(key, value)).collect();
    variables.extend(of_image.iter().map(|variable| ByteString::from(variable.as_str())));
    for variable in given {
        if variable.as_encoded_bytes().contains(&b'=') {
            variables.push(variable.as_os_str().into());
        } else if let Some((key, value)) = callers.iter().find(|(key, _)| key == variable) {
            variables.push(join(key, value));
        }
    }
    variables
}

/// The process's file mode creation mask, which can only be read by setting it.
fn umask() -> u32 {
    let mask = rustix::process::umask(Mode::empty());
    rustix::process::umask(mask);
    mask.bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(given: &[&str], callers: &[(&str, &str)]) -> Vec<String> {
        let given: Vec<OsString> = given.iter().map(OsString::from).collect();
        let callers = callers.iter().map(|(key, value)| (key.into(), value.into()));
        environment(&given, callers, &[], &PASSED_ON).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn little_of_the_callers_environment_is_passed_on() {
        let callers =
            [("TERM", "xterm"), ("AWS_SECRET_ACCESS_KEY", "x"), ("LC_ALL", "C"), ("LANGUAGE", "de")];
        assert_eq!(names(&[], &callers), ["TERM=xterm", "LC_ALL=C"]);
    }

    #[test]
    fn a_key_alone_takes_the_callers_value() {
        let callers = [("TOKEN", "a=b")];
        assert_eq!(names(&["TOKEN", "NONE", "X=", "Y=1=2"], &callers), ["TOKEN=a=b", "X=", "Y=1=2"]);
    }
}
