//! The adapter: the model's registers on one side, the host's function and KVM's lines on the other.
//!
//! One lock is held from a write to what it leads to, so that function and model never differ when two vCPUs write. Whatever the host
//! refuses, the guest notices by its device not working, as with a broken one.
//!
//! All vectors of a kind are on as long as the guest has that kind on; one that it has masked is not connected to a line. What comes then stays in
//! the vector's event, and is delivered when it is connected again.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use vmm_sys_util::eventfd::EventFd;

use super::BARS;
use super::registers::{self, BYTES, Bar, Registers, VectorTable, Wanted};
use crate::core::lock;
use crate::pci::PciFunction;
use crate::pci::msix::{Message, Table};

/// How a function interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MSI.
    Msi,
    /// MSI-X.
    MsiX,
}

/// A function of the host. All of it may be called by several threads at once.
pub trait HostFunction: Send + Sync {
    /// Reads configuration space; all ones if that fails.
    fn config_read(&self, register: u64, data: &mut [u8]);

    /// Writes to configuration space.
    fn config_write(&self, register: u64, data: &[u8]);

    /// Bytes of a BAR; 0 if it is not there.
    fn bar_bytes(&self, bar: usize) -> u64;

    /// Reads from a BAR; all ones if that fails.
    fn bar_read(&self, bar: usize, offset: u64, data: &mut [u8]);

    /// Writes to a BAR.
    fn bar_write(&self, bar: usize, offset: u64, data: &[u8]);

    /// How many vectors of a kind it has.
    fn vectors(&self, kind: Kind) -> u32;

    /// Has each vector of a kind signal an event; without events that kind is off.
    ///
    /// # Errors
    /// The host refused.
    fn set_interrupts(&self, kind: Kind, events: &[EventFd]) -> io::Result<()>;
}

/// Interrupt lines of the machine.
pub trait Lines: Send + Sync {
    /// A new line.
    ///
    /// # Errors
    /// The machine has no more.
    fn line(&self) -> io::Result<u32>;

    /// What a line sends from now on.
    ///
    /// # Errors
    /// The machine refused.
    fn route(&self, line: u32, message: Message) -> io::Result<()>;

    /// `event` raises the line from now on, at once if it is signalled already.
    ///
    /// # Errors
    /// The machine refused.
    fn connect(&self, line: u32, event: &EventFd) -> io::Result<()>;

    /// It does not any more.
    ///
    /// # Errors
    /// The machine refused.
    fn disconnect(&self, line: u32, event: &EventFd) -> io::Result<()>;
}

/// The guest's function.
pub struct PassedFunction {
    host: Arc<dyn HostFunction>,
    lines: Arc<dyn Lines>,
    bars: [Option<(Bar, u64)>; BARS],
    table: Option<VectorTable>,
    state: Mutex<State>,
}

/// A vector's event and line, made when they are first needed.
struct Vector {
    event: EventFd,
    line: u32,
    is_connected: bool,
}

struct State {
    registers: Registers,
    table: Table,
    /// What the function was told last.
    is_bus_master: bool,
    told: Told,
    vectors: Vec<Vector>,
}

/// Which kind is on, and what each of its vectors sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    kind: Option<Kind>,
    messages: Vec<Option<Message>>,
}

impl PassedFunction {
    /// `place` gives each BAR its address; it is told which part of it the guest must reach by exits only.
    ///
    /// # Errors
    /// What `place` says.
    pub fn new<E>(
        host: Arc<dyn HostFunction>,
        lines: Arc<dyn Lines>,
        mut place: impl FnMut(usize, Bar, Range<u64>) -> Result<u64, E>,
    ) -> Result<Self, E> {
        let mut bytes = [0; BYTES];
        host.config_read(0, &mut bytes);
        let table = registers::vector_table(&bytes, host.vectors(Kind::MsiX));
        let mut bars = [None; BARS];
        for (index, bar) in registers::bars(&bytes, |bar| host.bar_bytes(bar)).into_iter().enumerate() {
            let hidden = table.filter(|table| table.bar == index).map_or(0..0, |table| table.range());
            bars[index] = bar.map(|bar| Ok((bar, place(index, bar, hidden)?))).transpose()?;
        }
        let registers = Registers::new(&bytes, &bars, host.vectors(Kind::Msi), table.as_ref());
        let (register, command) = registers::command(false);
        host.config_write(register, &command);
        let vectors = Table::new(table.map_or(0, |table| table.vectors));
        let state = State {
            registers,
            table: vectors,
            is_bus_master: false,
            told: Told::default(),
            vectors: Vec::new(),
        };
        Ok(Self { host, lines, bars, table, state: Mutex::new(state) })
    }

