//! NumPy's own tests, those that `numpy.test("fast")` runs (Debian's `python3-numpy`).

use std::path::PathBuf;

use anyhow::Result;

use super::python::{self, Script};
use super::{Context, Suite};
use crate::setup;

/// The packages of the library that have tests; `numpy` are the tests of the whole.
const PACKAGES: &[&str] = &[
    "numpy.core",
    "numpy.lib",
    "numpy.linalg",
    "numpy.random",
    "numpy.fft",
    "numpy.ma",
    "numpy.polynomial",
    "numpy.matrixlib",
    "numpy.array_api",
    "numpy.compat",
    "numpy.testing",
    "numpy.typing",
    "numpy.distutils",
    "numpy.f2py",
    "numpy",
];

/// Runs the packages that were asked for and says what differs without an explanation.
pub fn run(context: &Context) -> Result<Vec<String>> {
    setup::numpy_suite()?;
    let script = Script {
        suite: Suite::Numpy,
        python: PathBuf::from(python::DEBIAN),
        share: None,
        file: "numpy.py",
        arguments: |_| Vec::new(),
        // Some tests look for 8 GiB that are free, or take 2 GiB without looking.
        memory: "10G",
    };
    python::run(context, &script, PACKAGES)
}
