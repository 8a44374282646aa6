//! `run`: what was typed as what the API takes, which is the same words by other names.
//!
//! Paths are those of the coordinator's host, and so have to be absolute; the current directory of this one is not shared. Variables that are
//! the caller's are this caller's.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use septum_api_client::Client;
use septum_api_types::mount::Mount;
use septum_api_types::tmpfs::Tmpfs;
use septum_api_types::v1::{
    CreatePartition, ExposedPort, NetworkRequest, Partition, PartitionState, Problem,
};
use septum_api_types::volume::Volume;

use super::words::{text, variables, wrong};
use crate::args::{self, Run};
use crate::{env_file, message};

/// What the API has no words for, and what to do instead.
const NOT_THERE: [(&str, &str); 12] = [
    ("jail", "'septum serve --jail' on that host says it for all of its partitions"),
    ("device", "pass functions on with 'septum run' on that host"),
    ("kernel", "run Linux guests with 'septum run' on that host"),
    ("initrd", "run Linux guests with 'septum run' on that host"),
    ("cmdline", "run Linux guests with 'septum run' on that host"),
    ("vsock", "its sockets would be on that host: use 'septum run' there"),
    ("sig_proxy", "'septum kill -s' sends signals to what runs in the background"),
    ("json_stats", "'septum stats --json' reads them while it runs"),
    ("verbose", "'septum logs' and 'septum events' tell what can be told from here"),
    ("debug_panic", "run it on that host"),
    ("debug_profile", "run it on that host"),
    ("help", "septum run --help"),
];
/// Variables of a terminal that go with it.
const OF_TERMINAL: [&str; 3] = ["TERM", "COLORTERM", "NO_COLOR"];
const WHAT: &str = "cannot run this at a coordinator";

/// `septum run`; `line` begins with that word.
pub async fn run(client: &Client, run: Run, line: &[OsString]) -> Result<u8, Problem> {
    if !run.detach {
        let why = "the streams of a partition in the foreground are its caller's, and the API has no way for them yet";
        return Err(wrong(WHAT, why, "septum run -d …, then septum attach or septum logs -f"));
    }
    let mut create = order(run, line)?;
    choose_image(client, &mut create.0, create.1).await?;
    let key =
        septum_registry::directory::new_id().map_err(|error| wrong(WHAT, error.to_string(), "try again"))?;
    let made = client.create(&create.0, &key).await?;
    tell_waiting(&made);
    message::print(&format!("{}\n", made.id));
    Ok(0)
}

/// One that waits is as good as started; that nothing happens yet has a reason.
fn tell_waiting(made: &Partition) {
    if let PartitionState::Pending { reason, .. } = made.state {
        message::tell(&format!("septum: it waits for the host to have room ({})", reason.name()));
    }
}

/// What is to be made; and whether its first word may be an image.
fn order(run: Run, line: &[OsString]) -> Result<(CreatePartition, bool), Problem> {
    let options = args::run_options();
    let matches = options
        .clone()
        .try_get_matches_from(line)
        .map_err(|error| wrong(WHAT, error.to_string(), "septum run --help"))?;
    let typed = Typed { matches: &matches };
    typed.check(&options)?;
    let mut env = Vec::new();
    if run.tty {
        env.extend(OF_TERMINAL.iter().map(OsString::from));
    }
    for file in &run.surroundings.env_file {
        let of_file = env_file::read(file);
        env.extend(of_file.map_err(|failure| wrong(failure.what, failure.why, &failure.hint))?);
    }
    env.extend(run.env);
    let mut volumes = run.volume;
    let mut tmpfs = typed.all("tmpfs")?;
    for mount in run.mount {
        match mount {
            Mount::Volume(volume) => volumes.push(volume),
            Mount::Tmpfs(ram) => tmpfs.push(of_ram(&ram)?),
        }
    }
    tmpfs.extend(typed.one("shm_size")?.map(|size| format!("/dev/shm:size={size}")));
    let number = |id: &str| matches.get_one::<u32>(id).copied().filter(|_| typed.has(id));
    let create = CreatePartition {
        command: run.program.iter().map(|word| text(word)).collect::<Result<_, _>>()?,
        name: run.name,
        start: true,
        image: run.image,
        entrypoint: typed.one("entrypoint")?,
        rootfs: typed.path("rootfs")?,
        workdir: typed.one("workdir")?,
        env: variables(&env)?,
        memory: typed.one("memory")?,
        hugepages: run.hugepages,
        cpus: number("cpus"),
        threads: number("threads"),
        privilege: typed.one("privilege")?,
        volumes: volumes.iter().map(of_volume).collect::<Result<_, _>>()?,
        tmpfs,
        disks: typed.all("block")?.into_iter().map(absolute).collect::<Result<_, _>>()?,
        hostname: run.surroundings.hostname,
        user: run.surroundings.user,
        groups: run.surroundings.group_add,
        ulimits: typed.all("ulimit")?,
        read_only: run.surroundings.read_only,
        network: NetworkRequest {
            allow: typed.all("allow_net")?,
            publish: typed.all("publish")?,
            expose: run.network.expose.iter().map(|it| ExposedPort::Text(it.to_string())).collect(),
            hosts: typed.all("add_host")?,
            dns: typed.all("dns")?,
        },
        timeout: typed.one("timeout")?,
        stop_signal: typed.one("stop_signal")?,
        restart: typed.one("restart")?,
        labels: run.label.into_iter().collect(),
        log_options: typed.all("log_opt")?,
        interactive: run.interactive,
        tty: run.tty,
        auto_remove: run.rm,
        ..CreatePartition::default()
    };
    let may_be_image = !run.is_program_for_sure && create.image.is_none() && create.rootfs.is_none();
    Ok((create, may_be_image))
}

