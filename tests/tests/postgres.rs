//! PostgreSQL: an unmodified client in a partition, and an unmodified server in one.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use septum_tests::lane::{self, Lane};
use septum_tests::process::{Input, Invocation, Running};
use septum_tests::{Septum, needs_partitions};
use tempfile::TempDir;

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const CLIENT: &str = "/usr/bin/psql";
/// The server refuses to be root's, and wants its user to have a name.
const USER: &str = "nobody";
const DEADLINE: Duration = Duration::from_secs(120);

/// Tables, copying in, transactions, notifications, parallel workers, and something that fails.
const SESSION: &str = "CREATE TABLE t (id serial PRIMARY KEY, name text, v float8);\n\
     INSERT INTO t (name, v) SELECT 'row ' || n, n / 7.0 FROM generate_series(1, 20000) n;\n\
     CREATE INDEX ON t (v);\n\
     SELECT count(*), round(sum(v)::numeric, 2) FROM t WHERE v BETWEEN 100 AND 200;\n\
     COPY t (name, v) FROM STDIN;\none\t1\ntwo\t2\n\\.\n\
     BEGIN; DELETE FROM t; ROLLBACK;\n\
     SELECT count(*), sum(length(repeat(name, 100))) FROM t;\n\
     SELECT length(string_agg(name, ',')) FROM t, generate_series(1, 50);\n\
     SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;\n\
     SELECT count(*) FROM t a JOIN t b USING (id);\n\
     SELECT 1 / 0;\n\
     LISTEN c; NOTIFY c, 'hello'; CHECKPOINT;\n";
const SAID: &str = "701|105150.00\n20002|16890000\n9445099\n20002\n";

/// What a library for Python does: binary values, a cursor on the server, errors with codes.
const LIBRARY: &str = "import psycopg2, os\n\
     c = psycopg2.connect(host=os.environ['PGHOST'], user='nobody', dbname='postgres')\n\
     k = c.cursor(); k.execute('SELECT 1 + %s, %s::bytea', (2, bytes(1000000)))\n\
     a, b = k.fetchone(); print(a, len(b))\n\
     s = c.cursor('of_the_server'); s.itersize = 100; s.execute('SELECT generate_series(1, 50000)')\n\
     print(sum(r[0] for r in s)); c.commit()\n\
     try: k.execute('SELECT 1 / 0')\n\
     except psycopg2.errors.DivisionByZero as error: print(error.pgcode)\n";
const LIBRARY_SAID: &str = "3 1000000\n1250025000\n22012\n";

fn can_run() -> bool {
    if Lane::current() == Lane::Nested {
        lane::skip("it takes minutes in the nested lane, and shows nothing new there");
        return false;
    }
    let library = "/usr/lib/python3/dist-packages/psycopg2";
    let missing = [PROGRAMS, CLIENT, library].into_iter().find(|path| !Path::new(path).exists());
    if let Some(missing) = missing {
        lane::skip(&format!("{missing} is not installed"));
    } else if !rustix::process::geteuid().is_root() {
        lane::skip("files of another user are needed, which only root can make");
        return false;
    }
    missing.is_none()
}

fn program(name: &str) -> String {
    format!("{PROGRAMS}/{name}")
}

/// A directory that the server's user may write to.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let chown = Invocation::new("/usr/bin/chown").argument(USER).argument(directory.path());
    chown.run().expect_code(0);
    directory
}

/// A program of the host, run by the server's user.
fn on_host(name: &str) -> Invocation {
    let who = ["--reuid", USER, "--regid", "nogroup", "--clear-groups", "--"];
    Invocation::new("/usr/bin/setpriv")
        .arguments(who)
        .argument(program(name))
        .directory("/")
        .deadline(DEADLINE)
}

/// A client that reaches this host and port.
fn client(host: &str, port: &str, program: &str) -> Septum {
    let run = Septum::run(program).option("--allow-net", format!("{host}:{port}")).deadline(DEADLINE);
    let variables = [("PGHOST", host), ("PGPORT", port), ("PGPASSWORD", "secret words"), ("PGUSER", USER)];
    variables.iter().fold(run, |run, (key, value)| run.option("--env", format!("{key}={value}")))
}

fn use_it(host: &str, port: &str) {
    let psql = client(host, port, CLIENT).arguments(["-XAtq", "postgres"]);
    let output = psql.stdin(Input::Bytes(SESSION.into())).output();
    output.expect_code(0).expect_stderr("division by zero");
    let text = output.stdout_text();
    let (numbers, note) = text.split_at_checked(SAID.len()).unwrap_or((&text, ""));
    assert_eq!(numbers, SAID);
    assert!(note.starts_with("Asynchronous notification \"c\" with payload \"hello\""), "{note}");
    let python = client(host, port, "/usr/bin/python3").arguments(["-c", LIBRARY]);
    python.output().expect_code(0).expect_stdout(LIBRARY_SAID);
}

