//! `septum top`: the screen under tmux and in bare terminals (`terminals/top.py`), and tables for pipes.

use septum_tests::lane;
use septum_tests::{Host, exit, needs_partitions, terminals};

/// What concerns the screen alone takes long in the emulated host.
fn is_nested() -> bool {
    lane::skips_in_nested("a screen is the same on both lanes; tables run on both")
}

macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                needs_partitions!();
                if is_nested() {
                    return;
                }
                terminals::drive("top.py", stringify!($case));
            }
        )*
    };
}

cases! {
    a_terminal_that_goes_ends_it keys_sort_filter_and_look one_that_is_silent_holds_up_nobody
    the_job_is_stopped_and_goes_on the_terminal_is_left_as_it_was
}

#[test]
fn tables_go_to_pipes() {
    needs_partitions!();
    let host = Host::new();
    host.start(&["--name", "one"], &["sh", "-c", "while :; do head -c 100000 /dev/zero > /tmp/x; done"]);
    host.start(&["--name", "two"], &["sleep", "1000"]);
    let text = host.ask(&["top", "--batch", "-n", "2", "-d", "0.1", "--sort", "name"]);
    let tables: Vec<Vec<&str>> = text.split("\n\n").map(|table| table.lines().collect()).collect();
    assert_eq!(tables.len(), 2, "{text}");
    for table in tables {
        assert!(table[0].starts_with("NAME ") && table.len() == 3, "{text}");
        assert!(table[1].starts_with("one ") && table[1].contains("sh -c while"), "{text}");
        assert!(table[2].starts_with("two ") && table[2].ends_with("sleep 1000"), "{text}");
    }
    let one = host.ask(&["top", "-b", "-n1", "--filter", "ON"]);
    assert!(one.contains("\none ") && !one.contains("\ntwo "), "{one}");
    // Whoever reads has enough.
    let shell = host.in_shell("sh", "\"$SEPTUM\" top --batch -d 0.1 | head -n 1");
    let output = shell.environment("SEPTUM", septum_tests::lane::septum_binary()).run();
    assert!(output.expect_code(0).stdout_text().starts_with("NAME "), "{output:?}");
}

#[test]
fn without_a_terminal_the_message_says_what_to_do() {
    let host = Host::new();
    host.septum(&["top"]).run().expect_code(exit::USAGE).expect_stderr("--batch");
    for delay in ["0", "0.01", "61", "-1", "nan", "inf", "x", ""] {
        let output = host.septum(&["top", "--batch", "-n1", &format!("--delay={delay}")]).run();
        output.expect_code(exit::USAGE).expect_stderr("--delay");
    }
    host.septum(&["top", "--batch", "-n", "0"]).run().expect_code(exit::USAGE);
    assert!(host.ask(&["top", "--batch", "-n", "1"]).starts_with("NAME "));
}
