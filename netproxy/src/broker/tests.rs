//! Workers that are taken over, and what a broker gives them.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{SendFlags, send, shutdown};

use super::*;
use crate::asking::{Answered, Asking};
use crate::names::{Family, Verdict};
use crate::ports::{Inside, Ports};

/// A broker in a thread, and the worker's end.
struct Served {
    asking: Asking,
    broker: JoinHandle<Result<(), Malformed>>,
    refused: Arc<Mutex<Vec<String>>>,
    _inside: Vec<OwnedFd>,
}

fn serve(rules: &[&str]) -> Served {
    let allow = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let network = Network { allow, ..Network::default() };
    let (inside, outside) = Ports::bind(&network, Vec::new()).unwrap().divide(None).unwrap();
    let refused = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&refused);
    let log: Log = Box::new(move |line| lines.lock().unwrap().push(line.to_owned()));
    let broker = Broker::new(&network, outside, log).unwrap();
    let broker = std::thread::spawn(move || broker.serve());
    let Inside { broker: socket, .. } = inside;
    Served { asking: Asking::new(socket), broker, refused, _inside: Vec::new() }
}

impl Served {
    fn answer(&mut self) -> Answered {
        let mut socket = [PollFd::from_borrowed_fd(self.asking.socket(), PollFlags::IN)];
        let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
        assert_eq!(poll(&mut socket, Some(&patience)), Ok(1), "no answer");
        self.asking.next_answer().expect("an answer")
    }

    fn ask(&mut self, number: u32, request: &Request) -> Answered {
        assert!(self.asking.ask(number, request));
        self.answer()
    }
}

fn place(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn what_a_rule_allows_is_connected_and_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut served = serve(&[&format!("host.septum.internal:{port}"), "any:1"]);
    let answered = served.ask(7, &Request::Connect(SocketAddr::from(([198, 18, 0, 1], port))));
    assert_eq!((answered.kind, answered.number), (Kind::Connect, 7));
    assert!(matches!(answered.answer, Answer::Socket(_)), "{answered:?}");
    let mut stream = TcpStream::from(answered.socket.unwrap());
    let (mut accepted, _) = listener.accept().unwrap();
    stream.set_nonblocking(false).unwrap();
    std::io::Write::write_all(&mut accepted, b"x").unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    // What only a worker that was taken over asks for.
    for to in ["127.0.0.1", "[::1]", "169.254.169.254", "[fe80::1]", "224.0.0.1", "0.0.0.0", "198.18.0.9"] {
        for port in [port, 1] {
            let to = place(&format!("{to}:{port}"));
            for request in [Request::Connect(to), Request::Exchange(to)] {
                let answered = served.ask(8, &request);
                assert_eq!(answered.answer, Answer::Refused(Errno::CONNREFUSED), "{request:?}");
                assert!(answered.socket.is_none());
            }
        }
    }
    assert_eq!(served.ask(9, &Request::Dial(22)).answer, Answer::Refused(Errno::CONNRESET));
    let refused = served.refused.lock().unwrap().clone();
    assert!(refused.iter().any(|line| line.contains("no rule can allow such an address")), "{refused:?}");
    assert!(refused.iter().any(|line| line.contains("--vsock PATH")), "{refused:?}");
}

#[test]
fn a_destination_that_says_nothing_holds_up_nobody() {
    let mut served = serve(&["any", "host.septum.internal"]);
    // The range for documentation leads nowhere; where the host has no route at all, that is told at once, too.
    for number in 0..200 {
        assert!(served.asking.ask(number, &Request::Connect(place("192.0.2.1:9"))));
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(served.asking.ask(1000, &Request::Connect(SocketAddr::from(([198, 18, 0, 1], port)))));
    let mut held = Vec::new();
    for _ in 0..201 {
        held.push(served.answer());
    }
    assert!(matches!(held.last().unwrap().answer, Answer::Socket(_)));
    listener.accept().unwrap();
}

#[test]
fn messages_go_to_whom_a_rule_names() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let mut served = serve(&[&format!("host.septum.internal:{port}/udp")]);
    let answered = served.ask(1, &Request::Exchange(SocketAddr::from(([198, 18, 0, 1], port))));
    let socket = UdpSocket::from(answered.socket.unwrap());
    assert_eq!(socket.peer_addr().unwrap(), server.local_addr().unwrap());
    socket.send(b"hello").unwrap();
    assert_eq!(server.recv(&mut [0; 9]).unwrap(), 5);
}

#[test]
fn names_are_looked_up_by_the_rules() {
    let mut served = serve(&["example.test:80", "web:80"]);
    let mut look_up = |name: &str, family| served.ask(5, &Request::LookUp(name.to_owned(), family)).answer;
    let found = |ip: &str| Answer::Found(Verdict::Addresses(vec![ip.parse().unwrap()], 60));
    assert_eq!(look_up("host.septum.internal", Some(Family::V4)), found("198.18.0.1"));
    assert_eq!(look_up("web", Some(Family::V4)), found("198.18.1.1"));
    assert_eq!(look_up("other.test", Some(Family::V4)), Answer::Found(Verdict::NoName));
    // There is no nameserver.
    assert_eq!(look_up("example.test", Some(Family::V6)), Answer::Found(Verdict::Failed));
}

#[test]
fn what_is_no_request_ends_the_broker() {
    for packet in [&b""[..], b"x", &[0xff; 300], &[1; 28], &[4; 261], &[0; 4096]] {
        let served = serve(&["any"]);
        send(served.asking.socket(), packet, SendFlags::empty()).unwrap();
        assert_eq!(served.broker.join().unwrap(), Err(Malformed), "{packet:?}");
    }
    let served = serve(&["any"]);
    shutdown(served.asking.socket(), rustix::net::Shutdown::Write).unwrap();
    assert_eq!(served.broker.join().unwrap(), Err(Malformed), "half of a worker");
    let served = serve(&["any"]);
    drop(served.asking);
    assert_eq!(served.broker.join().unwrap(), Ok(()));
}

#[test]
fn descriptors_that_come_are_let_go() {
    let mut served = serve(&["any"]);
    let (ours, theirs) = std::io::pipe().unwrap();
    let request = Request::LookUp("x".to_owned(), None).to_bytes(3);
    send_with(served.asking.socket(), &request, Some(theirs.as_fd())).unwrap();
    assert_eq!(served.answer().number, 3);
    drop(theirs);
    // Nobody has it any more: the pipe is at its end.
    let mut pipe = ours;
    assert_eq!(pipe.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_flood_without_a_reader_waits_and_is_served_in_the_end() {
    let mut served = serve(&["web"]);
    // Far more than the sockets hold, in both directions, and more than may come at once.
    let request = Request::LookUp("web".to_owned(), Some(Family::V4));
    for number in 0..10_000 {
        assert!(served.asking.ask(number, &request));
    }
    std::thread::sleep(Duration::from_millis(50));
    for number in 0..10_000 {
        let answered = loop {
            match served.asking.next_answer() {
                Some(answered) => break answered,
                None => served.asking.send(),
            }
        };
        assert_eq!(answered.number, number);
    }
    drop(served.asking);
    assert_eq!(served.broker.join().unwrap(), Ok(()));
}
