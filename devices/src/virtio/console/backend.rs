//! The ports together: which queue belongs to which port, and what has to happen before what.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use event_manager::EventOps;
use septum_abi::control::{HostMessage, host_message, port};

use super::super::chain::{copy_in, copy_out};
use super::super::ring::{Ring, Rings};
use super::super::worker::{Backend, HOST_EVENTS, Turn};
use super::control::{Control, MESSAGE_SIZE};
use super::host_fd::HostFd;
use super::input::{self, Input};
use super::mailbox::Mailbox;
use super::output::{self, Output};
use super::{ConsolePorts, ControlPort, queue};
use crate::core::{Fault, spin_limit};

/// Buffers served in one turn, before others get theirs.
const TURN: usize = 64;
/// Longest message of the guest on the control port.
const LONGEST_MESSAGE: usize = 4096;

pub(super) struct ConsoleBackend {
    log: Output,
    input: Input,
    output: Output,
    errors: Output,
    control: Control,
    mailbox: Mailbox,
    listener: Arc<dyn ControlPort>,
    /// How long to watch an output for more.
    spin: Duration,
}

impl ConsoleBackend {
    pub(super) fn new(
        ports: ConsolePorts,
        listener: Arc<dyn ControlPort>,
        mailbox: Mailbox,
    ) -> io::Result<Self> {
        let open = |descriptor: Option<_>, port| {
            descriptor.map(|descriptor| HostFd::new(descriptor, HOST_EVENTS + port)).transpose()
        };
        let input = Input::new(open(ports.stdin, port::STDIN)?);
        Ok(Self {
            log: Output::new(open(ports.log, port::LOG)?),
            output: Output::new(open(ports.stdout, port::STDOUT)?),
            errors: Output::new(open(ports.stderr, port::STDERR)?),
            control: Control::new(input.is_connected()),
            input,
            mailbox,
            listener,
            spin: spin_limit(),
        })
    }

    fn output(&mut self, port: u32) -> Option<&mut Output> {
        match port {
            port::LOG => Some(&mut self.log),
            port::STDOUT => Some(&mut self.output),
            port::STDERR => Some(&mut self.errors),
            _ => None,
        }
    }

    fn serve_output(&mut self, port: u32, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        let number = queue::transmit(port);
        if let Some(ring) = rings.get(number) {
            ring.disarm();
        }
        for _ in 0..TURN {
            let (Some(output), Some(ring)) = (self.output(port), rings.get(number)) else {
                return Turn::Done;
            };
            match output.advance(ring, operations) {
                output::Outcome::Written(head) => ring.push(head, 0),
                output::Outcome::Failed(head, error) => {
                    self.report(port, &error, rings);
                    if let Some(ring) = rings.get(number) {
                        ring.push(head, 0);
                    }
                }
                output::Outcome::Waiting => {
                    ring.notify();
                    return Turn::Done;
                }
                output::Outcome::Idle => {
                    ring.notify();
                    if ring.spin(self.spin) {
                        continue;
                    }
                    return if ring.arm() { Turn::More } else { Turn::Done };
                }
            }
        }
        if let Some(ring) = rings.get(number) {
            ring.notify();
        }
        Turn::More
    }

    fn serve_input(&mut self, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        let number = queue::receive(port::STDIN);
        for _ in 0..TURN {
            let Some(ring) = rings.get(number) else { return Turn::Done };
            match self.input.advance(ring, operations) {
                input::Outcome::Read(head, bytes) => {
                    ring.push(head, bytes);
                    ring.notify();
                    self.control.set_input_open(bytes != 0);
                    self.deliver_control(rings);
                }
                input::Outcome::Failed(head, error) => {
                    self.report(port::STDIN, &error, rings);
                    if let Some(ring) = rings.get(number) {
                        ring.push(head, 0);
                        ring.notify();
                    }
                }
                input::Outcome::Waiting => return Turn::Done,
                input::Outcome::Idle => return if ring.arm() { Turn::More } else { Turn::Done },
            }
        }
        Turn::More
    }

    /// Tells the driver why what it asked of `port` failed. The kernel log has nobody to tell.
    fn report(&mut self, port: u32, error: &io::Error, rings: &mut Rings) {
        if port == port::LOG {
            return;
        }
        let errno = error.raw_os_error().and_then(|errno| u32::try_from(errno).ok());
        let errno = errno.unwrap_or(libc::EIO.unsigned_abs());
        let message = HostMessage { kind: host_message::STDIO_ERROR, port, errno, reserved: 0 };
        if !self.mailbox.post(message) {
            log::debug!("console port {port}: nobody takes the error: {error}");
        }
        self.deliver_mail(rings);
    }

