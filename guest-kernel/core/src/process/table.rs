//! Every process there is, as `/proc` shows it.

use super::{Process, family, vcpus};
use crate::fs::context::FsContext;
use crate::fs::dentry::Dentry;
use crate::fs::descriptors::DescriptorTable;
use crate::fs::mount::Namespace;
use crate::fs::proc::facts::{Cache, Mapping, ProcessInfo, State, System, ThreadInfo, Usage};
use crate::memory::area::{Backing, Label, Protection};
use crate::names;
use crate::process::signal::{DEFAULT, IGNORE, bit};
use crate::syscall::locked::is_locked;
use crate::syscall::system::{RELEASE, VERSION};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use septum_abi::layout::PAGE_SIZE;
use septum_guest_hal::sync::Mutex;

/// The processes.
pub struct ProcessTable {
    namespace: Arc<Namespace>,
    cpus: u32,
    cpu_description: fn() -> String,
}

impl ProcessTable {
    /// For `/proc` of this partition.
    #[must_use]
    pub fn new(namespace: Arc<Namespace>, cpus: u32, cpu_description: fn() -> String) -> Arc<Self> {
        Arc::new(Self { namespace, cpus, cpu_description })
    }
}

impl System for ProcessTable {
    fn current(&self) -> Option<Arc<dyn ProcessInfo>> {
        vcpus::current_task().map(|task| Arc::clone(&task.process) as Arc<dyn ProcessInfo>)
    }

    fn current_thread(&self) -> u32 {
        vcpus::current_task().map_or(0, |task| task.tid())
    }

    fn pids(&self) -> Vec<u32> {
        family::all_that(|_| true).iter().map(|process| process.pid).collect()
    }

    fn process(&self, pid: u32) -> Option<Arc<dyn ProcessInfo>> {
        // As on Linux, a thread's number leads to its process, though it is not listed.
        let process = family::find(pid).or_else(|| {
            let current = vcpus::current_task()?;
            family::find_task(pid, &current.process).map(|task| Arc::clone(&task.process))
        });
        process.map(|process| process as Arc<dyn ProcessInfo>)
    }

    fn namespace(&self) -> Arc<Namespace> {
        Arc::clone(&self.namespace)
    }

    fn hostname(&self) -> Vec<u8> {
        names::HOST.get()
    }

    fn release(&self) -> &str {
        RELEASE
    }

    fn version(&self) -> &str {
        VERSION
    }

    fn cpus(&self) -> u32 {
        self.cpus
    }

    fn caches(&self) -> Vec<Cache> {
        septum_guest_hal::cache::caches()
    }

    fn cpu_description(&self) -> String {
        (self.cpu_description)()
    }
}

impl ProcessInfo for Process {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn parent(&self) -> u32 {
        self.shown_parent()
    }

    fn group(&self) -> u32 {
        self.kin.group()
    }

    fn session(&self) -> u32 {
        self.kin.session()
    }

    fn state(&self) -> State {
        if self.kin.is_zombie() {
            return State::Zombie;
        }
        if self.stop.is_wanted() {
            return State::Stopped;
        }
        let tasks = self.tasks();
        if tasks.iter().all(|task| task.is_waiting()) { State::Sleeping } else { State::Running }
    }

    fn nice(&self) -> i32 {
        self.nice.load(Ordering::Relaxed)
    }

    fn name(&self) -> Vec<u8> {
        let first = self.task(self.pid).map(|task| task.name.lock().clone());
        first.unwrap_or_else(|| self.image.lock().name.clone())
    }

    fn threads(&self) -> Vec<u32> {
        if self.kin.is_zombie() {
            return alloc::vec![self.pid];
        }
        self.tasks().iter().map(|task| task.tid()).collect()
    }

    fn thread(&self, tid: u32) -> Option<ThreadInfo> {
        let task = self.task(tid)?;
        let signals = {
            let state = task.signals.lock();
            [state.pending.set(), state.mask]
        };
        let name = task.name.lock().clone();
        let tracer = task.trace.tracer();
        Some(ThreadInfo {
            tracer,
            name,
            is_waiting: task.is_waiting(),
            ran_ns: task.ran_ns(),
            signals,
            counts: task.counts.sums(),
        })
    }

    fn rename_thread(&self, tid: u32, name: Vec<u8>) -> bool {
        let Some(task) = self.task(tid) else { return false };
        *task.name.lock() = name;
        true
    }

    fn executable(&self) -> Option<Arc<Dentry>> {
        Some(Arc::clone(&self.image.lock().executable))
    }

    fn arguments(&self) -> Vec<u8> {
        if self.kin.is_zombie() {
            return Vec::new();
        }
        self.image.lock().arguments.to_vec()
    }

    fn environment(&self) -> Vec<u8> {
        self.image.lock().environment.to_vec()
    }

    fn auxiliary(&self) -> Vec<u8> {
        self.image.lock().auxiliary.to_vec()
    }

    fn descriptors(&self) -> &Mutex<DescriptorTable> {
        &self.descriptors
    }

    fn fs(&self) -> FsContext {
        self.fs.lock().clone()
    }

    fn mappings(&self, each: &mut dyn FnMut(&Mapping<'_>)) {
        // The callee may allocate, but never touches this address space.
        let space = self.space.lock();
        for area in space.areas() {
            let (file, offset) = match &area.backing {
                Backing::File { dentry, offset, .. } => (dentry.as_ref(), *offset),
                _ => (None, 0),
            };
            let label = match area.label {
                Label::None => "",
                Label::Heap => "[heap]",
                Label::Stack => "[stack]",
                Label::Vdso => "[vdso]",
                Label::Vvar => "[vvar]",
            };
            each(&Mapping {
                start: area.start,
                end: area.end,
                read: area.protection.contains(Protection::READ),
                write: area.protection.contains(Protection::WRITE),
                execute: area.protection.contains(Protection::EXECUTE),
                is_shared: area.is_shared(),
                offset,
                file,
                label,
                is_locked: is_locked(area),
                census: &|| space.census(area.start, area.end),
            });
        }
    }

    fn page(&self, address: u64) -> Option<u64> {
        self.space.lock().frame_number(address)
    }

    fn usage(&self) -> Usage {
        let (size, (resident, most), locked_bytes) = {
            let space = self.space.lock();
            (space.size(), space.resident(), space.bytes_of(is_locked))
        };
        Usage {
            virtual_bytes: size,
            resident_bytes: resident * PAGE_SIZE as u64,
            peak_resident_bytes: most * PAGE_SIZE as u64,
            locked_bytes,
            started_ns: self.started_ns,
            ran_ns: self.ran_ns(),
            children_ran_ns: self.children_ns.load(Ordering::Relaxed),
            counts: self.counts(),
        }
    }

    fn limits(&self) -> [(u64, u64); 16] {
        self.limits.lock().0
    }

    fn signals(&self) -> [u64; 4] {
        let pending = self.pending.lock().set();
        let actions = self.actions.lock();
        let (mut ignored, mut caught) = (0, 0);
        for (signal, action) in (1..).zip(&actions.0) {
            match action.handler {
                DEFAULT => {}
                IGNORE => ignored |= bit(signal),
                _ => caught |= bit(signal),
            }
        }
        [pending, 0, ignored, caught]
    }
}
