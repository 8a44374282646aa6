//! Names for the guest kernel's addresses, from the symbol table of the embedded image.

use object::read::elf::{FileHeader, Sym};
use object::{LittleEndian, elf};

/// Functions, ascending by address.
pub struct Symbols(Vec<(u64, u64, String)>);

impl Symbols {
    /// Those of the embedded kernel; none if it has no symbols.
    pub fn of_kernel() -> Self {
        Self::parse(septum_kernel_image::KERNEL).unwrap_or(Self(Vec::new()))
    }

    fn parse(file: &[u8]) -> Option<Self> {
        let endian = LittleEndian;
        let header = elf::FileHeader64::<LittleEndian>::parse(file).ok()?;
        let table = header.sections(endian, file).ok()?.symbols(endian, file, elf::SHT_SYMTAB).ok()?;
        let mut symbols: Vec<_> = table
            .iter()
            .filter(|symbol| symbol.st_value(endian) != 0)
            .filter_map(|symbol| {
                let name = table.symbol_name(endian, symbol).ok()?;
                let name = format!("{:#}", rustc_demangle::demangle(&String::from_utf8_lossy(name)));
                Some((symbol.st_value(endian), symbol.st_size(endian), name))
            })
            .collect();
        symbols.sort_unstable();
        Some(Self(symbols))
    }

    /// The function that holds `address`.
    pub fn function(&self, address: u64) -> String {
        let index = self.0.partition_point(|(start, ..)| *start <= address);
        index.checked_sub(1).and_then(|index| self.0.get(index)).map_or("?".into(), |(.., name)| name.clone())
    }

    /// `function+offset`, or the number.
    pub fn describe(&self, address: u64) -> String {
        let index = self.0.partition_point(|(start, ..)| *start <= address);
        match index.checked_sub(1).and_then(|index| self.0.get(index)) {
            Some((start, size, name)) if address - start <= (*size).max(4096) => {
                format!("{address:#x} {name}+{:#x}", address - start)
            }
            _ => format!("{address:#x}"),
        }
    }
}
