//! What is behind the device.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::BorrowedFd;

use fuse_backend_rs::transport::{Reader, VirtioFsWriter};

/// A connection, as [`HostSide`] calls it.
pub type StreamId = u32;

/// The guest wants a connection.
#[derive(Debug)]
pub struct Request<'a> {
    /// The host's port.
    pub port: u32,
    /// Whether it is to carry messages instead of bytes.
    pub carries_messages: bool,
    /// What came with it.
    pub contents: &'a [u8],
}

/// A connection is opened, or will be.
#[derive(Debug)]
pub struct Opened {
    /// What it is called from now on.
    pub stream: StreamId,
    /// What goes with the answer; without it the answer comes as [`News`].
    pub answer: Option<Vec<u8>>,
}

/// A connection is refused, and this goes with the refusal.
#[derive(Debug)]
pub struct Refused(pub Vec<u8>);

/// What has happened on the host.
#[derive(Debug)]
pub enum News {
    /// There may be something to read, until a read would block.
    Readable(StreamId),
    /// What would have blocked may be written.
    Writable(StreamId),
    /// A connection that the guest asked for stands.
    Accepted(StreamId, Vec<u8>),
    /// It cannot go on, and both sides are told.
    Broken(StreamId),
    /// It does not, and is forgotten.
    Refused(StreamId, Vec<u8>),
    /// Somebody wants a connection to the guest.
    Incoming {
        /// What it is called.
        stream: StreamId,
        /// The guest's port.
        port: u32,
        /// Whether it is to carry messages instead of bytes.
        carries_messages: bool,
        /// What goes with the request.
        contents: Vec<u8>,
    },
}

/// Who answers the guest's connections and makes those to the guest. Called on the device's thread, or a vCPU's; never waits.
///
/// Errors of a connection: `WouldBlock` until there is news, everything else means that it is broken.
pub trait HostSide: Send {
    /// Readable when [`happened`](Self::happened) has something to tell.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// Appends what has happened, if anything; bounded.
    fn happened(&mut self, news: &mut Vec<News>);

    /// The guest wants a connection.
    ///
    /// # Errors
    /// It is refused.
    fn open(&mut self, request: &Request<'_>) -> Result<Opened, Refused>;

    /// Writes bytes of the guest; returns how many.
    ///
    /// # Errors
    /// See [`HostSide`].
    fn write(&mut self, stream: StreamId, from: &mut FromGuest<'_, '_>) -> io::Result<usize>;

    /// Reads into guest memory; returns how many bytes, 0 at the end. One message, if it carries messages.
    ///
    /// # Errors
    /// See [`HostSide`].
    fn read(&mut self, stream: StreamId, to: &mut ToGuest<'_, '_>) -> io::Result<usize>;

    /// The guest sends no more.
    fn finish(&mut self, stream: StreamId);

    /// The guest has accepted a connection that was [`Incoming`](News::Incoming).
    fn accepted(&mut self, stream: StreamId);

    /// The guest has closed it, and what it had sent before is yet to be passed on. Whoever has no patience says
    /// [`Broken`](News::Broken).
    fn closing(&mut self, stream: StreamId);

    /// The connection is over, and its name free. If it is reset, the peer is told so.
    fn close(&mut self, stream: StreamId, is_reset: bool);

    /// All connections are over: the guest has reset the device.
    fn close_all(&mut self);
}

/// Bytes of the guest: in its memory, or kept since the last time.
pub enum FromGuest<'a, 'm> {
    /// In guest memory.
    Memory(&'a mut Reader<'m, ()>),
    /// Kept.
    Kept(&'a [u8]),
}

impl FromGuest<'_, '_> {
    /// Bytes that are left.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(reader) => reader.available_bytes(),
            Self::Kept(bytes) => bytes.len(),
        }
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes them to a descriptor, with no copy in between, as many as it takes.
    ///
    /// # Errors
    /// The descriptor's.
    pub fn write_to(&mut self, file: &mut File) -> io::Result<usize> {
        match self {
            Self::Memory(reader) => {
                let len = reader.available_bytes();
                reader.read_to(file, len)
            }
            Self::Kept(bytes) => {
                let len = file.write(bytes)?;
                *bytes = &bytes[len.min(bytes.len())..];
                Ok(len)
            }
        }
    }

    /// Copies to the front of `bytes`; returns how many there were.
    ///
    /// # Errors
    /// None that guest memory does not have.
    pub fn copy_to(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(reader) => reader.read(bytes),
            Self::Kept(kept) => kept.read(bytes),
        }
    }
}

/// Memory of the guest that is to be filled.
pub struct ToGuest<'a, 'm> {
    writer: &'a mut VirtioFsWriter<'m, ()>,
    most: usize,
}

impl<'a, 'm> ToGuest<'a, 'm> {
    pub(super) fn new(writer: &'a mut VirtioFsWriter<'m, ()>, most: usize) -> Self {
        let most = most.min(writer.available_bytes());
        Self { writer, most }
    }

    /// No more than `most`.
    pub(super) fn limit(&mut self, most: usize) {
        self.most = self.most.min(most);
    }

    /// Bytes that fit.
    pub fn room(&self) -> usize {
        self.most
    }

    /// Fills it from a descriptor, with no copy in between; returns how many bytes there were.
    ///
    /// # Errors
    /// The descriptor's.
    pub fn read_from(&mut self, file: &mut File) -> io::Result<usize> {
        let len = self.writer.write_from(file, self.most)?;
        self.most -= len.min(self.most);
        Ok(len)
    }

    /// Copies `bytes`, as many as fit.
    ///
    /// # Errors
    /// None that guest memory does not have.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.writer.write(&bytes[..bytes.len().min(self.most)])?;
        self.most -= len.min(self.most);
        Ok(len)
    }
}
