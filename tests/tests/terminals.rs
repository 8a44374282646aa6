//! Terminals: `run -it`, `attach` and `exec -it`, each in a terminal that a driver types at and looks at (`terminals/cases.py`).

use std::time::Duration;

use septum_tests::{Invocation, Place, lane, needs_partitions};

/// Runs a case of the driver, with a folder of state of its own.
fn drive(case: &str) {
    let place = Place::new();
    place.directory("run");
    place.directory("data");
    let driver = lane::workspace().join("tests/terminals/cases.py");
    let mut invocation =
        Invocation::new("python3").argument(driver).argument(case).argument(lane::septum_binary());
    if let Ok(mode) = std::env::var("SEPTUM_PRIVILEGE") {
        invocation = invocation.argument(format!("--privilege={mode}"));
    }
    let output = invocation
        .directory(place.path())
        .environment("SEPTUM_RUNTIME_DIR", place.join("run"))
        .environment("SEPTUM_DATA_DIR", place.join("data"))
        .environment("TERM", "xterm")
        .deadline(Duration::from_secs(300))
        .run();
    output.expect_code(0);
}

macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                needs_partitions!();
                drive(stringify!($case));
            }
        )*
    };
}

cases! {
    a_cut_line_hangs_up a_shell_has_jobs further_programs_have_terminals keys_are_signals_though_nobody_reads
    looks_like_a_terminal much_is_shown_and_typed others_attach_and_leave programs_take_raw_keys
    the_command_is_stopped_and_goes_on the_terminal_is_what_it_was the_window_changes
    without_a_terminal_there_is_none
}
