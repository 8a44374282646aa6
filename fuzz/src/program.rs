//! The worker's look at a program, whose file is bytes here.

#[allow(dead_code, reason = "its messages are not shown here")]
#[path = "../../vmm/worker/src/program/elf.rs"]
mod elf;

/// In place of the worker's own, which is a file of the host or of an image.
mod executable {
    use std::io;

    pub(super) struct Executable(pub(super) Vec<u8>);

    impl Executable {
        pub(super) fn len(&self) -> u64 {
            self.0.len() as u64
        }

        pub(super) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let rest =
                usize::try_from(offset).ok().and_then(|start| self.0.get(start..)?.get(..buffer.len()));
            buffer.copy_from_slice(rest.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }
    }
}

/// The interpreter of a program that can run, if it has one.
///
/// # Errors
/// It cannot run.
pub(crate) fn inspect(file: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let program = elf::inspect(&executable::Executable(file.to_vec()));
    program.map(|program| program.interpreter).map_err(|error| error.to_string())
}
