//! `cargo xtask test`: everything that CI runs, in the order in which it fails fastest.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lab::ForgeProgram;

use crate::output::say;

/// What judges the rendered templates; pinned, since a newer one may know other rules.
const CFN_LINT: &str = "cfn-lint==1.58.0";

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// A program could not be started.
    #[error("{program} could not be started: {source}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A step found something.
    #[error("{0} failed: its output is above")]
    Step(&'static str),
    /// The real forge, without which CI does not pass.
    #[error(transparent)]
    Gitea(lab::Error),
    /// Something is missing on this machine.
    #[error("{0}")]
    Missing(&'static str),
}

/// Runs all steps and prints what each took.
pub fn run(root: &Path) -> Result<(), TestError> {
    let steps: [(&str, Step); 12] = [
        ("format", format),
        ("shellcheck", shellcheck),
        ("clippy", clippy),
        ("tests", tests),
        ("conformance", conformance),
        ("cfn-lint", cfn_lint),
        ("demo", demo),
        ("Gitea", gitea),
        ("its tests", tests_on_gitea),
        ("its demo", demo_on_gitea),
        ("its soak", soak_on_gitea),
        ("its pushes", pushes_to_gitea),
    ];
    let start = Instant::now();
    let mut took = Vec::new();
    for (name, step) in steps {
        say(&format!("\n== {name}"));
        let begun = Instant::now();
        step(root)?;
        took.push((name, begun.elapsed()));
    }
    say("");
    for (name, time) in took {
        say(&format!("{name:>12}  {}", minutes(time)));
    }
    say(&format!("{:>12}  {}", "all", minutes(start.elapsed())));
    Ok(())
}

type Step = fn(&Path) -> Result<(), TestError>;

fn format(root: &Path) -> Result<(), TestError> {
    pass("format", cargo(root).args(["fmt", "--all", "--check"]))
}

fn clippy(root: &Path) -> Result<(), TestError> {
    pass(
        "clippy",
        cargo(root).args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    )
}

fn tests(root: &Path) -> Result<(), TestError> {
    // The lab's tests boot machines: one test binary at a time keeps two cores responsive.
    pass("tests", cargo(root).args(["test", "--workspace"]))
}

/// The boot file as it is after rendering: the template itself is no shell.
fn shellcheck(root: &Path) -> Result<(), TestError> {
    if Command::new("shellcheck")
        .arg("--version")
        .output()
        .is_err()
    {
        apt_install("shellcheck").map_err(|()| {
            TestError::Missing("shellcheck is missing: install it (apt-get install shellcheck)")
        })?;
    }
    for environment in environments(root) {
        let out = rendered(root, &environment)?;
        for file in files(&out, "sh") {
            pass(
                "shellcheck",
                Command::new("shellcheck").args(["-s", "sh"]).arg(file),
            )?;
        }
    }
    Ok(())
}

fn cfn_lint(root: &Path) -> Result<(), TestError> {
    let linter = cfn_lint_program()?;
    for environment in environments(root) {
        let out = rendered(root, &environment)?;
        for file in files(&out, "json") {
            pass(
                "cfn-lint",
                Command::new(&linter)
                    .args([
                        "--regions",
                        "eu-west-1",
                        "--non-zero-exit-code",
                        "warning",
                        "-t",
                    ])
                    .arg(file),
            )?;
        }
    }
    Ok(())
}

/// The trigger rules against cases of what forges do.
fn conformance(root: &Path) -> Result<(), TestError> {
    let cases = root.join("dispatcher/tests/cases/triggers.json");
    let mut run = xtask(root);
    // One line a case; the sum is the last.
    let output = run.arg("conformance").arg(cases).output();
    let output = output.map_err(|source| TestError::Start {
        program: "xtask".to_owned(),
        source,
    })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let is_failed = |line: &&str| line.contains("\"pass\":false");
    for line in text.lines().filter(is_failed).chain(text.lines().last()) {
        say(line);
    }
    let passed = output.status.success();
    passed.then_some(()).ok_or(TestError::Step("conformance"))
}

/// The whole path as a newcomer runs it; it exits non-zero if any promise broke.
fn demo(root: &Path) -> Result<(), TestError> {
    pass("demo", xtask(root).args(["demo"]))?;
    pass("demo", xtask(root).args(["demo", "--push-only"]))?;
    let other = root.join("xtask/tests/other-workflow.yml");
    pass("demo", xtask(root).arg("demo").arg("--workflow").arg(other))
}

/// Builds the real forge. On a machine that can't, the rest of the tests still says much; CI must.
fn gitea(_: &Path) -> Result<(), TestError> {
    match lab::gitea::Programs::build(&mut |step| say(step)) {
        Ok(_) => Ok(()),
        Err(error) if std::env::var_os("CI").is_some() => Err(TestError::Gitea(error)),
        Err(error) => {
            say(&format!("SKIPPED, no real Gitea here: {error}"));
            Ok(())
        }
    }
}

/// Boot, calls and dispatcher once more, with Gitea and its runner where the stand-ins were.
fn tests_on_gitea(root: &Path) -> Result<(), TestError> {
    with_gitea(|| {
        // The same selection of packages as above: another would compile the SDK again.
        let mut tests = cargo(root);
        tests
            .args([
                "test",
                "--workspace",
                "--test",
                "forge_client",
                "--test",
                "boot",
                "--test",
                "dispatch",
            ])
            .env("CI_TEST_FORGE", ForgeProgram::Gitea.word());
        pass("tests on Gitea", &mut tests)
    })
}

fn demo_on_gitea(root: &Path) -> Result<(), TestError> {
    with_gitea(|| pass("demo", xtask(root).args(["demo", "--forge", "gitea"])))
}

fn soak_on_gitea(root: &Path) -> Result<(), TestError> {
    with_gitea(|| pass("soak", xtask(root).args(["soak", "--forge", "gitea"])))
}

/// What it queues is what the trigger rules say.
fn pushes_to_gitea(root: &Path) -> Result<(), TestError> {
    let asked = "differential --pushes 60 --events 60 --seed 7";
    with_gitea(|| pass("differential", xtask(root).args(asked.split(' '))))
}

fn with_gitea(run: impl FnOnce() -> Result<(), TestError>) -> Result<(), TestError> {
    match lab::gitea::Programs::find() {
        Some(_) => run(),
        None => Ok(()),
    }
}

fn rendered(root: &Path, environment: &str) -> Result<PathBuf, TestError> {
    let out = root.join("target/rendered").join(environment);
    pass(
        "render",
        xtask(root).args(["render", environment, "--out"]).arg(&out),
    )?;
    Ok(out)
}

fn environments(root: &Path) -> Vec<String> {
    files(&root.join("stacks/environments"), "toml")
        .iter()
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .collect();
    files.sort();
    files
}

/// cfn-lint from a virtual environment of its own, made once.
fn cfn_lint_program() -> Result<PathBuf, TestError> {
    let folder = lab::cache_folder().join(CFN_LINT.replace("==", "-"));
    let program = folder.join("bin/cfn-lint");
    if !program.exists() {
        say(&format!("installing {CFN_LINT}"));
        pass(
            "python3 -m venv",
            Command::new("python3").args(["-m", "venv"]).arg(&folder),
        )?;
        pass(
            "pip install",
            Command::new(folder.join("bin/pip")).args(["install", "--quiet", CFN_LINT]),
        )?;
    }
    Ok(program)
}

/// Installs a Debian package where we may; elsewhere the caller says what is missing.
fn apt_install(package: &str) -> Result<(), ()> {
    say(&format!("installing {package}"));
    let ok = |args: &[&str]| {
        Command::new("apt-get")
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .is_ok_and(|status| status.success())
    };
    let installed = ok(&["install", "-y", "-qq", package])
        || (ok(&["update", "-qq"]) && ok(&["install", "-y", "-qq", package]));
    installed.then_some(()).ok_or(())
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// This very program, which is what `cargo xtask` runs.
fn xtask(root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_else(|_| "xtask".into()));
    command.current_dir(root);
    command
}

fn pass(step: &'static str, command: &mut Command) -> Result<(), TestError> {
    let status = command.status().map_err(|source| TestError::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })?;
    status.success().then_some(()).ok_or(TestError::Step(step))
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}
