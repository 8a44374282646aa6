//! `--block`: a file of the host as a disk, used by programs that know disks.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use septum_tests::{Input, Invocation, Output, Place, Septum, exit, family, lane, needs_partitions};

const MIB: u64 = 1 << 20;

/// A disk of zeros.
fn disk(place: &Place, name: &str, bytes: u64) -> PathBuf {
    let path = place.file(name, "");
    fs::OpenOptions::new().write(true).open(&path).expect("opens").set_len(bytes).expect("grows");
    path
}

/// Runs a script of the shell with disks.
fn shell(place: &Place, disks: &[&str], script: &str) -> Output {
    let run = place.septum_tool("sh").env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    let run = disks.iter().fold(run, |run, disk| run.option("--block", disk));
    run.arguments(["-c", script]).output()
}

#[test]
fn a_disk_does_what_disks_do() {
    needs_partitions!();
    let place = Place::new();
    let image = disk(&place, "image", 64 * MIB);
    let output = place.septum("disk").option("--block", &image).output();
    output.expect_code(0);
    assert!(!output.stdout_text().contains("FAIL"), "{}", output.stdout_text());
}

#[test]
fn a_program_has_many_transfers_under_way() {
    needs_partitions!();
    let place = Place::new();
    let image = disk(&place, "image", MIB);
    let output =
        place.septum("asynchronous").option("--block", &image).option("--env", "SEPTUM_DISK=1").output();
    output.expect_code(0);
    let text = output.stdout_text();
    assert!(text.contains("ok disk: the end of a process") && !text.contains("FAIL"), "{text}");
}

#[test]
fn a_file_system_is_made_filled_and_checked() {
    needs_partitions!();
    if !PathBuf::from("/sbin/mkfs.ext4").exists() {
        return lane::skip("there is no mkfs.ext4 (package e2fsprogs)");
    }
    let place = Place::new();
    disk(&place, "disk", 16 * MIB);
    place.file("letter", "from the host\n");
    let script = "mkfs.ext4 -q /dev/vda && debugfs -w -R 'write letter letter' /dev/vda 2>/dev/null \
                  && e2fsck -f -n /dev/vda >/dev/null 2>&1 && debugfs -R 'cat letter' /dev/vda 2>/dev/null";
    let output = shell(&place, &["disk"], script);
    output.expect_code(0);
    assert!(output.stdout_text().ends_with("from the host\n"), "{}", output.stdout_text());
    // What the partition left is whole for the host, too.
    let check = Invocation::new("/sbin/e2fsck").directory(place.path());
    check.arguments(["-f", "-n", "disk"]).run().expect_code(0);
}

#[test]
fn several_disks_have_names_in_their_order() {
    needs_partitions!();
    let place = Place::new();
    for (name, letter) in [("one", b'1'), ("two", b'2')] {
        place.file(name, [letter; 1024]);
    }
    let script = "head -c 1 /dev/vda; head -c 1 /dev/vdb; echo; ls /dev/vd*; grep -c vd /proc/partitions";
    shell(&place, &["two:ro", "one:ro"], script).expect_code(0).expect_stdout("21\n/dev/vda\n/dev/vdb\n2\n");
}

#[test]
fn disks_are_in_sys() {
    needs_partitions!();
    let place = Place::new();
    let disks = [disk(&place, "one", 3 << 20), disk(&place, "two", 1 << 20)];
    let [one, two] = disks.each_ref().map(|path| path.display().to_string());
    let script = "cd /sys; ls block class/block devices/virtual/block dev/block; cat block/vda/dev class/block/vdb/size\n\
                  cat block/vda/ro block/vdb/ro block/vda/queue/logical_block_size; cat dev/block/254:16/uevent\n\
                  readlink -f block/vda dev/block/254:16 class/block/vdb/subsystem; readlink block/vda\n\
                  cat block/vdc/dev 2> /dev/null || echo none\n\
                  lsblk -bnro NAME,SIZE,RO,TYPE,LOG-SEC,ROTA,MAJ:MIN; lsblk -bnro NAME,SIZE /dev/vdb";
    let output = shell(&place, &[&one, &format!("{two}:ro")], script);
    output.expect_code(0).expect_stdout(
        "block:\nvda\nvdb\n\nclass/block:\nvda\nvdb\n\ndev/block:\n254:0\n254:16\n\ndevices/virtual/block:\nvda\nvdb\n\
         254:0\n2048\n0\n1\n512\nMAJOR=254\nMINOR=16\nDEVNAME=vdb\nDEVTYPE=disk\n\
         /sys/devices/virtual/block/vda\n/sys/devices/virtual/block/vdb\n/sys/class/block\n../devices/virtual/block/vda\n\
         none\nvda 3145728 0 disk 512 0 254:0\nvdb 1048576 1 disk 512 0 254:16\nvdb 1048576\n",
    );
}

