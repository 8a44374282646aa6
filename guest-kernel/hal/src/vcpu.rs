//! Virtual CPUs: which one this is, starting another, interrupting one.
//!
//! The kernel makes room for a vCPU's area and asks the worker for the vCPU, which begins in the function that it was given, on
//! the stack in that area, with the kernel's page tables. It never ends: a vCPU without work halts.

#[cfg(target_os = "none")]
pub(crate) use imp::begin;
pub use imp::{current, interrupt, rename, start};

#[cfg(target_os = "none")]
mod imp {
    use crate::frame::{self, Frame};
    use crate::local;
    use crate::report;
    use crate::sync::Mutex;
    use crate::{cpu, interrupt, park, shootdown, single};
    use core::sync::atomic::Ordering;
    use septum_abi::control::Command;
    use septum_abi::layout::{PAGE_SIZE, VCPU_AREA_SIZE};
    use septum_abi::linux::Errno;

    /// The number of the vCPU this runs on; the first is 0.
    #[must_use]
    pub fn current() -> u32 {
        local::current().number.load(Ordering::Relaxed)
    }

    /// Starts one more vCPU, which runs `main`. Returns its number; ENOMEM, or EAGAIN where the worker allows no more.
    ///
    /// # Errors
    /// See above.
    pub fn start(main: fn() -> !) -> Result<u32, Errno> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let pages = VCPU_AREA_SIZE / PAGE_SIZE as u64;
        let _guard = ONE_AT_A_TIME.lock();
        let area = Frame::contiguous_aligned(pages).ok_or(Errno::ENOMEM)?;
        // SAFETY: the frames were just allocated and are never freed, unless the vCPU does not start.
        let local = unsafe {
            let start = frame::memory_at(area, 0) as u64;
            if single::is_single() {
                single::prepare_area(start);
            }
            local::of_area(start)
        };
        local.main.store(main as usize as u64, Ordering::Relaxed);
        shootdown::expect_another();
        park::expect_awake(true);
        match report::start_vcpu(area.0) {
            Ok(number) => Ok(number),
            Err(errno) => {
                park::expect_awake(false);
                Frame::free_contiguous(area, pages);
                Err(errno)
            }
        }
    }

    /// Where a vCPU other than the first begins.
    pub(crate) extern "C" fn begin() -> ! {
        let main = local::current().main.load(Ordering::Relaxed);
        // SAFETY: `start` stored a function of this type.
        let main = unsafe { core::mem::transmute::<usize, fn() -> !>(main as usize) };
        main()
    }

    /// Says what the thread that runs here is called, for the host to show: at most 15 bytes. The worker sees it at the next exit, which is
    /// made for it if it `is_urgent` and not the name that was there.
    pub fn rename(name: &[u8], is_urgent: bool) {
        let mut bytes = [0; 16];
        let len = name.len().min(15);
        bytes[..len].copy_from_slice(&name[..len]);
        let [low, high] = &local::current().name;
        let (halves, _) = bytes.as_chunks::<8>();
        let [first, second] = [u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1])];
        let previous = (low.swap(first, Ordering::Relaxed), high.swap(second, Ordering::Relaxed));
        if is_urgent && previous != (first, second) {
            cpu::command(Command::Renamed);
        }
    }

    /// Interrupts a vCPU: its halt ends, or its program traps.
    pub fn interrupt(number: u32) {
        cpu::send_interrupt(number, interrupt::WAKE);
    }
}

#[cfg(not(target_os = "none"))]
mod imp {
    //! Tests: a thread of the host is a vCPU.
    use septum_abi::linux::Errno;
    use std::sync::{Mutex, MutexGuard};
    use std::thread::{self, Thread};

    /// The threads by number; a number is free again when its thread has ended.
    static THREADS: Mutex<Vec<Option<Thread>>> = Mutex::new(Vec::new());

    fn threads() -> MutexGuard<'static, Vec<Option<Thread>>> {
        THREADS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A thread's number.
    struct Number(u32);

    impl Number {
        fn take() -> Self {
            let mut threads = threads();
            let index = threads.iter().position(Option::is_none).unwrap_or(threads.len());
            if index == threads.len() {
                threads.push(None);
            }
            threads[index] = Some(thread::current());
            Self(u32::try_from(index).unwrap_or(u32::MAX))
        }
    }

    impl Drop for Number {
        fn drop(&mut self) {
            if let Some(thread) = threads().get_mut(self.0 as usize) {
                *thread = None;
            }
        }
    }

    std::thread_local!(static NUMBER: Number = Number::take());

    /// The number of this thread; it gets one when it first asks.
    pub fn current() -> u32 {
        NUMBER.with(|number| number.0)
    }

    /// Starts a thread.
    ///
    /// # Errors
    /// The host has no more threads.
    pub fn start(main: fn() -> !) -> Result<u32, Errno> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let begin = move || {
            let _ = sender.send(current());
            main()
        };
        thread::Builder::new().spawn(begin).map_err(|_| Errno::EAGAIN)?;
        receiver.recv().map_err(|_| Errno::EAGAIN)
    }

    /// Nobody looks.
    pub fn rename(_name: &[u8], _is_urgent: bool) {}

    /// Unparks the thread: `std::thread::park` is how tests halt.
    pub fn interrupt(number: u32) {
        if let Some(Some(thread)) = threads().get(number as usize) {
            thread.unpark();
        }
    }
}
