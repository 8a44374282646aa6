//! Commands about partitions that run, or have run in the background.

use std::ffi::OsString;
use std::time::SystemTime;

use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use septum_api_types::signal::Signal;

use super::values::environment_variable;
use crate::complete;

/// List partitions
#[derive(Debug, Args)]
pub struct Ps {
    /// Those that have ended too
    #[arg(short, long)]
    pub all: bool,

    /// Only their identifiers
    #[arg(short, long)]
    pub quiet: bool,

    /// How: a table, or a JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Show what a partition in the background has said
#[derive(Debug, Args)]
pub struct Logs {
    /// Go on with what it says from now on, until it ends
    #[arg(short, long)]
    pub follow: bool,

    /// Only so many lines from the end
    #[arg(short = 'n', long, value_name = "N", value_parser = tail)]
    pub tail: Option<Tail>,

    /// Only what was said since a time (2026-11-25T12:00:00Z) or for a while (10m)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<SystemTime>,

    /// Put the time before each line
    #[arg(short, long)]
    pub timestamps: bool,

    /// Its name, its identifier or the beginning of that
    #[arg(value_name = "PARTITION", add = complete::any())]
    pub partition: String,
}

/// How many lines from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail(pub usize);

/// Remove the records and logs of partitions that have ended
#[derive(Debug, Args)]
pub struct Rm {
    /// End those that run, too
    #[arg(short, long)]
    pub force: bool,

    /// Remove those of their volumes that nobody has given a name
    #[arg(short, long)]
    pub volumes: bool,

    #[command(flatten)]
    pub partitions: Several,
}

/// Ask the programs of partitions to end, and end the partitions when time is up
#[derive(Debug, Args)]
pub struct Stop {
    /// Seconds that a program has to end; -1: all the time it wants
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i64).range(-1..=i64::from(u32::MAX)))]
    pub time: i64,

    #[command(flatten)]
    pub partitions: Several,
}

/// Send the programs of partitions a signal; with KILL, end the partitions at once, whatever they are doing
#[derive(Debug, Args)]
pub struct Kill {
    /// Its name, such as HUP or SIGUSR1, or its number
    #[arg(short, long, value_name = "SIGNAL", default_value_t = Signal::KILL)]
    pub signal: Signal,

    #[command(flatten)]
    pub partitions: Several,
}

/// Partitions.
#[derive(Debug, Args)]
pub struct Several {
    /// Their names, their identifiers or the beginnings of those
    #[arg(value_name = "PARTITION", required = true, add = complete::any())]
    pub partitions: Vec<String>,
}

/// Start another program in a partition that runs
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  septum exec job ps aux
  septum exec -it job sh
  echo text | septum exec -i job sh -c 'cat > /tmp/file'")]
pub struct Exec {
    /// Pass standard input on; else the program has none
    #[arg(short, long)]
    pub interactive: bool,

    /// Give the program a terminal, of which this one is the other end
    #[arg(short, long)]
    pub tty: bool,

    /// Do not wait for the program, whose output is lost
    #[arg(short, long, conflicts_with_all = ["interactive", "tty"])]
    pub detach: bool,

    /// Set a variable of the program's environment, which else is the first program's; KEY alone takes the caller's value
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = OsStringValueParser::new().try_map(environment_variable))]
    pub env: Vec<OsString>,

    /// Start the program in this directory; else where the first program started
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<OsString>,

    /// Run the program as this user of the partition's, a name in its /etc/passwd or a number; else as the first program runs
    #[arg(short, long, value_name = "USER[:GROUP]", value_parser = NonEmptyStringValueParser::new())]
    pub user: Option<String>,

    /// With a terminal: keys that end this, and hang up on the program
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = keys)]
    pub detach_keys: Keys,

    /// Its name, its identifier or the beginning of that
    #[arg(value_name = "PARTITION", add = complete::live())]
    pub partition: String,

    /// The program, a path or a name, and its arguments
    #[arg(
        trailing_var_arg = true,
        required = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM [ARGS]"
    )]
    pub program: Vec<OsString>,
}

/// Copy files into a partition that runs, or out of it, by the partition's own tar
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  septum cp job:/var/log/app.log .
  septum cp ./model job:/srv/")]
pub struct Copy {
    /// What: PARTITION:PATH, or a path of the host
    #[arg(value_name = "FROM")]
    pub from: OsString,

    /// Where to: PARTITION:PATH, or a path of the host; into it, if it is a directory
    #[arg(value_name = "TO")]
    pub to: OsString,
}

/// Be part of the streams of a partition in the background
#[derive(Debug, Args)]
pub struct Attach {
    /// Keys that end this and leave the partition running, such as ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = keys)]
    pub detach_keys: Keys,

    /// Send nothing that is typed
    #[arg(long)]
    pub no_stdin: bool,

    /// Its name, its identifier or the beginning of that
    #[arg(value_name = "PARTITION", add = complete::live())]
    pub partition: String,
}

/// A sequence of keys, as the bytes that a terminal sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(pub Vec<u8>);

fn tail(text: &str) -> Result<Tail, &'static str> {
    match text {
        "all" => Ok(Tail(usize::MAX)),
        _ => text.parse().map(Tail).map_err(|_| "is not a number of lines; expected a number, or all"),
    }
}

fn since(text: &str) -> Result<SystemTime, &'static str> {
    let ago = humantime::parse_duration(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago));
    ago.or_else(|| humantime::parse_rfc3339_weak(text).ok())
        .ok_or("is not a time; expected one such as 2026-11-25T12:00:00Z, or a duration such as 10m")
}

/// `ctrl-p,ctrl-q`, `q`, `ctrl-]`.
fn keys(text: &str) -> Result<Keys, &'static str> {
    let key = |text: &str| match text.strip_prefix("ctrl-") {
        None => match *text.as_bytes() {
            [key] if key.is_ascii_graphic() => Some(key),
            _ => None,
        },
        Some(name) => match *name.as_bytes() {
            [key @ b'a'..=b'z'] => Some(key & 0x1f),
            [key @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] => Some(key & 0x1f),
            _ => None,
        },
    };
    let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
    keys.map(Keys).ok_or("is not a sequence of keys; expected one such as ctrl-p,ctrl-q")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bytes() {
        assert_eq!(keys("ctrl-p,ctrl-q"), Ok(Keys(vec![0x10, 0x11])));
        assert_eq!(keys("ctrl-],x"), Ok(Keys(vec![0x1d, b'x'])));
        for text in ["", "ctrl-", "ctrl-P", "ab", "ctrl-p,", "f1"] {
            assert!(keys(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_and_times() {
        assert_eq!(tail("10"), Ok(Tail(10)));
        assert_eq!(tail("all"), Ok(Tail(usize::MAX)));
        assert!(tail("-1").is_err() && tail("x").is_err());
        assert!(since("10m").is_ok() && since("2026-11-25T12:00:00Z").is_ok() && since("soon").is_err());
    }
}
