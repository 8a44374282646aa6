//! One output port: buffers of the driver, written to a descriptor in order and completely.
//!
//! A buffer that could be written only in part is kept, with the number of bytes done, until the descriptor takes
//! more. There is at most one.

use std::io;

use event_manager::EventOps;

use super::super::chain::{ChainError, with_reader};
use super::super::ring::{Chain, Ring};
use super::host_fd::HostFd;

struct Current {
    chain: Chain,
    done: usize,
}

/// What happened to the next buffer.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There is none.
    Idle,
    /// It waits for the descriptor.
    Waiting,
    /// It is written; to be given back.
    Written(u16),
    /// It is not, or not all of it; to be given back after the driver was told the reason.
    Failed(u16, io::Error),
}

enum Step {
    Complete,
    Progress(usize),
    Blocked,
}

/// An output port.
#[derive(Default)]
pub(super) struct Output {
    target: Option<HostFd>,
    current: Option<Current>,
}

impl Output {
    /// Writes to `target`, or nowhere.
    pub(super) fn new(target: Option<HostFd>) -> Self {
        Self { target, current: None }
    }

    /// Works on the next buffer until it is done or has to wait.
    pub(super) fn advance(&mut self, ring: &mut Ring, operations: &mut EventOps) -> Outcome {
        loop {
            let next = self.current.take().or_else(|| Some(Current { chain: ring.pop()?, done: 0 }));
            let Some(mut current) = next else { return Outcome::Idle };
            let head = current.chain.head_index();
            match self.write_some(&current) {
                Err(error) => ring.reject(head, error.describe()),
                Ok(Err(error)) => return Outcome::Failed(head, error),
                Ok(Ok(Step::Complete)) => return Outcome::Written(head),
                Ok(Ok(Step::Progress(bytes))) => {
                    current.done += bytes;
                    self.current = Some(current);
                }
                Ok(Ok(Step::Blocked)) => {
                    self.current = Some(current);
                    if self.watch(operations) {
                        return Outcome::Waiting;
                    }
                }
            }
        }
    }

    /// Asks for an event when the port can go on.
    pub(super) fn watch(&mut self, operations: &mut EventOps) -> bool {
        self.target.as_mut().is_some_and(|target| target.watch_writable(operations))
    }

    /// That event came.
    pub(super) fn event_came(&mut self) {
        if let Some(target) = &mut self.target {
            target.event_came();
        }
    }

    /// Forgets the buffer in progress.
    pub(super) fn forget(&mut self) {
        self.current = None;
    }

    /// One write of what remains.
    fn write_some(&mut self, current: &Current) -> Result<io::Result<Step>, ChainError> {
        let Some(target) = &mut self.target else { return Ok(Ok(Step::Complete)) };
        with_reader(&current.chain, current.done, |reader| {
            if reader.available_bytes() == 0 {
                return Ok(Step::Complete);
            }
            let Some(limit) = target.writable_bytes() else { return Ok(Step::Blocked) };
            match reader.read_to(target.file(), limit) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(_) if reader.available_bytes() == 0 => Ok(Step::Complete),
                Ok(bytes) => Ok(Step::Progress(bytes)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Step::Progress(0)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Step::Blocked),
                Err(error) => Err(error),
            }
        })
    }
}
