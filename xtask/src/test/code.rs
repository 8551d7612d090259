//! Steps over the code alone: no cloud, no forge, no network.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::run::{Run, TestError, files, holds, output, pass};
use crate::output::say;
use crate::tidy;

/// The crate whose tests start machines and services.
const LAB: &str = "lab";

pub fn format(run: &mut Run) -> Result<(), TestError> {
    pass("format", &mut run.cargo(["fmt", "--all", "--check"]))
}

pub fn tidy(run: &mut Run) -> Result<(), TestError> {
    holds("tidy", tidy::print(&run.root)? == 0)
}

pub fn clippy(run: &mut Run) -> Result<(), TestError> {
    let args = "clippy --workspace --all-targets -- -D warnings";
    pass("clippy", &mut run.cargo(args.split(' ')))
}

/// Every test but the lab's.
pub fn unit(run: &mut Run) -> Result<(), TestError> {
    pass("unit", &mut run.cargo(unit_args(&run.root)))
}

/// The same tests with many more random cases; who runs it chooses how many by proptest's variable.
pub fn properties(run: &mut Run) -> Result<(), TestError> {
    let cases = std::env::var("PROPTEST_CASES").unwrap_or_else(|_| "400000".to_owned());
    let mut command = run.cargo(unit_args(&run.root));
    pass("properties", command.env("PROPTEST_CASES", cases))
}

fn unit_args(root: &Path) -> Vec<String> {
    let tests = members(root).into_iter().filter(|name| name != LAB);
    let tests = tests.flat_map(|member| tests_of(&root.join(member)));
    let mut args: Vec<String> = ["test", "--workspace", "--lib", "--bins"]
        .map(str::to_owned)
        .into();
    args.extend(named(&tests.collect()));
    args
}

/// Always the same ones: others each time would be a test that fails by chance.
pub fn simulate(run: &mut Run) -> Result<(), TestError> {
    pass(
        "simulate",
        &mut run.xtask(["simulate", "--schedules", "1000"]),
    )
}

pub fn long_simulate(run: &mut Run) -> Result<(), TestError> {
    let args = ["--schedules", "100000", "--seed", "1000001"];
    pass("long-simulate", &mut simulate_fast(run, &args))
}

pub fn prove(run: &mut Run) -> Result<(), TestError> {
    pass("prove", &mut simulate_fast(run, &["--prove"]))
}

/// The same, built to be fast.
fn simulate_fast(run: &Run, args: &[&str]) -> Command {
    let build = "run --quiet --profile simulate --package xtask -- simulate";
    run.cargo(build.split(' ').chain(args.iter().copied()))
}

pub fn doctest(run: &mut Run) -> Result<(), TestError> {
    pass("doctest", &mut run.cargo(["test", "--workspace", "--doc"]))
}

pub fn doc(run: &mut Run) -> Result<(), TestError> {
    let mut command = run.cargo(["doc", "--workspace", "--no-deps"]);
    pass("doc", command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// `cargo xtask`, which builds no tests, and `cargo test` ask for the same features of each library.
/// Where they don't, all that stands on it, the SDK for one, is compiled twice.
pub fn one_build(run: &mut Run) -> Result<(), TestError> {
    let libraries = |edges: &str| -> Result<BTreeSet<String>, TestError> {
        let mut tree = run.cargo("tree --workspace --prefix none --edges".split(' '));
        let (ok, text) = output(tree.args([edges, "--format", "{p} with {f}"]))?;
        let lines = text
            .lines()
            .map(|line| line.trim_end_matches(" (*)").to_owned());
        // Ours stand in a folder: `stacks v0.1.0 (/…)`.
        let theirs = lines.filter(|line| !line.is_empty() && !line.contains(" (/"));
        holds("cargo tree", ok)?;
        Ok(theirs.collect())
    };
    let all = libraries("normal,build,dev")?;
    let apart = &libraries("normal,build")? - &all;
    for library in &apart {
        let another = "and with them another";
        say(&format!("without tests cargo builds {library}, {another}"));
    }
    if !apart.is_empty() {
        say("name the missing features in Cargo.toml, at \"Nothing of ours uses these\"");
    }
    holds("one-build", apart.is_empty())
}

/// The folders that are crates.
fn members(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let crates = entries.filter(|entry| entry.path().join("Cargo.toml").exists());
    crates
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The names of a crate's integration tests.
pub fn tests_of(member: &Path) -> BTreeSet<String> {
    let tests = member.join("tests");
    let own = files(&tests, "rs");
    let folders = std::fs::read_dir(&tests).into_iter().flatten().flatten();
    let folders = folders.map(|entry| entry.path());
    let folders = folders.filter(|folder| folder.join("main.rs").exists());
    let names = own.into_iter().chain(folders);
    names
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

/// `--test NAME` for each.
pub fn named(tests: &BTreeSet<String>) -> impl Iterator<Item = String> {
    tests
        .iter()
        .flat_map(|name| ["--test".to_owned(), name.clone()])
}
