//! Sequences of commands that somebody wrote down, for others to type: a document is a sequence.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Commands that have commands of their own.
const GROUPS: [&str; 28] = [
    "builder",
    "buildx",
    "config",
    "container",
    "context",
    "devices",
    "generate",
    "image",
    "kube",
    "machine",
    "manifest",
    "network",
    "node",
    "operation",
    "play",
    "plugin",
    "pod",
    "secret",
    "service",
    "stack",
    "swarm",
    "system",
    "token",
    "trust",
    "volume",
    "checkpoint",
    "healthcheck",
    "auto-update",
];
/// Those after which a program with arguments of its own comes.
const RUNNING: [&str; 3] = ["run", "create", "exec"];
/// Their options without a value.
const FLAGS: [&str; 18] = [
    "--detach",
    "--interactive",
    "--tty",
    "--rm",
    "--privileged",
    "--init",
    "--read-only",
    "--publish-all",
    "--hugepages",
    "--verbose",
    "--quiet",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--replace",
    "--tls-verify",
    "--help",
    "--no-stdin",
    "--sig-proxy",
];

/// What a document says to type, by shapes.
pub struct Document {
    pub shapes: Vec<String>,
}

/// Documents of one kind.
pub struct Corpus {
    pub name: &'static str,
    pub documents: Vec<Document>,
}

/// The documents of a Debian package, which is unpacked below `folder` and not installed.
pub fn of_package(folder: &Path, package: &str, name: &'static str, tool: &str) -> Result<Corpus> {
    let unpacked = folder.join(package);
    if !unpacked.is_dir() {
        fs::create_dir_all(folder)?;
        process::run(Command::new("apt-get").args(["-qq", "download", package]).current_dir(folder))?;
        let mut files: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| {
            path.file_name().is_some_and(|it| it.to_string_lossy().starts_with(&format!("{package}_")))
        });
        let Some(file) = files.first() else { bail!("no package {package} was downloaded") };
        process::run(Command::new("dpkg").arg("-x").arg(file).arg(&unpacked))?;
    }
    let mut documents = Vec::new();
    for path in files_below(&unpacked.join("usr/share"))? {
        let text = text_of(&path)?;
        let lines = text
            .lines()
            .map(|line| if is_man_page(&path) { line.replace('\\', "") } else { line.to_owned() });
        documents.push(Document { shapes: lines.filter_map(|line| shape(typed(&line, tool)?)).collect() });
    }
    Ok(corpus(name, documents))
}

/// The documents and tests of this repository: lines with a prompt, and the words that tests call `septum` with.
pub fn of_repository(root: &Path) -> Result<Corpus> {
    let mut documents = Vec::new();
    let mut pages = files_below(&root.join("docs"))?;
    pages.push(root.join("README.md"));
    for path in pages.into_iter().filter(|path| path.extension().is_some_and(|it| it == "md")) {
        let text = text_of(&path)?;
        documents.push(Document {
            shapes: text.lines().filter_map(|line| shape(typed(line, "septum")?)).collect(),
        });
    }
    for path in files_below(&root.join("tests/tests"))? {
        for story in text_of(&path)?.split("#[test]").skip(1) {
            documents.push(Document { shapes: called(story) });
        }
    }
    Ok(corpus("this repository's documents and tests", documents))
}

/// Nothing follows in a sequence of one.
fn corpus(name: &'static str, mut documents: Vec<Document>) -> Corpus {
    documents.retain(|document| document.shapes.len() > 1);
    Corpus { name, documents }
}

fn is_man_page(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "man")
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut waiting) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => waiting.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

