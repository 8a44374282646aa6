//! `septum run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{ArgAction, Args};
use septum_api_types::disk::Disk;
use septum_api_types::duration::Span;
use septum_api_types::exit::Code;
use septum_api_types::jail::JailChoice;
use septum_api_types::mount::Mount;
use septum_api_types::pci::Address;
use septum_api_types::privilege::PrivilegeChoice;
use septum_api_types::restart::Restart;
use septum_api_types::signal::Signal;
use septum_api_types::size::Size;
use septum_api_types::spec::{DEFAULT_COMMAND_LINE, DEFAULT_MEMORY_BYTES, DEFAULT_THREADS};
use septum_api_types::volume::Volume;

use super::network::NetworkOptions;
use super::surroundings::Surroundings;
use super::values::{
    LogOption, disk, environment_variable, label, log_option, mount, partition_name, thread_count, volume,
};
use crate::complete;

/// Run a program in a partition of its own: a virtual machine that sees the host's system directories and the current
/// directory, read-only, and writes into RAM.
#[derive(Debug, Args)]
#[command(after_long_help = run_long_help(), args_override_self = true, disable_help_flag = true)]
pub struct Run {
    /// RAM of the partition, such as 512M, 4G or 1.5G
    #[arg(short, long, value_name = "SIZE", default_value_t = Size(DEFAULT_MEMORY_BYTES))]
    pub memory: Size,

    /// Take the RAM from the host's pool of 2 MiB pages (vm.nr_hugepages), all of it at the start
    #[arg(long)]
    pub hugepages: bool,

