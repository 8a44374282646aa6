//! Memory that is too small, memory that runs out, and a kernel that gives up: told, never a hang.

use std::time::Duration;

use septum_tests::lane::Lane;
use septum_tests::{Link, Output, Place, exit, needs_partitions};

/// The program was told that there is no more memory, or was killed for it by name.
#[track_caller]
fn expect_out_of_memory(output: &Output, limit: &str) {
    match output.code() {
        12 => assert!(output.stdout_text().starts_with("ENOMEM after "), "{}", output.stdout_text()),
        exit::OUT_OF_MEMORY => {
            output.expect_stderr(limit).expect_stderr("memory");
        }
        other => panic!("exit status {other}: {}\n{}", output.stdout_text(), output.stderr_text()),
    }
}

#[test]
fn a_partition_too_small_to_start_says_so() {
    needs_partitions!();
    let place = Place::new();
    for size in ["1M", "4096", "64K", "0"] {
        let output = place.septum("hello").option("--memory", size).output();
        output.expect_code(exit::MEMORY).expect_stderr("--memory");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_program_larger_than_the_partition_says_so() {
    needs_partitions!();
    let place = Place::new();
    place.guest("hello", Link::Static);
    let mut program = std::fs::read(place.join("hello")).expect("a program");
    // The first writable segment gets a terabyte of memory: p_memsz is at 40 of a program header of 56 bytes.
    let count = usize::from(u16::from_le_bytes([program[56], program[57]]));
    let header =
        (0..count).map(|index| 64 + index * 56).find(|at| program[*at] == 1 && program[*at + 4] & 2 != 0);
    let header = header.expect("a writable segment");
    program[header + 40..header + 48].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    place.executable("vast", &program);
    let output = place.septum_tool("./vast").output();
    // Linux maps what it does not have to give: the program may well start.
    assert!(
        matches!(output.code(), 0 | exit::MEMORY | exit::OUT_OF_MEMORY | exit::PROGRAM | 137 | 139),
        "{:?}: {}",
        output.status,
        output.stderr_text()
    );
}

#[test]
fn allocating_without_end_ends() {
    needs_partitions!();
    let place = Place::new();
    let output =
        place.septum("exhaustion").argument("refused").argument("4096").option("--memory", "64M").output();
    expect_out_of_memory(&output, "64M");
    output.expect_stderr("8 MiB");
}

#[test]
fn touching_without_end_ends() {
    needs_partitions!();
    let place = Place::new();
    let output =
        place.septum("exhaustion").argument("touched").argument("4096").option("--memory", "64M").output();
    expect_out_of_memory(&output, "64M");
    output.expect_stderr("8 MiB");
}

#[test]
fn what_fits_is_given() {
    needs_partitions!();
    let place = Place::new();
    let output =
        place.septum("exhaustion").argument("touched").argument("160").option("--memory", "256M").output();
    output.expect_code(0).expect_stdout("160 MiB\n");
}

#[test]
fn files_in_ram_are_part_of_the_memory() {
    needs_partitions!();
    let place = Place::new();
    let run = place.septum_tool("dd").arguments([
        "if=/dev/zero",
        "of=/tmp/large",
        "bs=1M",
        "count=500",
        "status=none",
    ]);
    let output = run.option("--memory", "32M").output();
    let is_told = output.code() == 1 && output.stderr_text().contains("No space left on device");
    let is_killed = output.code() == exit::OUT_OF_MEMORY && output.stderr_text().contains("32M");
    assert!(is_told || is_killed, "{:?}: {}", output.status, output.stderr_text());
}

/// Whether this machine and mode are too slow for many of something.
fn is_slow() -> bool {
    Lane::current() == Lane::Nested || std::env::var_os("SEPTUM_PRIVILEGE").is_some()
}

#[test]
fn threads_that_want_all_memory_at_once_end_with_one_message() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("under_load").argument("memory").option("--memory", "64M").output();
    match output.code() {
        // Memory was refused, to all of them, before it ran out.
        0 => assert_eq!(output.stdout_text(), "all were refused\n"),
        exit::OUT_OF_MEMORY => {
            output.expect_stderr("64M");
            assert_eq!(output.stderr_text().matches("are used up").count(), 1, "{}", output.stderr_text());
        }
        other => panic!("exit status {other}: {}", output.stderr_text()),
    }
}

#[test]
fn threads_end_at_their_limit_and_begin_again_below_it() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("under_load").argument("threads").option("--threads", "8").output();
    output.expect_code(0).expect_stdout(&"8 threads, then EAGAIN\n".repeat(3));
}

