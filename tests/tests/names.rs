//! Names and messages that leave the partition: a nameserver and servers on the host's loopback that end with the test.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use septum_tests::{Septum, needs_partitions};

const HOST: &str = "host.septum.internal";

/// What the nameserver of the tests knows of IPv4 addresses.
const KNOWN: [(&str, [u8; 4]); 5] = [
    ("example.test", [192, 0, 2, 7]),
    ("cut.test", [192, 0, 2, 9]),
    ("loopback.test", [127, 0, 0, 1]),
    ("metadata.test", [169, 254, 169, 254]),
    ("host.test", [198, 18, 0, 1]),
];

/// A nameserver at a port of the loopback, and the names that it was asked for.
struct Nameserver {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Nameserver {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port of the loopback");
        let address = socket.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut message = [0; 4096];
            while let Ok((len, from)) = socket.recv_from(&mut message) {
                let Some((name, answer)) = answer(&message[..len]) else { continue };
                list.lock().expect("the list").push(name.clone());
                // One name is never answered, so that others can be asked for meanwhile.
                if name != "silent.test" {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        let mut names = self.asked.lock().expect("the list").clone();
        names.sort();
        names.dedup();
        names
    }
}

/// The name that a question asks for, and the answer.
fn answer(question: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut labels = Vec::new();
    let mut at = 12;
    while let len @ 1.. = usize::from(*question.get(at)?) {
        labels.push(String::from_utf8_lossy(question.get(at + 1..at + 1 + len)?).into_owned());
        at += len + 1;
    }
    let name = labels.join(".");
    let is_v4 = question.get(at + 1..at + 3)? == [0, 1];
    let known = KNOWN.iter().find(|(known, _)| *known == name).map(|(_, ip)| ip);
    let records = u8::from(known.is_some() && is_v4);
    let code = if known.is_some() { 0 } else { 3 };
    let mut answer = question.get(..2)?.to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, records, 0, 0, 0, 0]);
    answer.extend(question.get(12..at + 5)?);
    if let (Some(ip), 1) = (known, records) {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(ip);
    }
    Some((name, answer))
}

fn python(script: &str) -> Septum {
    Septum::run("python3").arguments(["-S", "-E", "-c", script]).deadline(Duration::from_secs(120))
}

const LOOK_UP: &str = "import socket, sys\n\
                       def look_up(name, family=0):\n\
                       \x20   try: return sorted({a[4][0] for a in socket.getaddrinfo(name, 80, family)})\n\
                       \x20   except socket.gaierror as error: return error.errno == socket.EAI_NONAME or error.errno == -5\n";

#[test]
fn names_that_a_rule_allows_are_looked_up_and_no_others() {
    needs_partitions!();
    let nameserver = Nameserver::start();
    let names = "['example.test', 'Example.TEST', 'missing.test', 'other.org', 'example.test.org', 'host.septum.internal', 'localhost']";
    let script = format!("{LOOK_UP}for name in {names}: print(look_up(name))\n");
    let output = python(&script)
        .flag("-v")
        .option("--dns", &nameserver.address)
        .option("--allow-net", "*.test")
        .output();
    output
        .expect_code(0)
        .expect_stdout("['192.0.2.7']\n['192.0.2.7']\nTrue\nTrue\nTrue\n['198.18.0.1']\n['127.0.0.1']\n");
    output.expect_stderr("--allow-net other.org would allow it");
    assert_eq!(nameserver.asked(), ["example.test", "missing.test"], "and nobody heard of the others");
}

#[test]
fn a_name_that_leads_to_the_host_or_its_link_leads_nowhere() {
    needs_partitions!();
    let nameserver = Nameserver::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    let port = listener.local_addr().expect("an address").port();
    let script = format!(
        "{LOOK_UP}for name in ['loopback.test', 'metadata.test', 'host.test']:\n\
         \x20   print(look_up(name))\n\
         \x20   try: socket.create_connection((name, {port})); print('connected')\n\
         \x20   except OSError: pass\n"
    );
    let output = python(&script)
        .flag("-v")
        .option("--dns", &nameserver.address)
        .option("--allow-net", "any")
        .option("--allow-net", format!("*.test:{port}"))
        .output();
    output.expect_code(0).expect_stdout("True\nTrue\nTrue\n");
    output.expect_stderr("name loopback.test leads to 127.0.0.1, which no name can open");
    assert_eq!(nameserver.asked(), ["host.test", "loopback.test", "metadata.test"]);
}

