//! Linux signal numbers.

/// `SIGHUP`
pub const SIGHUP: u32 = 1;
/// `SIGINT`
pub const SIGINT: u32 = 2;
/// `SIGQUIT`
pub const SIGQUIT: u32 = 3;
/// `SIGILL`
pub const SIGILL: u32 = 4;
/// `SIGTRAP`
pub const SIGTRAP: u32 = 5;
/// `SIGABRT`
pub const SIGABRT: u32 = 6;
/// `SIGBUS`
pub const SIGBUS: u32 = 7;
/// `SIGFPE`
pub const SIGFPE: u32 = 8;
/// `SIGKILL`
pub const SIGKILL: u32 = 9;
/// `SIGUSR1`
pub const SIGUSR1: u32 = 10;
/// `SIGSEGV`
pub const SIGSEGV: u32 = 11;
/// `SIGUSR2`
pub const SIGUSR2: u32 = 12;
/// `SIGPIPE`
pub const SIGPIPE: u32 = 13;
/// `SIGALRM`
pub const SIGALRM: u32 = 14;
/// `SIGTERM`
pub const SIGTERM: u32 = 15;
/// `SIGSTKFLT`
pub const SIGSTKFLT: u32 = 16;
/// `SIGCHLD`
pub const SIGCHLD: u32 = 17;
/// `SIGCONT`
pub const SIGCONT: u32 = 18;
/// `SIGSTOP`
pub const SIGSTOP: u32 = 19;
/// `SIGTSTP`
pub const SIGTSTP: u32 = 20;
/// `SIGTTIN`
pub const SIGTTIN: u32 = 21;
/// `SIGTTOU`
pub const SIGTTOU: u32 = 22;
/// `SIGURG`
pub const SIGURG: u32 = 23;
/// `SIGXCPU`
pub const SIGXCPU: u32 = 24;
/// `SIGXFSZ`
pub const SIGXFSZ: u32 = 25;
/// `SIGVTALRM`
pub const SIGVTALRM: u32 = 26;
/// `SIGPROF`
pub const SIGPROF: u32 = 27;
/// `SIGWINCH`
pub const SIGWINCH: u32 = 28;
/// `SIGIO`
pub const SIGIO: u32 = 29;
/// `SIGPWR`
pub const SIGPWR: u32 = 30;
/// `SIGSYS`
pub const SIGSYS: u32 = 31;
/// Signals are numbered 1 to this.
pub const LAST: u32 = 64;

/// The name of a signal, such as `SIGSEGV`.
#[must_use]
pub fn name(signal: u32) -> &'static str {
    match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        16 => "SIGSTKFLT",
        17 => "SIGCHLD",
        18 => "SIGCONT",
        19 => "SIGSTOP",
        20 => "SIGTSTP",
        21 => "SIGTTIN",
        22 => "SIGTTOU",
        23 => "SIGURG",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        26 => "SIGVTALRM",
        27 => "SIGPROF",
        28 => "SIGWINCH",
        29 => "SIGIO",
        30 => "SIGPWR",
        31 => "SIGSYS",
        _ => "a real-time signal",
    }
}