#[test]
fn a_read_only_disk_cannot_be_written() {
    needs_partitions!();
    let place = Place::new();
    place.file("disk", [b'x'; 4096]);
    let script = "head -c 4 /dev/vda; echo; (echo y > /dev/vda) 2>/dev/null && echo written || echo refused";
    shell(&place, &["disk:ro"], script).expect_code(0).expect_stdout("xxxx\nrefused\n");
    assert_eq!(fs::read(place.join("disk")).expect("is there"), [b'x'; 4096]);
}

#[test]
fn a_disk_that_is_written_belongs_to_one_partition() {
    needs_partitions!();
    let place = Place::new();
    let image = disk(&place, "disk", MIB);
    let first = place.septum_tool("sh").option("--block", &image);
    let mut first = first.arguments(["-c", "echo ready; read line"]).stdin(Input::Held).spawn();
    first.wait_for_stdout("ready");
    shell(&place, &["disk"], "true").expect_code(exit::PATH).expect_stderr("another partition");
    shell(&place, &["disk:ro"], "true").expect_code(exit::PATH).expect_stderr("another partition");
    first.write(b"\n");
    first.wait().expect_code(0);
    shell(&place, &["disk"], "true").expect_code(0);
}

#[test]
fn a_file_that_becomes_shorter_is_an_input_output_error() {
    needs_partitions!();
    let place = Place::new();
    let image = disk(&place, "disk", MIB);
    let run = place.septum_tool("sh").option("--block", &image);
    let script = "echo ready; read line; dd if=/dev/vda of=/dev/null bs=4096 skip=100 count=1 2>&1";
    let mut run = run.arguments(["-c", script]).stdin(Input::Held).spawn();
    run.wait_for_stdout("ready");
    fs::OpenOptions::new().write(true).open(&image).expect("opens").set_len(4096).expect("shrinks");
    run.write(b"\n");
    let output = run.wait();
    output.expect_code(1);
    assert!(output.stdout_text().contains("Input/output error"), "{}", output.stdout_text());
}

#[test]
fn what_is_no_disk_is_refused() {
    needs_partitions!();
    let place = Place::new();
    place.directory("folder");
    place.file("short", "x");
    for (disk, why) in [
        ("folder", "neither a regular file nor a block device"),
        ("/dev/null", "neither a regular file nor a block device"),
        ("short", "shorter than a sector"),
        ("absent", "no such file"),
    ] {
        shell(&place, &[disk], "true").expect_code(exit::PATH).expect_stderr(disk).expect_stderr(why);
    }
    let many = Septum::run("true").directory(place.path());
    let many = (0..17).fold(many, |run, _| run.option("--block", "short:ro"));
    many.output().expect_code(exit::USAGE).expect_stderr("the most is 16");
}

#[test]
fn what_was_written_before_a_sync_survives_a_killed_worker() {
    const ROUNDS: u64 = 50;
    needs_partitions!();
    let place = Place::new();
    let image = disk(&place, "disk", MIB);
    let data = place.directory("data");
    // Each line that it prints was on the disk, and in the file, before.
    let script = "i=$0; while :; do i=$((i+1)); printf '%08d' $i > piece; \
                  dd if=piece of=/dev/vda bs=512 seek=1 conv=fsync,notrunc,sync 2>/dev/null; \
                  dd if=piece of=/data/number conv=fsync,notrunc 2>/dev/null; echo $i; done";
    let mut last = 0_u64;
    for _ in 0..ROUNDS {
        let run = place
            .septum_tool("sh")
            .option("--block", &image)
            .volume(&data, "/data")
            .option("--workdir", "/tmp");
        let run = run.arguments(["-c", script, &last.to_string()]).spawn();
        run.wait_for_stdout(&format!("{}\n", last + 2));
        assert!(family::kill_descendants(run.pid()) > 0, "there is a worker");
        let output = run.wait();
        let told = output.stdout_text().lines().last().and_then(|line| line.parse().ok()).unwrap_or(last);
        let mut bytes = [0; 8];
        fs::File::open(&image).and_then(|file| file.read_exact_at(&mut bytes, 512)).expect("is there");
        for text in [
            String::from_utf8_lossy(&bytes).into_owned(),
            fs::read_to_string(data.join("number")).expect("is there"),
        ] {
            let number: u64 = text.parse().expect("a number");
            assert!((told..=told + 1).contains(&number), "{number} is there, {told} was told");
        }
        last = told + 1;
    }
}
