//! The host's own programs, unmodified, natively and in a partition.
//!
//! These are what people run first: the tools named in the README and their neighbours. A tool that the host does not have
//! is counted as skipped. Those that start others are in the module `processes`.

use std::fs;
use std::time::Duration;

use septum_tests::{Case, Files, lane, process::Invocation};

fn flowers() -> Vec<u8> {
    fs::read(lane::data("iris.csv")).expect("the test data is there")
}

/// A tool working on `iris.csv` in the current directory.
fn on_flowers(tool: &str) -> Case {
    Case::tool(tool).input("iris.csv", flowers())
}

/// `name: tool [arguments] .adjustment(…)…;` makes one test with `iris.csv` in the current directory.
macro_rules! tools {
    ($($name:ident: $tool:literal [$($argument:expr),*] $(. $adjust:ident ($($value:expr),*))*;)*) => {
        $(#[test]
        fn $name() {
            let arguments: &[&str] = &[$($argument),*];
            on_flowers($tool).arguments(arguments)$(.$adjust($($value),*))*.conform();
        })*
    };
}

mod text {
    use super::{flowers, on_flowers};

    tools! {
        cat: "cat" ["iris.csv"];
        cat_of_input: "cat" ["-", "iris.csv", "-"].stdin_bytes("from the input\n");
        cat_numbered: "cat" ["-n", "-A"].stdin_bytes("one\ttab\n\nthree\x07\n");
        cat_of_nothing: "cat" ["absent", "iris.csv"].code(1);
        head: "head" ["-n", "5", "iris.csv"];
        head_of_bytes: "head" ["-c", "100", "iris.csv"];
        tail: "tail" ["-n", "5", "iris.csv"];
        tail_from: "tail" ["-n", "+148", "iris.csv"];
        wc: "wc" ["iris.csv"];
        wc_of_input: "wc" ["-lwc"].stdin_bytes(flowers());
        sort: "sort" ["iris.csv"];
        sort_by_number: "sort" ["-t,", "-k3,3nr", "-k1,1n", "iris.csv"];
        sort_unique: "sort" ["-u", "-t,", "-k5,5", "iris.csv"];
        cut: "cut" ["-d,", "-f5,1", "iris.csv"];
        tr: "tr" ["a-z,", "A-Z;"].stdin_bytes(flowers());
        uniq: "uniq" ["-c"].stdin_bytes("one\none\ntwo\none\n");
        grep: "grep" ["-n", "virginica", "iris.csv"];
        grep_nothing: "grep" ["tulip", "iris.csv"].code(1);
        grep_expression: "grep" ["-Ec", "^[56]\\.[0-4],(3|2)\\.", "iris.csv"];
        sed: "sed" ["-n", "-e", "s/setosa/bristly/p", "-e", "51q", "iris.csv"];
        sed_program: "sed" ["1!G;h;$!d", "iris.csv"];
        od: "od" ["-A", "d", "-t", "x1z", "-N", "100", "iris.csv"];
        nl: "nl" ["iris.csv"];
        fold: "fold" ["-w", "9", "iris.csv"];
        paste: "paste" ["-s", "-d:", "iris.csv"];
        tac: "tac" ["iris.csv"];
        rev: "rev" ["iris.csv"];
        comm: "comm" ["iris.csv", "iris.csv"];
        cmp: "cmp" ["iris.csv", "-"].stdin_bytes("5.1,3.5,1.4,0.3").code(1);
        diff: "diff" ["iris.csv", "-"].stdin_bytes("5.1,3.5,1.4,0.2,setosa\n").code(1);
        base64: "base64" ["iris.csv"];
        base64_back: "base64" ["-d"].stdin_bytes("dGhlIHNlcHR1bQo=\n");
        xxd: "xxd" ["-l", "64", "iris.csv"];
        strings: "strings" ["-n", "8", "iris.csv"];
    }
}

mod sums {
    use super::on_flowers;

    tools! {
        sha256sum: "sha256sum" ["iris.csv"];
        sha256sum_check: "sha256sum" ["-c"].stdin_bytes("0000000000000000000000000000000000000000000000000000000000000000  iris.csv\n").code(1);
        sha512sum: "sha512sum" ["iris.csv"];
        md5sum: "md5sum" ["iris.csv"];
        cksum: "cksum" ["iris.csv"];
    }
}