#[test]
fn clients_in_a_partition_use_a_server_of_the_host() {
    needs_partitions!();
    if !can_run() {
        return;
    }
    let directory = directory();
    let data = directory.path().join("data");
    let password = directory.path().join("password");
    std::fs::write(&password, "secret words\n").expect("a file can be written");
    let made =
        on_host("initdb").argument("-D").argument(&data).arguments(["-A", "scram-sha-256", "--no-sync"]);
    made.argument("--pwfile").argument(&password).run().expect_code(0);
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
        free.local_addr().expect("it has an address").port().to_string()
    };
    let serving =
        on_host("postgres").argument("-D").argument(&data).argument("-k").argument(directory.path());
    let serving = serving.arguments(["-c", "listen_addresses=127.0.0.1", "-p", &port]).spawn();
    serving.wait_for_stderr("ready to accept connections");
    assert!(TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
    use_it("host.septum.internal", &port);
    // A wrong password is the server's to refuse, and another port is no rule's.
    let psql = client("host.septum.internal", &port, CLIENT).option("--env", "PGPASSWORD=wrong");
    psql.arguments(["-XAtqc", "SELECT 1", "postgres"])
        .output()
        .expect_code(2)
        .expect_stderr("password authentication failed");
    let psql = client("host.septum.internal", "1", CLIENT).option("--env", format!("PGPORT={port}"));
    psql.arguments(["-XAtqc", "SELECT 1", "postgres"])
        .output()
        .expect_code(2)
        .expect_stderr("Connection refused");
    serving.signal(Signal::INT);
    serving.wait().expect_code(0);
}

/// A server in a partition, with its files in a volume.
fn server(name: &str, data: &Path) -> Running {
    let volume = format!("{}:/data", data.display());
    let run = Septum::run(program("postgres")).option("--user", USER).option("--volume", volume);
    let run =
        run.option("--name", name).option("--expose", "5432").option("--tmpfs", "/tmp").deadline(DEADLINE);
    let run =
        run.arguments(["-D", "/data", "-k", "/tmp", "-c", "listen_addresses=*", "-c", "max_connections=30"]);
    let serving = run.spawn();
    serving.wait_for_stderr("ready to accept connections");
    serving
}

#[test]
fn a_server_in_a_partition_serves_others_and_recovers() {
    needs_partitions!();
    if !can_run() {
        return;
    }
    let data = directory();
    let volume = format!("{}:/data", data.path().display());
    let run = Septum::run(program("initdb")).option("--user", USER).option("--volume", &volume);
    let run = run.option("--tmpfs", "/tmp").deadline(DEADLINE);
    run.arguments(["-D", "/data", "-A", "trust", "--no-sync"]).output().expect_code(0);
    let rules = "local all all trust\nhost all all all trust\n";
    std::fs::write(data.path().join("pg_hba.conf"), rules).expect("a file of the volume can be written");

    let name = format!("pg-{}", std::process::id());
    let serving = server(&name, data.path());
    use_it(&name, "5432");
    let bench = |arguments: &[&str]| {
        let run = client(&name, "5432", &program("pgbench")).arguments(["-n", "postgres"]);
        run.arguments(arguments).output().expect_code(0);
    };
    bench(&["-i", "-s", "1", "-q"]);
    bench(&["-c", "8", "-j", "4", "-t", "20"]);
    // Everything is killed at once; what was committed is there.
    drop(serving);
    let serving = again(&name, data.path());
    let sums = "SELECT count(*) FROM t; SELECT count(*), sum(delta) = (SELECT sum(abalance) FROM pgbench_accounts),\n\
                sum(delta) = (SELECT sum(tbalance) FROM pgbench_tellers) FROM pgbench_history";
    let psql = client(&name, "5432", CLIENT).arguments(["-XAtqc", sums, "postgres"]);
    psql.output().expect_code(0).expect_stdout("20002\n160|t|t\n");
    serving.signal(Signal::INT);
    serving.wait().expect_code(0).expect_stderr("database system is shut down");
}

/// The same, once the first has let its name go.
fn again(name: &str, data: &Path) -> Running {
    let end = Instant::now() + DEADLINE;
    let gone = || Septum::run("true").option("--name", name).output().code() == 0;
    while !gone() {
        assert!(Instant::now() < end, "the name is free");
        std::thread::sleep(Duration::from_millis(50));
    }
    server(name, data)
}
