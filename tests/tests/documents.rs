//! What is made from the definitions of the command line, used by what it is made for.

use std::fs;
use std::path::Path;
use std::process::Command;

use septum_tests::{Host, Link, Place, Septum, exit, needs_partitions};

/// What bash offers for the last of some words.
fn offered(place: &Place, words: &[&str]) -> Vec<String> {
    offered_at(place, words, &[])
}

fn offered_at(place: &Place, words: &[&str], environment: &[(&str, &Path)]) -> Vec<String> {
    let list = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let last = words.len() - 1;
    let script = format!(
        "source ./script; COMP_WORDS=({list}); COMP_CWORD={last}; \
         $(complete -p septum | sed 's/.*-F \\([^ ]*\\).*/\\1/') septum '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words[last],
        words[last - 1],
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(place.path())
        .envs(environment.iter().copied())
        .output();
    let output = output.expect("bash runs");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let place = Place::new();
    let script = Septum::raw(["completion", "bash"]).run();
    script.expect_code(0);
    place.file("script", &script.stdout);
    let commands = offered(&place, &["septum", "im"]);
    assert!(commands.contains(&"image".to_owned()), "{commands:?}");
    let options = offered(&place, &["septum", "run", "--re"]);
    assert!(
        ["--read-only", "--restart"].iter().all(|name| options.contains(&(*name).to_owned())),
        "{options:?}"
    );
    assert!(options.iter().all(|option| option.starts_with("--re")), "{options:?}");
    assert!(offered(&place, &["septum", "image", "bu"]).contains(&"build".to_owned()));
}

#[test]
fn bash_completes_names_of_what_there_is() {
    needs_partitions!();
    let host = Host::new();
    host.place.guest("waits", Link::Static);
    let script = Septum::raw(["completion", "bash"]).run();
    host.place.file("script", &script.stdout);
    host.septum(&["volume", "create", "a-volume"]).run().expect_code(0);
    host.septum(&["run", "-d", "--name", "a-partition", "--", "./waits"]).run().expect_code(0);
    let (run, data) = (host.place.join("run"), host.place.join("data"));
    let environment = [("SEPTUM_RUNTIME_DIR", run.as_path()), ("SEPTUM_DATA_DIR", data.as_path())];
    let offered = |words: &[&str]| offered_at(&host.place, words, &environment);
    assert_eq!(offered(&["septum", "volume", "rm", "a-"]), ["a-volume"]);
    assert_eq!(offered(&["septum", "stop", ""]).first().map(String::as_str), Some("a-partition"));
    assert_eq!(offered(&["septum", "exec", "a-p"]), ["a-partition"]);
    assert_eq!(offered(&["septum", "stop", "b"]), [""; 1]);
    assert!(offered(&["septum", "run", "./wa"]).contains(&"./waits".to_owned()));
    host.septum(&["kill", "a-partition"]).run().expect_code(0);
    host.septum(&["wait", "a-partition"]).run();
    assert_eq!(offered(&["septum", "exec", "a-p"]), [""; 1]);
    assert_eq!(offered(&["septum", "rm", "a-p"]), ["a-partition"]);
}

#[test]
fn other_shells_have_a_script_too() {
    for shell in ["zsh", "fish"] {
        let script = Septum::raw(["completion", shell]).run();
        script.expect_code(0);
        assert!(script.stdout_text().contains("SEPTUM_COMPLETE"), "{shell}");
        let asked = Septum::raw(["--", "septum", "run", "--re"]).environment("SEPTUM_COMPLETE", shell);
        let answer = asked.environment("_CLAP_COMPLETE_INDEX", "2").run();
        answer.expect_code(0);
        assert!(answer.stdout_text().contains("--read-only"), "{shell}: {}", answer.stdout_text());
    }
    Septum::raw(["completion", "csh"]).run().expect_code(exit::USAGE).expect_stderr("csh");
}

#[test]
fn every_command_has_a_man_page() {
    let place = Place::new();
    Septum::raw(["man", "pages/man1"]).directory(place.path()).run().expect_code(0);
    for name in ["septum", "septum-run", "septum-image-build", "septum-doctor"] {
        let page = fs::read_to_string(place.join("pages/man1").join(format!("{name}.1"))).expect("a page");
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    let page = fs::read_to_string(place.join("pages/man1/septum-run.1")).expect("a page");
    assert!(page.contains("\\-\\-read\\-only") && page.contains("Exit status:"), "{page}");
    place.file("file", "");
    let refused = Septum::raw(["man", "file/x"]).directory(place.path()).run();
    refused.expect_code(exit::PATH).expect_stderr("cannot write man pages into 'file/x'");
}
