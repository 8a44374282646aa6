//! From what the caller typed to what the guest kernel executes.
//!
//! The host finds and checks the program, because the host can still explain what is wrong with it. The guest checks
//! again on its own: it trusts no answer from here, and the file may change in between.
//!
//! A script is turned into a call of its interpreter exactly as Linux does it (`binfmt_script`):
//! `script args` with first line `#!/usr/bin/env -S x` becomes `/usr/bin/env`, `-S x`, `script`, `args`.

mod elf;
mod executable;
mod script;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use septum_api_types::bytes::ByteString;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;

use crate::environment;
use crate::outcome::without_number;
use crate::rootfs::{Kind, LookupError, Plan, View};
use elf::ElfError;
use executable::Executable;
use script::ScriptError;

/// Interpreters of interpreters, as on Linux.
const SCRIPT_LIMIT: usize = 5;

/// What to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// Path of an ELF file in the partition, absolute or from the working directory on.
    pub(crate) program: ByteString,
    /// Its arguments, the zeroth included.
    pub(crate) arguments: Vec<ByteString>,
}

/// Finds the program, checks it, and resolves scripts. `workdir` is where relative paths start.
pub(crate) fn resolve(
    spec: &PartitionSpec,
    plan: &Plan,
    view: &View,
    environment: &[ByteString],
    workdir: &Path,
) -> Result<Invocation, Failure> {
    let resolver = Resolver { typed: &spec.program, view, workdir };
    let path = if plan.program.as_bytes().contains(&b'/') {
        // Of an image, relative paths are its own.
        workdir.join(plan.program.as_path())
    } else {
        let search = environment::value(environment, "PATH").unwrap_or_default();
        resolver.search(search, plan.found_outside.as_deref())?
    };
    let mut arguments = vec![spec.program.clone()];
    arguments.extend(spec.arguments.iter().cloned());
    // A script's interpreter gets the path as it was typed if that leads to the same file.
    let starts_where_typed =
        spec.current_directory.as_ref().is_some_and(|current| current.as_path() == workdir);
    let is_as_typed =
        spec.program.as_bytes().contains(&b'/') && plan.is_program_literal && starts_where_typed;
    let name = if is_as_typed { spec.program.clone() } else { path.as_path().into() };
    resolver.unfold(path, name, arguments)
}

struct Resolver<'a> {
    /// The program as the caller named it, for messages.
    typed: &'a ByteString,
    view: &'a View,
    workdir: &'a Path,
}

