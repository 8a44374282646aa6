//! Programs for the kernel's filters: what is done about a system call is looked up by halves, not call by call.
//!
//! ```text
//!   architecture? ─► number? ─► by halves to the run of numbers that it is in ─┬► allow
//!                                                                             ├► SIGSYS
//!                                                                             ├► an error
//!                                                                             └► argument? ─► allow, or SIGSYS
//! ```
//!
//! When a filter is put on a thread, the kernel runs it for each number that there is, to remember which calls it need not ask about. A
//! program that compares with one number after the other takes four times as long for that as this one
//! ([0052](../../../../docs/decisions/0052-what-the-jail-costs.md)).
//!
//! Source: Documentation/userspace-api/seccomp_filter.rst of the kernel's, include/uapi/linux/{filter,seccomp,audit}.h.

use std::collections::BTreeMap;

use libc::sock_filter as Instruction;

use super::policy::When;

/// AUDIT_ARCH_X86_64. 32-bit system calls have another one, and other numbers.
const ARCHITECTURE: u32 = 0xc000_003e;
/// Bytes of `struct seccomp_data` before the architecture, and before the arguments.
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

/// Operations, with the constant as operand: BPF_LD | BPF_W | BPF_ABS, BPF_ALU | BPF_AND, BPF_JMP | BPF_JA, BPF_JEQ, BPF_JGE, BPF_JSET, BPF_RET.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Instructions of most programs, at most.
const EXPECTED: usize = 512;

/// What is done about a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    Allow,
    /// SIGSYS.
    Trap,
    /// The call is not made, and fails with this.
    Error(u16),
    /// Allowed, or SIGSYS.
    Only(When),
}

impl Verdict {
    /// Whether one piece of program is enough for both.
    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Allow, Self::Allow) | (Self::Trap, Self::Trap) => true,
            (Self::Error(one), Self::Error(another)) => one == another,
            _ => false,
        }
    }
}

/// The program that does this about each call, and raises SIGSYS for all others, those of other architectures among them. `process` is
/// the number of the process that it is for.
pub(super) fn program(verdicts: &BTreeMap<u32, Verdict>, process: u32) -> Vec<Instruction> {
    let mut program = Vec::with_capacity(EXPECTED);
    program.extend([
        statement(LOAD, ARCHITECTURE_AT),
        jump(IF_EQUAL, ARCHITECTURE, 1, 0),
        statement(RETURN, libc::SECCOMP_RET_TRAP),
        statement(LOAD, 0),
    ]);
    search(&mut program, &runs(verdicts), process);
    program
}

/// Neighbouring numbers with the same verdict, each with its first.
fn runs(verdicts: &BTreeMap<u32, Verdict>) -> Vec<(u32, Verdict)> {
    let mut runs = vec![(0, Verdict::Trap)];
    let mut add = |first: u32, verdict: Verdict| match runs.last_mut() {
        Some((start, last)) if *start == first => *last = verdict,
        Some((_, last)) if last.is_same(verdict) => {}
        _ => runs.push((first, verdict)),
    };
    let mut next = 0;
    for (&number, &verdict) in verdicts {
        if number > next {
            add(next, Verdict::Trap);
        }
        add(number, verdict);
        next = number.saturating_add(1);
    }
    add(next, Verdict::Trap);
    runs
}

/// Finds the run that the number is in; the depth is the logarithm of how many there are.
fn search(program: &mut Vec<Instruction>, runs: &[(u32, Verdict)], process: u32) {
    let (low, high) = runs.split_at(runs.len() / 2);
    let Some(&(start, verdict)) = high.first() else { return };
    if low.is_empty() {
        return decide(program, verdict, process);
    }
    let here = program.len();
    program.push(jump(IF_AT_LEAST, start, 0, 0));
    search(program, low, process);
    let len = program.len() - here - 1;
    match u8::try_from(len) {
        Ok(len) => program[here].jt = len,
        Err(_) => {
            program[here].jf = 1;
            program.insert(here + 1, statement(JUMP, u32::try_from(len).unwrap_or(u32::MAX)));
        }
    }
    search(program, high, process);
}

/// What is done when the number is known.
fn decide(program: &mut Vec<Instruction>, verdict: Verdict, process: u32) {
    let (allow, trap) =
        (statement(RETURN, libc::SECCOMP_RET_ALLOW), statement(RETURN, libc::SECCOMP_RET_TRAP));
    match verdict {
        Verdict::Allow | Verdict::Only(When::Always) => program.push(allow),
        Verdict::Trap => program.push(trap),
        Verdict::Error(errno) => program.push(statement(RETURN, libc::SECCOMP_RET_ERRNO | u32::from(errno))),
        Verdict::Only(When::In(argument, values)) => {
            program.push(load(argument, 0));
            one_of(program, values);
        }
        Verdict::Only(When::Masked(argument, mask, values)) => {
            program.extend([load(argument, 0), statement(AND, mask)]);
            one_of(program, values);
        }
        Verdict::Only(When::Both((first, one), (second, other))) => program.extend([
            load(first, 0),
            jump(IF_EQUAL, one, 0, 2),
            load(second, 0),
            jump(IF_EQUAL, other, 1, 0),
            trap,
            allow,
        ]),
        Verdict::Only(When::OwnProcess(argument)) => {
            program.push(load(argument, 0));
            one_of(program, &[process]);
        }
        Verdict::Only(When::Without(argument, bits)) => {
            let [low, high] =
                [bits & 0xffff_ffff, bits >> 32].map(|half| u32::try_from(half).unwrap_or(u32::MAX));
            program.extend([
                load(argument, 0),
                jump(IF_ANY_BIT, low, 3, 0),
                load(argument, 1),
                jump(IF_ANY_BIT, high, 1, 0),
                allow,
                trap,
            ]);
        }
    }
}

/// Allows if what was loaded last is one of these, of which there are less than 255. The first is found first.
fn one_of(program: &mut Vec<Instruction>, values: &[u32]) {
    for (value, left) in values.iter().zip((0..values.len()).rev()) {
        program.push(jump(IF_EQUAL, *value, u8::try_from(left + 1).unwrap_or(u8::MAX), 0));
    }
    program.push(statement(RETURN, libc::SECCOMP_RET_TRAP));
    program.push(statement(RETURN, libc::SECCOMP_RET_ALLOW));
}

/// Loads a half of an argument: the lower is 0.
fn load(argument: u8, half: u32) -> Instruction {
    statement(LOAD, ARGUMENTS_AT + 8 * u32::from(argument) + 4 * half)
}

const fn statement(code: u16, k: u32) -> Instruction {
    jump(code, k, 0, 0)
}

/// `jt` and `jf` instructions are left out if the condition is met, or not.
const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}