#[test]
fn a_rule_of_a_name_opens_its_port_alone() {
    needs_partitions!();
    let nameserver = Nameserver::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    let port = listener.local_addr().expect("an address").port();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    let closed = other.local_addr().expect("an address").port();
    let script = format!(
        "import socket\n\
         for to in [('db', {port}), ('198.18.0.1', {port}), ('db', {closed}), ('example.test', 1), ('192.0.2.7', 1)]:\n\
         \x20   try: socket.create_connection(to); print('connected')\n\
         \x20   except OSError as error: print(error.errno)\n"
    );
    let output = python(&script)
        .flag("-v")
        .option("--dns", &nameserver.address)
        .option("--add-host", "db:host-gateway")
        .option("--allow-net", format!("db:{port}"))
        .option("--allow-net", "example.test:2")
        .output();
    output.expect_code(0).expect_stdout("connected\nconnected\n111\n111\n111\n");
    output.expect_stderr("connection to example.test:1 refused; --allow-net example.test:1 would allow it");
}

#[test]
fn a_nameserver_that_is_silent_stops_nobody_else() {
    needs_partitions!();
    let nameserver = Nameserver::start();
    let script = format!(
        "{LOOK_UP}import threading, time, os\n\
         ended = []\n\
         threading.Thread(target=lambda: ended.append(look_up('silent.test')), daemon=True).start()\n\
         time.sleep(0.2)\n\
         print(look_up('example.test'), ended, flush=True)\n\
         os._exit(0)\n"
    );
    let output =
        python(&script).option("--dns", &nameserver.address).option("--allow-net", "*.test").output();
    output.expect_code(0).expect_stdout("['192.0.2.7'] []\n");
    assert_eq!(nameserver.asked(), ["example.test", "silent.test"]);
}

#[test]
fn the_nameserver_answers_by_tcp_and_survives_noise() {
    needs_partitions!();
    let nameserver = Nameserver::start();
    let script = "import socket, os\n\
                  q = b'\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7example\\4test\\0\\0\\1\\0\\1'\n\
                  s = socket.create_connection(('198.18.0.3', 53))\n\
                  for piece in (len(q).to_bytes(2, 'big'), q[:9], q[9:]): s.sendall(piece)\n\
                  s.shutdown(socket.SHUT_WR)\n\
                  data = b''\n\
                  while part := s.recv(999): data += part\n\
                  print(data[-4:])\n\
                  u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                  u.connect(('198.18.0.3', 53))\n\
                  for n in range(300): u.send(os.urandom(n))\n\
                  for n in range(len(q)): u.send(q[:n])\n\
                  u.send(b''); u.send(q[:12] + b'\\xc0\\x0c\\0\\1\\0\\1')\n\
                  u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                  u.sendto(q, ('198.18.0.3', 53))\n\
                  print(u.recvfrom(999)[0][-4:])\n";
    let output = python(script).option("--dns", &nameserver.address).option("--allow-net", "any").output();
    output.expect_code(0).expect_stdout("b'\\xc0\\x00\\x02\\x07'\nb'\\xc0\\x00\\x02\\x07'\n");
}

