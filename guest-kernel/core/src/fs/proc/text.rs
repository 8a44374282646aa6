//! Files whose bytes are made when they are opened.

use crate::fs::inode::File;
use crate::io::{Destination, Source};
use alloc::string::String;
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::linux::Errno;

/// An open file with bytes of its own.
pub struct TextFile(pub Vec<u8>);

impl File for TextFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        if rest.is_empty() { Ok(0) } else { to.put(rest) }
    }

    fn write_at(&self, _offset: u64, _from: &mut dyn Source) -> Result<usize, Errno> {
        Err(Errno::EINVAL)
    }
}

/// A path as `/proc` writes it into a line: what would end a field or a line is octal.
#[must_use]
pub fn escaped(path: &[u8]) -> String {
    let mut text = String::new();
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                ' ' => text.push_str("\\040"),
                '\t' => text.push_str("\\011"),
                '\n' => text.push_str("\\012"),
                '\\' => text.push_str("\\134"),
                other => text.push(other),
            }
        }
        if !chunk.invalid().is_empty() {
            text.push('\u{fffd}');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn fields_of_a_line_stay_fields() {
        assert_eq!(escaped(b"/a b\t\\c"), "/a\\040b\\011\\134c");
    }
}
