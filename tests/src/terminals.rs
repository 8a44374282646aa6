//! Drivers of terminals: Python programs in `tests/terminals` that type, and look at what is shown.

use std::time::Duration;

use crate::{Host, Invocation, lane};

/// Runs a case of a driver, on a host of its own.
#[track_caller]
pub fn drive(driver: &str, case: &str) {
    let host = Host::new();
    let driver = lane::workspace().join("tests/terminals").join(driver);
    let mut invocation =
        Invocation::new("python3").argument(driver).argument(case).argument(lane::septum_binary());
    if let Ok(mode) = std::env::var("SEPTUM_PRIVILEGE") {
        invocation = invocation.argument(format!("--privilege={mode}"));
    }
    let output = invocation
        .directory(host.place.path())
        .environment("SEPTUM_RUNTIME_DIR", host.place.join("run"))
        .environment("SEPTUM_DATA_DIR", host.place.join("data"))
        .environment("TERM", "xterm")
        .environment("PYTHONDONTWRITEBYTECODE", "1")
        .deadline(Duration::from_secs(300))
        .run();
    output.expect_code(0);
}
