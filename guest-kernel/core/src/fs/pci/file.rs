//! What the files of a function hold.

use super::{BARS, Bar, Function, function};
use crate::fs::inode::File;
use crate::io::{Destination, Source};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt::Write as _;
use septum_abi::linux::Errno;
use septum_guest_hal::address::to_usize;
use septum_guest_hal::device_memory::DeviceMemory;
use septum_guest_hal::frame::Frame;

/// Bytes of configuration space: those of PCI Express.
pub const CONFIG_BYTES: u64 = 4096;

/// `IORESOURCE_*` of Linux, which `resource` shows.
mod flag {
    pub const MEMORY: u64 = 0x200;
    pub const PREFETCHABLE: u64 = 0x2000;
    pub const SIZE_ALIGNED: u64 = 0x4_0000;
    pub const WIDE: u64 = 0x10_0000;
}

/// A file with text: its name, and what it says.
pub struct Text {
    pub name: &'static [u8],
    pub make: fn(&dyn Function) -> String,
}

fn half(function: &dyn Function, register: usize) -> String {
    let mut bytes = [0; 2];
    function.read(register, &mut bytes);
    format!("0x{:04x}\n", u16::from_le_bytes(bytes))
}

fn class(function: &dyn Function) -> String {
    let mut bytes = [0; 4];
    function.read(0x08, &mut bytes);
    format!("0x{:06x}\n", u32::from_le_bytes(bytes) >> 8)
}

fn revision(function: &dyn Function) -> String {
    let mut bytes = [0; 1];
    function.read(0x08, &mut bytes);
    format!("0x{:02x}\n", bytes[0])
}

/// A line for each BAR, then for the expansion ROM and six that only bridges have, as on Linux.
fn resource(function: &dyn Function) -> String {
    const LINES: usize = 13;
    let mut text = String::new();
    for index in 0..LINES {
        let (start, end, flags) =
            function.bar(index).filter(|_| index < BARS).map_or((0, 0, 0), |bar| line(&bar));
        let _ = writeln!(text, "0x{start:016x} 0x{end:016x} 0x{flags:016x}");
    }
    text
}

fn line(bar: &Bar) -> (u64, u64, u64) {
    let start = bar.memory.start().0;
    let low = if bar.is_wide { 0b100 } else { 0 } | if bar.is_prefetchable { 0b1000 } else { 0 };
    let flags = low
        | flag::MEMORY
        | flag::SIZE_ALIGNED
        | if bar.is_prefetchable { flag::PREFETCHABLE } else { 0 }
        | if bar.is_wide { flag::WIDE } else { 0 };
    (start, start + (bar.bytes - 1), flags)
}

/// All of them.
pub static TEXTS: &[Text] = &[
    Text { name: b"vendor", make: |function| half(function, 0x00) },
    Text { name: b"device", make: |function| half(function, 0x02) },
    Text { name: b"subsystem_vendor", make: |function| half(function, 0x2c) },
    Text { name: b"subsystem_device", make: |function| half(function, 0x2e) },
    Text { name: b"class", make: class },
    Text { name: b"revision", make: revision },
    Text { name: b"numa_node", make: |_| "-1\n".into() },
    Text { name: b"resource", make: resource },
];

/// `config`, open.
pub struct Config {
    pub index: usize,
}

impl File for Config {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let function = function(self.index).ok_or(Errno::ENODEV)?;
        let left = CONFIG_BYTES.saturating_sub(offset).min(to.remaining() as u64);
        let mut bytes: Vec<u8> = alloc::vec![0; to_usize(left)];
        function.read(to_usize(offset), &mut bytes);
        if bytes.is_empty() { Ok(0) } else { to.put(&bytes) }
    }

    fn write_at(&self, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let function = function(self.index).ok_or(Errno::ENODEV)?;
        let left = CONFIG_BYTES.saturating_sub(offset).min(from.remaining() as u64);
        let mut bytes: Vec<u8> = alloc::vec![0; to_usize(left)];
        let len = if bytes.is_empty() { 0 } else { from.take(&mut bytes)? };
        function.write(to_usize(offset), &bytes[..len]);
        Ok(len)
    }
}

/// `enable`, open: decoding is on, and stays so.
pub struct Enable;

impl File for Enable {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if offset == 0 { to.put(b"1\n") } else { Ok(0) }
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut bytes = [0; 8];
        let len = from.take(&mut bytes)?;
        match bytes[..len].trim_ascii() {
            b"0" | b"1" => Ok(len),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// `resource0` …, open: to be mapped, and nothing else.
pub struct Memory {
    pub memory: DeviceMemory,
}

impl File for Memory {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_at(&self, _offset: u64, _to: &mut dyn Destination) -> Result<usize, Errno> {
        Err(Errno::EIO)
    }

    fn write_at(&self, _offset: u64, _from: &mut dyn Source) -> Result<usize, Errno> {
        Err(Errno::EIO)
    }

    fn page(&self, _index: u64) -> Result<Option<Frame>, Errno> {
        // It has no frames.
        Ok(None)
    }

    fn device_memory(&self) -> Option<DeviceMemory> {
        Some(self.memory)
    }
}