mod numbers {
    use super::on_flowers;

    const PROGRAM: &str = "{ n[$5]++; s[$5] += $3 } END { for (k in n) printf \"%s %d %.4f\\n\", k, n[k], s[k] / n[k] | \"sort\" }";
    const MEANS: &str =
        "{ n[$5]++; s[$5] += $3 } END { print s[\"setosa\"] / n[\"setosa\"], s[\"virginica\"] / 50 }";

    tools! {
        awk: "awk" ["-F,", "{s+=$3} END {print s/NR}", "iris.csv"];
        gawk: "gawk" ["-F,", MEANS, "iris.csv"];
        mawk: "mawk" ["-F,", MEANS, "iris.csv"];
        awk_functions: "awk" ["BEGIN { printf \"%.10f %d %s %s\\n\", atan2(0, -1), 2^31, substr(\"partition\", 2, 4), toupper(\"x\"); exit 3 }"].code(3);
        seq: "seq" ["-w", "1", "7", "300"];
        expr: "expr" ["6", "*", "7"];
        factor: "factor" ["600851475143", "18446744073709551557"];
        bc: "bc" ["-l"].stdin_bytes("scale=40\n4*a(1)\n2^200\n");
        numfmt: "numfmt" ["--to=iec", "123456789"];
        shuf_of_one: "shuf" ["-e", "only"];
    }

    #[test]
    fn awk_with_a_pipe() {
        on_flowers("gawk").argument("-F,").argument(PROGRAM).argument("iris.csv").conform();
    }
}

mod system {
    use super::{Case, Files, on_flowers};

    tools! {
        echo: "echo" ["-e", "one\\ttwo", "three"];
        printf: "printf" ["%s-%05d-%x\\n", "a", "42", "255"];
        test_true: "test" ["-f", "iris.csv"];
        test_false: "test" ["-d", "iris.csv"].code(1);
        yes_is_no: "false" [].code(1);
        pwd: "pwd" [];
        env_of_its_own: "env" ["-i", "A=1", "B=two words"];
        printenv: "printenv" ["STORY"].environment("STORY", "told");
        date: "date" ["-u", "-d", "@0"];
        date_format: "date" ["-u", "-d", "2000-02-29 12:34:56", "+%s %A %j %V"];
        uname: "uname" ["-s", "-m"];
        basename: "basename" ["/a/b/c.txt", ".txt"];
        realpath: "realpath" ["./iris.csv"];
        readlink: "readlink" ["-f", "/bin"];
        sleep: "sleep" ["0.05"];
        stat: "stat" ["-c", "%n %s %F %a %h", "iris.csv"];
        ls: "ls" ["-1a"];
        ls_of_nothing: "ls" ["absent"].code(2);
        dd: "dd" ["if=iris.csv", "bs=100", "count=3", "skip=1", "status=none"];
        dash: "dash" ["-c", "i=0; while [ $i -lt 100 ]; do i=$((i+1)); done; echo $i"];
        bash: "bash" ["--norc", "-c", "a=(3 1 2); for x in \"${a[@]}\"; do printf '%s ' \"$x\"; done; [[ abc =~ ^a(.)c ]] && echo ${BASH_REMATCH[1]}; exit 8"].code(8);
    }

    #[test]
    fn ls_long() {
        let case = on_flowers("ls").arguments(["-ln", "--time-style=+%Y", "iris.csv"]);
        case.conform();
    }

    #[test]
    fn find() {
        Case::tool("find")
            .arguments([".", "-name", "i*", "-type", "f", "-size", "-9"])
            .input("iris.csv", "x")
            .conform();
    }

    #[test]
    fn tee() {
        Case::tool("tee")
            .arguments(["one", "two"])
            .stdin_bytes("to three places\n")
            .files(Files::Volume)
            .conform();
    }
}

/// Programs that start programs.
mod processes {
    use super::{Case, Files, on_flowers};

