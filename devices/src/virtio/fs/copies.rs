//! A thread that puts copies in the place of mapped files, ahead of a program that goes through one in order.
//!
//! ```text
//! file     ├ 2 MiB ┼ 2 MiB ┼ 2 MiB ┼ 2 MiB ┼ 2 MiB ┼ 2 MiB ┤
//! window    file    copy    copy    copy    file    file          never more than MOST_COPIES
//!                           ▲ program       ▲ this thread
//! ```
//!
//! Copying a unit takes a tenth of what 512 exits do. The thread is started by the first program that needs it, and ends with the device.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::Builder;

use super::window::Mappings;
use crate::core::lock;

/// Units that are copies at once: twice what a guest maps together. The host's memory, beyond the partition's.
pub(super) const MOST_COPIES: usize = 32;

/// The thread, as those see it who ask for copies.
pub(super) struct Copier {
    places: SyncSender<u64>,
}

impl Copier {
    pub(super) fn new(mappings: &Arc<Mutex<Mappings>>) -> Self {
        let (places, asked_for) = sync_channel(MOST_COPIES);
        let mappings = Arc::downgrade(mappings);
        // Without a thread there are no copies.
        if let Err(error) = Builder::new().name("copies".to_owned()).spawn(move || run(&mappings, &asked_for))
        {
            log::debug!("mapped files are not copied: {error}");
        }
        Self { places }
    }

    /// Wants a copy at this place of the window. Nothing depends on it: if too many are wanted, they are not made.
    pub(super) fn ask_for(&self, at: u64) {
        let _ = self.places.try_send(at);
    }
}

fn run(mappings: &Weak<Mutex<Mappings>>, places: &Receiver<u64>) {
    for at in places {
        let Some(mappings) = mappings.upgrade() else { return };
        lock(&mappings).copy(at);
    }
}