#[test]
fn an_answer_that_is_cut_short_is_asked_for_by_tcp() {
    needs_partitions!();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    let address = listener.local_addr().expect("an address");
    let messages = UdpSocket::bind(address).expect("the same port");
    std::thread::spawn(move || {
        let mut question = [0; 4096];
        while let Ok((len, from)) = messages.recv_from(&mut question) {
            let Some((_, mut answer)) = answer(&question[..len]) else { continue };
            answer[2] |= 2;
            let _ = messages.send_to(&answer, from);
        }
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut len = [0; 2];
            stream.read_exact(&mut len).expect("a length");
            let mut question = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut question).expect("a question");
            let Some((name, mut answer)) = answer(&question) else { return };
            if name == "cut.test" {
                // It goes in the middle: what the message said counts.
                let _ = stream.write_all(&[0, 99, 1]);
                continue;
            }
            let records = if answer[7] == 1 { 20 } else { 0 };
            answer[7] = records;
            let last = answer[answer.len() - 16..].to_vec();
            for number in 1..records {
                answer.extend(&last[..15]);
                answer.push(100 + number);
            }
            let len = u16::try_from(answer.len()).expect("it is short").to_be_bytes();
            // In pieces, as from far away.
            for piece in [&len[..1], &len[1..], &answer[..30], &answer[30..]] {
                stream.write_all(piece).expect("the proxy listens");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let script = "import socket\n\
                  for name in ('example.test', 'cut.test', 'nowhere.test'):\n\
                  \x20   try: print(len(socket.gethostbyname_ex(name)[2]))\n\
                  \x20   except OSError: print('none')\n";
    let output = python(script).option("--dns", address.to_string()).option("--allow-net", "any").output();
    output.expect_code(0).expect_stdout("20\n1\nnone\n");
}

#[test]
fn messages_go_out_and_answers_come_back() {
    needs_partitions!();
    let server = UdpSocket::bind("127.0.0.1:0").expect("a port of the loopback");
    let port = server.local_addr().expect("an address").port();
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port of the loopback");
    std::thread::spawn(move || {
        let mut message = [0; 65536];
        while let Ok((len, from)) = server.recv_from(&mut message) {
            // Whom nothing was sent to is not heard.
            let _ = stranger.send_to(b"stranger", from);
            let _ = server.send_to(&message[..len], from);
        }
    });
    let closed = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let script = format!(
        "import socket\n\
         u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         for size in (0, 1, 1400, 9000, 65507):\n\
         \x20   data = bytes(size % 251 for _ in range(size))\n\
         \x20   u.sendto(data, ('{HOST}', {port}))\n\
         \x20   got, peer = u.recvfrom(70000)\n\
         \x20   print(got == data, peer == ('198.18.0.1', {port}))\n\
         for to in (('{HOST}', {closed}), ('192.0.2.1', 7)):\n\
         \x20   c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         \x20   c.connect(to); c.send(b'x')\n\
         \x20   try: c.recv(9)\n\
         \x20   except ConnectionRefusedError: print('refused')\n"
    );
    let output = python(&script).flag("-v").option("--allow-net", format!("{HOST}/udp")).output();
    output.expect_code(0).expect_stdout(&("True True\n".repeat(5) + "refused\nrefused\n"));
    output.expect_stderr("--allow-net 192.0.2.1:7/udp would allow it");
}

#[test]
fn a_published_port_of_udp_leads_to_a_server() {
    needs_partitions!();
    let probe = UdpSocket::bind("127.0.0.1:0").expect("a port of the loopback");
    let port = probe.local_addr().expect("an address").port();
    drop(probe);
    let script = "import socket\n\
                  u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('0.0.0.0', 5353))\n\
                  for _ in range(2):\n\
                  \x20   data, peer = u.recvfrom(999)\n\
                  \x20   u.sendto(peer[0].encode() + b': ' + data, peer)\n";
    let mut running = python(script).option("--publish", format!("{port}:5353/udp")).spawn();
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port of the loopback");
    client.connect(("127.0.0.1", port)).expect("a peer");
    client.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut answer = [0; 99];
    let len = loop {
        client.send(b"hi").expect("a published port");
        match client.recv(&mut answer) {
            Ok(len) => break len,
            Err(_) => assert!(Instant::now() < deadline && !running.has_ended(), "nobody answers"),
        }
    };
    assert_eq!(&answer[..len], b"198.18.0.1: hi");
    client.send(b"bye").expect("a published port");
    running.wait().expect_code(0);
}

#[test]
fn a_network_is_an_interface() {
    needs_partitions!();
    let script = "import socket; print([name for _, name in socket.if_nameindex()])";
    python(script).output().expect_code(0).expect_stdout("['lo']\n");
    python(script).option("--allow-net", "any").output().expect_code(0).expect_stdout("['lo', 'eth0']\n");
}
