//! Packets of a virtio socket device (virtio 1.2 section 5.10): the header that each begins with.
//!
//! ```text
//! +0  source CID u64      +8  destination CID u64
//! +16 source port u32     +20 destination port u32
//! +24 length u32          +28 type u16            +30 operation u16
//! +32 flags u32           +36 buffer size u32     +40 bytes forwarded u32
//! ```

/// Bytes of a header.
pub const HEADER: usize = 44;
/// The host.
pub const HOST_CID: u64 = 2;
/// The partition.
pub const GUEST_CID: u64 = 3;

/// VIRTIO_VSOCK_F_SEQPACKET
pub const FEATURE_SEQPACKET: u64 = 1 << 1;

/// Kinds of sockets.
pub mod kind {
    /// VIRTIO_VSOCK_TYPE_STREAM
    pub const STREAM: u16 = 1;
    /// VIRTIO_VSOCK_TYPE_SEQPACKET
    pub const MESSAGES: u16 = 2;
}

/// Operations.
pub mod operation {
    /// VIRTIO_VSOCK_OP_REQUEST
    pub const REQUEST: u16 = 1;
    /// VIRTIO_VSOCK_OP_RESPONSE
    pub const RESPONSE: u16 = 2;
    /// VIRTIO_VSOCK_OP_RST
    pub const RESET: u16 = 3;
    /// VIRTIO_VSOCK_OP_SHUTDOWN
    pub const SHUTDOWN: u16 = 4;
    /// VIRTIO_VSOCK_OP_RW
    pub const DATA: u16 = 5;
    /// VIRTIO_VSOCK_OP_CREDIT_UPDATE
    pub const CREDIT: u16 = 6;
    /// VIRTIO_VSOCK_OP_CREDIT_REQUEST
    pub const CREDIT_REQUEST: u16 = 7;
}

/// Flags of [`operation::SHUTDOWN`].
pub mod shutdown {
    /// The sender will receive no more.
    pub const RECEIVE: u32 = 1;
    /// The sender will send no more.
    pub const SEND: u32 = 2;
    /// Both.
    pub const BOTH: u32 = 3;
}

/// Flags of [`operation::DATA`] of messages: this packet ends one, and it ends a record too.
pub const END_OF_MESSAGE: u32 = 3;

/// A header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Who sends.
    pub source_cid: u64,
    /// Who receives.
    pub destination_cid: u64,
    /// The sender's port.
    pub source_port: u32,
    /// The receiver's.
    pub destination_port: u32,
    /// Bytes that follow.
    pub len: u32,
    /// See [`kind`].
    pub kind: u16,
    /// See [`operation`].
    pub operation: u16,
    /// By operation.
    pub flags: u32,
    /// Bytes that the sender keeps for this connection until its program takes them.
    pub buffer_size: u32,
    /// Bytes that the sender's program has taken, modulo 2³².
    pub forwarded: u32,
}

impl Header {
    /// As it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&self.source_cid.to_le_bytes());
        put(&self.destination_cid.to_le_bytes());
        put(&self.source_port.to_le_bytes());
        put(&self.destination_port.to_le_bytes());
        put(&self.len.to_le_bytes());
        put(&self.kind.to_le_bytes());
        put(&self.operation.to_le_bytes());
        put(&self.flags.to_le_bytes());
        put(&self.buffer_size.to_le_bytes());
        put(&self.forwarded.to_le_bytes());
        bytes
    }

    /// From what was received. Nothing is checked: every combination of bytes is a header.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; HEADER]) -> Self {
        let field = |at: usize| {
            let mut field = [0; 8];
            let end = (at + 8).min(HEADER);
            field[..end - at].copy_from_slice(&bytes[at..end]);
            field
        };
        let word = |at: usize| {
            let [a, b, c, d, ..] = field(at);
            u32::from_le_bytes([a, b, c, d])
        };
        let half = |at: usize| {
            let [a, b, ..] = field(at);
            u16::from_le_bytes([a, b])
        };
        Self {
            source_cid: u64::from_le_bytes(field(0)),
            destination_cid: u64::from_le_bytes(field(8)),
            source_port: word(16),
            destination_port: word(20),
            len: word(24),
            kind: half(28),
            operation: half(30),
            flags: word(32),
            buffer_size: word(36),
            forwarded: word(40),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received() {
        let header = Header {
            source_cid: GUEST_CID,
            destination_cid: HOST_CID,
            source_port: 0x0102_0304,
            destination_port: 5,
            len: 6,
            kind: kind::STREAM,
            operation: operation::DATA,
            flags: 7,
            buffer_size: 8,
            forwarded: u32::MAX,
        };
        let bytes = header.to_bytes();
        assert_eq!((bytes[0], bytes[16], bytes[24], bytes[30], bytes[43]), (3, 4, 6, 5, 255));
        assert_eq!(Header::from_bytes(&bytes), header);
    }
}
