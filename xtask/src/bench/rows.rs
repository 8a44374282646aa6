//! The lines of the tables: what each shows, in which unit, and what is promised.

use super::cases::Mode;
use crate::test::Lane;

/// One line.
pub struct Row {
    pub label: &'static str,
    /// The case and the series in it.
    pub case: &'static str,
    pub series: &'static str,
    pub unit: Unit,
    /// What is promised on the direct and on the nested lane, for the quicker kind of partition.
    pub promises: [Option<Promise>; 2],
    /// What is promised on the direct lane for ring 0, where that is not the quicker kind.
    pub slow_ring0: Option<Promise>,
}

impl Row {
    /// What is promised for a partition of kind `mode`, where the quicker kind is `quick`.
    pub fn promise(&self, lane: Lane, mode: Mode, quick: Mode) -> Option<Promise> {
        let [direct, nested] = self.promises;
        match lane {
            Lane::Direct if mode == quick => direct,
            Lane::Nested if mode == quick => nested,
            Lane::Direct if mode == Mode::Ring0 => self.slow_ring0,
            _ => None,
        }
    }
}

/// How a measured number is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Measured in µs, shown in ms.
    Milliseconds,
    /// Measured in ns, shown in µs.
    Microseconds,
    /// Measured in bytes, shown in MiB.
    Mebibytes,
    MebibytesPerSecond,
    Gigaflops,
    PerSecond,
    Percent,
    Count,
}

/// A limit, in the unit that is shown.
#[derive(Clone, Copy, PartialEq)]
pub enum Promise {
    AtMost(f64),
    AtLeast(f64),
    /// At least so many percent of what the host's own process reaches.
    OfNative(f64),
    /// At most so many times what the host's own process takes.
    TimesNative(f64),
}

impl Unit {
    /// The measured number in the unit that is shown.
    pub fn shown(self, measured: f64) -> f64 {
        match self {
            Self::Milliseconds | Self::Microseconds => measured / 1e3,
            Self::Mebibytes => measured / f64::from(1 << 20),
            Self::MebibytesPerSecond | Self::Gigaflops | Self::PerSecond | Self::Percent | Self::Count => {
                measured
            }
        }
    }

    /// The unit as it stands behind a number.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Milliseconds => " ms",
            Self::Microseconds => " µs",
            Self::Mebibytes => " MiB",
            Self::MebibytesPerSecond => " MiB/s",
            Self::Gigaflops => " GFLOP/s",
            Self::PerSecond => " /s",
            Self::Percent => " %",
            Self::Count => "",
        }
    }

    /// A partition beside the host's own process: how many times as long, or what share of the speed. Memory and
    /// counts are not compared this way.
    pub fn ratio(self, partition: f64, native: f64) -> Option<String> {
        let ratio = partition / native;
        match self {
            _ if !ratio.is_finite() => None,
            Self::Milliseconds | Self::Microseconds => Some(format!("{}×", number(ratio))),
            Self::MebibytesPerSecond | Self::Gigaflops | Self::PerSecond => {
                Some(format!("{} %", number(ratio * 100.0)))
            }
            Self::Mebibytes | Self::Percent | Self::Count => None,
        }
    }
}

impl Promise {
    /// Whether a number keeps it. None: that takes a native number, and there is none.
    pub fn is_kept(self, partition: f64, native: Option<f64>) -> Option<bool> {
        match self {
            Self::AtMost(limit) => Some(partition <= limit),
            Self::AtLeast(limit) => Some(partition >= limit),
            Self::OfNative(percent) => Some(partition >= native? * percent / 100.0),
            Self::TimesNative(times) => Some(partition <= native? * times),
        }
    }

    /// The promise in words.
    pub fn text(self, unit: Unit) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {limit}{}", unit.symbol()),
            Self::AtLeast(limit) => format!("≥ {limit}{}", unit.symbol()),
            Self::OfNative(percent) => format!("≥ {percent} % of native"),
            Self::TimesNative(times) => format!("≤ {times}× native"),
        }
    }
}