    /// Has the function do what the guest wants now.
    fn follow(&self, state: &mut State) -> io::Result<()> {
        let Wanted { is_bus_master, messages, msix_control } = state.registers.wanted();
        if is_bus_master != state.is_bus_master {
            state.is_bus_master = is_bus_master;
            let (register, command) = registers::command(is_bus_master);
            self.host.config_write(register, &command);
        }
        // Nothing waits in the table: what waits, waits in events. Without bus mastering the function sends nothing by itself.
        let _ = state.table.set_control(msix_control, true);
        let now = if state.table.is_enabled() {
            let messages = (0..state.table.vectors()).map(|vector| state.table.message(vector)).collect();
            Told { kind: Some(Kind::MsiX), messages }
        } else {
            let kind = (!messages.is_empty()).then_some(Kind::Msi);
            Told { kind, messages: messages.into_iter().map(Some).collect() }
        };
        if now == state.told {
            return Ok(());
        }
        let before = std::mem::take(&mut state.told);
        self.connect(state, &before, &now).inspect(|()| state.told = now.clone()).inspect_err(|_| {
            // None at all, so that the next write is not taken for a small change.
            for kind in [before.kind, now.kind].into_iter().flatten() {
                let _ = self.host.set_interrupts(kind, &[]);
            }
        })
    }

    /// Has the function interrupt as `now` says, where it did as `before`.
    fn connect(&self, state: &mut State, before: &Told, now: &Told) -> io::Result<()> {
        let is_other = before.kind != now.kind || before.messages.len() != now.messages.len();
        if let Some(kind) = before.kind.filter(|_| is_other) {
            self.host.set_interrupts(kind, &[])?;
        }
        while state.vectors.len() < now.messages.len() {
            let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
            let line = self.lines.line()?;
            state.vectors.push(Vector { event, line, is_connected: false });
        }
        for (position, vector) in state.vectors.iter_mut().enumerate() {
            if is_other {
                // What the kind before left.
                let _ = vector.event.read();
            }
            let message = now.messages.get(position).copied().flatten();
            if let Some(message) = message
                && (is_other || before.messages.get(position).copied().flatten() != Some(message))
            {
                self.lines.route(vector.line, message)?;
            }
            match (message.is_some(), vector.is_connected) {
                (true, false) => self.lines.connect(vector.line, &vector.event)?,
                (false, true) => self.lines.disconnect(vector.line, &vector.event)?,
                _ => {}
            }
            vector.is_connected = message.is_some();
        }
        if let Some(kind) = now.kind.filter(|_| is_other) {
            let vectors = state.vectors.iter().take(now.messages.len());
            let events = vectors.map(|vector| vector.event.try_clone()).collect::<io::Result<Vec<_>>>()?;
            self.host.set_interrupts(kind, &events)?;
        }
        Ok(())
    }

    fn follow_or_tell(&self, state: &mut State) {
        if let Err(error) = self.follow(state) {
            log::debug!("a function does not do what its registers say: {error}");
        }
    }

    /// Where in the table of vectors that is, if it is there.
    fn in_table(&self, bar: usize, offset: u64) -> Option<u64> {
        let table = self.table.filter(|table| table.bar == bar && table.range().contains(&offset))?;
        Some(offset - table.offset)
    }
}

impl PciFunction for PassedFunction {
    fn config_read(&self, register: usize, data: &mut [u8]) {
        lock(&self.state).registers.read(register, data);
    }

