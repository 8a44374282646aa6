//! A store of a test's own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use septum_tests::{Invocation, Output, Place, Septum};

/// Commands that the busybox of an image goes by.
const COMMANDS: [&str; 17] = [
    "sh",
    "cat",
    "ls",
    "stat",
    "echo",
    "id",
    "env",
    "mkdir",
    "rm",
    "cp",
    "sha256sum",
    "true",
    "dd",
    "pwd",
    "find",
    "test",
    "sleep",
];

/// A directory for sources, and a store.
pub struct Images {
    pub place: Place,
}

impl Images {
    pub fn new() -> Self {
        Self { place: Place::new() }
    }

    fn with_store(&self, invocation: Invocation) -> Invocation {
        let invocation = invocation.environment("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        invocation
            .environment("SEPTUM_DATA_DIR", self.place.join("data"))
            .environment("SEPTUM_RUNTIME_DIR", self.place.join("run"))
            .directory(self.place.path())
    }

    /// `septum …`
    pub fn septum(&self, arguments: &[&str]) -> Invocation {
        self.with_store(Septum::raw(arguments))
    }

    /// `septum image …`
    pub fn image<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Invocation {
        self.with_store(Septum::raw(["image"]).arguments(arguments))
    }

    /// `septum run …`
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Invocation {
        let mut command = Septum::raw(["run"]);
        if let Some(mode) = std::env::var_os("SEPTUM_PRIVILEGE") {
            command = command.arguments(["--privilege".into(), mode]);
        }
        self.with_store(command.arguments(arguments))
    }

    /// A shell in an image.
    pub fn shell(&self, image: &str, script: &str) -> Output {
        self.run(["--image", image, "/bin/sh", "-c", script]).run()
    }

    /// Builds, and returns the digest.
    #[track_caller]
    pub fn build(&self, source: impl AsRef<Path>, name: &str) -> String {
        let source = source.as_ref().as_os_str();
        let output = self.image([OsStr::new("build"), source, "-t".as_ref(), name.as_ref()]).run();
        output.expect_code(0);
        output.stdout_text().trim().to_owned()
    }

    /// Building fails with a message that holds all of `reasons`, and leaves nothing behind.
    #[track_caller]
    pub fn refuse(&self, source: impl AsRef<Path>, options: &[&str], reasons: &[&str]) {
        let before = self.kept();
        let source = source.as_ref().as_os_str();
        let output = self.image(["build".as_ref(), source]).arguments(options).run();
        output.expect_code(septum_tests::exit::PATH).expect_stderr("septum: cannot build");
        output.expect_stderr("hint: ");
        for reason in reasons {
            output.expect_stderr(reason);
        }
        assert_eq!(self.kept(), before, "something is left");
    }

    /// All files of the store.
    pub fn kept(&self) -> Vec<PathBuf> {
        let mut kept = Vec::new();
        let mut waiting = vec![self.place.join("data")];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    waiting.push(entry.path());
                }
                if !entry.path().is_dir()
                    || entry.path().parent().is_some_and(|parent| parent.ends_with("building"))
                {
                    kept.push(entry.path());
                }
            }
        }
        kept.retain(|path| !path.ends_with("lock"));
        kept.sort();
        kept
    }

    /// The file of the only image.
    pub fn only_file(&self) -> PathBuf {
        let kept = self.kept();
        let mut files = kept.into_iter().filter(|path| path.extension().is_some_and(|end| end == "erofs"));
        files.next().expect("an image")
    }
}

/// Puts a static busybox into a root.
pub fn busybox(root: &Path) {
    let bin = root.join("bin");
    fs::create_dir_all(&bin).expect("a directory");
    fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox");
    for command in COMMANDS {
        symlink("busybox", bin.join(command)).expect("a link");
    }
}

/// Leaves the test, counted as skipped, without the tools that it needs.
#[macro_export]
macro_rules! needs_tools {
    ($($tool:literal),*) => {
        for tool in [$($tool),*] {
            let paths = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
            if !paths.iter().any(|path| std::path::Path::new(path).join(tool).exists()) {
                return septum_tests::lane::skip(&format!("there is no {tool}"));
            }
        }
    };
}
