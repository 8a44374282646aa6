//! Programs that cannot start, and hosts that cannot run partitions: a clear message, the right status, no hang.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use septum_tests::{
    Guest, Invocation, Link, Output, Place, Septum, Status, elf, exit, lane, needs_partitions,
};

/// The program was refused: its name, and one of these words, are in the message.
#[track_caller]
fn expect_refused(output: &Output, name: &str, reasons: &[&str]) {
    output.expect_code(exit::PROGRAM).expect_stderr("septum: ").expect_stderr(name);
    let text = output.stderr_text().to_lowercase();
    assert!(reasons.iter().any(|reason| text.contains(reason)), "none of {reasons:?} is in: {text}");
    assert!(output.stdout.is_empty(), "{}", output.stdout_text());
    assert!(output.duration < Duration::from_secs(20), "{:?}", output.duration);
}

fn hello(link: Link) -> Vec<u8> {
    fs::read(Guest::named("hello").executable(link)).expect("a compiled program")
}

mod programs {
    use super::{Link, Path, Place, Septum, elf, expect_refused, fs, hello, needs_partitions};

    #[test]
    fn that_are_not_there() {
        needs_partitions!();
        let place = Place::new();
        std::os::unix::fs::symlink("nowhere", place.join("dangling")).expect("a link");
        for name in ["no-such-program", "./absent", "/no/such/file", "./dangling"] {
            let output = place.septum_tool(name).output();
            expect_refused(&output, name.trim_start_matches("./"), &["not found", "no such", "there is no"]);
            let text = output.stderr_text();
            assert!(!text.contains("interpreter"), "what is not there has no interpreter: {text}");
        }
    }

    #[test]
    fn that_must_not_run() {
        needs_partitions!();
        let place = Place::new();
        place.file("plain", hello(Link::Static));
        expect_refused(&place.septum_tool("./plain").output(), "plain", &["not executable", "permission"]);
        place.directory("folder");
        expect_refused(
            &place.septum_tool("./folder").output(),
            "folder",
            &["directory", "permission", "not executable"],
        );
    }

    #[test]
    fn that_are_no_programs() {
        needs_partitions!();
        let place = Place::new();
        let reasons = [
            "not a program",
            "names no interpreter",
            "neither",
            "truncated",
            "not an elf",
            "exec format",
            "executable",
            "format",
            "empty",
        ];
        for (name, content) in [
            ("empty", &b""[..]),
            ("text", b"this is no program\n"),
            ("magic", b"\x7fELF"),
            ("zeroes", &[0; 5000]),
            ("shebang", b"#!"),
            ("blank-shebang", b"#!   \nhello\n"),
        ] {
            place.executable(name, content);
            expect_refused(
                &Septum::run(Path::new("./").join(name)).directory(place.path()).output(),
                name,
                &reasons,
            );
        }
    }

    #[test]
    fn of_another_machine() {
        needs_partitions!();
        let place = Place::new();
        place.executable("foreign", elf::for_another_machine(&hello(Link::Static)));
        let output = place.septum_tool("./foreign").output();
        expect_refused(&output, "foreign", &["aarch64", "arm64", "architecture", "x86"]);
        place.executable("narrow", elf::of_32_bits(&hello(Link::Static)));
        let output = place.septum_tool("./narrow").output();
        expect_refused(&output, "narrow", &["32", "architecture", "class", "format"]);
    }

    #[test]
    fn that_are_cut_off() {
        needs_partitions!();
        let place = Place::new();
        for link in [Link::Static, Link::Dynamic] {
            place.executable("in-the-header", elf::cut_in_the_header(&hello(link)));
            place.executable("in-a-segment", elf::cut_in_a_segment(&hello(link)));
            place.executable("absurd", elf::with_absurd_header_count(&hello(link)));
            let reasons = [
                "truncated",
                "damaged",
                "broken",
                "format",
                "malformed",
                "invalid",
                "cannot be loaded",
                "cut",
                "short",
                "beyond",
                "ends",
            ];
            for name in ["in-the-header", "in-a-segment", "absurd"] {
                let output = Septum::run(Path::new("./").join(name)).directory(place.path()).output();
                expect_refused(&output, name, &reasons);
            }
        }
    }

    #[test]
    fn whose_interpreter_is_missing() {
        needs_partitions!();
        let place = Place::new();
        place.executable("orphan", elf::with_missing_interpreter(&hello(Link::Dynamic)));
        let output = place.septum_tool("./orphan").output();
        expect_refused(&output, "orphan", &["interpreter"]);
        output.expect_stderr(&elf::missing_interpreter());
        place.executable("script", "#!/no/such/interpreter -x\necho hello\n");
        let output = place.septum_tool("./script").output();
        expect_refused(&output, "script", &["interpreter"]);
        output.expect_stderr("/no/such/interpreter");
    }

