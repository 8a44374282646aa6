//! `--kernel`: a Linux guest, Debian's cloud kernel with a shell in its initial RAM disk.
//!
//! It boots where ring 0 is real: in the nested lane, where a boot takes seconds. Elsewhere KVM may emulate ring 0, and refuses it.

use std::fs;
use std::path::PathBuf;

use septum_tests::lane::Lane;
use septum_tests::{Input, Place, Septum, exit, lane, needs_partitions};
use serde_json::Value;

/// The kernel and the RAM disk that the lane has.
fn guest() -> Result<(PathBuf, PathBuf), String> {
    if lane::Lane::current() != Lane::Nested {
        return Err("a Linux guest needs a real ring 0, which the nested lane has".to_owned());
    }
    let path = |name| std::env::var_os(name).map(PathBuf::from).ok_or(format!("{name} is not set"));
    Ok((path("SEPTUM_LINUX_KERNEL")?, path("SEPTUM_LINUX_INITRD")?))
}

macro_rules! guest {
    () => {{
        needs_partitions!();
        match guest() {
            Ok(guest) => guest,
            Err(reason) => return lane::skip(&reason),
        }
    }};
}

#[test]
fn a_shell_sees_its_disk_and_processors_and_turns_the_machine_off() {
    let (kernel, initrd) = guest!();
    let place = Place::new();
    let disk = place.join("disk");
    let mut contents = b"hello from the disk\n".to_vec();
    contents.resize(1 << 20, 0);
    fs::write(&disk, contents).expect("a disk");
    let statistics = place.join("statistics.json");
    let mut running = Septum::raw(["run", "--memory", "256M", "--cpus", "2", "--timeout", "90s"])
        .arguments(["--cmdline", "console=ttyS0 quiet panic=-1", "--kernel"])
        .argument(&kernel)
        .argument("--initrd")
        .argument(&initrd)
        .argument("--json-stats")
        .argument(&statistics)
        .argument("--block")
        .argument(&disk)
        .stdin(Input::Held)
        .spawn();
    running.wait_for_stdout("guest# ");
    running.write(b"echo \"cpus $(nproc)\"; head -n 1 /dev/vda; echo written >/dev/vda; sync\n");
    running.wait_for_stdout("hello from the disk");
    running.write(b"exit\n");
    let output = running.wait();
    output.expect_code(0);
    let text = output.stdout_text();
    assert!(text.contains("cpus 2"), "{text}");
    assert!(fs::read(&disk).expect("the disk").starts_with(b"written\n"));
    let document: Value =
        serde_json::from_str(&fs::read_to_string(&statistics).expect("statistics")).expect("a document");
    assert!(document.pointer("/exits/serial").and_then(Value::as_u64).is_some_and(|count| count > 100));
}

#[test]
fn a_panic_is_told_from_the_end() {
    let (kernel, _) = guest!();
    // Without a RAM disk there is no root, which is a panic.
    let output = Septum::raw(["run", "--memory", "256M", "--timeout", "90s"])
        .arguments(["--cmdline", "console=ttyS0 quiet panic=-1", "--kernel"])
        .argument(&kernel)
        .run();
    output.expect_code(251);
    let (said, told) = (output.stdout_text(), output.stderr_text());
    assert!(said.contains("Kernel panic"), "{said}");
    assert!(told.contains("the guest restarted") && told.contains("hint: "), "{told}");
}

#[test]
fn what_is_no_kernel_and_what_does_not_fit_is_said() {
    let (kernel, initrd) = guest!();
    let place = Place::new();
    let cut = place.join("cut");
    let whole = fs::read(&kernel).expect("the kernel");
    fs::write(&cut, &whole[..whole.len() / 2]).expect("half a kernel");
    let refused = |words: &[&str], code: i32, part: &str| {
        let output = Septum::raw(["run"]).arguments(words).run();
        output.expect_code(code);
        let told = output.stderr_text();
        assert!(told.contains(part) && told.contains("hint: "), "{words:?}: {told}");
    };
    let [kernel, initrd, cut] = [&kernel, &initrd, &cut].map(|path| path.to_str().expect("a path"));
    refused(&["--kernel", initrd], exit::PROGRAM, "neither a bzImage nor an ELF file");
    refused(&["--kernel", cut], exit::PROGRAM, "it is cut off");
    refused(&["--kernel", "/nowhere"], exit::PROGRAM, "no such file");
    refused(&["--kernel", "/tmp"], exit::PROGRAM, "no regular file");
    refused(&["--kernel", kernel, "--initrd", "/nowhere"], exit::PATH, "no such file");
    refused(&["--kernel", kernel, "--initrd", initrd, "--memory", "48M"], exit::MEMORY, "alone take");
    let long = "x".repeat(5000);
    refused(&["--kernel", kernel, "--cmdline", &long], exit::USAGE, "5000 bytes");
}

#[test]
fn options_for_programs_are_refused_by_name() {
    for (option, value) in [("--volume", ".:/a"), ("--privilege", "ring0"), ("--publish", "8080:80")] {
        let output = Septum::raw(["run", "--kernel", "vmlinuz", option, value]).run();
        output.expect_code(exit::USAGE);
        assert!(output.stderr_text().contains("with --kernel"), "{}", output.stderr_text());
    }
}

#[test]
fn a_host_that_emulates_ring_0_says_so() {
    needs_partitions!();
    let has_single = Septum::raw(["run", "--privilege", "single", "--", "/bin/true"]).run().code() == 0;
    if !has_single {
        return lane::skip("this host has a real ring 0");
    }
    let output = Septum::raw(["run", "--kernel"]).argument(lane::septum_binary()).run();
    output.expect_code(exit::HOST);
    assert!(output.stderr_text().contains("emulates ring 0"), "{}", output.stderr_text());
}
