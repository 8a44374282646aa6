//! The nested host's kernel: Debian's cloud kernel, fetched as a package and unpacked, never installed.
//!
//! ```text
//!   TARGET/nested/kernel/boot/vmlinuz-VERSION
//!                       /lib/modules/VERSION/kernel/…/NAME.ko
//! ```
//!
//! The folder appears by one rename when it is complete, so an interrupted download leaves nothing that
//! looks finished. The package's own index of modules is made when it is installed, which never happens
//! here: dependencies come from the modules themselves (their `.modinfo` section lists `depends=`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{process, setup};

/// The package that always names the newest cloud kernel.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// An unpacked kernel package.
pub struct Kernel {
    image: PathBuf,
    modules: BTreeMap<String, PathBuf>,
    builtin: String,
}

impl Kernel {
    /// Opens the cached kernel, or fetches it first.
    pub fn obtain(cache: &Path) -> Result<Self> {
        let folder = cache.join("kernel");
        if !folder.is_dir() {
            fetch(cache, &folder)?;
        }
        Self::open(&folder)
    }

    fn open(folder: &Path) -> Result<Self> {
        let image = only_entry(&folder.join("boot"), "vmlinuz-")?;
        let versions = ["lib/modules", "usr/lib/modules"].map(|path| folder.join(path));
        let modules_folder =
            versions.iter().find(|path| path.is_dir()).context("the kernel package has no modules")?;
        let version_folder = only_entry(modules_folder, "")?;
        let mut modules = BTreeMap::new();
        collect_modules(&version_folder, &mut modules)?;
        let builtin = fs::read_to_string(version_folder.join("modules.builtin")).unwrap_or_default();
        Ok(Self { image, modules, builtin })
    }

    /// The compressed kernel image.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// The contents of the wanted modules and of all that they depend on, in an order in which they load.
    /// What is compiled into this kernel, or is not in it at all, is left out.
    pub fn modules(&self, wanted: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut ordered = Vec::new();
        for name in wanted {
            self.add_module(&canonical(name), &mut ordered)?;
        }
        Ok(ordered)
    }

    fn add_module(&self, name: &str, ordered: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
        if ordered.iter().any(|(present, _)| present == name) {
            return Ok(());
        }
        let Some(path) = self.modules.get(name) else {
            if !self.is_builtin(name) {
                eprintln!("nested: this kernel has no module {name}");
            }
            return Ok(());
        };
        let content = read_module(path)?;
        for dependency in dependencies(&content) {
            self.add_module(&canonical(&dependency), ordered)?;
        }
        ordered.push((name.to_owned(), content));
        Ok(())
    }

    fn is_builtin(&self, name: &str) -> bool {
        self.builtin
            .lines()
            .filter_map(|line| line.rsplit('/').next())
            .any(|file| module_name(file) == Some(name.to_owned()))
    }
}

/// Module names are written with `-` or `_`, without a difference.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// `kvm-amd.ko.xz` → `kvm_amd`.
fn module_name(file: &str) -> Option<String> {
    let (name, rest) = file.split_once(".ko")?;
    (rest.is_empty() || rest.starts_with('.')).then(|| canonical(name))
}

fn collect_modules(folder: &Path, modules: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect_modules(&entry.path(), modules)?;
        } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
            modules.insert(name, entry.path());
        }
    }
    Ok(())
}

fn read_module(path: &Path) -> Result<Vec<u8>> {
    let program = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(path).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut command = Command::new(program);
    let output =
        command.args(["-d", "-c"]).arg(path).output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{} failed: {}", process::describe(&command), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// The modules that a module's `.modinfo` section says it needs.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module.get(start + KEY.len()..).unwrap_or_default();
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The one entry of a folder whose name starts with a prefix.
fn only_entry(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path());
    paths.next().with_context(|| format!("nothing named {prefix}* in {}", folder.display()))
}

/// Downloads the kernel package and unpacks it at `folder`.
fn fetch(cache: &Path, folder: &Path) -> Result<()> {
    if process::find_program("apt-get").is_none() || process::find_program("dpkg-deb").is_none() {
        bail!(
            "the nested lane boots Debian's {META_PACKAGE}, which apt-get and dpkg-deb fetch; on another \
             distribution unpack that package by hand at {}",
            folder.display()
        );
    }
    let work = cache.join(format!("fetch-{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let result = fetch_into(&work, folder);
    // Whatever happened, the half-made folder is of no further use.
    let _ = fs::remove_dir_all(&work);
    result
}

fn fetch_into(work: &Path, folder: &Path) -> Result<()> {
    let package = match (newest_package(), download(work)) {
        (Ok(package), Ok(())) => package,
        _ => {
            setup::refresh_package_lists()?;
            let package = newest_package()?;
            download(work)?;
            package
        }
    };
    let archive = only_entry(work, &format!("{package}_"))?;
    let unpacked = work.join("unpacked");
    process::run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&unpacked))?;
    match fs::rename(&unpacked, folder) {
        // Another run was quicker; its result is as good.
        Err(_) if folder.is_dir() => Ok(()),
        other => other.with_context(|| format!("cannot create {}", folder.display())),
    }
}

/// The real package that the meta package depends on, as the package lists know it.
fn newest_package() -> Result<String> {
    let text = process::capture(Command::new("apt-cache").args(["depends", "--important", META_PACKAGE]))?;
    let mut names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let name = names.find(|name| name.starts_with("linux-image-"));
    Ok(name.with_context(|| format!("no package {META_PACKAGE} in the package lists"))?.to_owned())
}

fn download(work: &Path) -> Result<()> {
    let package = newest_package()?;
    eprintln!("nested: downloading {package}");
    // As root, apt drops to its own user for the download, which may not write below the target folder.
    let mut command = Command::new("apt-get");
    command.current_dir(work).args(["-qq", "-o", "APT::Sandbox::User=root", "download", &package]);
    command.stdout(std::io::stderr());
    process::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_files_have_one_name() {
        assert_eq!(module_name("kvm-amd.ko"), Some("kvm_amd".to_owned()));
        assert_eq!(module_name("fuse.ko.xz"), Some("fuse".to_owned()));
        assert_eq!(module_name("modules.order"), None);
    }

    #[test]
    fn dependencies_come_from_modinfo() {
        let module = b"ELF..\0license=GPL\0depends=kvm,ccp\0retpoline=Y\0";
        assert_eq!(dependencies(module), ["kvm", "ccp"]);
        assert!(dependencies(b"\0depends=\0name=x\0").is_empty());
        assert!(dependencies(b"nothing").is_empty());
    }
}
