//! The Debian package: what is in it, installed into a root of its own, works, and goes again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use septum_tests::lane::{self, Lane};
use septum_tests::{Host, Invocation, Place, needs_partitions};

/// Makes the package of the programs that are tested; or why that is not possible.
fn package(place: &Place) -> Result<PathBuf, String> {
    if Lane::current() == Lane::Nested {
        return Err("packages are made on this machine, not in the emulated one".to_owned());
    }
    for tool in ["dpkg", "dpkg-deb", "cargo"] {
        if lane::host_tool(tool).is_none() && tool != "cargo" {
            return Err(format!("there is no {tool}"));
        }
    }
    let septum = lane::septum_binary();
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let xtask = this.ancestors().nth(2).map(|folder| folder.join("xtask")).filter(|path| path.is_file());
    let xtask = xtask.ok_or("there is no xtask beside the tests")?;
    let mut command = Command::new(xtask);
    command.current_dir(lane::workspace()).arg("deb").arg("--septum").arg(septum);
    let output = command.arg("--output").arg(place.path()).output().map_err(|error| error.to_string())?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn the_debian_package_is_whole_and_goes_again() {
    needs_partitions!();
    let place = Place::new();
    let package = match package(&place) {
        Ok(package) => package,
        Err(reason) => return lane::skip(&reason),
    };
    let package = package.to_str().expect("UTF-8");
    let fields = run("dpkg-deb", &["--field", package]);
    assert!(fields.contains("Package: septum\n") && fields.contains("Recommends: erofs-utils"), "{fields}");
    let root = place.directory("root");
    if rustix::process::getuid().is_root() {
        for folder in ["root/var/lib/dpkg/info", "root/var/lib/dpkg/updates", "root/var/lib/dpkg/triggers"] {
            place.directory(folder);
        }
        place.file("root/var/lib/dpkg/status", "");
        let option = format!("--root={}", root.display());
        run("dpkg", &[&option, "--force-script-chrootless", "--install", package]);
        works(&root);
        run("dpkg", &[&option, "--force-script-chrootless", "--purge", "septum"]);
        assert!(
            !root.join("usr/bin/septum").exists() && !root.join("usr/lib/systemd").exists(),
            "it is gone"
        );
    } else {
        run("dpkg-deb", &["--extract", package, root.to_str().expect("UTF-8")]);
        works(&root);
    }
}

fn works(root: &Path) {
    let septum = root.join("usr/bin/septum");
    for file in [
        "usr/bin/septum-api",
        "usr/lib/systemd/system/septum.service",
        "usr/share/man/man1/septum.1",
        "usr/share/man/man1/septum-apply.1",
        "usr/share/man/man1/septum-serve.1",
        "usr/share/bash-completion/completions/septum",
        "usr/share/zsh/vendor-completions/_septum",
        "usr/share/fish/vendor_completions.d/septum.fish",
        "usr/share/doc/septum/copyright",
        "usr/share/doc/septum/examples/web.toml",
    ] {
        let metadata = fs::metadata(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(metadata.permissions().mode() & 0o022, 0, "{file}");
    }
    let completion =
        fs::read_to_string(root.join("usr/share/bash-completion/completions/septum")).expect("text");
    assert!(!completion.contains("/target/"), "it asks the program that is installed");
    let host = Host::new();
    let here = |arguments: &[&str]| {
        let call = Invocation::new(&septum).arguments(arguments).directory(host.place.path());
        call.environment("SEPTUM_RUNTIME_DIR", host.place.join("run"))
            .environment("SEPTUM_DATA_DIR", host.place.join("data"))
    };
    here(&["run", "--", "echo", "installed"]).run().expect_code(0).expect_stdout("installed\n");
    // A coordinator that a manager starts tells it when it serves, and when it ends.
    let place = host.place.join("notify");
    let manager = UnixDatagram::bind(&place).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let told = || {
        let mut text = [0; 64];
        let length = manager.recv(&mut text).expect("it tells");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let serving = here(&["serve", "--quiet"]).environment("NOTIFY_SOCKET", &place).spawn();
    assert_eq!(told(), "READY=1");
    here(&["apply", "-f", "-"])
        .stdin(septum_tests::Input::Bytes("name: a\ncommand: ['true']\nmemory: 32M\n".into()))
        .run()
        .expect_code(0);
    serving.signal(rustix::process::Signal::TERM);
    assert_eq!(told(), "STOPPING=1");
    serving.wait().expect_code(0);
}

#[test]
fn systemd_understands_the_unit() {
    if Lane::current() == Lane::Nested {
        return lane::skip("the emulated host has no systemd");
    }
    let Some(analyze) = lane::host_tool("systemd-analyze") else {
        return lane::skip("there is no systemd-analyze");
    };
    let place = Place::new();
    let text = fs::read_to_string(lane::workspace().join("packaging/septum.service")).expect("a unit");
    // The program must be there for it to be content.
    let septum = lane::septum_binary();
    let unit = place.file("septum.service", text.replace("/usr/bin/septum", septum.to_str().expect("UTF-8")));
    let output = Command::new(analyze).args(["verify", "--man=no"]).arg(unit).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("septum.service")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}