    const HERE: &str = "cat <<END | tr a-z A-Z\nthree is $((1+2)), $(echo below)\nEND\n";
    const BACKGROUND: &str =
        "for i in 1 2 3 4 5; do (exit $i) & p=\"$p $!\"; done; for q in $p; do wait $q; echo $?; done; wait";
    const TRAPS: &str = "trap 'echo bye' EXIT; trap 'echo term' TERM; kill -TERM $$; \
        (trap - EXIT; kill -KILL $(sh -c 'echo $PPID')); echo $?; (trap 'echo inner' EXIT; exit 3); echo $?";
    const DEATHS: &str =
        "sh -c 'kill -ABRT $$'; echo $?; sh -c 'kill -9 $$'; echo $?; no-such-program; echo $?; /; echo $?";
    const STATUSES: &str =
        "false | true | (exit 3); echo \"${PIPESTATUS[@]}\"; set -o pipefail; yes | head -1; echo $?";
    const COPROCESS: &str = "coproc cat; echo hi >&${COPROC[1]}; read x <&${COPROC[0]}; echo $x; \
        kill $COPROC_PID; wait $COPROC_PID; echo $?";
    const STOPPED: &str = "(sleep 5 > /dev/null 2>&1; echo no) & sleep 0.02; kill -STOP $!; kill -CONT $!; kill -STOP $!; kill $!; kill -CONT $!; \
        wait $! 2> /dev/null; echo $?";
    const PYTHON: &str = "import os, subprocess, sys\n\
        print(subprocess.run(['sort', '-r'], input=b'a\\nb\\n', capture_output=True).stdout)\n\
        print(subprocess.check_output('echo one | cat; exit 0', shell=True))\n\
        print(subprocess.run(['sh', '-c', 'kill -15 $$']).returncode)\n\
        pid = os.fork()\n\
        if pid == 0: os._exit(7)\n\
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n\
        try: subprocess.run(['sleep', '9'], timeout=0.1)\n\
        except subprocess.TimeoutExpired: print('timed out')\n";
    const POOL: &str = "import multiprocessing\n\
        def square(x): return x * x\n\
        with multiprocessing.get_context('fork').Pool(4) as pool: print(pool.map(square, range(20)))\n";
    const QUEUES: &str = include_str!("../guests/queues.py");
    const MAKEFILE: &str = "all: a b c\n\t@cat a b c\na b c:\n\t@echo making $@ > $@\nfails:\n\t@exit 4\n";
    const GIT: &str = "git init -q r 2> /dev/null && cd r && git config user.email a@b && git config user.name n && \
        echo a > f && git add f && GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' git commit -qm m && \
        echo b >> f && git diff | cat && git log --format=%H%s && git status --short; cd .. && rm -rf r";

    tools! {
        strace_of_true: "strace" ["-e", "trace=openat,read,close,exit_group", "/bin/true"];
        strace_that_injects: "strace" ["-e", "inject=chdir:error=EACCES", "-e", "trace=chdir", "sh", "-c", "cd /usr || echo no"];
        python_queues_of_messages: "python3" ["-c", QUEUES];
        pipeline: "sh" ["-c", "cut -d, -f5 iris.csv | sort | uniq -c | sort -rn | tr -s ' '"];
        pipeline_dash: "dash" ["-c", "seq 1 3000 | sort -rn | head -3; echo $?"];
        substitution: "bash" ["-c", "x=$(wc -l < iris.csv); echo $x $(basename $(pwd) > /dev/null; echo `echo deep`)"];
        process_substitution: "bash" ["-c", "diff <(seq 3) <(seq 4); cat <(echo a) <(echo b); echo c > >(cat); wait"];
        reopened_pipe: "sh" ["-c", "echo in | cat /dev/stdin; echo out | cat /proc/self/fd/0"];
        here_document: "sh" ["-c", HERE];
        background: "sh" ["-c", BACKGROUND];
        traps: "sh" ["-c", TRAPS];
        deaths: "sh" ["-c", DEATHS];
        statuses: "bash" ["-c", STATUSES];
        coprocess: "bash" ["-c", COPROCESS];
        stopped: "sh" ["-c", STOPPED];
        many: "sh" ["-c", "i=0; while [ $i -lt 100 ]; do /bin/true || echo bad; i=$((i+1)); done; echo $i"];
        deep: "sh" ["-c", "f() { [ $1 -eq 0 ] && echo bottom || (f $(($1-1))); }; f 30"];
        xargs: "sh" ["-c", "seq 1 20 | xargs -n 3 -P 4 echo | sort"];
        xargs_failing: "sh" ["-c", "seq 3 | xargs -n 1 sh -c 'exit 1' x; echo $?"];
        find_exec: "sh" ["-c", "find . -name 'iris*' -exec basename {} ';' ; find . -name 'i*' -exec echo {} +"];
        timeout: "timeout" ["0.1", "sleep", "9"].code(124);
        timeout_killing: "sh" ["-c", "timeout -s KILL 0.1 sleep 9; echo $?"];
        nice: "sh" ["-c", "nice -n 5 nice; setsid -w sh -c 'exit 6'; echo $?; env A=1 sh -c 'echo $A'"];
        awk_running: "awk" ["BEGIN { print \"x\" | \"cat\"; close(\"cat\"); \"echo y\" | getline z; print z; exit system(\"exit 4\") }"].code(4);
        tar_with_gzip: "sh" ["-c", "tar -cf - iris.csv | gzip -n | gzip -d | tar -tf -"];
        python: "python3" ["-c", PYTHON];
        python_pool: "python3" ["-c", POOL];
        git: "sh" ["-c", GIT].files(Files::Volume);
        locked: "sh" ["-c", "flock iris.csv sh -c 'flock -n iris.csv true; echo $?'; flock -n iris.csv true; echo $?"].files(Files::Volume);
    }

