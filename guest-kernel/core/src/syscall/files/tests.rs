//! Stories told through the table, with kernel memory for the program's.

use super::{FileContext, file_calls};
use crate::fs::context::FsContext;
use crate::fs::descriptors::DescriptorTable;
use crate::fs::devices;
use crate::fs::mount::{MountOptions, Namespace};
use crate::fs::ramfs::RamFs;
use crate::io::{Destination, Pinned, Source};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::linux::{Errno, syscall as nr};
use septum_guest_hal::frame::Frame;
use septum_guest_hal::sync::Mutex;

/// The program's memory is at these addresses.
const BASE: u64 = 0x1000;
const LEN: usize = 256 * 1024;

/// A program of one thread.
struct Program {
    memory: Mutex<Vec<u8>>,
    descriptors: Mutex<DescriptorTable>,
    fs: Mutex<FsContext>,
    sigpipes: AtomicU32,
    namespace: Arc<Namespace>,
    /// Where the next argument is put.
    next: Mutex<usize>,
}

struct Piece<'a> {
    memory: &'a Mutex<Vec<u8>>,
    at: usize,
    end: usize,
}

impl Destination for Piece<'_> {
    fn remaining(&self) -> usize {
        self.end - self.at
    }
    fn put(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.end - self.at);
        self.memory.lock()[self.at..self.at + len].copy_from_slice(&bytes[..len]);
        self.at += len;
        Ok(len)
    }
    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let mut bytes = alloc::vec![0; len];
        frame.read(offset, &mut bytes);
        self.put(&bytes)
    }
    fn pin(&mut self, _max: usize, _pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        None
    }
    fn advance(&mut self, len: usize) {
        self.at += len;
    }
}

impl Source for Piece<'_> {
    fn remaining(&self) -> usize {
        self.end - self.at
    }
    fn take(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let len = bytes.len().min(self.end - self.at);
        bytes[..len].copy_from_slice(&self.memory.lock()[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
    fn take_to_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize, Errno> {
        let mut bytes = alloc::vec![0; len];
        let len = self.take(&mut bytes)?;
        frame.write(offset, &bytes[..len]);
        Ok(len)
    }
    fn pin(&mut self, _max: usize, _pieces: &mut Vec<Pinned>) -> Option<Result<usize, Errno>> {
        None
    }
    fn advance(&mut self, len: usize) {
        self.at += len;
    }
}

fn range(address: u64, len: usize) -> Result<(usize, usize), Errno> {
    let at = usize::try_from(address.checked_sub(BASE).ok_or(Errno::EFAULT)?).map_err(|_| Errno::EFAULT)?;
    let end = at.checked_add(len).filter(|&end| end <= LEN).ok_or(Errno::EFAULT)?;
    Ok((at, end))
}

impl FileContext for Program {
    type Destination<'a> = Piece<'a>;
    type Source<'a> = Piece<'a>;

    fn descriptors(&self) -> &Mutex<DescriptorTable> {
        &self.descriptors
    }
    fn fs(&self) -> &Mutex<FsContext> {
        &self.fs
    }
    fn copy_in(&self, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        let (at, end) = range(address, bytes.len())?;
        bytes.copy_from_slice(&self.memory.lock()[at..end]);
        Ok(())
    }
    fn copy_out(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let (at, end) = range(address, bytes.len())?;
        self.memory.lock()[at..end].copy_from_slice(bytes);
        Ok(())
    }
    fn copy_in_string(&self, address: u64, limit: usize) -> Result<Vec<u8>, Errno> {
        let (at, _) = range(address, 1)?;
        let memory = self.memory.lock();
        let text = &memory[at..LEN.min(at + limit)];
        let end = text.iter().position(|&byte| byte == 0).ok_or(Errno::ENAMETOOLONG)?;
        Ok(text[..end].to_vec())
    }
    fn destination(&self, address: u64, len: usize) -> Result<Piece<'_>, Errno> {
        let (at, end) = range(address, len)?;
        Ok(Piece { memory: &self.memory, at, end })
    }
    fn source(&self, address: u64, len: usize) -> Result<Piece<'_>, Errno> {
        self.destination(address, len)
    }
    fn deliver_sigpipe(&self) {
        self.sigpipes.fetch_add(1, Ordering::Relaxed);
    }
    fn with_signal_mask(
        &self,
        _mask: u64,
        wait: &mut dyn FnMut() -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        wait()
    }
}

impl Program {
    fn new() -> Self {
        let options = |file_system| MountOptions { source: b"none", file_system, is_read_only: false };
        let namespace = Namespace::new(RamFs::new().root(), options("ramfs"));
        let fs = FsContext::new(Arc::clone(namespace.root()));
        let dev = fs.make_directories(b"/dev", 0o755).unwrap();
        namespace.mount(&dev, devices::file_system().unwrap(), options("devtmpfs")).unwrap();
        fs.make_directories(b"/tmp", 0o1777).unwrap();
        Self {
            memory: Mutex::new(alloc::vec![0; LEN]),
            descriptors: Mutex::new(DescriptorTable::new(64)),
            fs: Mutex::new(fs),
            sigpipes: AtomicU32::new(0),
            namespace,
            next: Mutex::new(0),
        }
    }

