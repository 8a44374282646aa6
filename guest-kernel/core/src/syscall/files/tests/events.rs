//! Locks, seeking on devices, and what waits.

use super::*;

fn flock_range(kind: u8, start: u64, len: u64) -> Vec<u8> {
    let mut bytes = alloc::vec![kind, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(&start.to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

#[test]
fn flock_is_between_open_file_descriptions() {
    let program = Program::new();
    let one = program.open("/tmp/flock", CREATE | BOTH).unwrap();
    let two = program.open("/tmp/flock", BOTH).unwrap();
    let again = program.call(nr::DUP, &[one]).unwrap() as u64;
    assert_eq!(program.call(nr::FLOCK, &[one, 2]), Ok(0));
    assert_eq!(program.call(nr::FLOCK, &[two, 1 | 4]), Err(Errno::EAGAIN));
    assert_eq!(program.call(nr::FLOCK, &[again, 1 | 4]), Ok(0));
    assert_eq!(program.call(nr::FLOCK, &[two, 1 | 4]), Ok(0));
    assert_eq!(program.call(nr::FLOCK, &[two, 2 | 4]), Err(Errno::EAGAIN));
    program.call(nr::CLOSE, &[one]).unwrap();
    assert_eq!(program.call(nr::FLOCK, &[two, 2 | 4]), Err(Errno::EAGAIN));
    program.call(nr::CLOSE, &[again]).unwrap();
    assert_eq!(program.call(nr::FLOCK, &[two, 2 | 4]), Ok(0));
    program.call(nr::CLOSE, &[two]).unwrap();
}

#[test]
fn ranges_belong_to_the_process_or_the_description() {
    let program = Program::new();
    let one = program.open("/tmp/range", CREATE | BOTH).unwrap();
    let two = program.open("/tmp/range", BOTH).unwrap();
    let fcntl = |fd, command, lock: &[u8]| program.call(nr::FCNTL, &[fd, command, program.bytes(lock)]);
    assert_eq!(fcntl(one, 6, &flock_range(1, 10, 5)), Ok(0));
    assert_eq!(fcntl(two, 6, &flock_range(1, 10, 5)), Ok(0));
    assert_eq!(fcntl(two, 37, &flock_range(0, 12, 1)), Err(Errno::EAGAIN));
    assert_eq!(fcntl(two, 37, &flock_range(1, 20, 0)), Ok(0));
    assert_eq!(fcntl(one, 6, &flock_range(0, 30, 1)), Err(Errno::EAGAIN));
    let asked = program.bytes(&flock_range(0, 0, 0));
    assert_eq!(program.call(nr::FCNTL, &[one, 5, asked]), Ok(0));
    let mut told = [0; 32];
    program.copy_in(asked, &mut told).unwrap();
    assert_eq!(told[..28], [&flock_range(1, 20, 0)[..24], &[0xff; 4]].concat());
    // Closing any descriptor of it takes the process's ranges, not the other's.
    program.call(nr::CLOSE, &[one]).unwrap();
    let three = program.open("/tmp/range", BOTH).unwrap();
    assert_eq!(fcntl(three, 37, &flock_range(0, 10, 5)), Ok(0));
    assert_eq!(fcntl(three, 37, &flock_range(0, 10, 50)), Err(Errno::EAGAIN));
    program.call(nr::CLOSE, &[two]).unwrap();
    program.call(nr::CLOSE, &[three]).unwrap();
}

#[test]
fn devices_of_nothing_stay_at_their_start() {
    let program = Program::new();
    for name in ["/dev/null", "/dev/zero", "/dev/full"] {
        let fd = program.open(name, 0).unwrap();
        assert_eq!(program.call(nr::LSEEK, &[fd, 100, 0]), Ok(0), "{name}");
    }
}

#[test]
fn an_event_counter_wants_eight_bytes_before_anything_else() {
    let program = Program::new();
    let event = program.call(nr::EVENTFD2, &[0, NON_BLOCKING]).unwrap() as u64;
    assert_eq!(program.read(event, 4), Err(Errno::EINVAL));
    assert_eq!(program.read(event, 8), Err(Errno::EAGAIN));
    assert_eq!(program.write(event, &[1; 7]), Err(Errno::EINVAL));
}

/// `epoll_wait` with room for four; what it tells: events and data.
fn ready(program: &Program, epoll: u64, timeout: u64) -> Vec<(u32, u64)> {
    let count = program.call(nr::EPOLL_WAIT, &[epoll, OUT, 4, timeout]).unwrap();
    let bytes = program.out(count * 12);
    let event = |bytes: &[u8]| {
        (
            u32::from_le_bytes(bytes[..4].try_into().unwrap()),
            u64::from_le_bytes(bytes[4..].try_into().unwrap()),
        )
    };
    bytes.chunks_exact(12).map(event).collect()
}

fn control(program: &Program, epoll: u64, operation: u64, fd: u64, events: u32) -> Result<usize, Errno> {
    let event = [&events.to_le_bytes()[..], &fd.to_le_bytes()].concat();
    program.call(nr::EPOLL_CTL, &[epoll, operation, fd, program.bytes(&event)])
}

#[test]
fn epoll_tells_what_is_ready_until_it_is_closed() {
    let program = Program::new();
    let epoll = program.call(nr::EPOLL_CREATE1, &[0o2_000_000]).unwrap() as u64;
    let event = program.call(nr::EVENTFD2, &[0, NON_BLOCKING]).unwrap() as u64;
    let regular = program.open("/tmp/f", CREATE | BOTH).unwrap();
    assert_eq!(control(&program, epoll, 1, event, 1), Ok(0));
    assert_eq!(control(&program, epoll, 1, event, 1), Err(Errno::EEXIST));
    assert_eq!(control(&program, epoll, 1, regular, 1), Err(Errno::EPERM));
    assert_eq!(control(&program, epoll, 1, 50, 1), Err(Errno::EBADF));
    assert_eq!(control(&program, epoll, 1, epoll, 1), Err(Errno::EINVAL));
    assert_eq!(control(&program, event, 1, epoll, 1), Err(Errno::EINVAL));
    assert_eq!(control(&program, epoll, 9, event, 1), Err(Errno::EINVAL));
    assert_eq!(program.call(nr::EPOLL_WAIT, &[epoll, OUT, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(program.call(nr::EPOLL_WAIT, &[event, OUT, 4, 0]), Err(Errno::EINVAL));
    assert_eq!(program.call(nr::EPOLL_CREATE, &[0]), Err(Errno::EINVAL));
    assert_eq!(ready(&program, epoll, 1), []);
    program.write(event, &1u64.to_le_bytes()).unwrap();
    assert_eq!(ready(&program, epoll, u64::MAX), [(1, event)]);
    assert_eq!(control(&program, epoll, 3, event, 1 | 1 << 30), Ok(0));
    assert_eq!((ready(&program, epoll, 0), ready(&program, epoll, 0)), ([(1, event)].into(), [].into()));
    assert_eq!(control(&program, epoll, 3, event, 1), Ok(0));
    program.call(nr::CLOSE, &[event]).unwrap();
    assert_eq!(ready(&program, epoll, 0), []);
}

#[test]
fn a_timer_ends_every_kind_of_waiting() {
    let program = Program::new();
    let timer = program.call(nr::TIMERFD_CREATE, &[1, 0]).unwrap() as u64;
    let set = |period: u64, value: u64| {
        let words = [0, period, 0, value].map(u64::to_le_bytes).concat();
        program.call(nr::TIMERFD_SETTIME, &[timer, 0, program.bytes(&words), 0])
    };
    assert_eq!(set(0, 1_000_000_000), Err(Errno::EINVAL));
    assert_eq!(program.call(nr::TIMERFD_CREATE, &[2, 0]), Err(Errno::EINVAL));
    assert_eq!(set(0, 2_000_000), Ok(0));
    assert_eq!(program.read(timer, 7), Err(Errno::EINVAL));
    assert_eq!(program.read(timer, 8).unwrap(), 1u64.to_le_bytes());
    assert_eq!(set(0, 2_000_000), Ok(0));
    let list = [&i32::try_from(timer).unwrap().to_le_bytes()[..], &[1, 0, 0, 0]].concat();
    assert_eq!(program.call(nr::POLL, &[program.bytes(&list), 1, u64::MAX]), Ok(1));
    let (outer, inner) = (
        program.call(nr::EPOLL_CREATE1, &[0]).unwrap() as u64,
        program.call(nr::EPOLL_CREATE1, &[0]).unwrap() as u64,
    );
    assert_eq!(control(&program, inner, 1, timer, 1), Ok(0));
    assert_eq!(control(&program, outer, 1, inner, 1), Ok(0));
    assert_eq!(control(&program, inner, 1, outer, 1), Err(Errno::ELOOP));
    assert_eq!(set(1_000_000, 2_000_000), Ok(0));
    assert_eq!(ready(&program, outer, 0), []);
    assert_eq!(ready(&program, outer, u64::MAX), [(1, inner)]);
    assert_eq!(ready(&program, inner, 0), [(1, timer)]);
    assert_eq!(program.call(nr::TIMERFD_GETTIME, &[timer, OUT]), Ok(0));
    assert_eq!(program.out(16)[8..16], 1_000_000u64.to_le_bytes());
}
