//! The digest of an image's file: the root of a tree of SHA-256 hashes, as fs-verity makes it.
//!
//! ```text
//! digest     = SHA-256 of a descriptor that holds the length and the root
//! root       = hash of the top block
//! …
//! level 1    hashes of blocks of level 0, 128 a block
//! leaves     hashes of the file's blocks of 4096 bytes, 128 a block
//! ```
//!
//! So `fsverity digest FILE` gives the same, and a host whose file system knows fs-verity checks every block itself, when it reads it
//! from the disk. The leaves are kept beside the image, and tell which block has changed.
//!
//! The format: the Linux kernel's `Documentation/filesystems/fsverity.rst`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use sha2::{Digest as _, Sha256};

/// Bytes a block.
pub(crate) const BLOCK: usize = 4096;
/// Bytes a hash.
const HASH: usize = 32;
/// Bytes that a thread reads at a time.
const STEP: usize = 256 * BLOCK;

/// The hashes of a file's blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaves {
    /// One after the other.
    hashes: Vec<u8>,
    /// Bytes of the file.
    len: u64,
}

/// `sha256:` and 64 digits.
pub(crate) fn named(hash: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(hash))
}

/// Two digits a byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn block_count(len: u64) -> usize {
    usize::try_from(len.div_ceil(BLOCK as u64)).unwrap_or(usize::MAX)
}

/// The hash of a block that may be shorter: zeros follow.
fn hash_block(bytes: &[u8]) -> [u8; HASH] {
    let mut hasher = Sha256::new();
    hasher.update(bytes);
    hasher.update(&[0; BLOCK][bytes.len().min(BLOCK)..]);
    hasher.finalize().into()
}

impl Leaves {
    /// Hashes a whole file, on all processors.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let mut hashes = vec![0; block_count(len) * HASH];
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = block_count(len).div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let parts = hashes.chunks_mut(share * HASH).enumerate();
            let work = |(index, part): (usize, &mut [u8])| hash_range(file, index * share, part, len);
            let handles: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
            handles
                .into_iter()
                .try_for_each(|handle| handle.join().map_err(|_| io::Error::other("a thread panicked"))?)
        })?;
        Ok(Self { hashes, len })
    }

    /// Hashes that were kept, of a file of `len` bytes. `None` if they are not so many.
    pub(crate) fn from_bytes(hashes: Vec<u8>, len: u64) -> Option<Self> {
        (hashes.len() == block_count(len).checked_mul(HASH)?).then_some(Self { hashes, len })
    }

    /// To be kept.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.hashes
    }

    /// The offset of the first block that differs.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<u64> {
        let mut pairs = self.hashes.chunks(HASH).zip(other.hashes.chunks(HASH));
        let index = pairs.position(|(one, other)| one != other)?;
        Some((index * BLOCK) as u64)
    }

    /// The digest.
    pub(crate) fn digest(&self) -> [u8; HASH] {
        let mut level = self.hashes.clone();
        // A file of one block has that block's hash for its root, one without any has zeros.
        while level.len() > HASH {
            level = level.chunks(BLOCK).flat_map(hash_block).collect();
        }
        level.resize(HASH, 0);
        let mut descriptor = [0; 256];
        // version 1, SHA-256, blocks of 2^12 bytes, no salt
        descriptor[..4].copy_from_slice(&[1, 1, 12, 0]);
        descriptor[8..16].copy_from_slice(&self.len.to_le_bytes());
        descriptor[16..16 + HASH].copy_from_slice(&level);
        Sha256::digest(descriptor).into()
    }
}

/// Hashes blocks from number `first` on, as many as there is room for.
fn hash_range(file: &File, first: usize, into: &mut [u8], len: u64) -> io::Result<()> {
    let mut buffer = vec![0; STEP];
    let mut at = (first * BLOCK) as u64;
    for places in into.chunks_mut(STEP / BLOCK * HASH) {
        let wanted = usize::try_from(len.saturating_sub(at)).unwrap_or(STEP).min(places.len() / HASH * BLOCK);
        let bytes = &mut buffer[..wanted];
        file.read_exact_at(bytes, at)?;
        for (place, block) in places.chunks_mut(HASH).zip(bytes.chunks(BLOCK)) {
            place.copy_from_slice(&hash_block(block));
        }
        at += wanted as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    /// What `fsverity digest --hash-alg=sha256` (fsverity-utils 1.5) says of files whose byte N is N modulo 251.
    #[test]
    fn digests_are_those_of_fs_verity() {
        for (len, expected) in [
            (0, "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"),
            (1, "b803429503d95915829b29fdbc8bbad142f3abfd11b1cadf5526582e685c0551"),
            (4096, "13e9b8848ae484a36acb3f3cac0ceb2f7601e96633d15c92f9bd3dd44e492157"),
            (4097, "b0d074abef4d544404facfab6ba242f6a8ccbde90f1325cd286f3c8aa8d0f8aa"),
            (528_401, "c08b6621e03ec174d6f37912b20ca240aa4d0acd1d98bce4d68a5153e003c3d1"),
        ] {
            let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
            assert_eq!(hexadecimal(&Leaves::of(&file(&bytes)).unwrap().digest()), expected, "{len}");
        }
    }

    #[test]
    fn a_flipped_bit_is_found_where_it_is() {
        let mut bytes: Vec<u8> = (0..=255).cycle().take(BLOCK * 700 + 17).collect();
        let before = Leaves::of(&file(&bytes)).unwrap();
        for bit in [0, 8 * (BLOCK * 300 + 5) + 3, 8 * (bytes.len() - 1)] {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let after = Leaves::of(&file(&bytes)).unwrap();
            assert_ne!(before.digest(), after.digest());
            let block = bit / 8 / BLOCK * BLOCK;
            assert_eq!(before.first_difference(&after), Some(block as u64));
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(before, Leaves::of(&file(&bytes)).unwrap());
        let kept = Leaves::from_bytes(before.as_bytes().to_vec(), bytes.len() as u64);
        assert_eq!(kept.as_ref(), Some(&before));
        assert_eq!(Leaves::from_bytes(before.as_bytes().to_vec(), 4096), None);
    }
}
