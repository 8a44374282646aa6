//! `cargo xtask order`: which functions of the guest kernel usual programs need, in the order in which they first do.
//!
//! The kernel's image is mapped a page at a time, and each page that a partition touches is a fault of the host's. A start needs 150 KB of the 1,400 of
//! its code, spread over nearly all of its pages unless the linker puts them beside each other. It does so by `guest-kernel/image/order.txt`, which
//! this command writes: QEMU says of which code it made a translation while programs run in partitions of the nested lane, and the symbols say
//! what that is. A function that is not on the list, or no longer there, costs nothing but its place.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::workspace::{Profile, Workspace};
use crate::{nested, process, setup};

/// The list, as the kernel's build reads it.
const LIST: &str = "guest-kernel/image/order.txt";
/// Where the kernel's code is (`guest-kernel/image/link.ld`), and no other kernel's.
const CODE: &str = "0xffffffff80100000..0xffffffff802fffff";
/// What runs in partitions, the most usual first.
const PROGRAMS: &[&str] = &[
    "\"$SEPTUM_HELLO\"",
    "\"$SEPTUM_HELLO\"-dynamic",
    "sh -c 'ls -l / | sort > /tmp/list; cat /tmp/list | wc -l; test -s /tmp/list'",
    "awk '{ sum += NF } END { print sum }' README.md",
    "python3 -c 'import json, threading, subprocess; print(json.dumps({}))'",
];

/// Writes the list.
pub fn run(workspace: &Workspace) -> Result<()> {
    setup::base(workspace)?;
    setup::nested_lane()?;
    let septum = workspace.build_septum(Profile::Release)?;
    let hello = workspace.target().join("guests/order-hello");
    for (suffix, flags) in [("", &["-static"][..]), ("-dynamic", &[])] {
        let mut gcc = Command::new("gcc");
        gcc.args(flags).arg("-o").arg(format!("{}{suffix}", hello.display()));
        process::run(gcc.arg(workspace.root().join("tests/guests/hello.c")))?;
    }
    let log = workspace.target().join("nested/code.log");
    let emulator = [
        "-d".to_owned(),
        "in_asm".into(),
        "-D".into(),
        log.display().to_string(),
        "-dfilter".into(),
        CODE.into(),
    ];
    let emulator: Vec<String> = emulator.iter().map(|argument| format!("--emulator={argument}")).collect();
    let mut command = nested::command(&emulator.iter().map(String::as_str).collect::<Vec<_>>())?;
    let run = |program: &&str| format!("\"$SEPTUM\" run -- {program} >/dev/null\n");
    command.args(["sh", "-e", "-c"]).arg(PROGRAMS.iter().map(run).collect::<String>());
    process::run(command.env("SEPTUM", septum).env("SEPTUM_HELLO", &hello))?;

    let functions = functions(&kernel(workspace)?)?;
    let names = names(&log, &functions)?;
    ensure!(!names.is_empty(), "no code of the guest kernel is in {}", log.display());
    let text = format!(
        "# Functions of the guest kernel, in the order in which usual programs need them; written by `cargo xtask order`.\n{}\n",
        names.join("\n")
    );
    fs::write(workspace.root().join(LIST), text).with_context(|| format!("cannot write {LIST}"))?;
    println!("{} of {} functions are in {LIST}", names.len(), functions.len());
    let _ = fs::remove_file(log);
    Ok(())
}

/// The kernel that was built last.
fn kernel(workspace: &Workspace) -> Result<PathBuf> {
    let builds = fs::read_dir(workspace.target().join("release/build"))?.filter_map(Result::ok);
    let kernels =
        builds.map(|build| build.path().join("out/guest/x86_64-unknown-none/guest/septum-guest-image"));
    let built = |path: &PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    kernels.filter(|path| path.exists()).max_by_key(built).context("no guest kernel was built")
}

/// Its functions by address, in this order.
fn functions(kernel: &Path) -> Result<Vec<(u64, String)>> {
    let output = Command::new("nm").args(["--defined-only", "--numeric-sort"]).arg(kernel).output();
    let output = output.context("cannot run nm")?;
    ensure!(output.status.success(), "nm: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let symbols = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
        let address = u64::from_str_radix(address, 16).ok()?;
        kind.eq_ignore_ascii_case("t").then(|| (address, name.to_owned()))
    });
    Ok(patterns(symbols.collect()))
}

