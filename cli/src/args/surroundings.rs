//! What the program finds around it: who it is, where, and what it may use.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use septum_api_types::size::Size;
use septum_api_types::tmpfs::{Tmpfs, TmpfsError};
use septum_api_types::ulimit::Ulimit;

/// Options with Docker's names and meanings.
#[derive(Debug, Default, Args)]
pub struct Surroundings {
    /// Read variables from a file, KEY=VALUE a line; KEY alone takes the caller's value; '#' starts a comment. --env comes after
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,

    /// Host name that the partition has
    #[arg(short = 'h', long, value_name = "NAME", value_parser = host_name)]
    pub hostname: Option<String>,

    /// Run the program as another user: numbers, or names that the partition knows
    #[arg(short, long, value_name = "USER[:GROUP]", value_parser = user)]
    pub user: Option<String>,

    /// Let the program belong to another group too: a number, or a name that the partition knows
    #[arg(long, value_name = "GROUP", value_parser = group)]
    pub group_add: Vec<String>,

    /// Refuse writes everywhere but in volumes, --tmpfs and /dev
    #[arg(long)]
    pub read_only: bool,

    /// An empty directory in RAM; options are size=, mode=, uid=, gid=, ro, exec
    #[arg(long, value_name = "DIR[:OPTIONS]", value_parser = OsStringValueParser::new().try_map(tmpfs))]
    pub tmpfs: Vec<Tmpfs>,

    /// Most bytes of shared memory in /dev/shm; without it as much as the partition has
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<Size>,

    /// Limit what each process may use, such as nofile=1024:2048; -1 is no limit
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<Ulimit>,
}

fn tmpfs(text: OsString) -> Result<Tmpfs, TmpfsError> {
    Tmpfs::parse(text.as_encoded_bytes())
}

/// As Linux and DNS have it together.
fn host_name(text: &str) -> Result<String, &'static str> {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if text.len() > 64 {
        Err("has more than 64 characters")
    } else if !text.split('.').all(is_part) {
        Err("is not a host name; expected letters, digits, '-' and '_', in parts with '.' between them")
    } else {
        Ok(text.to_owned())
    }
}

fn user(text: &str) -> Result<String, &'static str> {
    match text.split_once(':') {
        Some((user, group)) if user.is_empty() || group.is_empty() || group.contains(':') => {
            Err("is not a user; expected USER or USER:GROUP")
        }
        None if text.is_empty() => Err("is empty; expected USER or USER:GROUP"),
        _ => Ok(text.to_owned()),
    }
}

fn group(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.contains(':') { Err("is not a group") } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use crate::args::tests_support::run;

    #[test]
    fn names_are_dockers() {
        let line = [
            "-h",
            "box.example",
            "-u",
            "1:2",
            "--group-add",
            "3",
            "--read-only",
            "--tmpfs",
            "/run",
            "--shm-size",
            "1g",
            "x",
        ];
        let around = run(&line).unwrap().surroundings;
        assert_eq!(around.hostname.as_deref(), Some("box.example"));
        assert_eq!(around.user.as_deref(), Some("1:2"));
        assert_eq!((around.group_add, around.read_only, around.tmpfs.len()), (vec!["3".to_owned()], true, 1));
        assert_eq!(around.shm_size.map(|size| size.0), Some(1 << 30));
    }

    #[test]
    fn wrong_values_are_refused() {
        let lines: [[&str; 2]; 13] = [
            ["-h", ""],
            ["-h", "a..b"],
            ["-h", "-a"],
            ["-h", "a b"],
            ["-h", "a\nb"],
            ["--user", ""],
            ["--user", ":1"],
            ["--user", "1:"],
            ["--user", "1:2:3"],
            ["--group-add", ""],
            ["--tmpfs", "run"],
            ["--shm-size", "much"],
            ["--ulimit", "nofile"],
        ];
        for [option, value] in lines {
            assert!(run(&[option, value, "x"]).is_err(), "{option} {value}");
        }
        assert!(run(&["-h", &"a".repeat(65), "x"]).is_err());
        assert!(run(&["-h"]).is_err_and(|error| error.kind() == clap::error::ErrorKind::InvalidValue));
    }
}