    /// Processors that the program may use
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=255))]
    pub cpus: u32,

    /// Threads that may exist at once; one more is refused (EAGAIN)
    #[arg(long, value_name = "N", default_value_t = DEFAULT_THREADS, value_parser = thread_count)]
    pub threads: u32,

    /// Where the guest kernel runs: ring0 walls it off from the program, single puts both into ring 3, which is faster
    /// where KVM emulates ring 0; auto decides by the host
    #[arg(long, value_name = "MODE", default_value_t)]
    pub privilege: PrivilegeChoice,

    /// What becomes of a start on a host that lacks a part of what holds the worker process ('septum doctor' tells): on refuses it, degraded
    /// does without
    #[arg(long, value_name = "MODE", default_value_t)]
    pub jail: JailChoice,

    /// Set a variable of the program's environment; KEY alone takes the caller's value
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = OsStringValueParser::new().try_map(environment_variable))]
    pub env: Vec<OsString>,

    /// Start the program in this directory of the partition
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<OsString>,

    /// Share a directory or a file of the host, writable unless ':ro' is added; a name without a slash is a volume that Septum
    /// keeps, made if it is not there ('septum volume'); a place in the partition alone gets a new one, which goes with the partition.
    /// A volume that is empty begins with what the image has in its place
    #[arg(long, value_name = "[HOST|NAME:]GUEST[:ro]", value_parser = OsStringValueParser::new().try_map(volume))]
    pub volume: Vec<Volume>,

    /// The same, and --tmpfs, in other words: type=bind|volume|tmpfs,source=HOST|NAME,target=GUEST[,readonly]
    #[arg(long, value_name = "KEY=VALUE,…", value_parser = OsStringValueParser::new().try_map(mount))]
    pub mount: Vec<Mount>,

    /// Give the partition a file or block device of the host as a disk: /dev/vda, the next /dev/vdb …; writable unless
    /// ':ro' is added
    #[arg(long, value_name = "FILE[:ro]", value_parser = OsStringValueParser::new().try_map(disk))]
    pub block: Vec<Disk>,

    /// Pass a PCI function of the host on to the partition, such as 0000:41:00.0; it has to belong to vfio-pci ('septum devices bind'). The
    /// program finds it in /sys/bus/pci/devices, its interrupts in /dev/uio0
    #[arg(long, value_name = "ADDRESS")]
    pub device: Vec<Address>,

    /// Run this Linux kernel (bzImage or vmlinux) instead of a program; its serial port is the console
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "rootfs", "entrypoint"])]
    pub kernel: Option<OsString>,

    /// The kernel's initial RAM disk
    #[arg(long, value_name = "FILE", requires = "kernel")]
    pub initrd: Option<OsString>,

    /// The kernel's command line
    #[arg(long, value_name = "STRING", requires = "kernel", default_value = DEFAULT_COMMAND_LINE)]
    pub cmdline: OsString,

    /// Use this directory as the partition's root instead of the host's system directories
    #[arg(long, value_name = "DIR", conflicts_with = "image")]
    pub rootfs: Option<OsString>,

    /// Use an image as the partition's root: NAME, NAME:TAG, sha256:DIGEST or the path of an image's file; without this option,
    /// a first word that names one
    #[arg(long, value_name = "IMAGE", add = complete::images())]
    pub image: Option<String>,

    /// Run this program instead of the image's entry point; what follows are its arguments
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<OsString>,

    /// Who runs the program, where, and within which limits
    #[command(flatten)]
    pub surroundings: Surroundings,

    /// What it may reach, and what reaches it
    #[command(flatten)]
    pub network: NetworkOptions,

    /// Stop the partition after this time, such as 500ms, 10s or 5m
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Span>,

    /// What 'septum stop' sends the program: a name such as TERM, or a number; the image's choice, or TERM
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<Signal>,

    /// Send the program the signals that this command gets; 'false': they stop the partition
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1,
          require_equals = true, action = ArgAction::Set)]
    pub sig_proxy: bool,

    /// Name of the partition, for other commands and processes; its host name too, unless that is given
    #[arg(long, value_name = "NAME", value_parser = partition_name)]
    pub name: Option<String>,

    /// Go on in the background, and print the partition's identifier
    #[arg(short, long)]
    pub detach: bool,

    /// Leave nothing of a partition in the background when it ends; one in the foreground never does
    #[arg(long)]
    pub rm: bool,

    /// Keep standard input open in the background, for those that attach; in the foreground it always is the caller's
    #[arg(short, long)]
    pub interactive: bool,

    /// Give the program a terminal, of which this one is the other end; in the background, of whoever attaches
    #[arg(short, long)]
    pub tty: bool,

    /// Start it again when it has ended: no, on-failure[:TIMES] or always
    #[arg(long, value_name = "POLICY", default_value_t)]
    pub restart: Restart,

    /// Attach a label to the partition
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = label)]
    pub label: Vec<(String, String)>,

    /// How much of a background partition's output is kept: max-size=SIZE of a file (16M), max-file=N files (2)
    #[arg(long, value_name = "KEY=VALUE", value_parser = log_option)]
    pub log_opt: Vec<LogOption>,

    /// Write timings and counters as JSON into this file
    #[arg(long, value_name = "FILE")]
    pub json_stats: Option<PathBuf>,

    /// Print this
    #[arg(long, action = clap::ArgAction::HelpLong)]
    pub help: Option<bool>,

    /// Tell what failed without hints at what to do next, as SEPTUM_HINTS=off does for all commands
    #[arg(short, long)]
    pub quiet: bool,

    /// Tell the stages, the guest kernel's log, and system calls that are missing
    #[arg(short, long)]
    pub verbose: bool,

    /// Make the guest kernel panic, to see how that is told
    #[arg(long, hide = true)]
    pub debug_panic: bool,

    /// Sample where the guest spends its time, and tell it at the end
    #[arg(long, hide = true)]
    pub debug_profile: bool,

    /// The program and its arguments, or an image and what it shall run; everything after the program is the program's
    #[arg(trailing_var_arg = true, required_unless_present_any = ["image", "kernel"], value_name = "[IMAGE] PROGRAM [ARGS]",
          add = complete::program())]
    pub program: Vec<OsString>,

    /// Whether `--` came before the program: then it is no image.
    #[arg(skip)]
    pub is_program_for_sure: bool,
}