/// The functions with patterns for names. One that many have (`call_once`, `drop_in_place`) stays what it is in this build: there is no telling them apart.
fn patterns(functions: Vec<(u64, String)>) -> Vec<(u64, String)> {
    let mut counts = HashMap::<String, u32>::new();
    for (_, name) in &functions {
        *counts.entry(lasting(name)).or_default() += 1;
    }
    let pattern = |name: String| {
        let lasting = lasting(&name);
        if counts.get(&lasting).is_some_and(|count| *count > 1) { name } else { lasting }
    };
    functions.into_iter().map(|(address, name)| (address, pattern(name))).collect()
}

/// A name as a pattern without what changes from one compiler, or one build, to the next.
fn lasting(name: &str) -> String {
    if let Some((path, _)) = name.rsplit_once("17h").filter(|_| name.starts_with("_ZN")) {
        return format!("{path}17h*");
    }
    if !name.starts_with("_R") {
        return name.to_owned();
    }
    // The other mangling says for each crate which one of this name it is: CsHASH_.
    let mut pattern = String::new();
    let mut rest = name.split('.').next().unwrap_or(name);
    while let Some((before, after)) = rest.split_once("Cs") {
        let Some((_, behind)) = after.split_once('_') else { break };
        pattern += before;
        pattern += "Cs*_";
        rest = behind;
    }
    pattern + rest + "*"
}

/// The functions of which the log has code, each once, in the log's order.
fn names(log: &Path, functions: &[(u64, String)]) -> Result<Vec<String>> {
    let log = fs::File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
    let (mut seen, mut names) = (HashSet::new(), Vec::new());
    for line in BufReader::new(log).split(b'\n') {
        let line = line?;
        let Some(address) = address_of(&String::from_utf8_lossy(&line)) else { continue };
        let after = functions.partition_point(|(start, _)| *start <= address);
        let Some((_, name)) = after.checked_sub(1).and_then(|at| functions.get(at)) else { continue };
        if seen.insert(name.clone()) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// Of a line such as `0xffffffff80100000:  f3 0f 1e fa  endbr64`.
fn address_of(line: &str) -> Option<u64> {
    let (address, _) = line.strip_prefix("0x")?.split_once(':')?;
    u64::from_str_radix(address, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_last_from_one_build_to_the_next() {
        assert_eq!(lasting("_ZN4core3fmt5write17h0123456789abcdefE"), "_ZN4core3fmt5write17h*");
        assert_eq!(lasting("_ZN4core3fmt5write17h0123456789abcdefE.llvm.123"), "_ZN4core3fmt5write17h*");
        assert_eq!(
            lasting("_RNvXsZ_NtCsfySoobUK4LL_5alloc6stringNtNtCsg3SjgaGcPXb_4core3fmt.305"),
            "_RNvXsZ_NtCs*_5alloc6stringNtNtCs*_4core3fmt*"
        );
        assert_eq!(lasting("septum_syscall_entry"), "septum_syscall_entry");
    }

    #[test]
    fn a_name_that_two_have_stays_whole() {
        let functions = [(1, "_ZN1a17h01E"), (2, "_ZN1b17h02E"), (3, "_ZN1b17h03E")];
        let patterns = patterns(functions.map(|(address, name)| (address, name.to_owned())).to_vec());
        assert_eq!(
            patterns.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(),
            ["_ZN1a17h*", "_ZN1b17h02E", "_ZN1b17h03E"]
        );
    }

    #[test]
    fn the_log_tells_functions_in_order_and_once() {
        let folder = std::env::temp_dir().join(format!("septum-order-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let log = folder.join("log");
        fs::write(&log, "----\nIN: \n0x30:  90  nop\n0x34:  c3  ret\n\n0x10:  c3  ret\n0x38: 90 nop\n")
            .unwrap();
        let functions = [(0x10, "a".to_owned()), (0x20, "b".to_owned()), (0x30, "c".to_owned())];
        assert_eq!(names(&log, &functions).unwrap(), ["c", "a"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
