//! Sockets that leave the partition, and those that come into it: real programs, and servers on the host's loopback that end with the test.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use septum_tests::{Septum, needs_partitions};

/// A server that answers one connection with `serve`.
fn server<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> (u16, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    let port = listener.local_addr().expect("an address").port();
    (port, std::thread::spawn(move || serve(listener.accept().expect("a connection").0)))
}

/// A port at which nobody listens.
fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    listener.local_addr().expect("an address").port()
}

fn python(script: &str) -> Septum {
    Septum::run("python3").arguments(["-S", "-E", "-c", script]).deadline(Duration::from_secs(120))
}

const HOST: &str = "host.septum.internal";

#[test]
fn curl_gets_a_page_of_the_host() {
    needs_partitions!();
    let (port, server) = server(|mut client| {
        let mut request = [0; 4096];
        let len = client.read(&mut request).expect("a request");
        client.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello from outside\n").expect("an answer");
        String::from_utf8_lossy(&request[..len]).into_owned()
    });
    let output = Septum::run("curl")
        .arguments(["-s", "-S", &format!("http://{HOST}:{port}/page")])
        .option("--allow-net", format!("{HOST}:{port}"))
        .output();
    output.expect_code(0).expect_stdout("hello from outside\n");
    assert!(server.join().expect("the server").starts_with("GET /page "));
}

#[test]
fn what_no_rule_allows_is_refused_at_once_and_told() {
    needs_partitions!();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    let port = listener.local_addr().expect("an address").port();
    let script = format!(
        "import socket\n\
         for to in ['198.18.0.1', '169.254.169.254', '192.0.2.1', '224.0.0.1']:\n\
         \x20   try: socket.create_connection((to, {port})); print('connected')\n\
         \x20   except OSError as error: print(to, error.errno)\n\
         try: socket.create_connection(('127.0.0.1', {port})); print('connected')\n\
         except OSError as error: print('own', error.errno)\n"
    );
    let output = python(&script).flag("-v").option("--allow-net", "any:1").output();
    output
        .expect_code(0)
        .expect_stdout("198.18.0.1 111\n169.254.169.254 111\n192.0.2.1 111\n224.0.0.1 111\nown 111\n");
    output.expect_stderr(&format!("--allow-net {HOST}:{port} would allow it"));
    output.expect_stderr(&format!("--allow-net 192.0.2.1:{port} would allow it"));
    listener.set_nonblocking(true).expect("a listener");
    assert!(listener.accept().is_err(), "something came through");
}

#[test]
fn without_options_there_is_no_network() {
    needs_partitions!();
    let script = "import socket\n\
                  try: socket.create_connection(('198.18.0.1', 80))\n\
                  except OSError as error: print(error.errno)\n";
    python(script).output().expect_code(0).expect_stdout("101\n");
}

#[test]
fn large_streams_and_half_closed_ones() {
    needs_partitions!();
    let (port, server) = server(|mut client| {
        let mut received = Vec::new();
        client.read_to_end(&mut received).expect("everything");
        client.write_all(&received).expect("a peer that still listens");
        client.shutdown(Shutdown::Write).expect("an end");
        received.len()
    });
    let script = format!(
        "import socket, hashlib\n\
         s = socket.create_connection(('{HOST}', {port}))\n\
         peer = s.getpeername()[1]\n\
         block = bytes(range(256)) * 1021\n\
         for _ in range(32): s.sendall(block)\n\
         s.shutdown(socket.SHUT_WR)\n\
         h = hashlib.sha256()\n\
         while data := s.recv(100000): h.update(data)\n\
         print(h.digest() == hashlib.sha256(block * 32).digest(), peer == {port})\n"
    );
    let output = python(&script).option("--allow-net", format!("{HOST}:{port}")).output();
    output.expect_code(0).expect_stdout("True True\n");
    assert_eq!(server.join().expect("the server"), 256 * 1021 * 32);
}

#[test]
fn connecting_without_waiting_and_failing() {
    needs_partitions!();
    let (good, server) = server(|mut client| client.write_all(b"x").expect("a peer"));
    let bad = unused_port();
    let script = format!(
        "import socket, select, errno\n\
         for port in ({good}, {bad}):\n\
         \x20   s = socket.socket(); s.setblocking(False)\n\
         \x20   print(s.connect_ex(('198.18.0.1', port)) == errno.EINPROGRESS)\n\
         \x20   p = select.epoll(); p.register(s, select.EPOLLOUT)\n\
         \x20   print(len(p.poll(10)), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))\n"
    );
    let output = python(&script).option("--allow-net", HOST).output();
    output.expect_code(0).expect_stdout("True\n1 0\nTrue\n1 111\n");
    server.join().expect("the server");
}

#[test]
fn a_reset_is_told() {
    needs_partitions!();
    let (port, server) = server(|client| {
        // What was sent is not read: closing resets.
        std::thread::sleep(Duration::from_millis(300));
        drop(client);
    });
    let script = format!(
        "import socket\n\
         s = socket.create_connection(('{HOST}', {port})); s.sendall(b'unread')\n\
         try: print(s.recv(9))\n\
         except ConnectionResetError: print('reset')\n"
    );
    python(&script).option("--allow-net", HOST).output().expect_code(0).expect_stdout("reset\n");
    server.join().expect("the server");
}

#[test]
fn a_published_port_leads_to_a_server() {
    needs_partitions!();
    let port = unused_port();
    let script = "import socket\n\
                  s = socket.create_server(('0.0.0.0', 8000))\n\
                  c, peer = s.accept(); c.sendall(b'served to ' + peer[0].encode() + b': ' + c.recv(100)); c.close()\n";
    let mut running = python(script).option("--publish", format!("{port}:8000")).spawn();
    let deadline = Instant::now() + Duration::from_secs(60);
    let answer = loop {
        // Until the program listens, what connects is refused after all.
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port))
            && stream.write_all(b"hi").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && !answer.is_empty()
        {
            break answer;
        }
        assert!(Instant::now() < deadline && !running.has_ended(), "nobody answers");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(answer, "served to 198.18.0.1: hi");
    running.wait().expect_code(0);
}

#[test]
fn a_port_that_is_taken_is_explained() {
    needs_partitions!();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    let port = listener.local_addr().expect("an address").port();
    let output = Septum::run("true").option("--publish", format!("{port}:80")).output();
    output.expect_code(septum_tests::exit::PATH);
    output.expect_stderr(&format!("cannot publish port 80 at 127.0.0.1:{port}"));
}
