//! Commands of the guest to the worker by port, and messages of the console's control port.

/// What the guest kernel writes (32 bits) to [`crate::layout::COMMAND_PORT`]. Details are in the report.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The program ended; the report holds its wait status.
    Exit = 1,
    /// The kernel panicked; the report holds the record.
    Panic = 2,
    /// The report's log has lines to print now.
    Log = 3,
    /// Start a vCPU whose area is at the guest-physical address in the report's `vcpu_area`; the answer is in `vcpu_answer` when
    /// the command returns.
    StartVcpu = 4,
    /// Give this vCPU's x87, SSE and further extended state the values of a reset.
    ResetExtendedState = 5,
    /// This vCPU's [name](crate::layout::VCPU_NAME) has changed. The worker looks at it after every exit: this is one.
    Renamed = 6,
    /// The kernel is ready for the [service vCPU](crate::service) that the worker wants.
    StartService = 7,
}

impl Command {
    /// The command with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Exit),
            2 => Some(Self::Panic),
            3 => Some(Self::Log),
            4 => Some(Self::StartVcpu),
            5 => Some(Self::ResetExtendedState),
            6 => Some(Self::Renamed),
            7 => Some(Self::StartService),
            _ => None,
        }
    }
}

/// Console ports (virtio-console multiport), by their fixed number.
pub mod port {
    /// Kernel log.
    pub const LOG: u32 = 0;
    /// The program's standard input.
    pub const STDIN: u32 = 1;
    /// The program's standard output.
    pub const STDOUT: u32 = 2;
    /// The program's standard error.
    pub const STDERR: u32 = 3;
    /// Messages of the host.
    pub const CONTROL: u32 = 4;
    /// Number of ports.
    pub const COUNT: u32 = 5;
}

/// A message of the host on the control port: 16 bytes, little endian.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMessage {
    /// One of [`host_message`].
    pub kind: u32,
    /// The console port concerned.
    pub port: u32,
    /// A Linux error number.
    pub errno: u32,
    /// Zero.
    pub reserved: u32,
}

impl HostMessage {
    /// Bytes on the wire.
    pub const SIZE: usize = 16;

    /// Wire form.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[0..4].copy_from_slice(&self.kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.port.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.errno.to_le_bytes());
        bytes
    }

    /// From wire form.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self { kind: word(0), port: word(4), errno: word(8), reserved: word(12) }
    }
}

/// Kinds of [`HostMessage`].
pub mod host_message {
    /// The write that is about to complete on `port` failed with `errno`.
    pub const STDIO_ERROR: u32 = 1;
}