/// The long help: the promises that do not fit into a flag's line.
fn run_long_help() -> String {
    let mut text = "\
What the partition sees:
  /usr /lib* /bin /sbin /opt    the host's, read-only, and a chosen part of /etc
  the current directory         at its own path, read-only unless given as a volume;
                                never the whole of /, /home, /root, /tmp, /run, /var, /etc, /proc, /sys or /dev
  the program                   if it is in none of these: that file alone, at its own path
  /tmp /home /var /run /root    in RAM
  /dev /proc                    the partition's own
  anything else that is written goes into RAM too, and is gone when the program ends
  With an image: its files and nothing of the host but volumes; its own environment, user and directory.

Environment of the program:
  PATH            the caller's, without directories that the partition lacks
  HOME, USER, LOGNAME           of the caller's account; HOME is /root or /home/NAME, and empty
  TERM, COLORTERM, NO_COLOR, LANG, LC_*, TZ    the caller's, if set
  and what --env adds or replaces

Signals:
  SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM and SIGWINCH go to the program, unless the caller ignores them;
  one that does not handle them ends as it would on the host. If the partition's kernel hears of none within 5 seconds,
  the partition is stopped, and a second signal does that sooner. 'septum kill' ends any program at once.
  With --sig-proxy=false: SIGINT, SIGTERM and SIGHUP stop the partition, the second one kills it, SIGQUIT kills it at once

Exit status:
  the program's own; 128 + N if signal N killed the program or stopped the partition; or
"
    .to_owned();
    for code in Code::ALL {
        text.push_str(&format!("  {}  {}\n", code.number(), code.meaning()));
    }
    text.push_str(
        "\nExamples:
  septum run -- sha256sum README.md
  septum run --memory 2G --volume ./out:/out -- python3 train.py
  septum run --timeout 10s ./untrusted-program < input.txt > output.txt",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::tests_support::run;

    #[test]
    fn everything_after_the_program_is_the_programs() {
        for line in [&["ls", "-v", "--memory", "--", "x"][..], &["--", "ls", "-v", "--memory", "--", "x"]] {
            let run = run(line).unwrap();
            assert_eq!(run.program, ["ls", "-v", "--memory", "--", "x"]);
            assert!(!run.verbose);
        }
        let run = run(&["-v", "--memory", "1G", "./a", "--help"]).unwrap();
        assert!(run.verbose);
        assert_eq!(run.memory, Size(1 << 30));
        assert_eq!(run.program, ["./a", "--help"]);
    }

    #[test]
    fn dashes_say_that_it_is_a_program() {
        for (line, is_program) in [
            (&["--", "x"][..], true),
            (&["-v", "--", "x", "--", "y"], true),
            (&["x"], false),
            (&["x", "--", "y"], false),
            (&["--name", "a", "x", "--"], false),
        ] {
            assert_eq!(run(line).unwrap().is_program_for_sure, is_program, "{line:?}");
        }
        assert!(run(&["--image", "x"]).unwrap().program.is_empty());
    }

    #[test]
    fn the_last_one_counts_and_lists_grow() {
        let run =
            run(&["--cpus", "1", "--cpus=2", "--env", "A=1", "--env", "B", "--volume", ".:/a", "x"]).unwrap();
        assert_eq!(run.cpus, 2);
        assert_eq!(run.env, ["A=1", "B"]);
        assert_eq!(run.volume.len(), 1);
    }

    #[test]
    fn wrong_values_are_refused() {
        let lines: [&[&str]; 19] = [
            &[],
            &["--memory", "lots", "x"],
            &["--memory"],
            &["--cpus", "0", "x"],
            &["--cpus", "many", "x"],
            &["--threads", "0", "x"],
            &["--threads", "1025", "x"],
            &["--threads", "-1", "x"],
            &["--privilege", "ring1", "x"],
            &["--timeout", "soon", "x"],
            &["--volume", "data", "x"],
            &["--volume", "d:/data", "x"],
            &["--mount", "type=bind,target=/data", "x"],
            &["--block", ":ro", "x"],
            &["--env", "=1", "x"],
            &["--name", "a b", "x"],
            &["--name", "", "x"],
            &["--memroy", "1G", "x"],
            &["-x", "x"],
        ];
        for line in lines {
            assert!(run(line).is_err(), "{line:?}");
        }
    }
}