    fn config_write(&self, register: usize, data: &[u8]) {
        let mut state = lock(&self.state);
        state.registers.write(register, data);
        self.follow_or_tell(&mut state);
    }

    fn claim(&self, address: u64) -> Option<(usize, u64)> {
        self.bars.iter().enumerate().find_map(|(index, bar)| {
            let (bar, start) = (*bar)?;
            let offset = address.checked_sub(start).filter(|offset| *offset < bar.bytes)?;
            Some((index, offset))
        })
    }

    fn memory_read(&self, bar: usize, offset: u64, data: &mut [u8]) {
        match self.in_table(bar, offset) {
            Some(offset) => lock(&self.state).table.read_table(offset, data),
            None => self.host.bar_read(bar, offset, data),
        }
    }

    fn memory_write(&self, bar: usize, offset: u64, data: &[u8]) {
        let Some(offset) = self.in_table(bar, offset) else { return self.host.bar_write(bar, offset, data) };
        let mut state = lock(&self.state);
        // Strange accesses change nothing.
        if state.table.write_table(offset, data).is_some() {
            self.follow_or_tell(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const REFUSED: u64 = 0xffff_fffc;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>, AtomicU32);

    impl Recorder {
        fn note(&self, what: String) {
            lock(&self.0).push(what);
        }

        fn taken(&self) -> Vec<String> {
            std::mem::take(&mut *lock(&self.0))
        }
    }

    impl HostFunction for Recorder {
        fn config_read(&self, _register: u64, data: &mut [u8]) {
            data[0x06] = 0x10;
            data[0x34] = 0x40;
            // MSI-X: three vectors in BAR 2 at 0x800.
            data[0x50..0x5c].copy_from_slice(&[0x11, 0, 2, 0, 2, 8, 0, 0, 3, 8, 0, 0]);
            // MSI with addresses of 32 bits, two vectors.
            data[0x40..0x44].copy_from_slice(&[5, 0x50, 0b10, 0]);
        }
        fn config_write(&self, register: u64, data: &[u8]) {
            self.note(format!("config {register}: {data:?}"));
        }
        fn bar_bytes(&self, bar: usize) -> u64 {
            if bar == 2 { 0x1000 } else { 0 }
        }
        fn bar_read(&self, _bar: usize, _offset: u64, _data: &mut [u8]) {}
        fn bar_write(&self, bar: usize, offset: u64, data: &[u8]) {
            self.note(format!("bar {bar} at {offset}: {data:?}"));
        }
        fn vectors(&self, kind: Kind) -> u32 {
            if kind == Kind::Msi { 2 } else { 3 }
        }
        fn set_interrupts(&self, kind: Kind, events: &[EventFd]) -> io::Result<()> {
            self.note(format!("{kind:?} {}", events.len()));
            Ok(())
        }
    }

    impl Lines for Recorder {
        fn line(&self) -> io::Result<u32> {
            Ok(self.1.fetch_add(1, Ordering::Relaxed))
        }
        fn route(&self, line: u32, message: Message) -> io::Result<()> {
            if message.address == REFUSED {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            self.note(format!("{line} = {}", message.data));
            Ok(())
        }
        fn connect(&self, line: u32, _event: &EventFd) -> io::Result<()> {
            self.note(format!("+{line}"));
            Ok(())
        }
        fn disconnect(&self, line: u32, _event: &EventFd) -> io::Result<()> {
            self.note(format!("-{line}"));
            Ok(())
        }
    }

    fn function() -> (Arc<Recorder>, PassedFunction) {
        let recorder = Arc::new(Recorder::default());
        let place = |bar, _, hidden| {
            assert_eq!((bar, hidden), (2, 0x800..0x830));
            Ok::<_, ()>(0xc000_0000)
        };
        let function =
            PassedFunction::new(Arc::clone(&recorder) as _, Arc::clone(&recorder) as _, place).unwrap();
        assert_eq!(recorder.taken(), ["config 4: [2, 4]"], "it is silent at first");
        (recorder, function)
    }

    #[test]
    fn interrupts_are_on_only_when_they_have_a_way() {
        let (recorder, function) = function();
        function.config_write(0x44, &0xfee0_0000_u32.to_le_bytes());
        function.config_write(0x48, &[0x50, 0]);
        assert_eq!(recorder.taken(), [""; 0]);
        function.config_write(0x42, &[1, 0]);
        assert_eq!(recorder.taken(), ["0 = 80", "+0", "Msi 1"]);
        function.config_write(0x48, &[0x60, 0]);
        assert_eq!(recorder.taken(), ["0 = 96"]);
        function.config_write(0x42, &[0x11, 0]);
        assert_eq!(recorder.taken(), ["Msi 0", "0 = 96", "1 = 97", "+1", "Msi 2"]);
        function.config_write(0x42, &[0, 0]);
        assert_eq!(recorder.taken(), ["Msi 0", "-0", "-1"]);
    }

    #[test]
    fn what_the_machine_refuses_can_be_tried_again() {
        let (recorder, function) = function();
        function.config_write(0x44, &[0xff; 4]);
        function.config_write(0x42, &[1, 0]);
        assert_eq!(recorder.taken(), ["Msi 0"]);
        function.config_write(0x44, &0xfee0_0000_u32.to_le_bytes());
        assert_eq!(recorder.taken(), ["0 = 0", "+0", "Msi 1"]);
    }

    #[test]
    fn vectors_of_a_table_are_connected_while_they_are_not_masked() {
        let (recorder, function) = function();
        let entry = |vector: u64, field: u64, value: u32| {
            function.memory_write(2, 0x800 + 16 * vector + 4 * field, &value.to_le_bytes());
        };
        // The model's capability follows MSI with addresses of 32 bits.
        let control = 0x4c + 2;
        entry(1, 0, 0xfee0_0000);
        entry(1, 2, 0x61);
        entry(1, 3, 0);
        assert_eq!(recorder.taken(), [""; 0]);
        function.config_write(control, &[0, 0x80]);
        assert_eq!(recorder.taken(), ["1 = 97", "+1", "MsiX 3"]);
        entry(1, 3, 1);
        assert_eq!(recorder.taken(), ["-1"]);
        entry(1, 2, 0x62);
        entry(1, 3, 0);
        assert_eq!(recorder.taken(), ["1 = 98", "+1"]);
        function.config_write(control, &[0, 0xc0]);
        assert_eq!(recorder.taken(), ["-1"]);
        function.config_write(control, &[0, 0]);
        assert_eq!(recorder.taken(), ["MsiX 0"]);
        // The table is the model's; what is beside it is the function's.
        let mut bytes = [0; 4];
        function.memory_read(2, 0x818, &mut bytes);
        assert_eq!(bytes, [0x62, 0, 0, 0]);
        function.memory_write(2, 0x830, &[1]);
        assert_eq!(recorder.taken(), ["bar 2 at 2096: [1]"]);
    }

    #[test]
    fn of_the_command_only_bus_mastering_gets_through() {
        let (recorder, function) = function();
        function.config_write(4, &[0xff, 0xff]);
        assert_eq!(recorder.taken(), ["config 4: [6, 4]"]);
        function.config_write(4, &[0, 0]);
        assert_eq!(recorder.taken(), ["config 4: [2, 4]"]);
        function.config_write(0x40, &[0xff; 2]);
        function.config_write(0xfff, &[0xff; 8]);
        assert_eq!(recorder.taken(), [""; 0]);
    }

    #[test]
    fn addresses_of_a_bar_are_its_own_wherever_its_register_points() {
        let (recorder, function) = function();
        function.config_write(0x18, &0xd000_0000_u32.to_le_bytes());
        assert_eq!(function.claim(0xc000_0fff), Some((2, 0xfff)));
        assert_eq!(function.claim(0xc000_1000), None);
        assert_eq!(function.claim(0xd000_0000), None);
        function.memory_write(2, 8, &[1]);
        assert_eq!(recorder.taken(), ["bar 2 at 8: [1]"]);
    }
}
