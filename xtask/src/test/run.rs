//! One run of the steps: where it is, what it has prepared, and what has to be said of it at the end.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::output::say;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It found nothing.
    Passed,
    /// It could not run here, and why.
    Skipped(String),
    /// It failed.
    Failed,
}

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
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A step found something.
    #[error("{0} failed: its output is above")]
    Step(String),
    /// A step can't run here: an error in CI, which does not pass without it.
    #[error("CI is set, and a step can't run: {0}")]
    Unavailable(String),
    /// A name that no step has.
    #[error("there is no step {0}: `cargo xtask test --list` names them")]
    NoSuchStep(String),
    /// The tree could not be judged.
    #[error(transparent)]
    Tidy(#[from] crate::tidy::Error),
}

/// What a step does.
pub type StepFn = fn(&mut Run) -> Result<(), TestError>;

/// One run.
pub struct Run {
    /// The checkout.
    pub root: PathBuf,
    /// This very program.
    own: PathBuf,
    is_ci: bool,
    /// What was built or installed once for all later runs, and how long it took.
    pub prepared: Vec<(String, Duration)>,
    /// What a reader of the sum has to know.
    pub notes: Vec<String>,
}

impl Run {
    /// Of the checkout at `root`.
    pub fn new(root: &Path) -> Result<Self, TestError> {
        Ok(Self {
            root: root.to_owned(),
            own: this_program()?,
            is_ci: std::env::var_os("CI").is_some(),
            prepared: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Runs a step; what it prepares for later runs is not its time.
    pub fn step(&mut self, step: StepFn) -> (Duration, Result<Ended, TestError>) {
        let before = self.prepared.len();
        let start = Instant::now();
        let outcome = match step(self) {
            Err(TestError::Unavailable(why)) if !self.is_ci => {
                say(&format!("SKIPPED: {why}"));
                Ok(Ended::Skipped(why))
            }
            outcome => outcome.map(|()| Ended::Passed),
        };
        let prepared: Duration = self.prepared[before..].iter().map(|(_, took)| *took).sum();
        (start.elapsed().saturating_sub(prepared), outcome)
    }

    /// Installs or builds something that stays on this machine. Without it the step can't run here.
    pub fn prepare<E: std::fmt::Display>(
        &mut self,
        what: &str,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), TestError> {
        say(&format!("preparing {what}, once"));
        let start = Instant::now();
        let result = work();
        self.prepared.push((what.to_owned(), start.elapsed()));
        result.map_err(|why| TestError::Unavailable(why.to_string()))
    }

    /// The cargo that runs this.
    pub fn cargo<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        self.program(cargo, args)
    }

    /// This very program, which is what `cargo xtask` runs.
    pub fn xtask<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        self.program(&self.own, args)
    }

    /// Any program, in the checkout.
    pub fn program<S: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.root);
        command
    }
}

/// What a copy of this program is called.
const COPY: &str = "xtask-under-test";

/// The path of this program, which runs where no build replaces it: the steps build, and a build may link it anew
/// while it runs, and then what starts it once more by its path finds none. One that is not a copy becomes one
/// here, and does not return. Beside it, because it looks for other programs there.
fn this_program() -> Result<PathBuf, TestError> {
    let in_copy = || {
        let own = std::env::current_exe()?;
        let copy = own.with_file_name(COPY);
        if own == copy {
            return Ok(own);
        }
        // One that still runs can't be written over.
        let _ = std::fs::remove_file(&copy);
        std::fs::copy(own, &copy)?;
        Err(Command::new(copy).args(std::env::args_os().skip(1)).exec())
    };
    in_copy().map_err(|source| TestError::Start {
        program: "a copy of this program".to_owned(),
        source,
    })
}

/// Runs a command, whose output people read, to success.
pub fn pass(what: &str, command: &mut Command) -> Result<(), TestError> {
    let status = command.status();
    let status = status.map_err(|source| not_started(command, source))?;
    holds(what, status.success())
}

/// The end of a step, or of a part of it, that has said what it found.
pub fn holds(what: &str, holds: bool) -> Result<(), TestError> {
    if holds {
        return Ok(());
    }
    Err(TestError::Step(what.to_owned()))
}

/// Runs a command for what it prints, and says whether it succeeded.
pub fn output(command: &mut Command) -> Result<(bool, String), TestError> {
    let output = command.output();
    let output = output.map_err(|source| not_started(command, source))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.success(), text))
}

fn not_started(command: &Command, source: std::io::Error) -> TestError {
    TestError::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    }
}

/// The files of a folder with this extension, sorted; none if there is no such folder.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .collect();
    files.sort();
    files
}
