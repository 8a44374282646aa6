//! A host sends the guest kernel's socket driver anything.
//!
//! ```text
//! input   [count][what the guest does …] then packets as in `socket_packets`
//! ```
//!
//! The driver keeps its device for ever, so all inputs have the same one; connections are closed at the end of each.

use std::any::Any;
use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use septum_abi::layout::ECAM_BASE;
use septum_abi::linux::Errno;
use septum_abi::net::{self, Answer as Greeting, Kind, Preamble};
use septum_abi::vsock::{GUEST_CID, HEADER, HOST_CID, operation};
use septum_guest_core::io::{KernelSource, Source};
use septum_guest_core::net::outside::{Carrier as _, End, Opening, Wire};
use septum_guest_drivers::platform::Machine as _;
use septum_guest_drivers::testing::{self, Answer, FakeMachine, Model};
use septum_guest_drivers::virtio::vsock::Vsock;

use super::socket_packets;
use crate::bytes::Bytes;

const TYPE: u16 = 19;
const RECEIVE: u16 = 0;
const FEATURE_SEQPACKET: u64 = 1 << 1;
const STEPS: u32 = 40;

#[derive(Default)]
struct Host {
    packets: Vec<Vec<u8>>,
}

impl Model for Host {
    fn device_type(&self) -> u16 {
        TYPE
    }

    fn features(&self) -> u64 {
        FEATURE_SEQPACKET
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![1024, 1024]
    }

    fn request(&mut self, queue: u16, output: &[u8], capacity: usize) -> Answer {
        if queue != RECEIVE {
            assert!(output.len() >= HEADER, "a packet without a header");
            return Answer::Reply(Vec::new());
        }
        match self.packets.pop() {
            Some(mut packet) => {
                packet.truncate(capacity);
                Answer::Reply(packet)
            }
            None => Answer::Later,
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Who has the connection: takes what comes.
#[derive(Default)]
struct Ear {
    heard: AtomicUsize,
}

impl End for Ear {
    fn answered(&self, _answer: Result<Greeting, Errno>) {}

    fn arrived(&self, from: &mut dyn Source) {
        let mut bytes = vec![0; from.remaining()];
        let len = from.take(&mut bytes).unwrap_or(0);
        self.heard.fetch_add(len, Ordering::Relaxed);
    }

    fn has_room(&self) {}
    fn finished(&self) {}
    fn reset(&self) {}
}

type Guest = (Arc<FakeMachine>, &'static Vsock);

fn guest() -> Guest {
    thread_local! {
        static GUEST: OnceCell<Guest> = const { OnceCell::new() };
    }
    GUEST.with(|guest| {
        let (machine, vsock) = guest.get_or_init(|| {
            let machine = testing::machine(vec![Box::new(Host::default())]);
            let devices =
                septum_guest_drivers::discover(&[], ECAM_BASE, (machine.pci_devices(), 0), |_, error| {
                    panic!("the device cannot be used: {error:?}")
                });
            (machine, Box::leak(Box::new(devices.vsock())) as &'static Vsock)
        });
        (Arc::clone(machine), *vsock)
    })
}

pub(super) fn run(input: &[u8]) {
    let (machine, vsock) = guest();
    let mut bytes = Bytes::new(input);
    let count = usize::from(bytes.byte() % 64);
    let does = bytes.take(count);
    let mut wires: Vec<(Arc<dyn Wire>, Arc<Ear>)> = Vec::new();
    vsock.listen();
    for step in 0..STEPS {
        let act = does.get(step as usize).copied().unwrap_or(4);
        let wire = wires.get(usize::from(act >> 4)).map(|(wire, ear)| (Arc::clone(wire), Arc::clone(ear)));
        match (act & 15, wire) {
            (0 | 1, _) if wires.len() < 4 => {
                let ear = Arc::new(Ear::default());
                let preamble = Preamble { kind: Kind::Stream, peer: None, own: None }.to_bytes();
                let opening =
                    Opening { port: 2, carries_messages: act & 1 == 1, contents: &preamble, room: 4096 };
                if let Ok(wire) = vsock.open(&opening, Arc::clone(&ear) as Arc<dyn End>) {
                    wires.push((wire, ear));
                }
            }
            (2, Some((wire, _))) => drop(wire.send(&mut KernelSource(&[3; 5000]))),
            (3, Some((wire, _))) => drop(wire.send_message(b"header", &mut KernelSource(&[4; 100]))),
            (5, Some((wire, ear))) => wire.taken(ear.heard.swap(0, Ordering::Relaxed)),
            (6, Some((wire, _))) => wire.finish(),
            (7, Some((wire, _))) => wire.close(act & 16 == 0),
            (8, Some((wire, _))) => drop((wire.has_room(), wire.unsent())),
            _ if bytes.is_empty() => {}
            _ => {
                let mut header = socket_packets::header(&mut bytes, HOST_CID, GUEST_CID);
                // Ports as the driver gives them, which the input does not know.
                if header.source_port == 1000 {
                    (header.source_port, header.destination_port) = (net::CARRIER, net::CARRIER);
                }
                let contents = bytes.piece();
                if header.len == 0 {
                    header.len = contents.len() as u32;
                }
                let packet = [&header.to_bytes()[..], contents].concat();
                machine.with_model(0, |host: &mut Host| host.packets.insert(0, packet));
            }
        }
        machine.run();
        vsock.look();
    }
    wires.iter().for_each(|(wire, _)| wire.close(true));
    machine.with_model(0, |host: &mut Host| host.packets.clear());
    vsock.look();
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let preamble = Preamble { kind: Kind::Stream, peer: None, own: None }.to_bytes();
    let does = [0, 2, 4, 2, 5, 3, 6, 7];
    let packets = [
        socket_packets::packet(operation::RESPONSE, &preamble),
        socket_packets::packet(operation::DATA, &[1; 2000]),
        socket_packets::packet(operation::REQUEST, &preamble),
        socket_packets::packet(operation::CREDIT_REQUEST, b""),
        socket_packets::packet(operation::RESET, b""),
    ]
    .concat();
    vec![[&[8][..], &does, &packets].concat(), [&[0][..], &packets].concat()]
}
