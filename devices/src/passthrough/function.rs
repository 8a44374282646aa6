//! The adapter: the model's registers on one side, the host's function and KVM's lines on the other.
//!
//! One lock is held from a write to what it leads to, so that function and model never differ when two vCPUs write. Whatever the host
//! refuses, the guest notices by its device not working, as with a broken one.

use std::io;
use std::sync::{Arc, Mutex};

use vmm_sys_util::eventfd::EventFd;

use super::BARS;
use super::registers::{self, BYTES, Bar, Registers, Wanted};
use crate::core::lock;
use crate::pci::PciFunction;
use crate::pci::msix::Message;

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

    /// How many MSI vectors it has.
    fn msi_vectors(&self) -> u32;

    /// Has each MSI vector signal an event; without events MSI is off.
    ///
    /// # Errors
    /// The host refused.
    fn set_msi(&self, events: &[EventFd]) -> io::Result<()>;
}

/// Interrupt lines of the machine.
pub trait Lines: Send + Sync {
    /// A new line, which `event` raises. It has no route yet.
    ///
    /// # Errors
    /// The machine has no more, or refused.
    fn connect(&self, event: &EventFd) -> io::Result<u32>;

    /// What a line sends from now on.
    ///
    /// # Errors
    /// The machine refused.
    fn route(&self, line: u32, message: Option<Message>) -> io::Result<()>;
}

/// The guest's function.
pub struct PassedFunction {
    host: Arc<dyn HostFunction>,
    lines: Arc<dyn Lines>,
    bars: [Option<(Bar, u64)>; BARS],
    state: Mutex<State>,
}

struct State {
    registers: Registers,
    /// What the function was told last.
    told: Wanted,
    /// Events and their lines, made when they are first needed.
    vectors: Vec<(EventFd, u32)>,
}

impl PassedFunction {
    /// `place` gives each BAR its address.
    ///
    /// # Errors
    /// What `place` says.
    pub fn new<E>(
        host: Arc<dyn HostFunction>,
        lines: Arc<dyn Lines>,
        mut place: impl FnMut(usize, Bar) -> Result<u64, E>,
    ) -> Result<Self, E> {
        let mut bytes = [0; BYTES];
        host.config_read(0, &mut bytes);
        let mut bars = [None; BARS];
        for (index, bar) in registers::bars(&bytes, |bar| host.bar_bytes(bar)).into_iter().enumerate() {
            bars[index] = bar.map(|bar| Ok((bar, place(index, bar)?))).transpose()?;
        }
        let registers = Registers::new(&bytes, &bars, host.msi_vectors());
        let told = Wanted::default();
        let (register, command) = registers::command(&told);
        host.config_write(register, &command);
        let state = Mutex::new(State { registers, told, vectors: Vec::new() });
        Ok(Self { host, lines, bars, state })
    }

    /// Has the function do what the guest wants now.
    fn follow(&self, state: &mut State) -> io::Result<()> {
        let wanted = state.registers.wanted();
        if wanted == state.told {
            return Ok(());
        }
        let (before, now) = (std::mem::replace(&mut state.told, wanted.clone()), wanted);
        if before.is_bus_master != now.is_bus_master {
            let (register, command) = registers::command(&now);
            self.host.config_write(register, &command);
        }
        if before.messages == now.messages {
            return Ok(());
        }
        let result = self.connect(state, before.messages.len(), &now.messages);
        if result.is_err() {
            // None at all, so that the next change is not taken for a small one.
            state.told.messages.clear();
            let _ = self.host.set_msi(&[]);
        }
        result
    }

    /// Has the function send `messages` from now on, where it sent `before` different ones.
    fn connect(&self, state: &mut State, before: usize, messages: &[Message]) -> io::Result<()> {
        let now = messages.len();
        if before != now && before > 0 {
            self.host.set_msi(&[])?;
        }
        while state.vectors.len() < now {
            let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
            let line = self.lines.connect(&event)?;
            state.vectors.push((event, line));
        }
        for (position, (_, line)) in state.vectors.iter().enumerate() {
            self.lines.route(*line, messages.get(position).copied())?;
        }
        if before != now && now > 0 {
            let events = state.vectors.iter().take(now).map(|(event, _)| event.try_clone());
            self.host.set_msi(&events.collect::<io::Result<Vec<_>>>()?)?;
        }
        Ok(())
    }
}

impl PciFunction for PassedFunction {
    fn config_read(&self, register: usize, data: &mut [u8]) {
        lock(&self.state).registers.read(register, data);
    }

    fn config_write(&self, register: usize, data: &[u8]) {
        let mut state = lock(&self.state);
        state.registers.write(register, data);
        if let Err(error) = self.follow(&mut state) {
            log::debug!("a function does not do what its registers say: {error}");
        }
    }

    fn claim(&self, address: u64) -> Option<(usize, u64)> {
        self.bars.iter().enumerate().find_map(|(index, bar)| {
            let (bar, start) = (*bar)?;
            let offset = address.checked_sub(start).filter(|offset| *offset < bar.bytes)?;
            Some((index, offset))
        })
    }

    fn memory_read(&self, bar: usize, offset: u64, data: &mut [u8]) {
        self.host.bar_read(bar, offset, data);
    }

    fn memory_write(&self, bar: usize, offset: u64, data: &[u8]) {
        self.host.bar_write(bar, offset, data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: u64 = 0xffff_fffc;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

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
            // MSI with addresses of 32 bits, two vectors.
            data[0x40..0x44].copy_from_slice(&[5, 0, 0b10, 0]);
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
        fn msi_vectors(&self) -> u32 {
            2
        }
        fn set_msi(&self, events: &[EventFd]) -> io::Result<()> {
            self.note(format!("{} events", events.len()));
            Ok(())
        }
    }

    impl Lines for Recorder {
        fn connect(&self, _event: &EventFd) -> io::Result<u32> {
            self.note("line".to_owned());
            Ok(7)
        }
        fn route(&self, line: u32, message: Option<Message>) -> io::Result<()> {
            if message.is_some_and(|message| message.address == REFUSED) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            self.note(format!("{line}: {:?}", message.map(|message| message.data)));
            Ok(())
        }
    }

    fn function() -> (Arc<Recorder>, PassedFunction) {
        let recorder = Arc::new(Recorder::default());
        let place = |bar, _| if bar == 2 { Ok(0xc000_0000) } else { Err(()) };
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
        assert_eq!(recorder.taken(), ["line", "7: Some(80)", "1 events"]);
        function.config_write(0x48, &[0x60, 0]);
        assert_eq!(recorder.taken(), ["7: Some(96)"]);
        function.config_write(0x42, &[0x11, 0]);
        assert_eq!(recorder.taken(), ["0 events", "line", "7: Some(96)", "7: Some(97)", "2 events"]);
        function.config_write(0x42, &[0, 0]);
        assert_eq!(recorder.taken(), ["0 events", "7: None", "7: None"]);
    }

    #[test]
    fn what_the_machine_refuses_can_be_tried_again() {
        let (recorder, function) = function();
        function.config_write(0x44, &[0xff; 4]);
        function.config_write(0x42, &[1, 0]);
        assert_eq!(recorder.taken(), ["line", "0 events"]);
        function.config_write(0x44, &0xfee0_0000_u32.to_le_bytes());
        assert_eq!(recorder.taken(), ["7: Some(0)", "1 events"]);
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
