//! Memory that is too small, memory that runs out, and a kernel that gives up: told, never a hang.

use std::time::Duration;

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
