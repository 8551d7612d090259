//! What can go wrong with a lab, for people: what happened and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::forge_program::ForgeProgram;
use crate::http::HttpError;

/// The lab could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the lab's folder.
    #[error("{} can't be used: check its rights and the free space", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program that the lab needs and the machine lacks.
    #[error("{program} is missing: {hint}")]
    Missing {
        /// Its name.
        program: &'static str,
        /// How to get it.
        hint: &'static str,
    },
    /// The kernel or the container allows no namespaces.
    #[error("instances need namespaces, and {what} is refused here: {hint}")]
    Namespaces {
        /// The step that failed.
        what: &'static str,
        /// What would allow it.
        hint: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Instances are impossible here; the words say why, and what would allow them.
    #[error("{0}")]
    NoInstances(String),
    /// The emulator could not be installed.
    #[error("ministack could not be installed ({step}): {output}")]
    Install {
        /// The command that failed.
        step: &'static str,
        /// Its last lines.
        output: String,
    },
    /// A real forge could not be built or started.
    #[error("the real forge failed at {step}: {output}; `--forge stand-in` goes on without it")]
    RealForge {
        /// The command that failed.
        step: &'static str,
        /// Its last lines.
        output: String,
    },
    /// A folder of ready-made programs that lacks some.
    #[error(
        "{} has no {missing}. It must hold a server (gitea or forgejo), the folders templates and \
         options of its source, and a runner (gitea-runner, act_runner or forgejo-runner)",
        folder.display()
    )]
    NoPrograms {
        /// The folder.
        folder: PathBuf,
        /// What it lacks.
        missing: String,
    },
    /// A stand-in was asked for where only a real forge says something.
    #[error("this needs a real forge, not the stand-in: `--forge gitea`")]
    StandInAlone,
    /// A lab runs, but not the one that was asked for.
    #[error("the lab that runs has the forge {0}: `cargo xtask lab down`, then again")]
    OtherForge(ForgeProgram),
    /// Something did not become ready in time.
    #[error("{what} was not ready within {limit_s} s: see {}", log.display())]
    NotReady {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit_s: u64,
        /// Where it says why.
        log: PathBuf,
    },
    /// The daemon ended while it started.
    #[error("the lab's daemon ended while it started: {words} (log: {})", log.display())]
    Died {
        /// Its last words.
        words: String,
        /// Its log.
        log: PathBuf,
    },
    /// A request between parts of the lab failed.
    #[error("{what} failed: {detail}; `cargo xtask lab down` and `up` start afresh")]
    Request {
        /// Which request.
        what: String,
        /// The answer or the reason there is none.
        detail: String,
    },
    /// An instance could not be started or ended.
    #[error("instance {id}: {detail}")]
    Machine {
        /// The instance.
        id: String,
        /// What happened.
        detail: String,
    },
    /// Certificates could not be made.
    #[error("the lab's certificates can't be made: {0}")]
    Certificate(String),
    /// The stand-in forge did not start.
    #[error("the stand-in forge can't start: {0}")]
    Forge(String),
    /// Processes of the lab outlive it.
    #[error("{count} processes of the lab are still there: {detail}")]
    Left {
        /// How many.
        count: usize,
        /// Their ids.
        detail: String,
    },
    /// A state that this code excludes.
    #[error("bug in the lab: {0}")]
    Bug(String),
}

impl Error {
    /// Whether this machine lacks what a lab is made of. Nothing is wrong with the lab then.
    #[must_use]
    pub fn is_lack(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. } | Self::NoInstances(_) | Self::Install { .. }
        )
    }

    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn request(what: impl Into<String>, detail: impl std::fmt::Display) -> Self {
        Self::Request {
            what: what.into(),
            detail: detail.to_string(),
        }
    }

    pub(crate) fn machine(id: &str, detail: impl std::fmt::Display) -> Self {
        Self::Machine {
            id: id.to_owned(),
            detail: detail.to_string(),
        }
    }

    pub(crate) fn bug(detail: &impl std::fmt::Display) -> Self {
        Self::Bug(detail.to_string())
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        Self::request("a call between its parts", chain(&error))
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
