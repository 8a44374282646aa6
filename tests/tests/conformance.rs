//! The same program, natively and in a partition: stdout, stderr, exit status and files must be equal.
//!
//! One test for one program and one way of starting it. The programs are in `tests/guests`; each opens by saying
//! what it shows. What the host's own tools do is compared in `tools.rs`.

use septum_tests::{Case, Files, Input, Link, lane};

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
        options: "options" Static ["-v", "--output=x", "operand", "-oy", "--level", "--level=3", "--", "-z"];
    }
}

mod threads {
    use super::{Case, Link};

    conformance! {
        all_kinds_static: "threads" Static [].code(9);
        all_kinds_dynamic: "threads" Dynamic [].code(9);
        storm: "thread_storm" Static ["1000"].option("--cpus", "2");
        what_they_take_over: "thread_state" Static [];
        what_they_take_over_dynamic: "thread_state" Dynamic [];
    }
}

mod sockets {
    use super::{Case, Files, Link};

    conformance! {
        unix_in_ram: "unix_sockets" Static [].files(Files::Ram);
        unix_dynamic: "unix_sockets" Dynamic [].files(Files::Ram);
        time_limits: "time_limits" Static [];
        passing: "passing" Static [];
        loopback: "loopback" Static [];
        circles_of_passed_sockets: "circles" Static [];
        urgent_bytes_and_headers: "urgent" Static [];
        owners_of_files_and_exclusive_watchers: "owners" Static [];
    }
}

mod processes {
    use super::{Case, Files, Link};

    conformance! {
        forking: "forking" Dynamic [];
        forking_static: "forking" Static [];
        many_at_once: "forking" Static ["many"];
        many_in_a_row: "forking" Dynamic ["row"];
        children: "children" Dynamic [];
        child_signals: "child_signals" Dynamic [];
        signals_to_forking_groups: "forked_groups" Static [];
        spawning: "spawning" Dynamic [];
        spawning_static: "spawning" Static [];
        sharing_on_volume: "sharing" Dynamic [].files(Files::Volume);
        sharing_in_ram: "sharing" Dynamic [].files(Files::Ram);
        orphans: "orphans" Dynamic [];
        shared_segments: "shared_segments" Static [];
        semaphores: "semaphores" Static [];
        messages: "messages" Static [];
        queues_of_messages: "message_queues" Static [];
        tracing: "tracing" Static [];
        as_descriptors: "process_descriptors" Static [];
        limits_that_are_kept_in_ram: "kept_limits" Static [].files(Files::Ram);
        limits_that_are_kept_on_a_volume: "kept_limits" Static [].files(Files::Volume);
        what_is_counted: "counted" Static [].files(Files::Ram);
    }
}

mod event_files {
    use super::{Case, Files, Link};

    conformance! {
        signals: "signal_files" Static [];
        pseudo_terminals: "pseudo_terminals" Static [];
        job_control: "job_control" Static [];
        watching_in_ram: "watching" Static [].files(Files::Ram);
        watching_a_volume: "watching" Static [].files(Files::Volume);
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
        status_240: "exit_status" Static ["240"].code(240);
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
        without_vdso: "signal_without_vdso" Static [];
        timers: "signal_timers" Static [];
        timers_of_cpu_time: "cpu_timers" Static [];
        timers_in_between: "timers_in_between" Static [];
        timers_of_posix: "posix_timers" Static [];
        context: "signal_context" Static [];
        long_jumps: "long_jumps" Static [];
    }
}

mod memory {
    use super::{Case, Files, Link};

