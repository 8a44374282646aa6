//! The files themselves: none too long to be one idea, none that says it is not finished.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// A source file is discussed at 500 lines and split by this many.
const LINE_LIMIT: usize = 800;

const SOURCE_EXTENSIONS: &[&str] = &["rs", "c", "h", "cc", "s", "S", "sh", "py", "jl", "ld", "toml"];
const TEXT_EXTENSIONS: &[&str] = &["md", "yml", "yaml"];

/// Words that mark unfinished work, in halves so that this file does not contain them.
const MARKERS: &[(&str, &str)] =
    &[("TO", "DO"), ("FIX", "ME"), ("XX", "X:"), ("unimple", "mented!("), ("to", "do!("), ("H", "ACK:")];

/// Checks every file below the top, except build outputs and hidden folders.
pub fn check(root: &Path) -> Result<()> {
    let mut paths = Vec::new();
    collect(root, &mut paths)?;
    let mut faults = Vec::new();
    for path in paths {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_source = SOURCE_EXTENSIONS.contains(&extension);
        if !is_source && !TEXT_EXTENSIONS.contains(&extension) {
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let text = fs::read(&path).with_context(|| format!("cannot read {name}"))?;
        let text = String::from_utf8_lossy(&text);
        if is_source {
            faults.extend(length_fault(&name, &text));
        }
        faults.extend(marker_faults(&name, &text));
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}

fn length_fault(name: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LINE_LIMIT).then(|| format!("{name}: {lines} lines; split it (at most {LINE_LIMIT})"))
}

fn marker_faults(name: &str, text: &str) -> Vec<String> {
    let markers: Vec<String> = MARKERS.iter().map(|(head, tail)| format!("{head}{tail}")).collect();
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for marker in markers.iter().filter(|marker| contains_word(line, marker)) {
            faults.push(format!("{name}:{}: unfinished: {marker}", number + 1));
        }
    }
    faults
}

/// Whether the line holds the marker and not merely a longer word with it inside.
fn contains_word(line: &str, marker: &str) -> bool {
    line.match_indices(marker).any(|(start, _)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line.get(start + marker.len()..).and_then(|text| text.chars().next());
        let continues = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !continues(before) && (!marker.ends_with(char::is_alphanumeric) || !continues(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker() -> String {
        format!("{}{}", MARKERS[0].0, MARKERS[0].1)
    }

    #[test]
    fn markers_are_found_as_words() {
        let word = marker();
        assert_eq!(marker_faults("a.rs", &format!("fine\n// {word}: later")).len(), 1);
        assert!(marker_faults("a.rs", &format!("M{word} {word}S")).is_empty());
    }

    #[test]
    fn long_files_are_named() {
        assert!(length_fault("a.rs", &"x\n".repeat(LINE_LIMIT)).is_none());
        let fault = length_fault("a.rs", &"x\n".repeat(LINE_LIMIT + 1)).unwrap();
        assert!(fault.contains("801"), "{fault}");
    }
}
