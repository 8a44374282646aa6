//! Bytes, descriptors, pipes, waiting, devices.

use super::{APPEND, BASE, BOTH, CREATE, HERE, NON_BLOCKING, OUT, Program, TRUNCATE, WRITE};
use crate::syscall::files::FileContext as _;
use crate::syscall::files::file_calls;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use septum_abi::linux::{Errno, syscall as nr};

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
    let name = || program.path("user.name");
    let set = |len: u64, flags: u64| {
        let name = name();
        program.call(nr::FSETXATTR, &[fd, name, program.bytes(b"value"), len, flags])
    };
    assert_eq!(program.call(nr::FGETXATTR, &[fd, name(), 0, 0]), Err(Errno::ENODATA));
    assert_eq!(set(5, 0), Ok(0));
    assert_eq!(set(5, 1), Err(Errno::EEXIST));
    assert_eq!(set(5, 3), Err(Errno::EEXIST));
    assert_eq!(set(65_537, 0), Err(Errno::E2BIG));
    assert_eq!(program.call(nr::FGETXATTR, &[fd, name(), OUT, 4]), Err(Errno::ERANGE));
    assert_eq!(program.call(nr::FGETXATTR, &[fd, name(), OUT, 100]), Ok(5));
    assert_eq!(program.out(5), b"value");
    assert_eq!(program.call(nr::LISTXATTR, &[program.path("/tmp/none"), 0, 0]), Err(Errno::ENOENT));
    assert_eq!(program.call(nr::LISTXATTR, &[program.path("/tmp/f"), 0, 0]), Ok(10));
    assert_eq!(program.call(nr::FREMOVEXATTR, &[fd, name()]), Ok(0));
    assert_eq!(program.call(nr::FREMOVEXATTR, &[fd, name()]), Err(Errno::ENODATA));
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
