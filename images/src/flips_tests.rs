//! Bits of a whole image are flipped at random, and everything in it is read: errors and other contents, but no panic and no end
//! that does not come.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use septum_erofs::{BLOCK, Image, Kind, Storage};

use crate::building::Building;
use crate::error::Error;
use crate::tree::{Attributes, Body, Tree};
use crate::{erofs_file, stage};

/// Flips that are tried.
const FLIPS: u32 = 600;
/// Files that are looked at before a walk is called endless.
const STEPS: u32 = 20_000;

struct Memory(Vec<u8>);

impl Storage for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        let start = usize::try_from(offset).unwrap();
        match self.0.get(start..).and_then(|rest| rest.get(..into.len())) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => return false,
        }
        true
    }
}

/// Reads everything; what was found, or the first thing that makes no sense. The way down is bounded, as a path is.
fn walk(bytes: Vec<u8>) -> Result<u64, septum_erofs::Error> {
    let image = Image::open(Memory(bytes))?;
    let (mut sum, mut steps) = (0_u64, 0);
    let mut waiting = vec![(image.root(), 0)];
    let mut failed = None;
    while let Some((number, depth)) = waiting.pop() {
        steps += 1;
        if steps > STEPS || depth > 40 {
            break;
        }
        let mut look = || {
            let inode = image.inode(number)?;
            for name in
                image.attribute_names(&inode)?.split(|&byte| byte == 0).filter(|name| !name.is_empty())
            {
                sum += image.attribute(&inode, name)?.len() as u64;
            }
            match inode.kind {
                Kind::Directory => {
                    let mut names = Vec::new();
                    image.list(&inode, 0, &mut |entry| {
                        names.push((entry.name.to_vec(), entry.number));
                        true
                    })?;
                    for (name, number) in names {
                        let _ = image.lookup(&inode, &name);
                        if !matches!(&name[..], b"." | b"..") {
                            waiting.push((number, depth + 1));
                        }
                    }
                }
                Kind::Symlink => sum += image.read_link(&inode)?.len() as u64,
                Kind::Regular => {
                    let mut buffer = vec![0; usize::try_from(3 * BLOCK).unwrap()];
                    let mut at = 0;
                    while let len @ 1.. = image.read_contents(&inode, at, &mut buffer)? {
                        at += len as u64;
                        sum += buffer[..len].iter().map(|&byte| u64::from(byte)).sum::<u64>();
                    }
                    assert_eq!(at, inode.size);
                    assert_eq!(inode.page(at.div_ceil(BLOCK)), None);
                }
                _ => {}
            }
            Ok(())
        };
        if let Err(error) = look() {
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(sum), Err)
}

fn image(folder: &Path) -> Result<Vec<u8>, Error> {
    let mut building = Building::begin(folder)?;
    let mut tree = Tree::new();
    for number in 0..300_usize {
        let (contents, place) = building.place();
        std::fs::write(place, vec![number.to_le_bytes()[0]; number * 53]).unwrap();
        let mut extended = BTreeMap::new();
        if number % 5 == 0 {
            extended.insert(b"security.capability".to_vec(), vec![1; 20]);
        }
        let attributes = Attributes { extended, ..Attributes::plain() };
        let path = format!("d{}/a-rather-long-name-{number}", number % 7);
        tree.insert(path.as_bytes(), Body::Regular(contents), attributes)?;
        let link = format!("links/{number}");
        tree.insert(link.as_bytes(), Body::Symlink(path.into_bytes()), Attributes::plain())?;
    }
    let staged = stage::place(&tree, &building)?;
    let target = building.path().join("image");
    erofs_file::write(&tree, &staged, &target)?;
    Ok(std::fs::read(target).unwrap())
}

#[test]
fn flipped_bits_do_no_harm() {
    if Command::new("mkfs.erofs").arg("--help").output().is_err() {
        eprintln!("SKIPPED flipped_bits_do_no_harm: there is no mkfs.erofs");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = image(folder.path()).unwrap();
    let sum = walk(whole.clone()).unwrap();
    assert!(sum > 300_000);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap()
    };
    let mut noticed = 0;
    for round in 0..FLIPS {
        let mut bytes = whole.clone();
        // A third each in the superblock, among the first inodes, anywhere.
        let at = match round % 3 {
            0 => 1024 + next(128),
            1 => next(64 << 10),
            _ => next(whole.len()),
        };
        bytes[at] ^= 1 << next(8);
        noticed += u32::from(walk(bytes) != Ok(sum));
    }
    assert!(noticed > FLIPS / 10, "{noticed}");
    for len in [0, 1, 1024, 1100, 4095, 4096, whole.len() / 2, whole.len() - 1] {
        assert!(walk(whole[..len].to_vec()).is_err(), "{len}");
    }
}