#[test]
fn processes_without_end_end_at_the_limit() {
    needs_partitions!();
    let place = Place::new();
    let run = place.septum("under_load").argument("bomb").option("--threads", "24").option("--memory", "64M");
    run.output().expect_code(0).expect_stdout("ok some were made or refused\nafterwards: 7\n");
}

#[test]
fn faults_and_signals_without_end_are_handled() {
    needs_partitions!();
    let place = Place::new();
    let count = if is_slow() { "1000" } else { "20000" };
    let output = place.septum("under_load").arguments(["faults", count]).output();
    output.expect_code(0).expect_stdout(&format!("{count} faults\n"));
    let count = if is_slow() { "200" } else { "5000" };
    let output = place.septum("under_load").arguments(["signals", count]).output();
    output.expect_code(0).expect_stdout("ok they arrived\nwent on\n");
}

#[test]
fn many_threads_map_and_unmap_in_little_memory() {
    needs_partitions!();
    let place = Place::new();
    let count = if is_slow() { "30" } else { "300" };
    let output = place.septum("under_load").arguments(["mapping", count]).option("--memory", "48M").output();
    output.expect_code(0).expect_stdout("all came through\n");
}

#[test]
fn memory_changes_below_those_who_use_it() {
    needs_partitions!();
    let place = Place::new();
    let count = if is_slow() { "50" } else { "2000" };
    let output = place.septum("under_load").arguments(["races", count]).output();
    output.expect_code(0).expect_stdout("went on\n");
}

#[test]
fn more_processors_than_the_host_has_are_refused_with_their_number() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("hello").option("--cpus", "4096").output();
    let host = std::thread::available_parallelism().expect("a number").to_string();
    output.expect_stderr("4096").expect_stderr(&host).expect_stderr("--cpus");
    assert!(output.code() != 0 && output.stdout.is_empty());
}

#[test]
fn a_panic_of_the_kernel_is_told_with_all_that_is_known() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("hello").flag("--debug-panic").output();
    output.expect_code(exit::PANIC).expect_stderr("panic").expect_stderr("rip").expect_stderr("backtrace");
    assert!(output.duration < Duration::from_secs(20), "{:?}", output.duration);
    assert!(output.stdout.is_empty(), "{}", output.stdout_text());
    // Functions have names, not only addresses.
    assert!(output.stderr_text().contains("septum_guest"), "{}", output.stderr_text());
}

#[test]
fn more_threads_than_processors_get_the_time_of_those_processors() {
    needs_partitions!();
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        eprintln!("SKIPPED more_threads_than_processors_get_the_time_of_those_processors: one processor");
        return;
    }
    let place = Place::new();
    let program = place.guest("busy", Link::Static);
    let run = |cpus: &str, stats: &str| {
        // The shell's `times` counts what its children used, the worker included.
        let output = septum_tests::Invocation::new("/bin/sh")
            .arguments(["-c", "\"$@\"; times", "sh"])
            .argument(septum_tests::lane::septum_binary())
            .arguments(["run", "--cpus", cpus, "--json-stats"])
            .argument(place.join(stats))
            .argument("--")
            .argument(&program)
            .arguments(["3", "1500"])
            .run();
        output.expect_code(0);
        let times = output.stdout_text();
        let of_children = times.lines().last().unwrap_or_default().to_owned();
        let used_s: f64 = of_children.split_whitespace().map(seconds).sum();
        let stats = std::fs::read_to_string(place.join(stats)).expect("statistics");
        (used_s, output.duration.as_secs_f64(), stats)
    };
    let (used_s, took_s, stats) = run("1", "one.json");
    assert!(used_s < took_s * 1.25 + 0.2, "{used_s} s of processor time in {took_s} s with one processor");
    assert!(
        ["cgroup-v1", "cgroup-v2", "affinity"]
            .iter()
            .any(|how| stats.contains(&format!("\"kept_by\": \"{how}\""))),
        "{stats}"
    );
    let (_, _, stats) = run("2", "two.json");
    if std::thread::available_parallelism().map_or(1, usize::from) == 2 {
        assert!(!stats.contains("kept_by"), "{stats}");
    }
}

/// `1m2.50s`, as the shell prints it.
fn seconds(text: &str) -> f64 {
    let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap_or(("0", "0"));
    minutes.parse::<f64>().unwrap_or(0.0) * 60.0 + seconds.parse::<f64>().unwrap_or(0.0)
}
