//! `septum keeper`: starts one partition in the background for the coordinator, as `septum run -d` would.
//!
//! The order becomes the words of a command line, so that there is one parser, one set of defaults and one way to start.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::ExitCode;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::jail::JailChoice;
use septum_api_types::v1::CreatePartition;
use septum_registry::keeper::{Order, Verdict};
use septum_worker::supervisor::{self, Concluded, Launch};

use crate::advice;
use crate::args::{self, Run};
use crate::message;
use crate::resolve::{keeping, resolve};
use crate::volume;

/// Bytes of the longest order.
const ORDER_LIMIT: u64 = 4 << 20;

/// Does what standard input says; the verdict goes to standard output. `jail` is the coordinator's choice for all of its partitions.
pub fn keeper(jail: JailChoice, epoch_ns: u64) -> ExitCode {
    let verdict = match read() {
        Ok(order) => act(&order, jail, epoch_ns),
        Err(why) => Verdict::Refused(
            Failure::new(Code::Usage, "cannot start a partition", why)
                .hint("this command is for septum serve; use 'septum run -d'"),
        ),
    };
    let status = if matches!(verdict, Verdict::Good | Verdict::Started) { 0 } else { 1 };
    message::print(&serde_json::to_string(&verdict).unwrap_or_default());
    ExitCode::from(status)
}

fn read() -> Result<Order, String> {
    let mut text = Vec::new();
    std::io::stdin().take(ORDER_LIMIT).read_to_end(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| format!("no order on standard input: {error}"))
}

fn act(order: &Order, jail: JailChoice, epoch_ns: u64) -> Verdict {
    let run = match args::parse_run(&words(&order.create)) {
        Ok(run) => Run { jail, ..run },
        Err(error) => return Verdict::Refused(of_fields(message::usage(&error))),
    };
    if let Some(directory) = &order.create.directory
        && let Err(error) = std::env::set_current_dir(directory)
    {
        let what = format!("cannot use directory '{directory}'");
        return Verdict::Refused(Failure::new(Code::Path, what, error.to_string()));
    }
    match start(run, order, epoch_ns) {
        Ok(verdict) => verdict,
        Err(failure) => Verdict::Refused(failure),
    }
}

fn start(run: Run, order: &Order, epoch_ns: u64) -> Result<Verdict, Failure> {
    let keeping = keeping(&run, order.id.clone());
    let mut spec = resolve(run)?;
    if order.create.directory.is_none() {
        spec.current_directory = None;
    }
    if order.only_check {
        return Ok(Verdict::Good);
    }
    // They stay as long as the supervisor, this process's copy, does.
    let _held = volume::hold(&mut spec)?;
    let log = keeping.detached.as_ref().map(|detached| detached.log_directory.clone());
    let concluded: Concluded =
        Box::new(move |ended| log.iter().for_each(|log| advice::keep_refusals(log, &ended)));
    let order = septum_worker::Order { spec, epoch_ns, wants_stats: false, wants_start: true };
    Ok(match supervisor::detach(order, keeping, Some(concluded)) {
        Launch::Started(_) => Verdict::Started,
        Launch::Failed(end) => {
            Verdict::Failed { status: end.status, message: end.message.unwrap_or_default() }
        }
    })
}