/// What was typed, in the words that were typed.
struct Typed<'a> {
    matches: &'a ArgMatches,
}

impl Typed<'_> {
    fn has(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    fn all(&self, id: &str) -> Result<Vec<String>, Problem> {
        let given = self.matches.get_raw(id).filter(|_| self.has(id));
        given.into_iter().flatten().map(text).collect()
    }

    fn one(&self, id: &str) -> Result<Option<String>, Problem> {
        Ok(self.all(id)?.pop())
    }

    fn path(&self, id: &str) -> Result<Option<String>, Problem> {
        self.one(id)?.map(absolute).transpose()
    }

    /// Fails if something was typed that a coordinator cannot be asked for.
    fn check(&self, options: &Command) -> Result<(), Problem> {
        for option in options.get_arguments().filter(|option| self.has(option.get_id().as_str())) {
            let id = option.get_id().as_str();
            if let Some((_, next)) = NOT_THERE.iter().find(|(name, _)| *name == id) {
                let why = format!("option '--{}' is not in the API", option.get_long().unwrap_or(id));
                return Err(wrong(WHAT, why, next));
            }
        }
        Ok(())
    }
}

/// A path of the coordinator's host.
fn absolute(path: String) -> Result<String, Problem> {
    if path.starts_with('/') {
        return Ok(path);
    }
    let next = "give an absolute path; 'septum cp' and volumes with names bring files there";
    Err(wrong(WHAT, format!("'{path}' would be a path of the coordinator's host, and is relative"), next))
}

fn of_volume(volume: &Volume) -> Result<String, Problem> {
    let text = text(OsStr::new(&volume.to_string()))?;
    let text = if volume.name.is_some() { text } else { absolute(text)? };
    match Volume::parse(text.as_bytes()) {
        Ok(same) if same == *volume => Ok(text),
        _ => Err(wrong(
            WHAT,
            format!("'{text}' cannot be said in one word"),
            "use paths without ':' and in UTF-8, and no volume-nocopy",
        )),
    }
}

fn of_ram(ram: &Tmpfs) -> Result<String, Problem> {
    let mut text = format!("{}:mode={:o}", ram.guest, ram.permissions);
    let numbers = [("size", ram.bytes), ("uid", ram.uid.map(u64::from)), ("gid", ram.gid.map(u64::from))];
    for (name, number) in numbers {
        text += &number.map(|number| format!(",{name}={number}")).unwrap_or_default();
    }
    for (name, is_set) in [("ro", ram.read_only), ("exec", ram.executable)] {
        text += &if is_set { format!(",{name}") } else { String::new() };
    }
    match Tmpfs::parse(text.as_bytes()) {
        Ok(same) if same == *ram => Ok(text),
        _ => Err(wrong(
            WHAT,
            format!("'{text}' cannot be said in one word"),
            "use a path without ':' and in UTF-8",
        )),
    }
}

/// Has the first word be an image, if the coordinator has one of that name.
async fn choose_image(client: &Client, create: &mut CreatePartition, may_be: bool) -> Result<(), Problem> {
    let Some(first) = create.command.first().filter(|_| may_be) else { return Ok(()) };
    match client.image(first).await {
        Ok(_) => create.image = Some(create.command.remove(0)),
        Err(problem) if problem.code.status() == 404 => {}
        Err(problem) => return Err(problem),
    }
    Ok(())
}
