//! System calls one by one: what each does with its flags and its errors, natively and in a partition.
//!
//! The programs are in `tests/guests/calls`, one for a call or a small family of them. Those that work with files run twice,
//! in a volume and in RAM. And no call that `docs/syscalls.md` calls implemented may be missing in all of the programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use septum_tests::{Case, Files, Link, guests, lane};

/// A program that works with files; Linux has extended attributes in RAM in newer versions only.
fn with_files(name: &str, files: Files) -> Case {
    let case = Case::guest(name, Link::Static).files(files);
    if name == "xattrs" { case.needs_extended_attributes() } else { case }
}

/// Each name is a program.
macro_rules! calls {
    (without_files: $($plain:ident)*; with_files: $($filed:ident)*;) => {
        $(#[test]
        fn $plain() {
            Case::guest(stringify!($plain), Link::Static).conform();
        })*

        $(mod $filed {
            use super::Files;

            #[test]
            fn in_a_volume() {
                super::with_files(stringify!($filed), Files::Volume).conform();
            }

            #[test]
            fn in_ram() {
                super::with_files(stringify!($filed), Files::Ram).conform();
            }
        })*

        const PROGRAMS: &[&str] = &[$(stringify!($plain),)* $(stringify!($filed),)*];
    };
}

calls! {
    without_files:
        alternate_stacks barriers big_pipes bind brk capabilities clock_calls clone close_range
        connect control_messages datagrams epoll_wait eventfd exit_calls file_users futex_errors
        groups_of_processes interrupted interval_timers kill limits local_names many_descriptors
        memory_files names_of_the_system ordered_packets pipe2 poll_of_sockets prctl queued_signals random receiving
        refused scheduling select sending shared_words shutdown signal_sets signalfd
        signals_to_others sleeping_calls stack_limit socket socket_options streams_of_bytes thread_tools
        threads_and_signals timerfd uname users vectors_of_sockets waiting_calls;
    with_files:
        access addresses after_exec after_fork changed_times chdir chmod chown chroot close_on_exec
        description_locks descriptors_of_no_use dup epoll_ctl execve fallocate fcntl_flags getdents
        inotify_flags ioctl_bytes link lock_waiting long_paths lseek madvise many_files mkdir mmap
        mprotect named_pipes open openat2 permissions poll positioned races_of_names
        races_of_readers races_of_writers read record_locks removed_directories rename reopening sendfile
        sparse_files stat statfs statx symlink truncate umask unlink unlinked_files utimensat
        vectors_of_buffers vectors_with_flags write xattrs;
}

#[test]
fn every_program_is_run() {
    let listing = fs::read_dir(guests::calls()).expect("the programs are there");
    let there: BTreeSet<String> = listing
        .filter_map(|item| item.ok()?.file_name().to_str()?.strip_suffix(".c").map(str::to_owned))
        .collect();
    let run: BTreeSet<String> = PROGRAMS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(there, run);
}

/// Calls that C programs make by a function of another name.
const FUNCTIONS: &[(&str, &str)] = &[
    ("exit_group", "_exit"),
    ("fadvise64", "posix_fadvise"),
    ("mq_getsetattr", "mq_setattr"),
    ("newfstatat", "fstatat"),
    ("pread64", "pread"),
    ("prlimit64", "prlimit"),
    ("pwrite64", "pwrite"),
    ("rt_sigaction", "sigaction"),
    ("rt_sigprocmask", "sigprocmask"),
];

/// Calls that no program names, and why not.
const UNNAMED: &[(&str, &str)] = &[("rt_sigreturn", "the return of every handler")];

#[test]
fn every_implemented_call_is_made() {
    let code: String = sources().iter().map(|path| code_of(path)).collect();
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let is_made = |call: &str| {
        let by_function = |name: &str| words.contains(name) && code.contains(&format!("{name}("));
        let function = FUNCTIONS.iter().find(|(name, _)| *name == call).map(|(_, function)| *function);
        words.contains(format!("SYS_{call}").as_str())
            || by_function(call)
            || function.is_some_and(by_function)
            || UNNAMED.iter().any(|(name, _)| *name == call)
    };
    let missing: Vec<String> = implemented().into_iter().filter(|call| !is_made(call)).collect();
    assert!(missing.is_empty(), "no program makes these calls: {}", missing.join(", "));
}

/// The calls in the table of `docs/syscalls.md`, which is made from the kernel's own.
fn implemented() -> Vec<String> {
    let text = fs::read_to_string(lane::workspace().join("docs/syscalls.md")).expect("the document is there");
    let name = |line: &str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        cells.next()?.parse::<u32>().ok()?;
        Some(cells.next()?.trim_matches('`').to_owned())
    };
    let found: Vec<String> = text.lines().filter_map(name).collect();
    assert!(found.len() > 200, "the table has only {} calls", found.len());
    found
}

fn sources() -> Vec<PathBuf> {
    let folders = [guests::folder(), guests::calls()];
    let listings = folders.iter().map(|folder| fs::read_dir(folder).expect("a folder of programs"));
    let paths = listings.flatten().map(|item| item.expect("a directory entry").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "c")).collect()
}

/// A program without the lines that are comments.
fn code_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
}