    #[test]
    fn make() {
        for arguments in [&["-s", "-j2"][..], &["-s", "fails"]] {
            let code = if arguments.len() == 2 && arguments[1] == "fails" { 2 } else { 0 };
            let case = Case::tool("make").arguments(arguments.iter().copied()).input("Makefile", MAKEFILE);
            case.files(Files::Volume).code(code).conform();
        }
    }

    #[test]
    fn script_in_a_file() {
        const SCRIPT: &str = "#!/bin/bash\nset -e\nfor name in \"$@\"; do\n  (echo \"$name\"; cat) < <(printf '%s\\n' \"$name\") | sort -u &\n  wait\ndone\n";
        Case::tool("bash").arguments(["script", "one", "two words", ""]).input("script", SCRIPT).conform();
    }
}

mod files {
    use super::{Case, Files, on_flowers};

    tools! {
        cp: "cp" ["iris.csv", "copy"].files(Files::Volume);
        cp_keeping: "cp" ["-p", "iris.csv", "copy"].files(Files::Volume);
        mv: "mv" ["-v", "iris.csv", "moved"].files(Files::Volume);
        rm: "rm" ["-v", "iris.csv"].files(Files::Volume);
        rm_nothing: "rm" ["absent"].files(Files::Volume).code(1);
        mkdir: "mkdir" ["-vp", "a/b/c"].files(Files::Volume);
        ln: "ln" ["-s", "iris.csv", "soft"].files(Files::Volume);
        ln_hard: "ln" ["iris.csv", "hard"].files(Files::Volume);
        touch: "touch" ["-d", "@1234567890", "made"].files(Files::Volume);
        chmod: "chmod" ["-v", "640", "iris.csv"].files(Files::Volume);
        truncate: "truncate" ["-s", "100", "iris.csv"].files(Files::Volume);
        split: "split" ["-l", "60", "iris.csv", "part-"].files(Files::Volume);
        sort_to_file: "sort" ["-o", "iris.csv", "iris.csv"].files(Files::Volume);
        sed_in_place: "sed" ["-i", "s/setosa/bristly/", "iris.csv"].files(Files::Volume);
        dd_to_file: "dd" ["if=/dev/zero", "of=zeroes", "bs=4096", "count=100", "status=none"].files(Files::Volume);
        du: "du" ["--apparent-size", "-b", "iris.csv"];
    }

    #[test]
    fn rmdir() {
        Case::tool("rmdir").argument("absent").files(Files::Volume).code(1).conform();
    }

    #[test]
    fn rm_of_many() {
        let mut case = Case::tool("rm").arguments(["-r", "."]).argument("./").files(Files::Volume).code(1);
        for number in 0..30 {
            case = case.input(&format!("file{number}"), "content");
        }
        case.conform();
    }
}

mod compression {
    use super::{Case, Files, Invocation, flowers, lane, on_flowers};

