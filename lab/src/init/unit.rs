//! Units as data: what `systemd-run` asks for, what `systemctl` asks about them.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// What a client asks of process 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Start a unit, now or after a while.
    Run {
        unit: Box<Unit>,
        on_active: Option<Duration>,
    },
    /// Send a signal to the processes of a unit.
    Kill { unit: String, signal: i32 },
    /// Tell whether a unit is active.
    IsActive { unit: String },
    /// Power off.
    PowerOff(Force),
}

/// How much of an orderly shutdown is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Force {
    /// Units are stopped, then what is left is signalled, then killed.
    No,
    /// No units are stopped; everything is signalled, then killed.
    Once,
    /// At once.
    Twice,
}

/// What process 1 answers: the client prints it and exits with the code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) code: u8,
    pub(super) out: String,
    pub(super) err: String,
}

impl Reply {
    pub(super) fn error(words: String) -> Self {
        Self {
            code: 1,
            out: String::new(),
            err: words,
        }
    }
}

/// One transient service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unit {
    /// With its suffix.
    pub(super) name: String,
    pub(super) command: Vec<String>,
    pub(super) user: Option<User>,
    pub(super) folder: Option<PathBuf>,
    /// The file that its output is appended to, else the console.
    pub(super) output: Option<PathBuf>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) kill_signal: i32,
    pub(super) kill_mode: KillMode,
}

impl Unit {
    pub(super) fn new(name: &str, command: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            command,
            user: None,
            folder: None,
            output: None,
            environment: Vec::new(),
            kill_signal: Signal::SIGTERM as i32,
            kill_mode: KillMode::ControlGroup,
        }
    }
}

/// Which processes of a unit are ended with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KillMode {
    /// All of them.
    ControlGroup,
    /// The main one is signalled, all are killed.
    Mixed,
    /// Only the main one.
    Process,
}

/// Who a unit runs as, with what systemd sets for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
    pub(super) shell: String,
}
