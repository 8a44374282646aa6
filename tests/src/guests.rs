//! The guest programs: one file of `tests/guests` each, described by its own first lines. Those below `calls` are about single
//! system calls; how they are linked makes no difference, so they are static.
//!
//! ```text
//! // A sentence saying what the program shows.
//! // link: static dynamic        how it is to be linked; `static dynamic` when the line is missing
//! // flags: -O1 -lm              further words for the compiler
//! ```
//!
//! The programs share one C header, `story.h`. Shell scripts are programs as they stand.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{compile, lane};

/// How a program is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// At a fixed address, with no interpreter.
    Static,
    /// Relocates itself, with no interpreter.
    StaticPie,
    /// Position-independent, loaded by the dynamic linker: what distributions ship.
    Dynamic,
    /// At a fixed address, loaded by the dynamic linker.
    DynamicFixed,
    /// A script: nothing is linked.
    Script,
}

impl Link {
    /// The word that stands for it in a source's `link:` line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::StaticPie => "static-pie",
            Self::Dynamic => "dynamic",
            Self::DynamicFixed => "dynamic-fixed",
            Self::Script => "script",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Static, Self::StaticPie, Self::Dynamic, Self::DynamicFixed]
            .into_iter()
            .find(|link| link.word() == word)
    }
}

/// What a program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    C,
    Cpp,
    Rust,
    Shell,
}

impl Language {
    fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "c" => Some(Self::C),
            "cc" => Some(Self::Cpp),
            "rs" => Some(Self::Rust),
            "sh" => Some(Self::Shell),
            _ => None,
        }
    }
}

/// A guest program's source, with what its first lines say.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The file's name without its extension.
    pub name: String,
    /// What it is written in.
    pub language: Language,
    /// The ways in which it is linked.
    pub links: Vec<Link>,
    /// Further words for the compiler.
    pub flags: Vec<String>,
    /// Where the source is.
    pub source: PathBuf,
    /// The source.
    pub text: String,
}

impl Guest {
    /// The program of this name.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn named(name: &str) -> Self {
        let found =
            ["c", "cc", "rs", "sh"].into_iter().map(|extension| folder().join(format!("{name}.{extension}")));
        let source = found.chain([calls().join(format!("{name}.c"))]).find(|path| path.is_file());
        let source = source.unwrap_or_else(|| panic!("no guest program is called {name}"));
        Self::read(&source).expect("a source of a known language")
    }

    /// Every guest program, by name.
    ///
    /// # Panics
    ///
    /// When the folder cannot be read.
    pub fn all() -> Vec<Self> {
        let list = |folder: PathBuf| {
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        };
        let listing = list(folder()).chain(list(calls()));
        let mut paths: Vec<PathBuf> = listing.map(|item| item.expect("a directory entry").path()).collect();
        paths.sort();
        paths.iter().filter_map(|path| Self::read(path)).collect()
    }

    fn read(source: &Path) -> Option<Self> {
        let language = Language::from_extension(source.extension()?.to_str()?)?;
        let name = source.file_stem()?.to_str()?.to_owned();
        let text = fs::read_to_string(source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
        let mut links = Vec::new();
        let mut flags = Vec::new();
        for line in text.lines().take_while(|line| line.starts_with("//")) {
            if let Some(words) = line.strip_prefix("// link:") {
                let known =
                    |word: &str| Link::from_word(word).unwrap_or_else(|| panic!("{name}: link: {word}"));
                links.extend(words.split_whitespace().map(known));
            } else if let Some(words) = line.strip_prefix("// flags:") {
                flags.extend(words.split_whitespace().map(str::to_owned));
            }
        }
        if language == Language::Shell {
            links = vec![Link::Script];
        } else if links.is_empty() && source.starts_with(calls()) {
            links = vec![Link::Static];
        } else if links.is_empty() {
            links = vec![Link::Static, Link::Dynamic];
        }
        Some(Self { name, language, links, flags, source: source.to_path_buf(), text })
    }

    /// The executable file, built if it is not in the cache.
    ///
    /// # Panics
    ///
    /// When it is not to be linked in this way, or does not compile.
    pub fn executable(&self, link: Link) -> PathBuf {
        assert!(self.links.contains(&link), "{} is not linked {}", self.name, link.word());
        match self.language {
            Language::Shell => self.source.clone(),
            _ => compile::cached(self, link),
        }
    }
}

/// Where the sources are.
pub fn folder() -> PathBuf {
    lane::workspace().join("tests/guests")
}

/// Where those are that are about single system calls.
pub fn calls() -> PathBuf {
    folder().join("calls")
}

/// The header that the C and C++ programs share.
pub fn header() -> PathBuf {
    folder().join("story.h")
}
