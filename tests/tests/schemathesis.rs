//! schemathesis makes requests of the API's description, sensible ones and others, and compares the answers with it.
//!
//! It is installed into a virtual environment below the target directory, at its first use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use septum_tests::lane::{self, Lane};
use septum_tests::{Host, Invocation, Serving, needs_partitions};

/// What is installed.
const PACKAGE: &str = "schemathesis==4.32.5";
/// Installing may take so long: it is a download.
const INSTALLING: Duration = Duration::from_secs(180);
/// Left out: what never ends (events and statistics that are followed, a partition that runs on), what is no HTTP any more (exec, attach), and what
/// would take away the token that is used.
const LEFT_OUT: &str = "^/v1/(events|stats/stream|tokens/.*|partitions/.*/(wait|logs|stats/stream|exec|attach)|operations/.*/wait)$";

/// Its program; or why there is none.
fn program() -> Result<PathBuf, String> {
    let python = lane::host_tool("python3").ok_or("there is no python3")?;
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = this.ancestors().nth(3).map_or_else(|| lane::workspace().join("target"), Path::to_owned);
    let folder = target.join(PACKAGE);
    let program = folder.join("bin/schemathesis");
    if !program.is_file() {
        let place = folder.to_str().ok_or("the target directory is no UTF-8")?;
        let made = Invocation::new(python).arguments(["-m", "venv", place]).deadline(INSTALLING).run();
        if made.code() != 0 {
            return Err(format!("python3 makes no virtual environment: {}", made.stderr_text().trim()));
        }
        let mut pip = Invocation::new(folder.join("bin/pip"));
        // Where packages come from is the user's own business.
        for (key, value) in std::env::vars_os() {
            let name = key.to_string_lossy().to_ascii_lowercase();
            if name == "home"
                || name.starts_with("pip_")
                || name.ends_with("_proxy")
                || name.starts_with("ssl_cert")
            {
                pip = pip.environment(key, value);
            }
        }
        let got = pip.arguments(["install", "--quiet", "--disable-pip-version-check", PACKAGE]);
        let got = got.deadline(INSTALLING).run();
        if got.code() != 0 {
            return Err(format!("pip does not install {PACKAGE}: {}", got.stderr_text().trim()));
        }
    }
    Ok(program)
}

#[test]
fn answers_are_as_described() {
    needs_partitions!();
    if Lane::current() == Lane::Nested {
        return lane::skip("the emulated host has no network to install schemathesis by");
    }
    let program = match program() {
        Ok(program) => program,
        Err(reason) => return lane::skip(&reason),
    };
    let host = Host::new();
    let options = ["--listen", "127.0.0.1:0", "--plain-tcp", "--max-memory", "1G"];
    let serving = Serving::start_with(&host, &options);
    // Something to be found by those who guess.
    for name in ["a", "0"] {
        let body = format!(r#"{{"name": "{name}", "command": ["true"], "memory": "32M", "start": false}}"#);
        serving.ask("POST", "/v1/partitions", &body).expect(201);
    }
    let header = format!("Authorization: Bearer {}", host.ask(&["token", "create", "t", "--scope", "admin"]));
    let description = format!("http://{}/v1/openapi.json", serving.tcp_address());
    let settings = lane::data("schemathesis.toml");
    // Without its phase 'coverage': that takes `0` for what the pattern of If-Match allows.
    let arguments = [
        "--config-file",
        settings.to_str().expect("UTF-8"),
        "run",
        "--phases=examples,fuzzing",
        "--max-examples=12",
        "--seed=1",
        "--no-shrink",
        "--suppress-health-check=all",
        "--request-timeout=20",
        "--exclude-path-regex",
        LEFT_OUT,
        "--header",
        header.trim(),
        &description,
    ];
    let output = Invocation::new(program).arguments(arguments).directory(host.place.path()).run();
    assert!(output.code() == 0, "{}{}", output.stdout_text(), output.stderr_text());
    serving.ask("GET", "/v1/health", "").expect(200);
}
