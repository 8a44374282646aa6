//! `--json-stats FILE`: what is measured of a partition, as a document.

use std::fs;

use septum_tests::{Place, Septum, exit, needs_partitions};
use serde_json::Value;

fn statistics(run: Septum, place: &Place, code: i32) -> Value {
    let path = place.join("statistics.json");
    let _ = fs::remove_file(&path);
    run.option("--json-stats", &path).output().expect_code(code);
    let text = fs::read_to_string(&path).expect("the statistics were written");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn number(document: &Value, path: &str) -> u64 {
    let value = document.pointer(path).unwrap_or_else(|| panic!("no {path} in {document:#}"));
    value.as_u64().unwrap_or_else(|| panic!("{path} is {value}"))
}

#[test]
fn a_run_is_measured() {
    needs_partitions!();
    let place = Place::new();
    let run = place.septum("hello").option("--memory", "128M").option("--name", "measured");
    let document = statistics(run, &place, 0);
    assert_eq!(number(&document, "/version"), 1);
    assert_eq!(document["name"], "measured");
    assert_eq!(document["end"]["kind"], "exited");
    assert_eq!(number(&document, "/end/status"), 0);
    let stages =
        ["worker_start", "machine_ready", "first_guest_instruction", "first_user_instruction", "exit"];
    let times: Vec<u64> =
        stages.iter().map(|stage| number(&document, &format!("/timings_us/{stage}"))).collect();
    assert!(times.is_sorted(), "{stages:?}: {times:?}");
    assert!(times[0] > 0, "{times:?}");
    assert!(number(&document, "/syscalls/write") >= 1, "{document:#}");
    assert!(number(&document, "/syscalls/exit_group") == 1, "{document:#}");
    // A fault is a millisecond where ring 0 is emulated. This program takes 12 or 13 with the C libraries that were tried.
    assert!((1..=18).contains(&number(&document, "/page_faults")), "{document:#}");
    assert_eq!(number(&document, "/memory/guest_limit_bytes"), 128 << 20);
    let peak = number(&document, "/memory/guest_peak_bytes");
    assert!(peak > 4096 && peak < 128 << 20, "{peak}");
    assert!(number(&document, "/memory/kernel_bytes") > 0);
    assert!(number(&document, "/memory/worker_pss_bytes") > 0);
    let exits = document["exits"].as_object().expect("exits by reason");
    assert!(exits.values().filter_map(Value::as_u64).sum::<u64>() > 0, "{document:#}");
    assert_eq!((number(&document, "/threads/peak"), number(&document, "/threads/refused")), (1, 0));
    assert!((1..=256).contains(&number(&document, "/threads/limit")), "{document:#}");
    assert!(document["privilege"].as_str().is_some_and(|mode| !mode.is_empty()), "{document:#}");
}

#[test]
fn missing_calls_are_counted_by_name() {
    needs_partitions!();
    let place = Place::new();
    let document = statistics(place.septum("unknown_calls"), &place, 0);
    let missing = document["syscalls_missing"].as_object().expect("an object");
    let of_600: u64 =
        missing.iter().filter(|(name, _)| name.contains("600")).filter_map(|(_, n)| n.as_u64()).sum();
    assert_eq!(of_600, 2, "{document:#}");
}

#[test]
fn every_end_is_named() {
    needs_partitions!();
    let place = Place::new();
    let document = statistics(place.septum("exit_status").argument("42"), &place, 42);
    assert_eq!((&document["end"]["kind"], number(&document, "/end/status")), (&Value::from("exited"), 42));
    let document = statistics(place.septum("deaths").argument("null-read"), &place, 139);
    assert_eq!((&document["end"]["kind"], number(&document, "/end/signal")), (&Value::from("signaled"), 11));
    let document = statistics(place.septum("waits").option("--timeout", "300ms"), &place, exit::TIMEOUT);
    assert_eq!((&document["end"]["kind"], number(&document, "/end/status")), (&Value::from("timeout"), 246));
    let document = statistics(place.septum_tool("./absent"), &place, exit::PROGRAM);
    assert_eq!(document["end"]["kind"], "program");
    assert!(document["end"]["message"].as_str().is_some_and(|text| text.contains("absent")), "{document:#}");
}

#[test]
fn statistics_that_cannot_be_written_are_an_error() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("hello").option("--json-stats", place.join("absent/statistics.json")).output();
    output.expect_code(exit::PATH).expect_stderr("statistics.json");
}
