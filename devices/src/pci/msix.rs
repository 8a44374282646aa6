//! MSI-X: a pure model of the table, the pending bits and the control word (PCI 3.0 section 6.8.2).
//!
//! ```text
//! table entry (16 bytes)                               pending bit array: one bit a vector
//! ┌───────────────┬───────────────┬────────┬─────────┐
//! │ address 31:0  │ address 63:32 │  data  │ control │  control bit 0: masked
//! └───────────────┴───────────────┴────────┴─────────┘
//! ```
//!
//! An interrupt that cannot be sent because its vector, the function or the bus mastering is off becomes a pending
//! bit, and is sent at the moment in which the last obstacle goes. While MSI-X is disabled interrupts are lost, as
//! the specification has it.

use crate::core::index;

/// Capability number of MSI-X.
pub const CAPABILITY: u8 = 0x11;
/// Message control: MSI-X is enabled.
pub const CONTROL_ENABLE: u16 = 1 << 15;
/// Message control: all vectors are masked.
pub const CONTROL_MASK: u16 = 1 << 14;
/// Bits of the message control word that the guest may change.
pub const CONTROL_WRITABLE: [u8; 2] = (CONTROL_ENABLE | CONTROL_MASK).to_le_bytes();
/// Bytes of a table entry.
pub const ENTRY_SIZE: u64 = 16;

const VECTOR_MASKED: u32 = 1;

/// What an interrupt is on the bus: a write of `data` to `address`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where to write.
    pub address: u64,
    /// What to write.
    pub data: u32,
}

/// What becomes of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Send this now.
    Now(Message),
    /// It waits in its pending bit.
    Pending,
    /// MSI-X is disabled, or there is no such vector.
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Address low, address high, data, control.
    words: [u32; 4],
    is_pending: bool,
}

impl Entry {
    fn is_masked(&self) -> bool {
        self.words[3] & VECTOR_MASKED != 0
    }

    fn message(&self) -> Message {
        Message { address: u64::from(self.words[1]) << 32 | u64::from(self.words[0]), data: self.words[2] }
    }
}

/// The table of one function.
#[derive(Clone, Debug)]
pub struct Table {
    entries: Vec<Entry>,
    is_enabled: bool,
    is_masked: bool,
}

impl Table {
    /// A disabled table of `vectors` masked vectors.
    #[must_use]
    pub fn new(vectors: u16) -> Self {
        let entry = Entry { words: [0, 0, 0, VECTOR_MASKED], is_pending: false };
        Self { entries: vec![entry; usize::from(vectors)], is_enabled: false, is_masked: true }
    }

    /// What an interrupt on `vector` would send now; `None` if it would wait, or be lost.
    #[must_use]
    pub fn message(&self, vector: u16) -> Option<Message> {
        let entry = self.entries.get(usize::from(vector))?;
        (self.is_enabled && !self.is_masked && !entry.is_masked()).then(|| entry.message())
    }

    /// Whether MSI-X is enabled.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Vectors.
    #[must_use]
    pub fn vectors(&self) -> u16 {
        u16::try_from(self.entries.len()).unwrap_or(u16::MAX)
    }

    /// Raises an interrupt on `vector`.
    pub fn trigger(&mut self, vector: u16) -> Delivery {
        let blocked = self.is_masked;
        match self.entries.get_mut(usize::from(vector)) {
            Some(entry) if self.is_enabled => {
                if blocked || entry.is_masked() {
                    entry.is_pending = true;
                    Delivery::Pending
                } else {
                    Delivery::Now(entry.message())
                }
            }
            _ => Delivery::Lost,
        }
    }

    /// Follows the message control word and the command register. Returns what has to be sent now.
    #[must_use = "released interrupts have to be sent"]
    pub fn set_control(&mut self, control: u16, is_bus_master: bool) -> Vec<Message> {
        self.is_enabled = control & CONTROL_ENABLE != 0;
        self.is_masked = control & CONTROL_MASK != 0 || !is_bus_master;
        if !self.is_enabled {
            for entry in &mut self.entries {
                entry.is_pending = false;
            }
        }
        self.release()
    }

    /// Reads the table.
    pub fn read_table(&self, offset: u64, data: &mut [u8]) {
        for (byte, at) in data.iter_mut().zip(offset..) {
            let word =
                self.entries.get(index(at / ENTRY_SIZE)).map(|entry| entry.words[index(at % ENTRY_SIZE / 4)]);
            *byte = word.map_or(0, |word| word.to_le_bytes()[index(at % 4)]);
        }
    }

