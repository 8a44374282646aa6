//! AF_VSOCK: Python's sockets in the partition, Unix sockets on the host.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use septum_tests::{Input, Place, Septum, needs_partitions};

fn python(script: &str) -> Septum {
    Septum::run("python3").arguments(["-S", "-E", "-c", script]).deadline(Duration::from_secs(120))
}

/// Asks for a port of the partition; what the answer is, and the connection.
fn ask(path: &Path, words: &str) -> (String, BufReader<UnixStream>) {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.write_all(words.as_bytes()).expect("a partition that reads");
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    // One that is refused is closed, or reset if it had said more.
    let _ = stream.read_line(&mut line);
    (line, stream)
}

#[test]
fn a_program_connects_to_the_host() {
    needs_partitions!();
    let place = Place::new();
    let path = place.join("v.sock");
    let listener = UnixListener::bind(place.join("v.sock_5000")).expect("a socket");
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a connection");
        let mut received = Vec::new();
        client.read_to_end(&mut received).expect("everything");
        client.write_all(&received).expect("a peer that still listens");
        client.shutdown(Shutdown::Write).expect("an end");
        received.len()
    });
    let script = "import socket, fcntl, struct\n\
                  print(struct.unpack('I', fcntl.ioctl(open('/dev/vsock'), socket.IOCTL_VM_SOCKETS_GET_LOCAL_CID, b'0000'))[0])\n\
                  s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM); s.connect((2, 5000))\n\
                  print(s.getpeername(), s.getsockname()[0], s.getsockname()[1] >= 1024)\n\
                  block = bytes(range(256)) * 1021\n\
                  for _ in range(4): s.sendall(block)\n\
                  s.shutdown(socket.SHUT_WR); data = b''\n\
                  while part := s.recv(1 << 20): data += part\n\
                  print(data == block * 4)\n\
                  for to in [(2, 5001), (7, 5000), (3, 5000), (2, 0x5e970001)]:\n\
                  \x20   try: socket.socket(socket.AF_VSOCK).connect(to); print('connected')\n\
                  \x20   except OSError as error: print(error.errno)\n\
                  l = socket.socket(socket.AF_VSOCK); l.bind((socket.VMADDR_CID_ANY, 600)); l.listen()\n\
                  c = socket.socket(socket.AF_VSOCK); c.connect((3, 600)); c.sendall(b'inside')\n\
                  print(l.accept()[0].recv(9))\n\
                  for bad in [(socket.VMADDR_CID_ANY, 600), (9, 700)]:\n\
                  \x20   try: socket.socket(socket.AF_VSOCK).bind(bad); print('bound')\n\
                  \x20   except OSError as error: print(error.errno)\n";
    let output = python(script).flag("-v").option("--vsock", &path).output();
    output.expect_code(0).expect_stdout("3\n(2, 5000) 3 True\nTrue\n104\n19\n104\n104\nb'inside'\n98\n99\n");
    output.expect_stderr("connection to port 5001 of the host refused; nobody listens there");
    assert_eq!(server.join().expect("the server"), 256 * 1021 * 4);
}

#[test]
fn the_host_connects_to_a_program() {
    needs_partitions!();
    let place = Place::new();
    let path = place.join("v.sock");
    // What an earlier partition has left is replaced.
    drop(UnixListener::bind(&path).expect("a socket"));
    let script = "import socket\n\
                  s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\n\
                  s.bind((socket.VMADDR_CID_ANY, 52)); s.listen(); print('listens', flush=True)\n\
                  for _ in range(2):\n\
                  \x20   c, peer = s.accept(); c.sendall(b'from %d: ' % peer[0] + c.recv(9)); c.close()\n";
    let running = python(script).option("--vsock", &path).stdin(Input::Empty).spawn();
    running.wait_for_stdout("listens");
    for noise in
        ["CONNECT 53\n", "CONNECT 1587019777\n", "CONNECT x\n", "GET / HTTP/1.1\r\nHost: somebody\r\n\r\n"]
    {
        assert_eq!(ask(&path, noise).0, "", "{noise}");
    }
    let silent = UnixStream::connect(&path).expect("somebody listens");
    for words in ["CONNECT 52\nhi", "CONNECT 52\nho"] {
        let (line, mut stream) = ask(&path, words);
        assert!(
            line.strip_prefix("OK ").is_some_and(|number| number.trim_end().parse::<u32>().is_ok()),
            "{line}"
        );
        let mut rest = String::new();
        stream.read_to_string(&mut rest).expect("an answer");
        assert_eq!(rest, format!("from 2: {}", &words[11..]));
    }
    drop(silent);
    running.wait().expect_code(0);
}

#[test]
fn without_the_option_nobody_is_there() {
    needs_partitions!();
    let script = "import socket\n\
                  try: socket.socket(socket.AF_VSOCK).connect((2, 5000))\n\
                  except OSError as error: print(error.errno)\n";
    python(script).output().expect_code(0).expect_stdout("19\n");
    let output = python(script).flag("-v").option("--allow-net", "any").output();
    output.expect_code(0).expect_stdout("104\n");
    output.expect_stderr("--vsock PATH would lead it to PATH_5000");
}

#[test]
fn a_path_that_is_taken_is_explained() {
    needs_partitions!();
    let place = Place::new();
    let path = place.join("v.sock");
    let _listener = UnixListener::bind(&path).expect("a socket");
    let output = Septum::run("true").option("--vsock", &path).output();
    output.expect_code(septum_tests::exit::PATH);
    output.expect_stderr("cannot listen at").expect_stderr("choose another path");
    let output = Septum::run("true").option("--vsock", "/proc/nowhere/v.sock").output();
    output.expect_code(septum_tests::exit::PATH);
}
