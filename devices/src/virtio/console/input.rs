//! The input port: one read for every buffer that the driver posts, and never one more.

use std::io;

use event_manager::EventOps;

use super::super::chain::{ChainError, with_writer};
use super::super::ring::{Chain, Ring};
use super::host_fd::HostFd;

/// Most bytes of one read: also what fits the length of a used buffer.
const MOST_AT_ONCE: usize = 1 << 30;

/// What happened to the next buffer.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There is none.
    Idle,
    /// It waits for the descriptor.
    Waiting,
    /// It holds this many bytes, none at the end of input; to be given back.
    Read(u16, u32),
    /// The read failed; to be given back empty after the driver was told the reason.
    Failed(u16, io::Error),
}

/// The input port.
#[derive(Default)]
pub(super) struct Input {
    source: Option<HostFd>,
    /// A buffer for which there was nothing to read yet.
    current: Option<Chain>,
}

impl Input {
    /// Reads from `source`; without one the input is at its end.
    pub(super) fn new(source: Option<HostFd>) -> Self {
        Self { source, current: None }
    }

    /// Whether there is a descriptor at all.
    pub(super) fn is_connected(&self) -> bool {
        self.source.is_some()
    }

    /// Serves the next buffer, if the descriptor has something for it.
    pub(super) fn advance(&mut self, ring: &mut Ring, operations: &mut EventOps) -> Outcome {
        loop {
            let Some(chain) = self.current.take().or_else(|| ring.pop()) else { return Outcome::Idle };
            let head = chain.head_index();
            match self.read_into(&chain) {
                Err(error) => ring.reject(head, error.describe()),
                Ok(Ok(Some(bytes))) => return Outcome::Read(head, bytes),
                Ok(Err(error)) => return Outcome::Failed(head, error),
                Ok(Ok(None)) => {
                    self.current = Some(chain);
                    if self.watch(operations) {
                        return Outcome::Waiting;
                    }
                }
            }
        }
    }

    /// Asks for an event when there is something to read.
    pub(super) fn watch(&mut self, operations: &mut EventOps) -> bool {
        self.source.as_mut().is_some_and(|source| source.watch_readable(operations))
    }

    /// That event came.
    pub(super) fn event_came(&mut self) {
        if let Some(source) = &mut self.source {
            source.event_came();
        }
    }

    /// Forgets the waiting buffer.
    pub(super) fn forget(&mut self) {
        self.current = None;
    }

    /// One read; `None` while there is nothing to read.
    fn read_into(&mut self, chain: &Chain) -> Result<io::Result<Option<u32>>, ChainError> {
        let Some(source) = &mut self.source else { return Ok(Ok(Some(0))) };
        with_writer(chain, |writer| {
            let wanted = writer.available_bytes().min(MOST_AT_ONCE);
            if wanted == 0 {
                return Err(ChainError::TooShort);
            }
            if !source.is_readable() {
                return Ok(Ok(None));
            }
            Ok(match writer.write_from(source.file(), wanted) {
                Ok(bytes) => Ok(Some(u32::try_from(bytes).unwrap_or(u32::MAX))),
                Err(error) if is_transient(&error) => Ok(None),
                Err(error) => Err(error),
            })
        })?
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}