    tools! {
        gzip_to_output: "gzip" ["-nc", "iris.csv"];
        gzip_of_input: "gzip" ["-n9"].stdin_bytes(flowers());
        gzip_file: "gzip" ["-n", "iris.csv"].files(Files::Volume);
        gzip_of_no_gzip: "gzip" ["-dc", "iris.csv"].code(1);
        bzip2: "bzip2" ["-c", "iris.csv"];
        xz: "xz" ["-T1", "-c", "iris.csv"];
        zstd: "zstd" ["-q", "-c", "--single-thread", "--no-asyncio", "iris.csv"];
        tar: "tar" ["--format=ustar", "--mtime=@0", "--owner=0", "--group=0", "-cf", "-", "iris.csv"];
        tar_to_file: "tar" ["--mtime=@0", "--owner=0", "--group=0", "-cf", "archive.tar", "iris.csv"].files(Files::Volume);
    }

    fn compressed() -> Option<Vec<u8>> {
        let directory = lane::workspace().join("tests/data");
        let gzip =
            Invocation::new(lane::host_tool("gzip")?).arguments(["-nc", "iris.csv"]).directory(directory);
        Some(gzip.run().expect_code(0).stdout.clone())
    }

    #[test]
    fn gzip_back() {
        let Some(bytes) = compressed() else { return lane::skip("the host has no gzip") };
        Case::tool("gzip").argument("-d").stdin_bytes(bytes.clone()).conform();
        Case::tool("gzip")
            .arguments(["-d", "iris.csv.gz"])
            .input("iris.csv.gz", bytes)
            .files(Files::Volume)
            .conform();
    }

    #[test]
    fn gzip_of_a_damaged_file() {
        let Some(mut bytes) = compressed() else { return lane::skip("the host has no gzip") };
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        Case::tool("gzip").arguments(["-t", "x.gz"]).input("x.gz", bytes).code(1).conform();
    }
}

mod databases {
    use super::{Case, Files, on_flowers};

    const MEMORY: &str = "create table numbers (n integer primary key, square integer, name text);\n\
        with recursive c(n) as (select 1 union all select n + 1 from c where n < 2000) \
        insert into numbers select n, n * n, printf('number %d', n) from c;\n\
        create index by_name on numbers (name);\n\
        select count(*), sum(square), max(name) from numbers;\n\
        select * from numbers where name = 'number 777';\n\
        select n % 7 as rest, count(*) from numbers group by rest order by rest;\n";
    const MAKE: &str = "create table t (a integer primary key, b text);\n\
        begin; insert into t values (1, 'one'), (2, 'two'); insert into t(b) values ('three'); commit;\n\
        update t set b = upper(b) where a > 1; delete from t where a = 2;\n\
        begin; insert into t(b) values ('undone'); rollback;\n\
        pragma integrity_check; select * from t; vacuum;\n";

    tools! {
        in_memory: "sqlite3" [":memory:"].stdin_bytes(MEMORY);
        in_a_file: "sqlite3" ["made.db"].stdin_bytes(MAKE).files(Files::Volume);
        with_a_log: "sqlite3" ["made.db"].stdin_bytes(format!("pragma journal_mode=truncate;\n{MAKE}")).files(Files::Volume);
        from_a_table_of_flowers: "sqlite3" [":memory:", "-cmd", ".mode csv", "-cmd", "create table f(a real,b real,c real,d real,s text);",
            "-cmd", ".import iris.csv f", "select s, count(*), round(avg(c), 3) from f group by s;"];
        an_error: "sqlite3" [":memory:", "select * from absent;"].code(1);
    }

    #[test]
    fn in_ram_of_the_partition() {
        let path = format!("/tmp/story-{}.db", std::process::id());
        Case::tool("sqlite3").argument(&path).stdin_bytes(MAKE).leaves(&path).conform();
    }
}

mod python {
    use super::{Case, Duration, Files, fs, lane};

    #[test]
    fn servers_and_clients_over_loopback() {
        let program = fs::read(lane::data("loopback.py")).expect("the test data is there");
        Case::tool("python3").input("loopback.py", program).arguments(["loopback.py"]).conform();
    }

    fn databases() -> Case {
        let program = fs::read(lane::data("databases.py")).expect("the test data is there");
        Case::tool("python3")
            .input("databases.py", program)
            .argument("databases.py")
            .deadline(Duration::from_secs(300))
    }

    #[test]
    fn databases_of_several_processes_in_a_volume() {
        databases().argument("databases").files(Files::Volume).conform();
    }

    #[test]
    fn databases_of_several_processes_in_ram() {
        databases().argument(format!("/tmp/databases-{}", std::process::id())).conform();
    }
}
