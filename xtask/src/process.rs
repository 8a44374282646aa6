//! Running other programs: every failure names the command, its status and what it said.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a command with the caller's own streams; a non-zero status is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", describe(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output as text; a non-zero status is an error that holds what
/// the command wrote to its standard error.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", describe(command)))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", describe(command), output.status, message.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} wrote no text", describe(command)))
}

/// The command line as a person would type it.
pub fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Looks for a program in `PATH` and in the administrator's folders, which an ordinary user's `PATH` lacks.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// This program's own file, for calling it again. If it was built anew in the meantime, the new one.
pub fn own_program() -> Result<PathBuf> {
    let path = std::env::current_exe().context("cannot find this program's own file")?;
    // Linux marks a file that was replaced.
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or(path.clone()))
}

/// Quotes a word for a POSIX shell.
pub fn shell_quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_a_shell() {
        let words = ["plain", "two words", "it's", "", "$HOME `id` \\ \"", "new\nline"];
        for word in words {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("printf %s {}", shell_quote(word)));
            assert_eq!(capture(&mut shell).unwrap(), word);
        }
    }

    #[test]
    fn a_failure_names_the_command_and_its_message() {
        let mut shell = Command::new("sh");
        let error = capture(shell.args(["-c", "echo reason >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("reason"), "{error}");
    }
}
