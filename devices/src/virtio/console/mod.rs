//! Console device with several ports (virtio 1.2 section 5.3): the program's standard streams, the kernel's log, and
//! a channel for messages of the host.
//!
//! ```text
//! port  name            queues (rx, tx)   guest → host                     host → guest
//! 0     septum.log      0, 1              kernel log, to a descriptor      –
//! -     control         2, 3              handshake of section 5.3.6.2     the same
//! 1     septum.stdin    4, 5              –                                standard input
//! 2     septum.stdout   6, 7              standard output                  –
//! 3     septum.stderr   8, 9              standard error                   –
//! 4     septum.control  10, 11            messages for the machine         HostMessage
//! ```
//!
//! What a driver may rely on:
//!
//! - **Input is read on demand.** Each buffer posted on queue 4 causes one `read` of at most its size, when the
//!   descriptor is readable; what was read, and no more, comes back. Nothing is read ahead, so what the program does
//!   not read stays for the next reader of the descriptor. End of file is a buffer of length 0, followed by
//!   `PORT_OPEN(1, 0)`.
//! - **Output is written before it is given back.** A buffer on queue 7 or 9 returns after its last byte was
//!   accepted by the host. If that failed, a `STDIO_ERROR` message is in the used ring of queue 10 *before* the
//!   buffer returns (if the driver has posted a buffer there; otherwise it waits for one).
//! - **A port that cannot go on does not stop the others.** A full pipe is waited for by the event loop.
//! - Ports work whether or not they were opened; the handshake only tells names.
//!
//! Bytes move between descriptor and guest memory without a copy.

mod backend;
mod control;
mod host_fd;
mod input;
mod mailbox;
mod output;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use septum_abi::control::port;

use self::backend::ConsoleBackend;
pub use self::mailbox::ControlSender;
use super::device::{ActivateError, ActivationContext, Attachment, VirtioDevice, read_config_bytes};
use super::device_type;
use super::worker::Worker;
use crate::core::DeviceThreadHandle;

/// Feature: the device has several ports.
pub const FEATURE_MULTIPORT: u64 = 1 << 1;

/// Largest size of every queue. A page a descriptor, a megabyte fits one buffer.
const QUEUE_SIZE: u16 = 256;
const QUEUE_SIZES: [u16; queue::COUNT] = [QUEUE_SIZE; queue::COUNT];

/// Numbers of the queues (section 5.3.2).
pub(crate) mod queue {
    use septum_abi::control::port;

    use crate::core::index;

    /// Control messages to the driver.
    pub const CONTROL_RECEIVE: usize = 2;
    /// Control messages of the driver.
    pub const CONTROL_TRANSMIT: usize = 3;
    /// All of them.
    pub const COUNT: usize = 12;

    /// Where the driver posts buffers for what comes in on `port`.
    pub fn receive(port: u32) -> usize {
        if port == 0 { 0 } else { 2 + 2 * index(port) }
    }

    /// Where the driver posts what goes out on `port`.
    pub fn transmit(port: u32) -> usize {
        receive(port) + 1
    }

    /// The port whose output arrives on `queue`.
    pub fn transmitting_port(queue: usize) -> Option<u32> {
        (0..port::COUNT).find(|port| transmit(*port) == queue)
    }
}

/// Descriptors behind the ports. Missing input is at its end; missing outputs swallow everything.
#[derive(Debug, Default)]
pub struct ConsolePorts {
    /// Kernel log, as text.
    pub log: Option<OwnedFd>,
    /// The program's standard input.
    pub stdin: Option<OwnedFd>,
    /// The program's standard output.
    pub stdout: Option<OwnedFd>,
    /// The program's standard error.
    pub stderr: Option<OwnedFd>,
}

/// Receives what the guest writes to the control port.
pub trait ControlPort: Send + Sync {
    /// One message, at most 4096 bytes, as hostile as the guest. Called on the device thread; must not block.
    fn message(&self, message: &[u8]);
}

/// The console device.
pub struct Console {
    worker: Worker<ConsoleBackend>,
    sender: ControlSender,
}

impl Console {
    /// A console on these descriptors that works on `thread`.
    ///
    /// # Errors
    /// No more file descriptors, or one of those given cannot be examined.
    pub fn new(
        ports: ConsolePorts,
        control: Arc<dyn ControlPort>,
        thread: DeviceThreadHandle,
    ) -> io::Result<Self> {
        let mailbox = mailbox::Mailbox::default();
        let worker = Worker::new(ConsoleBackend::new(ports, control, mailbox.clone())?, thread)?;
        let sender = ControlSender::new(mailbox, worker.waker());
        Ok(Self { worker, sender })
    }

    /// A handle through which the machine sends messages on the control port.
    #[must_use]
    pub fn control_sender(&self) -> ControlSender {
        self.sender.clone()
    }
}

impl VirtioDevice for Console {
    fn device_type(&self) -> u16 {
        device_type::CONSOLE
    }

    fn name(&self) -> &'static str {
        "virtio-console"
    }

    fn features(&self) -> u64 {
        FEATURE_MULTIPORT
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        // columns, rows: not offered; number of ports; emergency write: not offered.
        let mut config = [0; 12];
        config[4..8].copy_from_slice(&port::COUNT.to_le_bytes());
        read_config_bytes(&config, offset, data);
    }

    fn attach(&mut self, attachment: Attachment) -> io::Result<()> {
        self.worker.attach(attachment.kicks)
    }

    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        Ok(self.worker.start(context.rings)?)
    }

    fn reset(&mut self) {
        self.worker.stop();
    }
}