    fn deliver_control(&mut self, rings: &mut Rings) {
        if let Some(ring) = rings.get(queue::CONTROL_RECEIVE) {
            self.control.flush(ring);
        }
    }

    fn deliver_mail(&mut self, rings: &mut Rings) {
        let Some(ring) = rings.get(queue::receive(port::CONTROL)) else { return };
        while let Some(message) = self.mailbox.first() {
            let Some(chain) = ring.pop() else {
                if ring.arm() {
                    continue;
                }
                break;
            };
            let head = chain.head_index();
            match copy_out(&chain, &message.to_bytes()) {
                Ok(written) => {
                    ring.push(head, written);
                    self.mailbox.remove_first();
                }
                Err(error) => ring.reject(head, error.describe()),
            }
        }
        ring.notify();
    }

    /// Gives every buffer of a transmit queue to `take`, and then back.
    fn receive_messages(ring: &mut Ring, longest: usize, mut take: impl FnMut(&[u8], &mut Ring)) -> Turn {
        let mut buffer = vec![0; longest];
        for _ in 0..TURN {
            let Some(chain) = ring.pop() else {
                ring.notify();
                return if ring.arm() { Turn::More } else { Turn::Done };
            };
            match copy_in(&chain, &mut buffer) {
                Ok(length) => {
                    take(&buffer[..length], ring);
                    ring.push(chain.head_index(), 0);
                }
                Err(error) => ring.reject(chain.head_index(), error.describe()),
            }
        }
        ring.notify();
        Turn::More
    }

    fn serve_control(&mut self, rings: &mut Rings) -> Turn {
        let Some(ring) = rings.get(queue::CONTROL_TRANSMIT) else { return Turn::Done };
        let control = &mut self.control;
        let turn = Self::receive_messages(ring, MESSAGE_SIZE, |bytes, ring| {
            let result = match bytes.try_into() {
                Ok(message) => control.handle(message),
                Err(_) => Err("console control message of odd size"),
            };
            if let Err(what) = result {
                ring.misbehaviour().count(Fault::Request, what);
            }
        });
        self.deliver_control(rings);
        turn
    }

    fn serve_messages(&mut self, rings: &mut Rings) -> Turn {
        let Some(ring) = rings.get(queue::transmit(port::CONTROL)) else { return Turn::Done };
        Self::receive_messages(ring, LONGEST_MESSAGE, |bytes, _| self.listener.message(bytes))
    }

    fn serve(&mut self, number: usize, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        if number == queue::receive(port::STDIN) {
            return self.serve_input(rings, operations);
        }
        if number == queue::receive(port::CONTROL) {
            self.deliver_mail(rings);
            return Turn::Done;
        }
        match number {
            queue::CONTROL_RECEIVE => {
                self.deliver_control(rings);
                Turn::Done
            }
            queue::CONTROL_TRANSMIT => self.serve_control(rings),
            _ => match queue::transmitting_port(number) {
                Some(port::CONTROL) => self.serve_messages(rings),
                Some(port::STDIN) => {
                    rings.get(number).map_or(Turn::Done, |ring| Self::receive_messages(ring, 0, |_, _| {}))
                }
                Some(port) => self.serve_output(port, rings, operations),
                // Buffers for input on ports that have none wait for ever.
                None => Turn::Done,
            },
        }
    }
}

impl Backend for ConsoleBackend {
    fn kicked(&mut self, number: usize, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        self.serve(number, rings, operations)
    }

    fn woken(&mut self, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        let turns = (0..queue::COUNT).map(|number| self.serve(number, rings, operations));
        turns.fold(Turn::Done, |all, turn| if turn == Turn::More { turn } else { all })
    }

    fn host_event(&mut self, tag: u32, rings: &mut Rings, operations: &mut EventOps) {
        let port = tag - HOST_EVENTS;
        // A turn that ends early continues with the next event, which comes at once: the descriptor is ready.
        if port == port::STDIN {
            self.input.event_came();
            if self.serve_input(rings, operations) == Turn::More {
                self.input.watch(operations);
            }
        } else if let Some(output) = self.output(port) {
            output.event_came();
            if self.serve_output(port, rings, operations) == Turn::More
                && let Some(output) = self.output(port)
            {
                output.watch(operations);
            }
        }
    }

    fn stopped(&mut self) {
        self.input.forget();
        for output in [&mut self.log, &mut self.output, &mut self.errors] {
            output.forget();
        }
        self.control.forget();
        self.mailbox.clear();
    }
}
