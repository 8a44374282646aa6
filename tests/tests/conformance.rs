//! The same program, natively and in a partition: stdout, stderr, exit status and files must be equal.
//!
//! One test for one program and one way of starting it. The programs are in `tests/guests`; each opens by saying
//! what it shows. Host tools have a suite of their own, `tools.rs`.

use septum_tests::{Case, Link};

/// `name: program link [arguments] .adjustment(…)…;` makes one test.
macro_rules! conformance {
    ($($name:ident: $program:literal $link:ident [$($argument:expr),*] $(. $adjust:ident ($($value:expr),*))*;)*) => {
        $(#[test]
        fn $name() {
            let arguments: &[&str] = &[$($argument),*];
            Case::guest($program, Link::$link).arguments(arguments)$(.$adjust($($value),*))*.conform();
        })*
    };
}

mod starting {
    use super::{Case, Link};

    conformance! {
        bare: "bare" Static ["one", "", "three words here"].code(7);
        hello_static: "hello" Static [];
        hello_static_pie: "hello" StaticPie [];
        hello_dynamic: "hello" Dynamic [];
        hello_dynamic_fixed: "hello" DynamicFixed [];
        arguments: "arguments" Static ["one", "", "two words", "ümläut", "--option", "a\nb", "*", "$HOME"];
        many_arguments: "arguments" Dynamic [&"long ".repeat(2000), "x", &"y".repeat(100)];
        environment: "environment" Static []
            .environment("STORY_ONE", "1").environment("STORY_EMPTY", "")
            .environment("STORY_EQUALS", "a=b=c").environment("STORY_SPACES", "  two  ");
        auxiliary_static: "auxiliary" Static [];
        auxiliary_dynamic: "auxiliary" Dynamic [];
    }
}

mod ending {
    use super::{Case, Link};

    conformance! {
        status_0: "exit_status" Static ["0"];
        status_1: "exit_status" Static ["1"].code(1);
        status_42: "exit_status" Dynamic ["42"].code(42);
        status_127: "exit_status" Static ["127"].code(127);
        status_128: "exit_status" Static ["128"].code(128);
        status_255: "exit_status" Static ["255"].code(255);
        status_256_is_0: "exit_status" Static ["256"];
        status_minus_1_is_255: "exit_status" Static ["-1"].code(255);
        returning: "exit_paths" Dynamic ["return"].code(2);
        exit: "exit_paths" Static ["exit"].code(3);
        exit_at_once: "exit_paths" Static ["_exit"].code(4);
        quick_exit: "exit_paths" Static ["quick_exit"].code(5);
        exit_of_the_only_thread: "exit_paths" Static ["exit_thread"].code(6);
        abort: "deaths" Static ["abort"].code(134);
        null_read: "deaths" Static ["null-read"].code(139);
        null_write: "deaths" Dynamic ["null-write"].code(139);
        null_call: "deaths" Static ["null-call"].code(139);
        non_canonical: "deaths" Static ["non-canonical"].code(139);
        kernel_address: "deaths" Static ["kernel-address"].code(139);
        write_to_read_only: "deaths" Static ["read-only"].code(139);
        write_to_code: "deaths" Static ["code"].code(139);
        execute_data: "deaths" Static ["no-execute"].code(139);
        unmapped: "deaths" Static ["unmapped"].code(139);
        division_by_zero: "deaths" Static ["divide"].code(136);
        illegal_instruction: "deaths" Static ["illegal"].code(132);
        privileged_instruction: "deaths" Static ["privileged"].code(139);
        port_access: "deaths" Static ["port"].code(139);
        breakpoint: "deaths" Static ["breakpoint"].code(133);
        stack_overflow: "deaths" Static ["stack-overflow"].code(139);
        read_beyond_a_file: "deaths" Static ["beyond-file"].code(135);
        kill_itself: "deaths" Static ["kill"].code(137);
        raise_term: "deaths" Static ["raise", "15"].code(143);
        raise_hup: "deaths" Dynamic ["raise", "1"].code(129);
        raise_usr1: "deaths" Static ["kill-number", "10"].code(138);
        raise_ignored: "deaths" Static ["kill-number", "28"];
        raise_real_time: "deaths" Static ["kill-number", "40"].code(168);
        timer: "deaths" Static ["timer"].code(142);
        broken_pipe: "broken_pipe" Static [].code(141);
    }
}

mod signals {
    use super::{Case, Link};

    conformance! {
        faults: "signal_faults" Static [];
        faults_dynamic: "signal_faults" Dynamic [];
        actions: "signal_actions" Static [];
        masks: "signal_masks" Static [];
        nested: "signal_nested" Static [];
        registers: "signal_registers" Static [];
        alternate_stack: "signal_stack" Static [];
        timers: "signal_timers" Static [];
        context: "signal_context" Static [];
        long_jumps: "long_jumps" Static [];
    }
}