    #[test]
    fn that_interpret_themselves() {
        needs_partitions!();
        let place = Place::new();
        let path = place.join("circle");
        place.executable("circle", format!("#!{}\n", path.display()));
        expect_refused(
            &place.septum_tool("./circle").output(),
            "circle",
            &["interpreter", "loop", "level", "deep", "script"],
        );
    }

    #[test]
    fn whose_library_is_missing() {
        // The dynamic linker says this, as it does on the host.
        needs_partitions!();
        let place = Place::new();
        let program = hello(Link::Dynamic);
        let at =
            program.windows(10).position(|window| window == b"libc.so.6\0").expect("it needs the C library");
        let mut changed = program.clone();
        changed[at..at + 9].copy_from_slice(b"libz.so.9");
        place.executable("needy", changed);
        let output = place.septum_tool("./needy").output();
        output.expect_code(127).expect_stderr("libz.so.9");
    }

    #[test]
    fn of_any_bytes_never_bring_the_partition_down() {
        needs_partitions!();
        let place = Place::new();
        let good = hello(Link::Static);
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % u64::try_from(below).expect("fits")).expect("fits")
        };
        for round in 0..30 {
            let mut bytes = good.clone();
            for _ in 0..=next(6) {
                // The header, the program headers and the first note.
                bytes[4 + next(600)] = u8::try_from(next(256)).expect("fits");
            }
            place.executable("changed", &bytes);
            let output =
                place.septum_tool("./changed").option("--timeout", "3s").option("--memory", "64M").output();
            let is_fine = matches!(output.code(), 0..=240 | super::exit::PROGRAM | super::exit::TIMEOUT)
                || matches!(output.code(), super::exit::MEMORY | super::exit::OUT_OF_MEMORY);
            if !is_fine {
                fs::write(std::env::temp_dir().join("septum-changed-program"), &bytes)
                    .expect("it can be kept");
            }
            assert!(
                is_fine,
                "round {round}: {:?}, kept in the temporary directory\n{}",
                output.status,
                output.stderr_text()
            );
        }
    }
}

mod hosts {
    use super::{Invocation, Output, PermissionsExt, Place, Status, exit, fs, lane, needs_partitions};

    /// Runs `septum run -- true` by a shell that has changed what it sees of the host.
    fn after(preparation: &str) -> Option<Output> {
        let place = Place::new();
        let septum = place.join("septum");
        fs::copy(lane::septum_binary(), &septum).expect("the binary can be copied");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("the mode can be set");
        let script = format!("{preparation} && exec \"$0\" run -- true");
        let shell = Invocation::new("unshare").arguments(["--mount", "sh", "-c", &script]).argument(&septum);
        let output = shell.directory("/usr").run();
        let is_refused = output.status == Status::Exited(1) && output.stderr_text().contains("unshare");
        if is_refused { None } else { Some(output) }
    }

    #[test]
    fn without_kvm() {
        needs_partitions!();
        let Some(output) = after("mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3") else {
            return lane::skip("this user may not make a mount namespace");
        };
        output.expect_code(exit::HOST).expect_stderr("/dev/kvm").expect_stderr("septum doctor");
        assert!(output.stdout.is_empty());
    }

    #[test]
    fn where_kvm_is_something_else() {
        needs_partitions!();
        let Some(output) = after("mount --bind /dev/null /dev/kvm") else {
            return lane::skip("this user may not make a mount namespace");
        };
        output.expect_code(exit::HOST).expect_stderr("kvm");
    }

    #[test]
    fn where_this_user_may_not_use_kvm() {
        needs_partitions!();
        let mode = fs::metadata("/dev/kvm").expect("it is there").permissions().mode();
        if mode & 0o006 != 0 {
            return lane::skip("everybody may use /dev/kvm here");
        }
        let preparation = "set -- setpriv --reuid 65534 --regid 65534 --clear-groups";
        let place = Place::new();
        let septum = place.join("septum");
        fs::copy(lane::septum_binary(), &septum).expect("the binary can be copied");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("the mode can be set");
        let script = format!("{preparation}; exec \"$@\" \"$0\" run -- true");
        let output =
            Invocation::new("sh").arguments(["-c", &script]).argument(&septum).directory("/usr").run();
        if output.stderr_text().contains("setpriv: ") {
            return lane::skip("this user may not become another");
        }
        output.expect_code(exit::HOST).expect_stderr("permission").expect_stderr("/dev/kvm");
    }
}
