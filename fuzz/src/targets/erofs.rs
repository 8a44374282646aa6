//! An image is walked through, and everything in it is read.

use septum_erofs::{BLOCK, Error, Image, Inode, Kind, Storage};

/// Files that are looked at: a directory may lead back to itself.
const STEPS: u32 = 2_000;
/// Blocks that are read of a file: one may say that it is huge.
const BLOCKS: u64 = 64;

struct Memory<'a>(&'a [u8]);

impl Storage for Memory<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        let piece = usize::try_from(offset).ok().and_then(|start| self.0.get(start..)?.get(..into.len()));
        piece.is_some_and(|piece| {
            into.copy_from_slice(piece);
            true
        })
    }
}

pub(super) fn run(input: &[u8]) {
    let Ok(image) = Image::open(Memory(input)) else { return };
    let mut waiting = vec![image.root()];
    for _ in 0..STEPS {
        let Some(number) = waiting.pop() else { break };
        if let Ok(inode) = image.inode(number) {
            // What makes no sense is an error, and the rest of the image may still do.
            let _ = look(&image, &inode, &mut waiting);
        }
    }
}

fn look(image: &Image<Memory<'_>>, inode: &Inode, waiting: &mut Vec<u64>) -> Result<(), Error> {
    let names = image.attribute_names(inode)?;
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let _ = image.attribute(inode, name);
    }
    match inode.kind {
        Kind::Directory => {
            let mut names = Vec::new();
            let listed = image.list(inode, 0, &mut |entry| {
                names.push((entry.name.to_vec(), entry.number));
                names.len() < 500
            });
            for (name, number) in names {
                let _ = image.lookup(inode, &name);
                if waiting.len() < 1000 {
                    waiting.push(number);
                }
            }
            listed?;
        }
        Kind::Symlink => drop(image.read_link(inode)?),
        Kind::Regular => {
            let mut buffer = vec![0; 3 * BLOCK as usize];
            let mut at = 0;
            while at < BLOCKS * BLOCK {
                let len = image.read_contents(inode, at, &mut buffer)?;
                if len == 0 {
                    assert_eq!(at, inode.size, "a file ends where it says");
                    break;
                }
                at += len as u64;
            }
            for block in [0, 1, inode.size / BLOCK, u64::MAX] {
                let _ = inode.page(block);
            }
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    // Those in `seeds/` were made by mkfs.erofs.
    Vec::new()
}
