//! `cargo xtask deb`: a Debian package of the command, the coordinator, their pages and completions, and the systemd unit.
//!
//! What goes where is `package.metadata.deb` of the crate `septum`, in the form that `cargo deb` reads; `dpkg-deb` packs it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::workspace::{Profile, Workspace, cargo_metadata};
use crate::{process, setup};

/// What `cargo xtask deb` may be told.
#[derive(Args)]
pub struct Options {
    /// Pack this binary, and septum-api beside it, instead of building them
    #[arg(long, value_name = "FILE")]
    septum: Option<PathBuf>,
    /// Where the package is put; without, the target directory
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Makes the package; returns where it is.
pub fn run(workspace: &Workspace, options: &Options) -> Result<PathBuf> {
    ensure!(process::find_program("dpkg-deb").is_some(), "there is no dpkg-deb: install the package dpkg");
    let septum = match &options.septum {
        Some(path) => path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?,
        None => {
            setup::base(workspace)?;
            workspace.build_septum(Profile::Release)?
        }
    };
    let output = options.output.clone().unwrap_or_else(|| workspace.target().to_owned());
    let package = output.join("package");
    pages(&septum, &package)?;
    let root = output.join("deb");
    remove(&root)?;
    let about = about()?;
    let programs = septum.parent().context("a program lies in a folder")?;
    let places = Places { workspace: workspace.root(), programs, package: &package };
    let mut bytes = 0;
    for asset in about.deb.get("assets").and_then(Value::as_array).context("no assets")? {
        bytes += places.put(asset, &root)?;
    }
    let architecture = process::capture(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    fs::create_dir_all(root.join("DEBIAN"))?;
    fs::write(root.join("DEBIAN/control"), about.control(architecture, bytes)?)?;
    let file = output.join(format!("septum_{}_{architecture}.deb", about.version));
    let mut pack = Command::new("dpkg-deb");
    // What was given is packed to be looked at, not to be sent.
    let quickly: &[&str] = if options.septum.is_some() { &["-Zgzip", "-z1"] } else { &["-Zxz"] };
    pack.arg("--root-owner-group").args(quickly).arg("--build").arg(&root).arg(&file);
    process::capture(&mut pack)?;
    Ok(file)
}

/// Man pages and completions, as the program itself writes them.
fn pages(septum: &Path, package: &Path) -> Result<()> {
    remove(package)?;
    let man = package.join("man");
    process::capture(Command::new(septum).arg("man").arg(&man))?;
    for (shell, name) in [("bash", "septum"), ("zsh", "_septum"), ("fish", "septum.fish")] {
        // By its name, as those who install the package find it.
        let mut command = Command::new(septum);
        let text = process::capture(command.arg0("septum").args(["completion", shell]))?;
        fs::write(package.join(name), text)?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Where what is packed comes from.
struct Places<'a> {
    workspace: &'a Path,
    programs: &'a Path,
    package: &'a Path,
}

impl Places<'_> {
    fn source(&self, text: &str) -> PathBuf {
        if let Some(name) = text.strip_prefix("target/release/") {
            self.programs.join(name)
        } else if let Some(name) = text.strip_prefix("target/package/") {
            self.package.join(name)
        } else {
            self.workspace.join(text)
        }
    }

    /// Puts an asset where it belongs; returns its bytes.
    fn put(&self, asset: &Value, root: &Path) -> Result<u64> {
        let text = |index: usize| asset.get(index).and_then(Value::as_str).context("an asset is three texts");
        let (source, place, mode) = (self.source(text(0)?), text(1)?, text(2)?);
        let mode = u32::from_str_radix(mode, 8).context("a mode is octal")?;
        let files = match source.file_name().filter(|name| *name == "*").and(source.parent()) {
            Some(folder) => {
                let entries =
                    fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
                entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?
            }
            None => vec![source],
        };
        if files.is_empty() {
            bail!("there is nothing for {place}");
        }
        let mut bytes = 0;
        for file in files {
            let target = match place.strip_suffix('/') {
                Some(folder) => root.join(folder).join(file.file_name().context("a file has a name")?),
                None => root.join(place),
            };
            fs::create_dir_all(target.parent().context("below the root")?)?;
            bytes += fs::copy(&file, &target).with_context(|| format!("cannot copy {}", file.display()))?;
            fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        }
        Ok(bytes)
    }
}

/// What is known of the package.
struct About {
    version: String,
    deb: Value,
}

fn about() -> Result<About> {
    let metadata = cargo_metadata(&["--no-deps", "--offline"])?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("no packages")?;
    let own = packages.iter().find(|package| package.get("name").is_some_and(|name| name == "septum"));
    let own = own.context("no package septum")?;
    let version = own.get("version").and_then(Value::as_str).context("no version")?.to_owned();
    let deb = own.pointer("/metadata/deb").context("no package.metadata.deb")?.clone();
    Ok(About { version, deb })
}

impl About {
    fn text(&self, key: &str) -> Result<&str> {
        self.deb
            .get(key)
            .and_then(Value::as_str)
            .with_context(|| format!("package.metadata.deb has no {key}"))
    }

    fn control(&self, architecture: &str, bytes: u64) -> Result<String> {
        let described = self.text("extended-description")?.trim().replace('\n', "\n ");
        let depends = match self.text("depends")? {
            "" => String::new(),
            depends => format!("Depends: {depends}\n"),
        };
        Ok(format!(
            "Package: septum\nVersion: {}\nArchitecture: {architecture}\nMaintainer: {}\nSection: {}\nPriority: {}\n\
             Installed-Size: {}\n{depends}Recommends: {}\nDescription: programs in virtual machines that start like processes\n {described}\n",
            self.version,
            self.text("maintainer")?,
            self.text("section")?,
            self.text("priority")?,
            bytes.div_ceil(1024),
            self.text("recommends")?,
        ))
    }
}