    conformance! {
        heap_static: "heap" Static [];
        heap_dynamic: "heap" Dynamic [];
        taken_from_other_threads: "thread_memory" Static [];
        mapping: "mapping" Static [];
        system_calls_at_the_edge_of_memory: "memory_edges" Static [].files(Files::Ram);
        sparse_memory: "sparse_memory" Static [];
        mapped_files_in_a_volume: "mapped_files" Static [].files(Files::Volume);
        mapped_files_in_ram: "mapped_files" Dynamic [].files(Files::Ram);
        cached_files_make_room: "cached_files" Static [].files(Files::Volume).option("--memory", "28M");
        files_that_become_shorter_in_a_volume: "vanishing" Static [].files(Files::Volume);
        files_and_their_mappings_at_once_in_a_volume: "file_races" Static [].files(Files::Volume);
        mapped_in_order: "mapped_in_order" Static [].files(Files::Volume);
        mapped_in_order_on_two_processors:
            "mapped_in_order" Static [].files(Files::Volume).option("--cpus", "2");
        large_reads: "large_reads" Static [].files(Files::Volume);
        large_reads_on_two_processors: "large_reads" Static [].files(Files::Volume).option("--cpus", "2");
        files_and_their_mappings_at_once_in_ram: "file_races" Static [].files(Files::Ram);
        program_break: "program_break" Static [];
        stack_growth: "stack_growth" Static [];
        machine_code: "machine_code" Static [];
        call_sites: "call_sites" Static [];
        call_sites_that_change: "call_site_storm" Static [];
        call_sites_and_a_wild_gs: "wild_gs" Static [];
        call_sites_of_a_dynamic_program: "call_sites" Dynamic [];
        thread_local: "thread_local" Dynamic [];
        thread_local_static: "thread_local" Static [];
    }
}

mod files {
    use super::{Case, Files, Link};

    conformance! {
        reading_writing_in_a_volume: "reading_writing" Static [].files(Files::Volume);
        reading_writing_in_ram: "reading_writing" Static [].files(Files::Ram);
        open_errors_in_a_volume: "open_errors" Static [].files(Files::Volume);
        open_errors_in_ram: "open_errors" Static [].files(Files::Ram);
        names_in_a_volume: "names" Static [].files(Files::Volume);
        names_in_ram: "names" Static [].files(Files::Ram);
        listing_in_a_volume: "listing" Static [].files(Files::Volume);
        listing_in_ram: "listing" Static [].files(Files::Ram);
        status_in_a_volume: "status" Static [].files(Files::Volume);
        status_in_ram: "status" Static [].files(Files::Ram);
        working_directory_in_a_volume: "working_directory" Static [].files(Files::Volume);
        working_directory_in_ram: "working_directory" Dynamic [].files(Files::Ram);
        descriptors: "descriptors" Static [].files(Files::Ram);
        asynchronous: "asynchronous" Static [].files(Files::Ram);
        timestamps_in_a_volume: "timestamps" Static [].files(Files::Volume);
        timestamps_in_ram: "timestamps" Static [].files(Files::Ram);
        leftovers: "leftovers" Static [];
        extended_attributes_in_a_volume: "extended_attributes" Static [].files(Files::Volume).needs_extended_attributes();
        extended_attributes_in_ram: "extended_attributes" Dynamic [].files(Files::Ram).needs_extended_attributes();
        splicing_in_a_volume: "splicing" Static [].files(Files::Volume);
        splicing_in_ram: "splicing" Static [].files(Files::Ram);
        replacing_in_a_volume: "replacing" Static [].files(Files::Volume);
        replacing_in_ram: "replacing" Static [].files(Files::Ram);
        streams_in_a_volume: "streams" Dynamic [].files(Files::Volume);
        streams_in_ram: "streams" Static [].files(Files::Ram);
        copying_in_a_volume: "copying" Static [].files(Files::Volume);
        copying_in_ram: "copying" Static [].files(Files::Ram);
        pipes: "pipes" Static [];
        pipe_crowds: "pipe_crowds" Static [];
        pipe_crowds_on_two_processors: "pipe_crowds" Static [].option("--cpus", "2");
        calls_about_memory: "memory_calls" Static [];
        calls_about_memory_dynamic: "memory_calls" Dynamic [];
        page_ends: "page_ends" Static [];
        waiting: "waiting" Static [].files(Files::Ram);
        devices: "devices" Static [];
        process_files: "process_files" Static ["one", "two words"].environment("STORY_MARK", "here");
        process_files_dynamic: "process_files" Dynamic [].environment("STORY_MARK", "here");
    }
}

mod surroundings {
    use super::{Case, Link, lane};