    fn call(&self, number: usize, arguments: &[u64]) -> Result<usize, Errno> {
        let entry = file_calls::<Self>().iter().find(|entry| entry.number == number).unwrap();
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        *self.next.lock() = 0;
        (entry.handler)(self, all)
    }

    /// Puts bytes into the program's memory.
    fn bytes(&self, bytes: &[u8]) -> u64 {
        let mut next = self.next.lock();
        let at = *next;
        self.memory.lock()[at..at + bytes.len()].copy_from_slice(bytes);
        *next = (at + bytes.len()).next_multiple_of(16);
        BASE + at as u64
    }

    fn path(&self, path: &str) -> u64 {
        self.bytes(&[path.as_bytes(), &[0]].concat())
    }

    /// What is at the upper half of memory, where the results are put.
    fn out(&self, len: usize) -> Vec<u8> {
        self.memory.lock()[LEN / 2..LEN / 2 + len].to_vec()
    }

    fn open(&self, path: &str, flags: u64) -> Result<u64, Errno> {
        self.call(nr::OPEN, &[self.path(path), flags, 0o644]).map(|fd| fd as u64)
    }

    fn write(&self, fd: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.call(nr::WRITE, &[fd, self.bytes(bytes), bytes.len() as u64])
    }

    fn read(&self, fd: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let len = self.call(nr::READ, &[fd, OUT, len as u64])?;
        Ok(self.out(len))
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let fd = self.open(path, CREATE | WRITE | TRUNCATE).unwrap();
        self.write(fd, bytes).unwrap();
        self.call(nr::CLOSE, &[fd]).unwrap();
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let fd = self.open(path, 0)?;
        let bytes = self.read(fd, 100_000);
        self.call(nr::CLOSE, &[fd]).unwrap();
        bytes
    }

    fn on_path(&self, number: usize, path: &str) -> Result<usize, Errno> {
        self.call(number, &[self.path(path), 0, 0])
    }

    fn on_paths(&self, number: usize, first: &str, second: &str) -> Result<usize, Errno> {
        self.call(number, &[self.path(first), self.path(second)])
    }

    /// Mode, number of links, size.
    fn stat(&self, number: usize, path: &str) -> Result<(u32, u64, u64), Errno> {
        self.call(number, &[self.path(path), OUT])?;
        let stat = self.out(144);
        let u64_at = |at: usize| u64::from_le_bytes(stat[at..at + 8].try_into().unwrap());
        Ok((u32::from_le_bytes(stat[24..28].try_into().unwrap()), u64_at(16), u64_at(48)))
    }

    fn cwd(&self) -> Vec<u8> {
        let len = self.call(nr::GETCWD, &[OUT, 4096]).unwrap();
        self.out(len - 1)
    }

    /// Names, as `getdents64` gives them with a buffer of `len` bytes.
    fn list(&self, path: &str, len: u64) -> Vec<alloc::string::String> {
        let fd = self.open(path, 0o200_000).unwrap();
        let mut names = Vec::new();
        loop {
            let filled = self.call(nr::GETDENTS64, &[fd, OUT, len]).unwrap();
            if filled == 0 {
                break;
            }
            let entries = self.out(filled);
            let mut at = 0;
            while at < filled {
                let len = usize::from(u16::from_le_bytes([entries[at + 16], entries[at + 17]]));
                assert_eq!(len % 8, 0);
                let name: Vec<u8> =
                    entries[at + 19..at + len].iter().copied().take_while(|&b| b != 0).collect();
                names.push(alloc::string::String::from_utf8(name).unwrap());
                at += len;
            }
        }
        self.call(nr::CLOSE, &[fd]).unwrap();
        names
    }
}

const OUT: u64 = BASE + LEN as u64 / 2;
const WRITE: u64 = 1;
const BOTH: u64 = 2;
const CREATE: u64 = 0o100;
const EXCLUSIVE: u64 = 0o200;
const TRUNCATE: u64 = 0o1000;
const APPEND: u64 = 0o2000;
const NON_BLOCKING: u64 = 0o4000;
const NO_FOLLOW: u64 = 0o400_000;
const HERE: u64 = 0xffff_ff9c;

#[test]
fn the_table_is_free_of_duplicates_and_every_call_survives_nonsense() {
    let program = Program::new();
    let mut numbers: Vec<_> = file_calls::<Program>().iter().map(|entry| entry.number).collect();
    // These may wait for ever, and are right to.
    let waiting = [nr::POLL, nr::PPOLL, nr::SELECT, nr::PSELECT6];
    for &number in numbers.iter().filter(|number| !waiting.contains(number)) {
        for nonsense in [0, 1, BASE, u64::MAX, 0x7fff_ffff, 0x8000_0000, u64::MAX / 2] {
            let _ = program.call(number, &[nonsense; 6]);
            let _ = program.call(number, &[0, nonsense, nonsense, nonsense, BASE, 0]);
            let _ = program.call(number, &[OUT, nonsense, 3, nonsense, nonsense, nonsense]);
        }
    }
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
    assert!(count > 90, "{count}");
}

