//! Files of `--env-file`, in Docker's format.
//!
//! ```text
//! # a comment, if '#' is the first character that is not blank
//! KEY=VALUE        VALUE is everything to the end of the line, quotes and blanks included
//! KEY              as the caller has it; nothing, if the caller does not have it
//! ```

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;

/// Bytes of the longest file: more than a program's environment can be.
const MOST_BYTES: u64 = 4 << 20;

/// Its variables in order: `KEY=VALUE`, or `KEY` alone.
pub fn read(path: &Path) -> Result<Vec<OsString>, Failure> {
    let what = || format!("cannot read variables from '{}'", path.display());
    let bytes = read_bytes(path).map_err(|error| {
        Failure::new(Code::Path, what(), reason(&error)).hint("give a readable file of lines KEY=VALUE")
    })?;
    parse(&bytes).map_err(|(line, why)| {
        Failure::new(Code::Path, what(), format!("line {line} {why}"))
            .hint("each line is KEY=VALUE, KEY, or a comment that starts with '#'")
    })
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a directory"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("it has more than 4 MiB"));
    }
    Ok(bytes)
}

fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// What is wrong with a line, and which one.
fn parse(bytes: &[u8]) -> Result<Vec<OsString>, (usize, &'static str)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = Vec::new();
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let fail = |why| Err((number + 1, why));
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(line) = std::str::from_utf8(line) else { return fail("is not UTF-8") };
        let line = line.trim_start_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split('=').next().unwrap_or(line);
        if key.is_empty() {
            return fail("has no key before '='");
        }
        if key.contains(char::is_whitespace) {
            return fail("has a blank in its key");
        }
        if line.contains('\0') {
            return fail("has a NUL character");
        }
        variables.push(line.into());
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_dockers() {
        let text = "\u{feff}# comment\n\nA=1\r\n  \t B = \"two\" # x \n#C=3\nD\nE=\nF=a=b\n   # also\nlast=x";
        assert_eq!(parse(text.as_bytes()), Err((4, "has a blank in its key")));
        let text = text.replace("B = ", "B= ");
        let found = parse(text.as_bytes()).unwrap();
        assert_eq!(found, ["A=1", "B= \"two\" # x ", "D", "E=", "F=a=b", "last=x"]);
        assert_eq!(parse(b"").unwrap(), Vec::<OsString>::new());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert_eq!(parse(b"A=1\n=2\n"), Err((2, "has no key before '='")));
        assert_eq!(parse(b"A=1\n\xff=2\n"), Err((2, "is not UTF-8")));
        assert_eq!(parse(b"A=\0\n"), Err((1, "has a NUL character")));
    }
}