    conformance! {
        clocks: "clocks" Static [&seconds_since_1970()];
        clocks_dynamic: "clocks" Dynamic [&seconds_since_1970()];
        sleeping: "sleeping" Static [];
        identity: "identity" Static [];
        credentials: "credentials" Static [];
        system_facts: "system_facts" Static [];
        hardware: "hardware" Static [];
        hardware_of_two: "hardware" Dynamic [].option("--cpus", "2");
        random_bytes: "random_bytes" Static [];
        unknown_calls: "unknown_calls" Static [];
    }

    fn seconds_since_1970() -> String {
        let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        since.expect("after 1970").as_secs().to_string()
    }

    #[test]
    fn a_file_of_the_current_directory_is_found() {
        let flowers = std::fs::read(lane::data("iris.csv")).expect("the test data is there");
        Case::guest("echo_input", Link::Static)
            .input("flowers", flowers.clone())
            .stdin_bytes(flowers)
            .conform();
    }
}

mod standard_streams {
    use super::{Case, Input, Link};

    conformance! {
        input_empty: "echo_input" Static [];
        input_text: "echo_input" Static [].stdin_bytes("one\ntwo\nno newline at the end");
        input_binary: "echo_input" Static ["777"].stdin_bytes(every_byte(40_000));
        input_byte_by_byte: "echo_input" Static ["1"].stdin_bytes(every_byte(300));
        input_large: "echo_input" Dynamic [].stdin_bytes(every_byte(3_000_000));
        output_large: "large_output" Static ["8388608"];
        output_odd: "large_output" Dynamic ["100003"];
        two_streams: "two_streams" Static [];
        no_terminal: "terminal" Static [];
        without_input: "closed_streams" Static ["input"].stdin(Input::Closed).code(9);
        its_own_closing: "closed_streams" Static ["z"].code(50);
    }

    fn every_byte(count: usize) -> Vec<u8> {
        (0..=255).cycle().take(count).collect()
    }
}

mod computing {
    use super::{Case, Link};

    conformance! {
        numbers: "numbers" Dynamic [];
        numbers_static: "numbers" Static [];
        vectors: "vectors" Static [];
        sorting: "sorting" Static [];
        computing: "computing" Static [];
        text: "text" Dynamic [];
        libraries: "libraries" Dynamic [];
    }
}

mod languages {
    use super::{Case, Files, Link};

    const WORDS: &str = "the quick brown fox jumps over the lazy dog\nand the dog sleeps\n\nThe End";

    conformance! {
        cpp_streams: "iostreams" Dynamic [].stdin_bytes(WORDS);
        cpp_streams_static: "iostreams" Static [].stdin_bytes(WORDS);
        cpp_exceptions: "exceptions" Dynamic [];
        cpp_exceptions_static: "exceptions" Static [];
        cpp_uncaught: "exceptions" Dynamic ["uncaught"].code(134);
        cpp_terminate: "exceptions" Static ["terminate"].code(134);
        cpp_static_objects: "static_objects" Dynamic [];
        cpp_static_objects_with_exit: "static_objects" Static ["exit"].code(3);
        rust_collections: "collections" Dynamic [].stdin_bytes(WORDS);
        rust_collections_static: "collections" Static [].stdin_bytes(WORDS);
        rust_files_in_a_volume: "files" Dynamic [].files(Files::Volume);
        rust_files_in_ram: "files" Static [].files(Files::Ram);
        rust_panic: "panics" Dynamic [].code(101);
        rust_panic_static: "panics" Static [].code(101);
        rust_abort: "panics" Dynamic ["abort"].code(134);
        rust_exit: "panics" Dynamic ["exit"].code(7);
        rust_surroundings: "surroundings" Dynamic ["one", "two"].environment("STORY_MARK", "here").code(5);
        system_v_by_its_tools: "system_v" Script [];
        shells_under_strace: "traced_shell" Script [];
        shell_builtins: "builtins" Script ["argument"].code(6);
        shell_rewriting_files: "rewriting" Script [].files(Files::Volume).code(2);
    }
}