    /// Writes to the table. Only aligned accesses of 4 or 8 bytes count, as the specification has it; `None` is any
    /// other. Returns what has to be sent now.
    #[must_use = "released interrupts have to be sent"]
    pub fn write_table(&mut self, offset: u64, data: &[u8]) -> Option<Vec<Message>> {
        let (words, rest) = data.as_chunks::<4>();
        if words.is_empty() || words.len() > 2 || !rest.is_empty() || !offset.is_multiple_of(4) {
            return None;
        }
        for (word, at) in words.iter().zip((offset..).step_by(4)) {
            let entry = self.entries.get_mut(index(at / ENTRY_SIZE))?;
            let field = index(at % ENTRY_SIZE / 4);
            let value = u32::from_le_bytes(*word);
            entry.words[field] = match field {
                0 => value & !0b11,
                3 => value & VECTOR_MASKED,
                _ => value,
            };
        }
        Some(self.release())
    }

    /// Reads the pending bits.
    pub fn read_pending(&self, offset: u64, data: &mut [u8]) {
        for (byte, at) in data.iter_mut().zip(offset..) {
            let first = index(at.saturating_mul(8));
            *byte = (0..8)
                .filter(|bit| {
                    self.entries.get(first.saturating_add(*bit)).is_some_and(|entry| entry.is_pending)
                })
                .fold(0, |bits, bit| bits | 1 << bit);
        }
    }

    fn release(&mut self) -> Vec<Message> {
        if !self.is_enabled || self.is_masked {
            return Vec::new();
        }
        let ready = self.entries.iter_mut().filter(|entry| entry.is_pending && !entry.is_masked());
        ready
            .map(|entry| {
                entry.is_pending = false;
                entry.message()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programmed() -> Table {
        let mut table = Table::new(3);
        assert!(table.write_table(16, &0xfee0_0000_u64.to_le_bytes()).unwrap().is_empty());
        assert!(table.write_table(24, &0x41_u64.to_le_bytes()).unwrap().is_empty());
        table
    }

    const MESSAGE: Message = Message { address: 0xfee0_0000, data: 0x41 };

    #[test]
    fn an_unmasked_vector_sends_its_message() {
        let mut table = programmed();
        assert_eq!(table.trigger(1), Delivery::Lost);
        assert!(table.set_control(CONTROL_ENABLE, true).is_empty());
        assert_eq!(table.trigger(1), Delivery::Now(MESSAGE));
        assert_eq!(table.trigger(3), Delivery::Lost);
    }

    #[test]
    fn every_kind_of_mask_keeps_the_interrupt_pending_until_it_goes() {
        let mut table = programmed();
        assert!(table.set_control(CONTROL_ENABLE | CONTROL_MASK, true).is_empty());
        assert_eq!(table.trigger(1), Delivery::Pending);
        let mut pending = [0; 8];
        table.read_pending(0, &mut pending);
        assert_eq!(pending, [0b10, 0, 0, 0, 0, 0, 0, 0]);
        assert!(table.set_control(CONTROL_ENABLE, false).is_empty());
        assert_eq!(table.set_control(CONTROL_ENABLE, true), [MESSAGE]);
        assert!(table.write_table(28, &1_u32.to_le_bytes()).unwrap().is_empty());
        assert_eq!(table.trigger(1), Delivery::Pending);
        assert_eq!(table.trigger(1), Delivery::Pending);
        assert_eq!(table.write_table(28, &0_u32.to_le_bytes()).unwrap(), [MESSAGE]);
        assert_eq!(table.write_table(28, &0_u32.to_le_bytes()).unwrap(), []);
    }

    #[test]
    fn strange_accesses_change_nothing() {
        let mut table = programmed();
        assert_eq!(table.write_table(17, &[0; 4]), None);
        assert_eq!(table.write_table(16, &[0; 2]), None);
        assert_eq!(table.write_table(48, &[0; 4]), None);
        assert_eq!(table.write_table(u64::MAX - 3, &[0; 4]), None);
        let mut data = [0xff; 16];
        table.read_table(u64::MAX - 20, &mut data);
        assert_eq!(data, [0; 16]);
        table.read_table(16, &mut data);
        assert_eq!(&data[..4], &0xfee0_0000_u32.to_le_bytes());
    }
}
