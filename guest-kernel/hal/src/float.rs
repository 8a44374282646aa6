//! The x87 and SSE registers, which are the program's all the time: the kernel uses none of them, so they are still as the program
//! left them when it made a system call.
//!
//! `fxsave64` works in every mode on every host. It leaves the upper halves of the vector registers alone, which no function may
//! count on across a call. Where they must not stay, because another program comes next, the worker resets them all ([`reset`]): `xrstor`
//! ends the virtual machine on hosts that emulate ring 0.

/// As `fxsave64` stores them (Intel SDM vol. 1 §10.5.1).
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct FloatState([u8; 512]);

impl FloatState {
    /// What this CPU's are now.
    #[must_use]
    pub fn current() -> Self {
        let mut state = Self([0; 512]);
        imp::save(&mut state.0);
        state
    }

    /// As they lie in memory.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 512] {
        &self.0
    }

    /// Makes them this CPU's.
    pub fn load(&self) {
        imp::load(&self.0);
    }
}

/// Gives this CPU's x87, SSE and further registers of the extended state, with their control words, the values that a program starts with.
pub fn reset() {
    imp::reset();
}

#[cfg(target_os = "none")]
mod imp {
    use core::arch::asm;

    pub fn save(state: &mut [u8; 512]) {
        // SAFETY: 1. the structure that the bytes are of is aligned to 16; 2. saving changes no register.
        unsafe { asm!("fxsave64 [{}]", in(reg) state, options(nostack, preserves_flags)) };
    }

    pub fn load(state: &[u8; 512]) {
        // SAFETY: 1. as above; 2. `save` wrote them, so no reserved bit is set; 3. code of the kernel uses none of these registers.
        unsafe { asm!("fxrstor64 [{}]", in(reg) state, options(nostack, readonly, preserves_flags)) };
    }

    pub fn reset() {
        crate::cpu::command(septum_abi::control::Command::ResetExtendedState);
    }
}

#[cfg(not(target_os = "none"))]
mod imp {
    //! Tests: there is no program.
    pub fn save(_state: &mut [u8; 512]) {}

    pub fn load(_state: &[u8; 512]) {}

    pub fn reset() {}
}
