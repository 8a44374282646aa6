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