#[test]
fn what_is_written_is_read_back_at_the_position() {
    let program = Program::new();
    let fd = program.open("/tmp/f", CREATE | BOTH).unwrap();
    assert_eq!(program.write(fd, b"hello world"), Ok(11));
    assert_eq!(program.read(fd, 10).unwrap(), b"");
    assert_eq!(program.call(nr::LSEEK, &[fd, 6, 0]), Ok(6));
    assert_eq!(program.read(fd, 3).unwrap(), b"wor");
    assert_eq!(program.call(nr::LSEEK, &[fd, 2u64.wrapping_neg(), 2]), Ok(9));
    assert_eq!(program.call(nr::LSEEK, &[fd, 10u64.wrapping_neg(), 1]), Err(Errno::EINVAL));
    assert_eq!(program.call(nr::PREAD64, &[fd, OUT, 4, 1]), Ok(4));
    assert_eq!(program.out(4), b"ello");
    assert_eq!(program.call(nr::PWRITE64, &[fd, program.bytes(b"J"), 1, 0]), Ok(1));
    assert_eq!(program.read(fd, 10).unwrap(), b"ld");
    assert_eq!(program.get("/tmp/f").unwrap(), b"Jello world");
    let appending = program.open("/tmp/f", WRITE | APPEND).unwrap();
    assert_eq!(program.write(appending, b"!"), Ok(1));
    assert_eq!(program.read(appending, 1), Err(Errno::EBADF));
    assert_eq!(program.get("/tmp/f").unwrap(), b"Jello world!");
    assert_eq!(program.read(99, 1), Err(Errno::EBADF));
}

#[test]
fn vectors_are_one_write_and_one_read() {
    let program = Program::new();
    let fd = program.open("/tmp/f", CREATE | BOTH).unwrap();
    let vectors = |pieces: &[(u64, u64)]| -> Vec<u8> {
        pieces.iter().flat_map(|(a, b)| [a.to_le_bytes(), b.to_le_bytes()].concat()).collect()
    };
    let (a, b) = (program.bytes(b"one "), program.bytes(b"two"));
    let table = vectors(&[(a, 4), (0, 0), (b, 3)]);
    let table = program.bytes(&table);
    assert_eq!(program.call(nr::WRITEV, &[fd, table, 3]), Ok(7));
    let table = vectors(&[(OUT, 2), (OUT + 100, 50)]);
    let table = program.bytes(&table);
    assert_eq!(program.call(nr::PREADV, &[fd, table, 2, 1]), Ok(6));
    assert_eq!(program.out(2), b"ne");
    assert_eq!(&program.out(104)[100..], b" two");
    assert_eq!(program.call(nr::WRITEV, &[fd, table, 1025]), Err(Errno::EINVAL));
}

#[test]
fn creation_flags_decide() {
    let program = Program::new();
    assert_eq!(program.open("/tmp/f", 0), Err(Errno::ENOENT));
    assert_eq!(program.open("/tmp/f/", CREATE | WRITE), Err(Errno::EISDIR));
    program.put("/tmp/f", b"x");
    assert_eq!(program.open("/tmp/f", CREATE | EXCLUSIVE), Err(Errno::EEXIST));
    assert_eq!(program.open("/tmp/f/", 0), Err(Errno::ENOTDIR));
    assert_eq!(program.open("/tmp/f/x", 0), Err(Errno::ENOTDIR));
    assert_eq!(program.open("/tmp", WRITE), Err(Errno::EISDIR));
    assert_eq!(program.open("/tmp/f", 0o200_000), Err(Errno::ENOTDIR));
    program.put("/tmp/f", b"");
    assert_eq!(program.get("/tmp/f").unwrap(), b"");
    assert_eq!(program.call(nr::UMASK, &[0o077]), Ok(0o022));
    program.put("/tmp/g", b"");
    assert_eq!(program.stat(nr::STAT, "/tmp/g").unwrap().0, 0o100_600);
    let long = "x".repeat(256);
    assert_eq!(program.open(&long, CREATE), Err(Errno::ENAMETOOLONG));
    assert_eq!(program.open(&"x/".repeat(2100), CREATE), Err(Errno::ENAMETOOLONG));
    assert_eq!(program.open("", CREATE), Err(Errno::ENOENT));
}

#[test]
fn links_are_followed_where_they_should_be() {
    let program = Program::new();
    program.put("/tmp/target", b"contents");
    program.on_paths(nr::SYMLINK, "target", "/tmp/link").unwrap();
    program.on_paths(nr::SYMLINK, "/tmp/new", "/tmp/dangling").unwrap();
    program.on_paths(nr::SYMLINK, "loop", "/tmp/loop").unwrap();
    program.on_paths(nr::SYMLINK, "../tmp/", "/tmp/self").unwrap();
    assert_eq!(program.get("/tmp/link").unwrap(), b"contents");
    assert_eq!(program.get("/tmp/self/self/../tmp/./link").unwrap(), b"contents");
    assert_eq!(program.open("/tmp/link", NO_FOLLOW), Err(Errno::ELOOP));
    assert_eq!(program.open("/tmp/loop", 0), Err(Errno::ELOOP));
    assert_eq!(program.open("/tmp/dangling", 0), Err(Errno::ENOENT));
    assert_eq!(program.open("/tmp/dangling", CREATE | EXCLUSIVE), Err(Errno::EEXIST));
    program.put("/tmp/dangling", b"made");
    assert_eq!(program.get("/tmp/new").unwrap(), b"made");
    assert_eq!(program.stat(nr::LSTAT, "/tmp/link").unwrap(), (0o120_777, 1, 6));
    assert_eq!(program.stat(nr::LSTAT, "/tmp/self/").unwrap().0, 0o041_755);
    assert_eq!(program.call(nr::READLINK, &[program.path("/tmp/link"), OUT, 3]), Ok(3));
    assert_eq!(program.out(3), b"tar");
    assert_eq!(program.call(nr::READLINK, &[program.path("/tmp"), OUT, 3]), Err(Errno::EINVAL));
    // Unlinking and renaming are about the link.
    program.on_path(nr::UNLINK, "/tmp/link").unwrap();
    assert_eq!(program.get("/tmp/target").unwrap(), b"contents");
}

