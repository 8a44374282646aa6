//! `cargo xtask fuzz`: everything that reads what an enemy wrote, given anything, for as long as you like.
//!
//! The engine is libFuzzer, guided by the coverage that stable `rustc` records when its LLVM is told to (`-Cpasses=sancov-module`, as
//! `cargo fuzz` does). Overflows and debug assertions are checked. What was found to be interesting is kept in `target/fuzz/corpus`, and the
//! next run goes on from there; an input that breaks something is kept in `target/fuzz/found`, and belongs into `fuzz/seeds` once it is fixed.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::workspace::Workspace;
use crate::{process, setup};

/// What makes LLVM record which edges are taken and what is compared.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";
const HOST: &str = "x86_64-unknown-linux-gnu";
/// Bytes of the longest input.
const LONGEST: u32 = 20_000;

#[derive(Args)]
pub struct Options {
    /// Only this target
    target: Option<String>,
    /// How long each target runs
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Run the target once on this input, which broke it
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

/// Fuzzes; fails if something broke.
pub fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    setup::base(workspace)?;
    let program = build(workspace)?;
    let names = names(workspace)?;
    if let Some(wanted) = options.target.as_ref().filter(|wanted| !names.contains(wanted)) {
        bail!("there is no target '{wanted}'; there are {}", names.join(", "));
    }
    let mut failed = Vec::new();
    for name in names.iter().filter(|name| options.target.as_ref().is_none_or(|wanted| wanted == *name)) {
        println!("{name}:");
        if !fuzz(workspace, &program, name, options)? {
            failed.push(name.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("broken: {}", failed.join(", "));
    eprintln!("the inputs are in target/fuzz/found; run one again: cargo xtask fuzz TARGET --input FILE");
    Ok(ExitCode::FAILURE)
}

fn build(workspace: &Workspace) -> Result<PathBuf> {
    let target = workspace.target().join("fuzz/build");
    let mut command = workspace.cargo();
    command.args(["build", "--release", "--package", "septum-fuzz", "--features", "libfuzzer"]);
    // With a target of their own, build scripts and macros are not instrumented.
    command.args(["--bin", "septum-fuzz", "--target", HOST, "--target-dir"]).arg(&target);
    command.env("RUSTFLAGS", INSTRUMENTATION);
    process::run(&mut command)?;
    Ok(target.join(HOST).join("release/septum-fuzz"))
}

/// The targets, from the source's table.
fn names(workspace: &Workspace) -> Result<Vec<String>> {
    let path = workspace.root().join("fuzz/src/targets/mod.rs");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = |line: &str| Some(line.trim().strip_prefix("name: \"")?.split('"').next()?.to_owned());
    Ok(text.lines().filter_map(name).collect())
}

fn fuzz(workspace: &Workspace, program: &Path, name: &str, options: &Options) -> Result<bool> {
    let folder = |what: &str| -> Result<PathBuf> {
        let path = workspace.target().join("fuzz").join(what).join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    };
    let (corpus, found) = (folder("corpus")?, folder("found")?);
    let seeds = folder("seeds")?;
    let mut command = Command::new(program);
    command.arg("-runs=0").env("SEPTUM_FUZZ_TARGET", name).env("SEPTUM_FUZZ_SEEDS", &seeds);
    process::capture(&mut command)?;
    let mut command = Command::new(program);
    // Images are not to be written for each archive that makes sense.
    command.env("SEPTUM_FUZZ_TARGET", name).env("PATH", "/nonexistent").current_dir(&found);
    if let Some(input) = &options.input {
        command.arg(input.canonicalize().with_context(|| format!("cannot find {}", input.display()))?);
    } else {
        command.arg(format!("-max_total_time={}", options.seconds)).arg(format!("-max_len={LONGEST}"));
        command.args([
            "-timeout=25",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            "-verbosity=0",
            "-len_control=20",
        ]);
        command.arg(format!("-artifact_prefix={}/", found.display())).arg(corpus).arg(seeds);
        let seeds = workspace.root().join("fuzz/seeds").join(name);
        command.args(seeds.is_dir().then_some(seeds));
    }
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        let numbers = text.lines().filter_map(|line| line.strip_prefix("stat::"));
        numbers.for_each(|number| println!("  {number}"));
    } else {
        eprintln!("{}\n{}", String::from_utf8_lossy(&output.stdout), without_dictionary(&text));
    }
    Ok(output.status.success())
}

/// What the engine said, without the words that it thinks useful.
fn without_dictionary(text: &str) -> String {
    text.lines().filter(|line| !line.contains(" # Uses: ")).collect::<Vec<_>>().join("\n")
}