impl Resolver<'_> {
    fn failure(&self, why: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure::new(Code::Program, format!("cannot start '{}'", self.typed), why).hint(hint)
    }

    /// Looks for a name in the directories of a search path.
    fn search(&self, path: &[u8], found_outside: Option<&Path>) -> Result<PathBuf, Failure> {
        if self.typed.as_bytes().is_empty() {
            return Err(self.failure("its name is empty", "name a program: septum run -- PROGRAM"));
        }
        let mut unusable = None;
        for folder in path.split(|&byte| byte == b':') {
            let candidate = self.workdir.join(OsStr::from_bytes(folder)).join(self.typed.as_path());
            match self.open(&candidate) {
                Ok(_) => return Ok(candidate),
                Err(Unusable::Absent(_)) => {}
                Err(other) => {
                    unusable.get_or_insert((candidate, other));
                }
            }
        }
        if let Some((candidate, unusable)) = unusable {
            let failure = self.explain(unusable);
            return Err(Failure { why: format!("'{}': {}", candidate.display(), failure.why), ..failure });
        }
        let searched = String::from_utf8_lossy(path).replace(':', ", ");
        let hint = match found_outside {
            Some(outside) => {
                format!(
                    "the host has '{}', which the partition does not: name it by this path",
                    outside.display()
                )
            }
            None => "install it on the host, or give its path".to_owned(),
        };
        Err(self.failure(format!("there is no such program in {searched}"), hint))
    }

    /// Follows interpreters until an ELF file is reached.
    fn unfold(
        &self,
        path: PathBuf,
        name: ByteString,
        arguments: Vec<ByteString>,
    ) -> Result<Invocation, Failure> {
        let (mut path, mut name, mut arguments) = (path, name, arguments);
        for depth in 0..=SCRIPT_LIMIT {
            let file = self.open(&path).map_err(|unusable| match unusable {
                Unusable::Absent(error) if depth > 0 => self.missing_interpreter(&path, &error),
                other => self.explain(other),
            })?;
            match self.classify(&file, &path)? {
                Content::Elf => return Ok(Invocation { program: name, arguments }),
                Content::Script(line) => {
                    let mut longer = vec![ByteString::from(line.interpreter.as_slice())];
                    longer.extend(line.argument.map(ByteString::from));
                    longer.push(name);
                    longer.extend(arguments.into_iter().skip(1));
                    arguments = longer;
                    name = line.interpreter.as_slice().into();
                    path = self.workdir.join(OsStr::from_bytes(&line.interpreter));
                }
            }
        }
        Err(self.failure(
            "its interpreters are scripts of scripts of scripts",
            "name an interpreter that is a program",
        ))
    }

    fn missing_interpreter(&self, interpreter: &Path, error: &LookupError) -> Failure {
        self.failure(
            format!("its interpreter '{}' is missing: {error}", interpreter.display()),
            "install it on the host, share its directory with --volume, or correct the first line of the script",
        )
    }

    /// Opens a file of the partition that could be executed.
    fn open(&self, path: &Path) -> Result<Executable, Unusable> {
        let found = self.view.lookup(path).map_err(|error| match error {
            LookupError::Io(_, error) => Unusable::Unreadable(error),
            other => Unusable::Absent(other),
        })?;
        match found.kind {
            Kind::Directory => Err(Unusable::Directory),
            Kind::Regular => {
                let file = Executable::open(found.place, self.view).map_err(Unusable::Unreadable)?;
                if file.is_executable() { Ok(file) } else { Err(Unusable::NotExecutable) }
            }
            Kind::Other => Err(Unusable::Special),
        }
    }

    fn explain(&self, unusable: Unusable) -> Failure {
        match unusable {
            Unusable::Absent(error) => {
                self.failure(error.to_string(), "check the path; share directories with --volume")
            }
            Unusable::Directory => self.failure("it is a directory", "name a program in it"),
            Unusable::Special => self.failure("it is not a regular file", "name a program"),
            Unusable::NotExecutable => {
                self.failure("it is not executable", format!("make it so: chmod +x '{}'", self.typed))
            }
            Unusable::Unreadable(error) => {
                self.failure(without_number(&error), "make it readable for the user who runs septum")
            }
        }
    }

    fn classify(&self, file: &Executable, path: &Path) -> Result<Content, Failure> {
        let mut start = [0; script::LINE_LIMIT];
        let len = read_start(file, &mut start).map_err(|error| self.explain(Unusable::Unreadable(error)))?;
        let start = start.get(..len).unwrap_or(&[]);
        if start.starts_with(elf::MAGIC) {
            self.check_elf(file)?;
            return Ok(Content::Elf);
        }
        if start.is_empty() {
            return Err(self.failure("it is empty", "build it again"));
        }
        match script::parse(start) {
            Ok(line) => Ok(Content::Script(line)),
            Err(ScriptError::NotAScript) => Err(self.failure(
                "it is neither an ELF program nor a script that starts with '#!'",
                format!("name its interpreter, such as: septum run -- sh '{}'", path.display()),
            )),
            Err(error) => Err(self.failure(error.to_string(), "correct the first line of the script")),
        }
    }

    fn check_elf(&self, file: &Executable) -> Result<(), Failure> {
        let program = elf::inspect(file).map_err(|error| self.elf_failure(&error))?;
        let Some(interpreter) = program.interpreter else { return Ok(()) };
        let path = self.workdir.join(OsStr::from_bytes(&interpreter));
        let shown = ByteString::from(interpreter.as_slice());
        let hint = match elf::package_of(&interpreter) {
            Some(package) => format!(
                "install {package} on the host, use --rootfs with a root that has it, or link statically"
            ),
            None => {
                "install it on the host, use --rootfs with a root that has it, or link statically".to_owned()
            }
        };
        let loader = self.open(&path).map_err(|unusable| {
            let why = match unusable {
                Unusable::Absent(error) => format!("its interpreter '{shown}' is missing: {error}"),
                Unusable::Unreadable(error) => {
                    format!("its interpreter '{shown}' cannot be read: {}", without_number(&error))
                }
                _ => format!("its interpreter '{shown}' is not an executable file"),
            };
            self.failure(why, &hint)
        })?;
        elf::inspect(&loader)
            .map(|_| ())
            .map_err(|error| self.failure(format!("its interpreter '{shown}' cannot run: {error}"), &hint))
    }

    fn elf_failure(&self, error: &ElfError) -> Failure {
        let hint = match error {
            ElfError::Machine { .. } | ElfError::Narrow { .. } => "build it for x86-64, 64-bit",
            ElfError::Truncated { .. } => "copy or build it again: the file is shorter than its headers say",
            ElfError::Kind(_) => "link it into a program",
            ElfError::Malformed(_) => "build it again",
            ElfError::Io(_) => "make it readable for the user who runs septum",
        };
        self.failure(error.to_string(), hint)
    }
}

/// Why a file cannot be executed.
enum Unusable {
    Absent(LookupError),
    Directory,
    Special,
    NotExecutable,
    Unreadable(std::io::Error),
}

enum Content {
    Elf,
    Script(script::Line),
}

/// Reads until the buffer is full or the file ends.
fn read_start(file: &Executable, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, u64::try_from(len).unwrap_or(0))? {
            0 => break,
            count => len += count,
        }
    }
    Ok(len)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
