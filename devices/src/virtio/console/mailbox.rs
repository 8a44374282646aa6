//! Messages of the host on their way to the control port.
//!
//! They wait here until the driver has posted a buffer. A driver that never posts one must not make the host's
//! memory grow: past a limit, messages are dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use septum_abi::control::HostMessage;
use vmm_sys_util::eventfd::EventFd;

use crate::core::lock;

/// Messages that may wait.
const LIMIT: usize = 64;

/// The waiting messages.
#[derive(Clone, Default)]
pub(super) struct Mailbox {
    messages: Arc<Mutex<VecDeque<HostMessage>>>,
}

impl Mailbox {
    /// Appends a message; false if it was dropped.
    pub(super) fn post(&self, message: HostMessage) -> bool {
        let mut messages = lock(&self.messages);
        let has_room = messages.len() < LIMIT;
        if has_room {
            messages.push_back(message);
        }
        has_room
    }

    /// The oldest message, which stays.
    pub(super) fn first(&self) -> Option<HostMessage> {
        lock(&self.messages).front().copied()
    }

    /// Removes the oldest message.
    pub(super) fn remove_first(&self) {
        lock(&self.messages).pop_front();
    }

    pub(super) fn clear(&self) {
        lock(&self.messages).clear();
    }
}

/// Sends messages on the control port, from any thread.
#[derive(Clone)]
pub struct ControlSender {
    mailbox: Mailbox,
    wake: Arc<EventFd>,
}

impl ControlSender {
    pub(super) fn new(mailbox: Mailbox, wake: Arc<EventFd>) -> Self {
        Self { mailbox, wake }
    }

    /// Sends `message` as soon as the driver has a buffer for it. False if too many are waiting already.
    pub fn send(&self, message: HostMessage) -> bool {
        self.mailbox.post(message) && self.wake.write(1).is_ok()
    }
}
