//! A virtual CPU.
//!
//! A vCPU belongs to the thread that runs it. To make such threads come back from the guest, another one calls
//! [`stop_all`]: it sets a flag that is looked at before every run, and sends a signal, which ends a run
//! in progress. The handler does nothing.

use crate::system::{KvmError, failed};
use kvm_bindings::{
    CpuId, KVM_MP_STATE_RUNNABLE, Msrs, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::{VcpuExit, VcpuFd};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use vmm_sys_util::signal::{Killable, register_signal_handler};

/// Why the guest stopped.
#[derive(Debug)]
pub enum Exit<'a> {
    /// It wrote to a port.
    PortWrite(u16, &'a [u8]),
    /// It reads from a port.
    PortRead(u16, &'a mut [u8]),
    /// It wrote to an address that is no memory.
    MmioWrite(u64, &'a [u8]),
    /// It reads from an address that is no memory.
    MmioRead(u64, &'a mut [u8]),
    /// It halted (only without an in-kernel APIC).
    Halted,
    /// It took a triple fault.
    Shutdown,
    /// It needs a page that the host cannot get; it comes back for it unless it is told ([`Vcpu::inject_page_fault`]).
    PageLost,
    /// Kicked, or another signal came.
    Interrupted,
    /// KVM gave up; the number is `kvm_run`'s hardware reason or suberror.
    Failed(String),
    /// Something that no partition uses.
    Other(&'static str),
}

/// The state in which a vCPU starts.
#[derive(Clone, Debug)]
pub struct VcpuState {
    /// General registers.
    pub regs: kvm_regs,
    /// Segments, control registers.
    pub sregs: kvm_sregs,
    /// Model-specific registers, set in order.
    pub msrs: Vec<kvm_msr_entry>,
    /// Registers of the local APIC (xAPIC offsets) that differ from reset.
    pub lapic: Vec<(usize, u32)>,
    /// Extended control registers.
    pub xcrs: kvm_xcrs,
}

/// A virtual CPU.
#[derive(Debug)]
pub struct Vcpu {
    fd: VcpuFd,
    stop: Arc<AtomicBool>,
}

/// The signal that kicks.
fn kick_signal() -> i32 {
    libc::SIGRTMIN()
}

impl Vcpu {
    pub(crate) fn new(fd: VcpuFd) -> Self {
        Self { fd, stop: Arc::default() }
    }

    /// The special registers as KVM reset them.
    ///
    /// # Errors
    /// KVM refused.
    pub fn sregs(&self) -> Result<kvm_sregs, KvmError> {
        self.fd.get_sregs().map_err(failed("KVM_GET_SREGS"))
    }

    /// What the CPUID instruction says.
    ///
    /// # Errors
    /// KVM refused.
    pub fn set_cpuid(&self, cpuid: &CpuId) -> Result<(), KvmError> {
        self.fd.set_cpuid2(cpuid).map_err(failed("KVM_SET_CPUID2"))
    }

    /// Frequency of the guest's time-stamp counter, kHz.
    ///
    /// # Errors
    /// KVM refused.
    pub fn tsc_khz(&self) -> Result<u32, KvmError> {
        self.fd.get_tsc_khz().map_err(failed("KVM_GET_TSC_KHZ"))
    }

    /// The guest's time-stamp counter now.
    ///
    /// # Errors
    /// KVM refused.
    pub fn tsc(&self) -> Result<u64, KvmError> {
        const MSR_TSC: u32 = 0x10;
        let entry = kvm_msr_entry { index: MSR_TSC, ..kvm_msr_entry::default() };
        let refused =
            |errno| KvmError::Call { call: "KVM_GET_MSRS", source: io::Error::from_raw_os_error(errno) };
        let mut msrs = Msrs::from_entries(&[entry]).map_err(|_| refused(libc::EINVAL))?;
        self.fd.get_msrs(&mut msrs).map_err(failed("KVM_GET_MSRS"))?;
        msrs.as_slice().first().map(|entry| entry.data).ok_or_else(|| refused(libc::EIO))
    }

    /// Sets everything, and makes it ready to run: nobody has to send a vCPU other than the first an INIT.
    ///
    /// # Errors
    /// KVM refused a part of it.
    pub fn set_state(&self, state: &VcpuState) -> Result<(), KvmError> {
        self.fd.set_sregs(&state.sregs).map_err(failed("KVM_SET_SREGS"))?;
        self.fd.set_regs(&state.regs).map_err(failed("KVM_SET_REGS"))?;
        self.fd.set_xcrs(&state.xcrs).map_err(failed("KVM_SET_XCRS"))?;
        // After the special registers, which switch the APIC's mode.
        let mut lapic = self.fd.get_lapic().map_err(failed("KVM_GET_LAPIC"))?;
        for &(offset, value) in &state.lapic {
            for (register, byte) in lapic.regs.iter_mut().skip(offset).zip(value.to_le_bytes()) {
                *register = i8::from_le_bytes([byte]);
            }
        }
        self.fd.set_lapic(&lapic).map_err(failed("KVM_SET_LAPIC"))?;
        for entry in &state.msrs {
            let refused = || KvmError::Call {
                call: "KVM_SET_MSRS",
                source: io::Error::from_raw_os_error(libc::EINVAL),
            };
            let msrs = Msrs::from_entries(&[*entry]).map_err(|_| refused())?;
            if self.fd.set_msrs(&msrs).map_err(failed("KVM_SET_MSRS"))? != 1 {
                return Err(refused());
            }
        }
        let runnable = kvm_mp_state { mp_state: KVM_MP_STATE_RUNNABLE };
        self.fd.set_mp_state(runnable).map_err(failed("KVM_SET_MP_STATE"))
    }

    /// Sets what a vCPU without a local APIC needs.
    pub(crate) fn set_trial_state(
        &self,
        sregs: &kvm_sregs,
        regs: &kvm_regs,
        msrs: &[kvm_msr_entry],
    ) -> Result<(), KvmError> {
        self.fd.set_sregs(sregs).map_err(failed("KVM_SET_SREGS"))?;
        self.fd.set_regs(regs).map_err(failed("KVM_SET_REGS"))?;
        let refused =
            || KvmError::Call { call: "KVM_SET_MSRS", source: io::Error::from_raw_os_error(libc::EINVAL) };
        let entries = Msrs::from_entries(msrs).map_err(|_| refused())?;
        match self.fd.set_msrs(&entries).map_err(failed("KVM_SET_MSRS"))? {
            count if count == msrs.len() => Ok(()),
            _ => Err(refused()),
        }
    }

    /// Lets KVM finish what the last exit was about, without running the guest: the state can be replaced then.
    pub(crate) fn finish_exit(&mut self) {
        self.fd.set_kvm_immediate_exit(1);
        // It reports an interruption.
        let _ = self.fd.run();
        self.fd.set_kvm_immediate_exit(0);
    }

    /// Makes kicks work in this process. Once is enough.
    ///
    /// # Errors
    /// The signal handler could not be installed.
    pub fn prepare_process() -> io::Result<()> {
        extern "C" fn ignore(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
        register_signal_handler(kick_signal(), ignore)
            .map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }

    /// For [`Kicker`].
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Lets the guest take a page fault at `address` before its next instruction.
    ///
    /// # Errors
    /// KVM refused.
    pub fn inject_page_fault(&self, address: u64) -> Result<(), KvmError> {
        const VECTOR: u8 = 14;
        const USER: u32 = 1 << 2;
        let mut sregs = self.sregs()?;
        sregs.cr2 = address;
        self.fd.set_sregs(&sregs).map_err(failed("KVM_SET_SREGS"))?;
        let mut events = self.fd.get_vcpu_events().map_err(failed("KVM_GET_VCPU_EVENTS"))?;
        events.exception.injected = 1;
        events.exception.nr = VECTOR;
        events.exception.has_error_code = 1;
        events.exception.error_code = USER;
        self.fd.set_vcpu_events(&events).map_err(failed("KVM_SET_VCPU_EVENTS"))
    }

    /// Gives the x87, SSE and further registers of the extended state the values of a reset.
    ///
    /// # Errors
    /// KVM refused.
    pub fn reset_extended_state(&self) -> Result<(), KvmError> {
        // The XSAVE area (Intel SDM vol. 1 §13.4). x87 and SSE are told in full, because Linux takes the control words only from an area
        // that has them; the others, which are not there, get their initial values.
        const FCW_WORD: usize = 0;
        const MXCSR_WORD: usize = 24 / 4;
        const XSTATE_BV_WORD: usize = 512 / 4;
        const X87_AND_SSE: u32 = 0b11;
        let mut state = kvm_xsave::default();
        state.region[FCW_WORD] = 0x037f;
        state.region[MXCSR_WORD] = 0x1f80;
        state.region[XSTATE_BV_WORD] = X87_AND_SSE;
        // SAFETY: 1. KVM reads 4096 bytes, which the structure has: more only for components that a process asks for by `arch_prctl`,
        // which this one never does.
        unsafe { self.fd.set_xsave(&state) }.map_err(failed("KVM_SET_XSAVE"))
    }

    /// The registers, for a person to read.
    ///
    /// # Errors
    /// KVM refused.
    pub fn regs(&self) -> Result<kvm_regs, KvmError> {
        self.fd.get_regs().map_err(failed("KVM_GET_REGS"))
    }

    /// Runs the guest until it needs something.
    ///
    /// # Errors
    /// KVM refused to run.
    pub fn run(&mut self) -> Result<Exit<'_>, KvmError> {
        if self.stop.load(Ordering::Acquire) {
            return Ok(Exit::Interrupted);
        }
        match self.fd.run() {
            Ok(VcpuExit::IoOut(port, data)) => Ok(Exit::PortWrite(port, data)),
            Ok(VcpuExit::IoIn(port, data)) => Ok(Exit::PortRead(port, data)),
            Ok(VcpuExit::MmioWrite(address, data)) => Ok(Exit::MmioWrite(address, data)),
            Ok(VcpuExit::MmioRead(address, data)) => Ok(Exit::MmioRead(address, data)),
            Ok(VcpuExit::Hlt) => Ok(Exit::Halted),
            Ok(VcpuExit::Shutdown) => Ok(Exit::Shutdown),
            Ok(VcpuExit::Intr) => Ok(Exit::Interrupted),
            Ok(VcpuExit::FailEntry(reason, _)) => {
                Ok(Exit::Failed(format!("entry failed, hardware reason {reason:#x}")))
            }
            Ok(VcpuExit::InternalError) => {
                Ok(Exit::Failed("internal error (an instruction it cannot emulate)".into()))
            }
            Ok(VcpuExit::SystemEvent(_, _)) => Ok(Exit::Other("system event")),
            Ok(_) => Ok(Exit::Other("an exit that no partition asks for")),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Ok(Exit::Interrupted),
            Err(error) if error.errno() == libc::EFAULT => Ok(Exit::PageLost),
            Err(error) => Err(failed("KVM_RUN")(error)),
        }
    }
}

/// Makes a vCPU's thread come back from the guest.
#[derive(Debug)]
pub struct Kicker<T> {
    thread: std::thread::JoinHandle<T>,
    stop: Arc<AtomicBool>,
}

impl<T> Kicker<T> {
    /// For the thread that runs the vCPU whose [`Vcpu::stop_flag`] is given.
    #[must_use]
    pub fn new(thread: std::thread::JoinHandle<T>, stop: Arc<AtomicBool>) -> Self {
        Self { thread, stop }
    }

    /// Interrupts the guest once; it goes on.
    pub fn interrupt(&self) {
        // A thread that has ended needs no interruption.
        let _ = self.thread.kill(kick_signal());
    }
}

/// Kicks until all the threads have ended, and returns what they returned.
///
/// A signal that arrives between a thread's look at its flag and its entry into the guest is lost, so kicks are
/// repeated. An `Err` is a thread that panicked.
pub fn stop_all<T>(kickers: Vec<Kicker<T>>) -> Vec<std::thread::Result<T>> {
    for kicker in &kickers {
        kicker.stop.store(true, Ordering::Release);
    }
    let mut running: Vec<&Kicker<T>> = kickers.iter().collect();
    loop {
        running.retain(|kicker| !kicker.thread.is_finished());
        if running.is_empty() {
            break;
        }
        running.iter().for_each(|kicker| kicker.interrupt());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    kickers.into_iter().map(|kicker| kicker.thread.join()).collect()
}