#[test]
fn forty_links_are_enough() {
    let program = Program::new();
    program.put("/tmp/0", b"end");
    for number in 1..=41 {
        let (to, from) = (std::format!("{}", number - 1), std::format!("/tmp/{number}"));
        program.on_paths(nr::SYMLINK, &to, &from).unwrap();
    }
    assert_eq!(program.get("/tmp/40").unwrap(), b"end");
    assert_eq!(program.get("/tmp/41"), Err(Errno::ELOOP));
}

#[test]
fn names_that_are_not_names_have_their_own_errors() {
    let program = Program::new();
    program.on_path(nr::MKDIR, "/tmp/d").unwrap();
    assert_eq!(program.on_path(nr::MKDIR, "/tmp/d"), Err(Errno::EEXIST));
    assert_eq!(program.on_path(nr::MKDIR, "/"), Err(Errno::EEXIST));
    assert_eq!(program.on_path(nr::MKDIR, "/tmp/e/"), Ok(0));
    assert_eq!(program.on_path(nr::MKDIR, "/none/e"), Err(Errno::ENOENT));
    assert_eq!(program.on_path(nr::RMDIR, "/tmp/d/."), Err(Errno::EINVAL));
    assert_eq!(program.on_path(nr::RMDIR, "/tmp/d/.."), Err(Errno::ENOTEMPTY));
    assert_eq!(program.on_path(nr::RMDIR, "/"), Err(Errno::EBUSY));
    assert_eq!(program.on_path(nr::RMDIR, "/dev"), Err(Errno::EBUSY));
    assert_eq!(program.on_path(nr::RMDIR, "/tmp"), Err(Errno::ENOTEMPTY));
    assert_eq!(program.on_path(nr::UNLINK, "/tmp/d"), Err(Errno::EISDIR));
    assert_eq!(program.on_paths(nr::RENAME, "/tmp/d/..", "/x"), Err(Errno::EBUSY));
    assert_eq!(program.on_paths(nr::RENAME, "/tmp/d", "/tmp/d/x"), Err(Errno::EINVAL));
    assert_eq!(program.on_paths(nr::RENAME, "/tmp/d", "/dev/d"), Err(Errno::EXDEV));
    assert_eq!(program.on_paths(nr::RENAME, "/tmp/d", "/tmp/e"), Ok(0));
    assert_eq!(program.on_paths(nr::RENAME, "/tmp/e", "/tmp"), Err(Errno::ENOTEMPTY));
    assert_eq!(program.on_path(nr::RMDIR, "/tmp/e"), Ok(0));
    assert_eq!(program.list("/tmp", 1000), [".", ".."]);
}

#[test]
fn hard_links_share_the_file() {
    let program = Program::new();
    program.put("/tmp/a", b"x");
    program.on_paths(nr::LINK, "/tmp/a", "/tmp/b").unwrap();
    assert_eq!(program.on_paths(nr::LINK, "/tmp/a", "/tmp/b"), Err(Errno::EEXIST));
    assert_eq!(program.on_paths(nr::LINK, "/tmp", "/tmp/c"), Err(Errno::EPERM));
    assert_eq!(program.on_paths(nr::LINK, "/tmp/a", "/dev/c"), Err(Errno::EXDEV));
    program.put("/tmp/b", b"longer");
    assert_eq!(program.stat(nr::STAT, "/tmp/a").unwrap(), (0o100_644, 2, 6));
    // Renaming one to the other does nothing.
    program.on_paths(nr::RENAME, "/tmp/a", "/tmp/b").unwrap();
    assert_eq!(program.list("/tmp", 1000), [".", "..", "a", "b"]);
    program.on_path(nr::UNLINK, "/tmp/a").unwrap();
    assert_eq!(program.stat(nr::STAT, "/tmp/b").unwrap().1, 1);
}

#[test]
fn a_directory_is_read_in_pieces_of_any_size() {
    let program = Program::new();
    let mut expected: Vec<_> = (0..50).map(|number| std::format!("file-{number}")).collect();
    for name in &expected {
        program.put(&std::format!("/tmp/{name}"), b"");
    }
    expected.extend([".".into(), "..".into()]);
    expected.sort();
    for len in [32, 100, 10_000] {
        let mut names = program.list("/tmp", len);
        names.sort();
        assert_eq!(names, expected, "{len}");
    }
    let fd = program.open("/tmp", 0).unwrap();
    assert_eq!(program.call(nr::GETDENTS64, &[fd, OUT, 10]), Err(Errno::EINVAL));
    assert_eq!(program.read(fd, 10), Err(Errno::EISDIR));
    let file = program.open("/tmp/file-1", 0).unwrap();
    assert_eq!(program.call(nr::GETDENTS64, &[file, OUT, 1000]), Err(Errno::ENOTDIR));
}