/// `septum run -d …`, without the first word.
fn words(create: &CreatePartition) -> Vec<OsString> {
    let mut words = vec!["run".to_owned(), "--detach".to_owned()];
    let text = |number: Option<u32>| number.map(|number| number.to_string());
    let network = &create.network;
    let single = [
        ("--name", create.name.clone()),
        ("--image", create.image.clone()),
        ("--entrypoint", create.entrypoint.clone()),
        ("--rootfs", create.rootfs.clone()),
        ("--workdir", create.workdir.clone()),
        ("--memory", create.memory.clone()),
        ("--cpus", text(create.cpus)),
        ("--threads", text(create.threads)),
        ("--privilege", create.privilege.clone()),
        ("--hostname", create.hostname.clone()),
        ("--user", create.user.clone()),
        ("--timeout", create.timeout.clone()),
        ("--stop-signal", create.stop_signal.clone()),
        ("--restart", create.restart.clone()),
    ];
    let single = single.into_iter().filter_map(|(option, value)| Some((option, value?)));
    let exposed: Vec<String> = network.expose.iter().map(ToString::to_string).collect();
    let labels: Vec<String> = create.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let several = [
        ("--env", &create.env),
        ("--volume", &create.volumes),
        ("--tmpfs", &create.tmpfs),
        ("--block", &create.disks),
        ("--group-add", &create.groups),
        ("--ulimit", &create.ulimits),
        ("--label", &labels),
        ("--log-opt", &create.log_options),
        ("--allow-net", &network.allow),
        ("--publish", &network.publish),
        ("--expose", &exposed),
        ("--add-host", &network.hosts),
        ("--dns", &network.dns),
    ];
    let several = several
        .into_iter()
        .flat_map(|(option, values)| values.iter().map(move |value| (option, value.clone())));
    // With `=`, a value that begins with a dash is a value.
    words.extend(single.chain(several).map(|(option, value)| format!("{option}={value}")));
    let flags = [
        ("--hugepages", create.hugepages),
        ("--read-only", create.read_only),
        ("--interactive", create.interactive),
        ("--tty", create.tty),
        ("--rm", create.auto_remove),
    ];
    words.extend(flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag.to_owned()));
    words.push("--".to_owned());
    words.extend(create.command.iter().cloned());
    words.into_iter().map(OsString::from).collect()
}

/// What is said of an option, said of the field that became it.
fn of_fields(mut failure: Failure) -> Failure {
    const OTHERS: [(&str, &str); 13] = [
        ("volume", "volumes"),
        ("block", "disks"),
        ("group-add", "groups"),
        ("ulimit", "ulimits"),
        ("label", "labels"),
        ("log-opt", "log_options"),
        ("rm", "auto_remove"),
        ("allow-net", "network.allow"),
        ("publish", "network.publish"),
        ("expose", "network.expose"),
        ("add-host", "network.hosts"),
        ("dns", "network.dns"),
        ("stop-signal", "stop_signal"),
    ];
    let option = failure.what.strip_prefix("wrong option '--").and_then(|rest| rest.strip_suffix('\''));
    if let Some(option) = option {
        let other = OTHERS.iter().find(|(name, _)| *name == option).map(|(_, field)| *field);
        failure.why = format!("field '{}': {}", other.unwrap_or(option), failure.why);
        failure.what = "cannot make the partition".to_owned();
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_of_fields() {
        let create = CreatePartition {
            command: vec!["true".to_owned()],
            volumes: vec!["nothing".to_owned()],
            ..CreatePartition::default()
        };
        let error = args::parse_run(&words(&create)).unwrap_err();
        let failure = of_fields(message::usage(&error));
        assert!(failure.why.starts_with("field 'volumes': 'nothing' "), "{failure:?}");
    }

    #[test]
    fn an_order_is_a_command_line() {
        let create = CreatePartition {
            command: vec!["--version".to_owned(), "-x".to_owned()],
            name: Some("web".to_owned()),
            env: vec!["A=-b c".to_owned()],
            memory: Some("64M".to_owned()),
            labels: [("k".to_owned(), "v=w".to_owned())].into(),
            ..CreatePartition::default()
        };
        let run = args::parse_run(&words(&create)).unwrap();
        assert_eq!(run.program, ["--version", "-x"]);
        assert!(run.detach && run.is_program_for_sure && run.name.as_deref() == Some("web"));
        assert_eq!(run.env, ["A=-b c"]);
        assert_eq!(run.label, [("k".to_owned(), "v=w".to_owned())]);
    }

    #[test]
    fn nothing_that_is_asked_for_becomes_another_option() {
        for value in ["x --privilege=ring0", "--detach", "\n--rm", ""] {
            let create = CreatePartition {
                command: vec!["true".to_owned()],
                hostname: Some(value.to_owned()),
                ..CreatePartition::default()
            };
            assert!(args::parse_run(&words(&create)).is_err(), "{value}");
        }
    }
}