/// A number with about three digits that mean something, and commas between thousands.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size < 0.1 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && digit.is_ascii_digit() && (whole.len() - place).is_multiple_of(3) && grouped != "-" {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or(grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}

const fn row(
    label: &'static str,
    case: &'static str,
    series: &'static str,
    unit: Unit,
    promises: [Option<Promise>; 2],
) -> Row {
    Row { label, case, series, unit, promises, slow_ring0: None }
}

const fn direct(promise: Promise) -> [Option<Promise>; 2] {
    [Some(promise), None]
}

const fn both(promise: Promise) -> [Option<Promise>; 2] {
    [Some(promise), Some(promise)]
}

const NONE: [Option<Promise>; 2] = [None, None];

use Promise::{AtLeast, AtMost, OfNative, TimesNative};
use Unit::{Count, Gigaflops, Mebibytes, MebibytesPerSecond, Microseconds, Milliseconds, PerSecond, Percent};

/// Every line; those with a promise first.
pub const ROWS: &[Row] = &[
    Row {
        slow_ring0: Some(AtMost(60.0)),
        ..row(
            "static hello, exec to exit",
            "hello",
            "wall_us",
            Milliseconds,
            [Some(AtMost(8.0)), Some(AtMost(90.0))],
        )
    },
    row(
        "of which before the first guest instruction",
        "hello",
        "timings_us.first_guest_instruction",
        Milliseconds,
        direct(AtMost(5.0)),
    ),
    row("getpid", "getpid", "getpid", Microseconds, [Some(AtMost(2.0)), Some(AtMost(0.28))]),
    row(
        "first touch of memory, a 4 KiB page of 256 MiB",
        "touch",
        "touch",
        Microseconds,
        direct(AtMost(0.5)),
    ),
    row(
        "futex round trip, both asleep",
        "ping-pong-parked",
        "ping_pong_parked",
        Microseconds,
        direct(AtMost(60.0)),
    ),
    row("futex round trip, cores free", "ping-pong", "ping_pong", Microseconds, direct(AtMost(3.0))),
    row(
        "timer to signal handler, program running",
        "timer",
        "timer_running",
        Microseconds,
        direct(AtMost(30.0)),
    ),
    row(
        "ticks of a timerfd under load that are missing",
        "ticks",
        "timerfd_missed",
        Count,
        both(AtMost(0.0)),
    ),
    row(
        "4 KiB read from the host, host awake",
        "small-reads",
        "read_4k_awake",
        Microseconds,
        direct(AtMost(5.0)),
    ),
    row(
        "4 KiB read from the host, host asleep",
        "small-reads",
        "read_4k_asleep",
        Microseconds,
        direct(AtMost(60.0)),
    ),
    row("pthread_create and join", "create", "create_join", Microseconds, direct(AtMost(150.0))),
    row(
        "read() of 1 GiB in the host's cache",
        "read-large",
        "read_mib_per_s",
        MebibytesPerSecond,
        direct(OfNative(60.0)),
    ),
    row("mmap and sum of 1 GiB", "map-large", "map_mib_per_s", MebibytesPerSecond, direct(OfNative(90.0))),
    row(
        "disk: read of 1 GiB in the host's cache",
        "disk-read-large",
        "disk_read_mib_per_s",
        MebibytesPerSecond,
        direct(OfNative(80.0)),
    ),
    row(
        "disk: 4 KiB at random places in the host's cache, 32 threads",
        "disk-random-32-large",
        "random_4k_per_s",
        PerSecond,
        direct(OfNative(70.0)),
    ),
    row(
        "pipe from thread to thread, one processor",
        "pipe-stream-1",
        "pipe_stream_mib_per_s",
        MebibytesPerSecond,
        direct(AtLeast(954.0)),
    ),
    row(
        "pipe from thread to thread, two processors",
        "pipe-stream-2",
        "pipe_stream_mib_per_s",
        MebibytesPerSecond,
        direct(AtLeast(954.0)),
    ),
    row(
        "TCP stream out of the partition",
        "network-stream",
        "stream_out",
        MebibytesPerSecond,
        direct(AtLeast(1908.0)),
    ),
    row(
        "TCP stream into the partition",
        "network-stream",
        "stream_in",
        MebibytesPerSecond,
        direct(AtLeast(1431.0)),
    ),
    row(
        "64 bytes to the host's loopback and back",
        "network-request",
        "request",
        Microseconds,
        direct(AtMost(150.0)),
    ),
    row(
        "TCP connections opened and closed, 16 threads",
        "network-connect",
        "connect_16",
        PerSecond,
        direct(AtLeast(5000.0)),
    ),
    row("matrix product, 2 threads", "matrix-2", "matrix_gflops", Gigaflops, direct(OfNative(98.0))),
    row("python3 -c pass", "python", "wall_us", Milliseconds, direct(TimesNative(2.5))),
    row("import numpy", "numpy", "wall_us", Milliseconds, direct(TimesNative(3.0))),
    row("NumPy, passes over the data", "epoch", "epochs_per_s", PerSecond, direct(OfNative(97.0))),
    row("fork, exec and wait of /bin/true", "processes", "fork_exec", Microseconds, direct(AtMost(3000.0))),
    row("gcc hello.c", "gcc", "wall_us", Milliseconds, direct(TimesNative(5.0))),
    row("idle partition, beyond the program's pages", "idle", "beyond_bytes", Mebibytes, both(AtMost(6.0))),
    row("100 idle partitions: alive", "idle-100", "alive", Count, both(AtLeast(100.0))),
    row(
        "50 waiting Pythons of one image: its pages in memory, all together",
        "image-idle-50",
        "image_pss_bytes",
        Mebibytes,
        direct(AtMost(30.0)),
    ),
    row("100 idle partitions: memory in all", "idle-100", "pss_bytes", Mebibytes, direct(AtMost(700.0))),
    row(
        "worker's own memory, without guest RAM",
        "hello",
        "memory.worker_pss_bytes",
        Mebibytes,
        both(AtMost(5.0)),
    ),
    row("guest kernel's image and data", "hello", "memory.kernel_bytes", Mebibytes, both(AtMost(4.0))),
    row("hello: to the worker's start", "hello", "timings_us.worker_start", Milliseconds, NONE),
    row("hello: to the machine being ready", "hello", "timings_us.machine_ready", Milliseconds, NONE),
    row(
        "hello: to the first user instruction",
        "hello",
        "timings_us.first_user_instruction",
        Milliseconds,
        NONE,
    ),
    row("hello: to the program's exit", "hello", "timings_us.exit", Milliseconds, NONE),
    row("empty virtual machine, written in C", "empty_vm", "wall_us", Milliseconds, NONE),
    row("fork and wait", "processes", "fork", Microseconds, NONE),
    row("posix_spawn and wait of /bin/true", "processes", "spawn", Microseconds, NONE),
    row("sha256sum of 4 MiB", "sha256sum", "wall_us", Milliseconds, NONE),
    row("page fault, one page", "fault", "fault", Microseconds, NONE),
    row("first touch with MADV_HUGEPAGE, a 4 KiB page", "touch-huge", "touch_huge", Microseconds, NONE),
    row("mmap and munmap of 64 KiB", "map", "map", Microseconds, NONE),
    row("mmap, touch and munmap of 64 KiB", "map", "map_touched", Microseconds, NONE),
    row("signal to oneself, with a handler", "signal", "signal", Microseconds, NONE),
    row("timer to a sleeping program", "timer", "timer_asleep", Microseconds, NONE),
    row("ticks delivered as signals under load", "ticks", "ticks_delivered_percent", Percent, NONE),
    row("pipe, one byte there and back", "pipe", "pipe_byte", Microseconds, NONE),
    row("pipe, 64 KiB at a time", "pipe", "pipe_mib_per_s", MebibytesPerSecond, NONE),
    row(
        "disk: 4 KiB at random places in the host's cache, 1 thread",
        "disk-random-1-large",
        "random_4k_per_s",
        PerSecond,
        NONE,
    ),
    row("stat of a host file", "names", "stat", Microseconds, NONE),
    row("open and close of a host file", "names", "open_close", Microseconds, NONE),
    row("read() of 64 MiB in the host's cache", "read-medium", "read_mib_per_s", MebibytesPerSecond, NONE),
    row("mmap and sum of 64 MiB", "map-medium", "map_mib_per_s", MebibytesPerSecond, NONE),
    row(
        "two threads, spinning on a cache line",
        "ping-pong-spinning",
        "ping_pong_spinning",
        Microseconds,
        NONE,
    ),
    row(
        "64 bytes to the host's loopback and back, both sides asleep",
        "network-request",
        "request_asleep",
        Microseconds,
        NONE,
    ),
    row(
        "TCP connections opened and closed, one after another",
        "network-connect",
        "connect_1",
        PerSecond,
        NONE,
    ),
    row(
        "1,000 TCP connections open at once, each with a message",
        "network-connect",
        "open_at_once_us",
        Milliseconds,
        NONE,
    ),
    row("matrix product, 1 thread", "matrix-1", "matrix_gflops", Gigaflops, NONE),
    row("bits of its vectors", "matrix-1", "matrix_vector_bits", Count, NONE),
    row("python3 -c pass of an image", "image-python", "wall_us", Milliseconds, NONE),
    row("50 waiting Pythons of one image: all processes", "image-idle-50", "pss_bytes", Mebibytes, NONE),
    row("idle: supervisor", "idle", "supervisor_pss_bytes", Mebibytes, NONE),
    row("idle: worker, with guest RAM", "idle", "worker_pss_bytes", Mebibytes, NONE),
    row("idle: all processes", "idle", "pss_bytes", Mebibytes, NONE),
    row("100 idle: starting them one after another", "idle-100", "started_us", Milliseconds, NONE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_few_digits_and_commas() {
        let shown = [0.0, 0.0512, 1.234, 56.78, 123.4, 1193.2, 1_234_567.0, -5.0, -1234.0].map(number);
        assert_eq!(shown, ["0", "0.051", "1.23", "56.8", "123", "1,193", "1,234,567", "-5.00", "-1,234"]);
    }

    #[test]
    fn promises_are_judged() {
        assert_eq!(AtMost(2.0).is_kept(2.0, None), Some(true));
        assert_eq!(AtLeast(100.0).is_kept(99.0, None), Some(false));
        assert_eq!(OfNative(60.0).is_kept(59.0, Some(100.0)), Some(false));
        assert_eq!(OfNative(60.0).is_kept(60.0, None), None);
        assert_eq!(TimesNative(2.5).is_kept(5.0, Some(2.0)), Some(true));
        assert_eq!(TimesNative(2.5).is_kept(5.1, Some(2.0)), Some(false));
        assert_eq!(OfNative(60.0).text(MebibytesPerSecond), "≥ 60 % of native");
    }

    #[test]
    fn every_row_belongs_to_a_case() {
        let cases = crate::bench::cases::all(crate::test::Lane::Direct, std::path::Path::new("/"));
        let is_known = |row: &Row| {
            // The large file is made only where there is memory for it; NumPy and the image may be absent.
            row.case.ends_with("-large")
                || row.case.starts_with("image-")
                || ["numpy", "epoch"].contains(&row.case)
                || cases.iter().any(|case| case.name == row.case)
        };
        assert!(ROWS.iter().all(is_known));
    }
}