#[test]
fn the_working_directory_goes_along() {
    let program = Program::new();
    program.on_path(nr::MKDIR, "/tmp/a").unwrap();
    program.on_path(nr::MKDIR, "/tmp/a/b").unwrap();
    program.on_path(nr::CHDIR, "/tmp/a/b").unwrap();
    assert_eq!(program.cwd(), b"/tmp/a/b");
    program.put("here", b"x");
    program.on_paths(nr::RENAME, "/tmp/a", "/moved").unwrap();
    assert_eq!(program.cwd(), b"/moved/b");
    program.on_path(nr::CHDIR, "../../dev").unwrap();
    assert_eq!(program.cwd(), b"/dev");
    program.on_path(nr::CHDIR, "..").unwrap();
    assert_eq!(program.cwd(), b"/");
    program.on_path(nr::CHDIR, "/moved/b").unwrap();
    program.on_path(nr::UNLINK, "here").unwrap();
    program.on_path(nr::RMDIR, "/moved/b").unwrap();
    assert_eq!(program.call(nr::GETCWD, &[OUT, 100]), Err(Errno::ENOENT));
    assert_eq!(program.open("new", CREATE), Err(Errno::ENOENT));
    assert_eq!(program.call(nr::CHDIR, &[program.path("/dev/null")]), Err(Errno::ENOTDIR));
    assert_eq!(program.call(nr::CHROOT, &[program.path("/tmp")]), Ok(0));
    program.on_path(nr::CHDIR, "/..").unwrap();
    assert_eq!(program.cwd(), b"/");
    assert_eq!(program.open("/dev", 0), Err(Errno::ENOENT));
}

#[test]
fn relative_to_a_descriptor() {
    let program = Program::new();
    program.put("/tmp/f", b"x");
    let directory = program.open("/tmp", 0o10_000_000).unwrap();
    assert!(program.call(nr::OPENAT, &[directory, program.path("f"), 0]).is_ok());
    assert!(program.call(nr::OPENAT, &[99, program.path("/tmp/f"), 0]).is_ok());
    assert_eq!(program.call(nr::OPENAT, &[99, program.path("f"), 0]), Err(Errno::EBADF));
    let file = program.open("/tmp/f", 0).unwrap();
    assert_eq!(program.call(nr::OPENAT, &[file, program.path("f"), 0]), Err(Errno::ENOTDIR));
    assert_eq!(program.call(nr::NEWFSTATAT, &[file, program.path(""), OUT, 0x1000]), Ok(0));
    assert_eq!(program.call(nr::NEWFSTATAT, &[file, program.path(""), OUT, 0]), Err(Errno::ENOENT));
    assert_eq!(program.call(nr::NEWFSTATAT, &[file, program.path(""), OUT, 4]), Err(Errno::EINVAL));
    assert_eq!(program.read(directory, 1), Err(Errno::EBADF));
    assert_eq!(program.call(nr::FCHDIR, &[directory]), Ok(0));
    assert_eq!(program.cwd(), b"/tmp");
}

#[test]
fn openat2_keeps_the_walk_inside() {
    let program = Program::new();
    program.put("/tmp/f", b"x");
    program.on_paths(nr::SYMLINK, "/tmp/f", "/tmp/absolute").unwrap();
    program.on_paths(nr::SYMLINK, "f", "/tmp/relative").unwrap();
    let directory = program.open("/tmp", 0).unwrap();
    let open = |path: &str, resolve: u64| {
        let how: Vec<u8> = [0, 0, resolve].iter().flat_map(|field: &u64| field.to_le_bytes()).collect();
        let how = program.bytes(&how);
        program.call(nr::OPENAT2, &[directory, program.path(path), how, 24]).map(drop)
    };
    assert_eq!(open("f", 8), Ok(()));
    assert_eq!(open("relative", 8), Ok(()));
    assert_eq!(open("../tmp/f", 8), Err(Errno::EXDEV));
    assert_eq!(open("absolute", 8), Err(Errno::EXDEV));
    assert_eq!(open("relative", 4), Err(Errno::ELOOP));
    assert_eq!(open("../../f", 16), Ok(()));
    assert_eq!(open("../dev/null", 1), Err(Errno::EXDEV));
    assert_eq!(open("f", 64), Err(Errno::EINVAL));
}

#[test]
fn another_user_is_held_to_permissions() {
    let program = Program::new();
    program.put("/tmp/secret", b"x");
    program.call(nr::CHMOD, &[program.path("/tmp/secret"), 0o600]).unwrap();
    program.put("/tmp/public", b"x");
    program.call(nr::CHMOD, &[program.path("/tmp"), 0o1777]).unwrap();
    {
        let mut fs = program.fs.lock();
        (fs.uid, fs.gid) = (1000, 1000);
    }
    assert_eq!(program.open("/tmp/secret", 0), Err(Errno::EACCES));
    assert_eq!(program.open("/tmp/public", WRITE), Err(Errno::EACCES));
    assert!(program.open("/tmp/public", 0).is_ok());
    assert_eq!(program.open("/new", CREATE), Err(Errno::EACCES));
    program.put("/tmp/mine", b"x");
    assert_eq!(program.on_path(nr::UNLINK, "/tmp/public"), Err(Errno::EPERM));
    assert_eq!(program.on_path(nr::UNLINK, "/tmp/mine"), Ok(0));
    assert_eq!(program.call(nr::CHMOD, &[program.path("/tmp/public"), 0o777]), Err(Errno::EPERM));
    assert_eq!(program.call(nr::ACCESS, &[program.path("/tmp/public"), 4]), Ok(0));
    assert_eq!(program.call(nr::ACCESS, &[program.path("/tmp/public"), 1]), Err(Errno::EACCES));
}

