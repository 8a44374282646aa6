//! Terminals: `run -it`, `attach` and `exec -it`, each in a terminal that a driver types at and looks at (`terminals/cases.py`).

use septum_tests::{needs_partitions, terminals};

macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                needs_partitions!();
                terminals::drive("cases.py", stringify!($case));
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