fn text_of(path: &Path) -> Result<String> {
    let bytes = if path.extension().is_some_and(|it| it == "gz") {
        Command::new("gzip").arg("-dc").arg(path).output().context("cannot run gzip")?.stdout
    } else {
        fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What follows the tool's name in a line with a prompt.
fn typed<'a>(line: &'a str, tool: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let line = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "))?.trim_start();
    let line = line.strip_prefix("sudo ").unwrap_or(line);
    line.strip_prefix(tool)?.strip_prefix(' ')
}

/// What a test calls, in its order.
fn called(story: &str) -> Vec<String> {
    let mut shapes = Vec::new();
    let mut rest = story;
    let calls = [("septum(&[", ""), ("ask(&[", ""), ("start(&[", "run --detach --memory 64M ")];
    while let Some((at, call, before)) =
        calls.iter().filter_map(|(call, before)| Some((rest.find(call)?, *call, *before))).min()
    {
        rest = &rest[at + call.len()..];
        let words = rest.split(']').next().unwrap_or_default();
        // Every second part is within quotes.
        let words: Vec<&str> = words.split('"').skip(1).step_by(2).collect();
        shapes.extend(shape(&format!("{before}{}", words.join(" "))));
    }
    shapes
}

/// The words of a command, and the names of its options.
fn shape(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let mut command = words.next().filter(|word| is_word(word))?.to_owned();
    let mut words: Vec<&str> =
        words.take_while(|word| !["|", "||", "&&", ";", ">", "&", "\\", "#"].contains(word)).collect();
    if GROUPS.contains(&command.as_str()) && words.first().is_some_and(|word| is_word(word)) {
        command = format!("{command} {}", words.remove(0));
    }
    let is_running = command.split(' ').next_back().is_some_and(|word| RUNNING.contains(&word));
    let mut options: Vec<String> = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" || (is_running && !word.starts_with('-')) {
            break;
        }
        let names = names(word);
        let takes_value =
            is_running && !word.contains('=') && names.last().is_some_and(|it| !FLAGS.contains(&it.as_str()));
        options.extend(names);
        if takes_value {
            words.next();
        }
    }
    options.sort();
    options.dedup();
    let options: Vec<String> = options.iter().map(|option| format!(" {option}")).collect();
    Some(command + &options.concat())
}

fn is_word(word: &str) -> bool {
    !word.starts_with('-') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// The names of the options in a word: `--name=x`, `-it`.
fn names(word: &str) -> Vec<String> {
    let long = |letter| {
        Some(match letter {
            'd' => "--detach",
            'i' => "--interactive",
            't' => "--tty",
            'v' => "--volume",
            'p' => "--publish",
            'e' => "--env",
            'P' => "--publish-all",
            'a' => "--all",
            'f' => "--filter",
            'q' => "--quiet",
            _ => return None,
        })
    };
    if word.starts_with("--") {
        return vec![word.split('=').next().unwrap_or(word).to_owned()];
    }
    let letters = word.strip_prefix('-').unwrap_or_default().split('=').next().unwrap_or_default();
    let name = |letter: char| long(letter).map_or_else(|| format!("--{letter}"), str::to_owned);
    letters.chars().filter(char::is_ascii_alphabetic).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_no_values_and_no_programs() {
        for (line, expected) in [
            ("run -d --name web -p 80:80 nginx -g 'daemon off;'", "run --detach --name --publish"),
            ("run -it --rm --pid=host myhtop", "run --interactive --pid --rm --tty"),
            ("volume create -d x my-volume", "volume create --detach"),
            ("ps -a | grep x", "ps --all"),
            ("image ls", "image ls"),
        ] {
            assert_eq!(shape(line).as_deref(), Some(expected));
        }
        assert_eq!(shape("-H tcp://x info"), None);
    }

    #[test]
    fn documents_and_tests_are_read() {
        assert_eq!(typed("  $ sudo docker ps", "docker"), Some("ps"));
        assert_eq!(typed("docker ps", "docker"), None);
        let story =
            r#"fn x() { host.start(&["--name", "a"], &["sleep", "1"]); host.ask(&["logs", "-f", "a"]); }"#;
        assert_eq!(called(story), ["run --detach --memory --name", "logs --filter"]);
    }
}