#[test]
fn a_read_only_mount_refuses_every_change() {
    let program = Program::new();
    let lower = RamFs::new().root();
    let context = FsContext::new(Arc::clone(
        Namespace::new(
            Arc::clone(&lower),
            MountOptions { source: b"", file_system: "x", is_read_only: false },
        )
        .root(),
    ));
    context.open(&context.root, b"f", crate::fs::open::OpenFlags::CREATE, 0o644).unwrap();
    let place = program.fs.lock().make_directories(b"/ro", 0o755).unwrap();
    let options = MountOptions { source: b"host", file_system: "virtiofs", is_read_only: true };
    program.namespace.mount(&place, lower, options).unwrap();
    assert!(program.open("/ro/f", 0).is_ok());
    let refused = Err(Errno::EROFS);
    assert_eq!(program.open("/ro/f", WRITE).map(|_| 0), refused);
    assert_eq!(program.open("/ro/f", TRUNCATE).map(|_| 0), refused);
    assert_eq!(program.open("/ro/g", CREATE).map(|_| 0), refused);
    assert_eq!(program.on_path(nr::MKDIR, "/ro/d"), refused);
    assert_eq!(program.on_path(nr::UNLINK, "/ro/f"), refused);
    assert_eq!(program.on_paths(nr::RENAME, "/ro/f", "/ro/g"), refused);
    assert_eq!(program.on_paths(nr::LINK, "/ro/f", "/ro/g"), refused);
    assert_eq!(program.call(nr::CHMOD, &[program.path("/ro/f"), 0o777]), refused);
    assert_eq!(program.call(nr::TRUNCATE, &[program.path("/ro/f"), 0]), refused);
    assert_eq!(program.call(nr::UTIMENSAT, &[HERE, program.path("/ro/f"), 0, 0]), refused);
    assert_eq!(program.call(nr::ACCESS, &[program.path("/ro/f"), 2]), refused);
}

#[test]
fn descriptors_are_duplicated_and_share_the_position() {
    let program = Program::new();
    program.put("/tmp/f", b"abcdef");
    let first = program.open("/tmp/f", 0).unwrap();
    let second = program.call(nr::DUP, &[first]).unwrap() as u64;
    assert_eq!(
        (program.read(first, 2).unwrap(), program.read(second, 2).unwrap()),
        (b"ab".to_vec(), b"cd".to_vec())
    );
    assert_eq!(program.call(nr::DUP2, &[first, 10]), Ok(10));
    assert_eq!(program.call(nr::DUP2, &[first, first]), Ok(0));
    assert_eq!(program.call(nr::DUP3, &[first, first, 0]), Err(Errno::EINVAL));
    assert_eq!(program.call(nr::DUP2, &[first, 64]), Err(Errno::EBADF));
    assert_eq!(program.call(nr::FCNTL, &[first, 1030, 5]), Ok(5));
    assert_eq!(program.call(nr::FCNTL, &[5, 1]), Ok(1));
    assert_eq!(program.call(nr::FCNTL, &[5, 2, 0]), Ok(0));
    assert_eq!(program.call(nr::FCNTL, &[5, 1]), Ok(0));
    assert_eq!(program.call(nr::FCNTL, &[5, 3]), Ok(0o100_000));
    assert_eq!(program.call(nr::FCNTL, &[5, 4, NON_BLOCKING | WRITE]), Ok(0));
    assert_eq!(program.call(nr::FCNTL, &[first, 3]), Ok(0o104_000));
    assert_eq!(program.call(nr::CLOSE_RANGE, &[5, 0xffff_ffff, 0]), Ok(0));
    assert_eq!(program.call(nr::CLOSE, &[5]), Err(Errno::EBADF));
    assert_eq!(program.call(nr::CLOSE, &[second]), Ok(0));
    assert_eq!(program.descriptors.lock().numbers(), [0]);
}

#[test]
fn a_pipe_carries_bytes_and_breaks_with_a_signal() {
    let program = Program::new();
    program.call(nr::PIPE2, &[OUT, NON_BLOCKING]).unwrap();
    let ends = program.out(8);
    let (reader, writer) = (u64::from(ends[0]), u64::from(ends[4]));
    assert_eq!(program.read(reader, 10), Err(Errno::EAGAIN));
    program.write(writer, b"hello").unwrap();
    assert_eq!(program.call(nr::IOCTL, &[reader, 0x541b, OUT]), Ok(0));
    assert_eq!(program.out(4), [5, 0, 0, 0]);
    assert_eq!(program.call(nr::LSEEK, &[reader, 0, 0]), Err(Errno::ESPIPE));
    assert_eq!(program.call(nr::PREAD64, &[reader, OUT, 1, 0]), Err(Errno::ESPIPE));
    assert_eq!(program.read(reader, 10).unwrap(), b"hello");
    program.call(nr::CLOSE, &[reader]).unwrap();
    assert_eq!(program.write(writer, b"x"), Err(Errno::EPIPE));
    assert_eq!(program.sigpipes.load(Ordering::Relaxed), 1);
}

