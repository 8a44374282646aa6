//! Standard input, output and error of the program are the caller's: every byte, separately, and closed when closed.

use std::fs;

use septum_tests::{Input, Place, Sink, Status, needs_partitions};

fn every_byte(count: usize) -> Vec<u8> {
    (0..=255).cycle().take(count).collect()
}

#[test]
fn the_three_streams_are_separate_and_binary() {
    needs_partitions!();
    let place = Place::new();
    let bytes = every_byte(100_000);
    let output = place.septum("echo_input").stdin(Input::Bytes(bytes.clone())).output();
    output.expect_code(0).expect_stderr("100000 bytes");
    assert!(output.stdout == bytes, "the bytes are not the same");
}

#[test]
fn files_of_the_caller_are_read_and_written_in_place() {
    needs_partitions!();
    let place = Place::new();
    let bytes = every_byte(300_000);
    let from = place.file("from", &bytes);
    let to = place.join("to");
    place
        .septum("echo_input")
        .stdin(Input::File(from))
        .stdout(Sink::File(to.clone()))
        .output()
        .expect_code(0);
    assert!(fs::read(to).expect("the output is there") == bytes);
}

#[test]
fn an_input_that_nobody_reads_does_not_hold_the_program() {
    needs_partitions!();
    let place = Place::new();
    place.septum("hello").stdin(Input::Held).output().expect_code(0).expect_stdout("hello from a program\n");
    let large = Input::Bytes(every_byte(8_000_000));
    place.septum("hello").stdin(large).output().expect_code(0).expect_stdout("hello from a program\n");
}

#[test]
fn input_arrives_when_it_is_given_and_ends_when_it_is_closed() {
    needs_partitions!();
    let place = Place::new();
    let mut running = place.septum("echo_input").stdin(Input::Held).spawn();
    for line in ["first\n", "second\n", "third\n"] {
        running.write(line.as_bytes());
        running.wait_for_stdout(line);
    }
    running.close_stdin();
    running.wait().expect_code(0).expect_stdout("first\nsecond\nthird\n").expect_stderr("19 bytes");
}

#[test]
fn output_arrives_before_the_program_ends() {
    needs_partitions!();
    let place = Place::new();
    let mut running = place.septum("waits").argument("read").stdin(Input::Held).spawn();
    running.wait_for_stdout("ready\n");
    assert!(!running.has_ended());
    running.close_stdin();
    running.wait().expect_code(0);
}

#[test]
fn without_input_a_program_is_told_so() {
    needs_partitions!();
    let place = Place::new();
    place.septum("closed_streams").argument("input").stdin(Input::Closed).output().expect_code(9);
    place.septum("closed_streams").argument("output").stdout(Sink::Closed).output().expect_code(9);
    place.septum("closed_streams").argument("error").stderr(Sink::Closed).output().expect_code(9);
}

#[test]
fn an_output_that_is_closed_early_ends_the_program_by_a_signal() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("endless").stdout(Sink::CloseAfter(10_000)).output();
    assert_eq!(output.code(), 141, "stderr: {}", output.stderr_text());
    assert_eq!(output.stdout.len(), 10_000);
    let native = place.native("endless").stdout(Sink::CloseAfter(10_000)).run();
    assert!(native.stdout == output.stdout, "the first bytes are not the same");
}

#[test]
fn a_program_that_ignores_the_signal_gets_the_error() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("endless").argument("ignore").stdout(Sink::CloseAfter(10_000)).output();
    output.expect_code(9).expect_stderr("write: EPIPE");
}

#[test]
fn a_full_disk_is_an_error_of_the_write() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("endless").stdout(Sink::File("/dev/full".into())).output();
    output.expect_code(9).expect_stderr("write: ENOSPC");
}

#[test]
fn much_output_is_complete() {
    needs_partitions!();
    let place = Place::new();
    let native = place.native("large_output").argument("8388608").run();
    let output = place.septum("large_output").argument("8388608").output();
    output.expect_code(0);
    assert!(output.stdout == native.stdout, "{} bytes came", output.stdout.len());
}

#[test]
fn much_output_of_a_small_partition_is_complete() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("large_output").option("--memory", "64M").argument("20000000").output();
    output.expect_code(0);
    assert_eq!(output.stdout.len(), 20_000_000);
}

#[test]
fn what_was_written_before_a_death_is_not_lost() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("deaths").argument("null-read").output();
    assert_eq!(output.status, Status::Exited(139));
    output.expect_stdout("last words\n");
}
