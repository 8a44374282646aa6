//! A fresh directory of one test: programs and files are put there, and it is gone afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::guests::{Guest, Link};
use crate::process::Invocation;
use crate::septum::Septum;

/// A temporary directory with a canonical path.
#[derive(Debug)]
pub struct Place {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    /// A new, empty one.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[expect(clippy::new_without_default, reason = "making a directory is no default")]
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("story").tempdir().expect("a temporary directory");
        let path = directory.path().canonicalize().expect("a directory has a path");
        Self { _directory: directory, path }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Puts a file there, with the directories above it.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().expect("below the place")).expect("a directory can be made");
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Puts an executable file there.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn executable(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the mode can be set");
        path
    }

    /// Puts a directory there.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub fn directory(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Puts a guest program there, under its own name.
    ///
    /// # Panics
    ///
    /// When it does not compile or cannot be copied.
    pub fn guest(&self, name: &str, link: Link) -> PathBuf {
        let path = self.join(name);
        fs::copy(Guest::named(name).executable(link), &path).expect("the program can be copied");
        path
    }

    /// `septum run`, started here, of a static guest program that is put here.
    pub fn septum(&self, name: &str) -> Septum {
        self.guest(name, Link::Static);
        Septum::run(Path::new("./").join(name)).directory(&self.path)
    }

    /// `septum run`, started here, of a program that the host has.
    pub fn septum_tool(&self, name: &str) -> Septum {
        Septum::run(name).directory(&self.path)
    }

    /// The same program natively, started here.
    pub fn native(&self, name: &str) -> Invocation {
        self.guest(name, Link::Static);
        Invocation::new(Path::new("./").join(name)).directory(&self.path)
    }
}