#[test]
fn poll_and_select_tell_what_is_ready() {
    let program = Program::new();
    program.call(nr::PIPE, &[OUT]).unwrap();
    let fds = |program: &Program| -> Vec<u8> {
        let entry = |fd: u32, events: u16| [&fd.to_le_bytes()[..], &events.to_le_bytes(), &[0, 0]].concat();
        program.call(nr::FCNTL, &[0, 1]).unwrap();
        [entry(0, 1), entry(1, 4), entry(40, 1), entry(u32::MAX, 1)].concat()
    };
    let table = program.bytes(&fds(&program));
    assert_eq!(program.call(nr::POLL, &[table, 4, 0]), Ok(2));
    let events = |program: &Program| -> Vec<u8> {
        let mut bytes = [0; 32];
        program.copy_in(table, &mut bytes).unwrap();
        bytes.chunks(8).map(|entry| entry[6]).collect()
    };
    assert_eq!(events(&program), [0, 4, 0x20, 0]);
    program.write(1, b"x").unwrap();
    let table = program.bytes(&fds(&program));
    assert_eq!(program.call(nr::POLL, &[table, 1, 0]), Ok(1));
    assert_eq!(events(&program)[0], 1);
    let (read, write) = (program.bytes(&[1, 0, 0, 0, 0, 0, 0, 0]), program.bytes(&[2, 0, 0, 0, 0, 0, 0, 0]));
    let timeout = program.bytes(&[0; 16]);
    assert_eq!(program.call(nr::SELECT, &[2, read, write, 0, timeout]), Ok(2));
    assert_eq!(program.read(0, 1).unwrap(), b"x");
    let timeout = program.bytes(&[[0; 8], 2_000_000u64.to_le_bytes()].concat());
    let read = program.bytes(&[1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(program.call(nr::PSELECT6, &[1, read, 0, 0, timeout, 0]), Ok(0));
    assert_eq!(program.call(nr::POLL, &[table, 1, 1]), Ok(0));
}

#[test]
fn sizes_change_and_holes_are_zero() {
    let program = Program::new();
    program.put("/tmp/f", b"abcdef");
    program.call(nr::TRUNCATE, &[program.path("/tmp/f"), 3]).unwrap();
    let fd = program.open("/tmp/f", BOTH).unwrap();
    program.call(nr::FTRUNCATE, &[fd, 5]).unwrap();
    assert_eq!(program.get("/tmp/f").unwrap(), b"abc\0\0");
    program.call(nr::FALLOCATE, &[fd, 0, 0, 10]).unwrap();
    assert_eq!(program.stat(nr::STAT, "/tmp/f").unwrap().2, 10);
    assert_eq!(program.call(nr::FALLOCATE, &[fd, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(program.call(nr::FTRUNCATE, &[fd, u64::MAX]), Err(Errno::EINVAL));
    let reading = program.open("/tmp/f", 0).unwrap();
    assert_eq!(program.call(nr::FTRUNCATE, &[reading, 0]), Err(Errno::EINVAL));
    assert_eq!(program.call(nr::LSEEK, &[fd, 2, 4]), Ok(10));
    assert_eq!(program.call(nr::LSEEK, &[fd, 10, 3]), Err(Errno::ENXIO));
}

#[test]
fn files_are_copied_in_the_kernel() {
    let program = Program::new();
    let contents: Vec<u8> = (0..=255u8).cycle().take(10_000).collect();
    program.put("/tmp/a", &contents);
    let (from, to) = (program.open("/tmp/a", 0).unwrap(), program.open("/tmp/b", CREATE | WRITE).unwrap());
    assert_eq!(program.call(nr::COPY_FILE_RANGE, &[from, 0, to, 0, 1 << 30, 0]), Ok(10_000));
    assert_eq!(program.get("/tmp/b").unwrap(), contents);
    let at = program.bytes(&100u64.to_le_bytes());
    assert_eq!(program.call(nr::SENDFILE, &[to, from, at, 50]), Ok(50));
    let mut bytes = [0; 8];
    program.copy_in(at, &mut bytes).unwrap();
    assert_eq!(u64::from_le_bytes(bytes), 150);
    assert_eq!(program.get("/tmp/b").unwrap()[10_000..], contents[100..150]);
}

#[test]
fn memory_files_and_unnamed_files_work() {
    let program = Program::new();
    let fd = program.call(nr::MEMFD_CREATE, &[program.path("name"), 1]).unwrap() as u64;
    program.write(fd, b"x").unwrap();
    assert_eq!(program.call(nr::FSTAT, &[fd, OUT]), Ok(0));
    let unnamed = program.open("/tmp", 0o20_200_000 | BOTH).unwrap();
    program.write(unnamed, b"unnamed").unwrap();
    let link = [unnamed, program.path(""), HERE, program.path("/tmp/named"), 0x1000];
    assert_eq!(program.call(nr::LINKAT, &link), Ok(0));
    assert_eq!(program.get("/tmp/named").unwrap(), b"unnamed");
}

#[test]
fn times_are_set_and_omitted() {
    let program = Program::new();
    program.put("/tmp/f", b"");
    let times: Vec<u8> = [5u64, 7, 0, 0x3fff_fffe].iter().flat_map(|field| field.to_le_bytes()).collect();
    let times = program.bytes(&times);
    assert_eq!(program.call(nr::UTIMENSAT, &[HERE, program.path("/tmp/f"), times, 0]), Ok(0));
    program.call(nr::STAT, &[program.path("/tmp/f"), OUT]).unwrap();
    let stat = program.out(144);
    assert_eq!((stat[72], stat[80]), (5, 7));
    assert_ne!(stat[88..96], [0; 8]);
}

#[test]
fn locks_control_and_attributes_answer_as_one_process_expects() {
    let program = Program::new();
    let fd = program.open("/tmp/f", CREATE | WRITE).unwrap();
    let lock = |kind: u8| program.bytes(&[&[kind][..], &[0; 31]].concat());
    assert_eq!(program.call(nr::FCNTL, &[fd, 6, lock(1)]), Ok(0));
    assert_eq!(program.call(nr::FCNTL, &[fd, 6, lock(0)]), Err(Errno::EBADF));
    assert_eq!(program.call(nr::FCNTL, &[fd, 7, lock(9)]), Err(Errno::EINVAL));
    let asked = lock(1);
    assert_eq!(program.call(nr::FCNTL, &[fd, 5, asked]), Ok(0));
    let mut kind = [0; 2];
    program.copy_in(asked, &mut kind).unwrap();
    assert_eq!(kind, [2, 0]);
    assert_eq!(program.call(nr::FCNTL, &[fd, 999]), Err(Errno::EINVAL));
    assert_eq!(program.call(nr::FLOCK, &[fd, 2 | 4]), Ok(0));
    assert_eq!(program.call(nr::FLOCK, &[fd, 3]), Err(Errno::EINVAL));
    assert_eq!(program.call(nr::IOCTL, &[fd, 0x5401, OUT]), Err(Errno::ENOTTY));
    assert_eq!(program.call(nr::IOCTL, &[fd, 0x5451, 0]), Ok(0));
    assert_eq!(program.call(nr::FCNTL, &[fd, 1]), Ok(1));
    let name = program.path("user.name");
    assert_eq!(program.call(nr::FGETXATTR, &[fd, name, 0, 0]), Err(Errno::ENODATA));
    assert_eq!(program.call(nr::FSETXATTR, &[fd, name, 0, 0]), Err(Errno::EOPNOTSUPP));
    assert_eq!(program.call(nr::LISTXATTR, &[program.path("/tmp/none"), 0, 0]), Err(Errno::ENOENT));
    assert_eq!(program.call(nr::LISTXATTR, &[program.path("/tmp/f"), 0, 0]), Ok(0));
    assert_eq!(program.call(nr::FSYNC, &[fd]), Ok(0));
    assert_eq!(program.call(nr::FADVISE64, &[fd, 0, 0, 6]), Err(Errno::EINVAL));
}

#[test]
fn statx_and_statfs_are_laid_out_as_linux_does() {
    let program = Program::new();
    program.put("/tmp/f", b"hello");
    assert_eq!(program.call(nr::STATX, &[HERE, program.path("/tmp/f"), 0, 0x7ff, OUT]), Ok(0));
    let statx = program.out(256);
    assert_eq!(statx[0..4], 0x17ffu32.to_le_bytes());
    assert_eq!((statx[16], statx[40]), (1, 5));
    assert_eq!(statx[28..30], 0o100_644u16.to_le_bytes());
    assert_eq!(program.call(nr::STATX, &[HERE, program.path("/dev/null"), 0, 0x7ff, OUT]), Ok(0));
    assert_eq!(program.out(136)[128..136], [1, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(program.call(nr::STATFS, &[program.path("/tmp"), OUT]), Ok(0));
    assert_eq!(program.out(8), 0x0102_1994u64.to_le_bytes());
}

#[test]
fn devices_are_opened_by_their_number() {
    let program = Program::new();
    let zero = program.open("/dev/zero", BOTH).unwrap();
    assert_eq!(program.read(zero, 3).unwrap(), [0; 3]);
    let full = program.open("/dev/full", WRITE).unwrap();
    assert_eq!(program.write(full, b"x"), Err(Errno::ENOSPC));
    assert_eq!(program.call(nr::MKNOD, &[program.path("/tmp/null"), 0o020_666, 0x103]), Ok(0));
    let null = program.open("/tmp/null", BOTH | TRUNCATE | APPEND).unwrap();
    assert_eq!((program.write(null, b"x"), program.read(null, 5)), (Ok(1), Ok(Vec::new())));
    assert_eq!(program.open("/dev/tty", BOTH), Err(Errno::ENXIO));
    assert_eq!(program.call(nr::MKNOD, &[program.path("/tmp/fifo"), 0o010_600, 0]), Ok(0));
    let fifo = program.open("/tmp/fifo", BOTH | NON_BLOCKING).unwrap();
    program.write(fifo, b"through").unwrap();
    assert_eq!(program.read(fifo, 20).unwrap(), b"through");
    let event = program.call(nr::EVENTFD2, &[3, 0o4000]).unwrap() as u64;
    assert_eq!(program.read(event, 8).unwrap(), 3u64.to_le_bytes());
    assert_eq!(program.read(event, 8), Err(Errno::EAGAIN));
}
