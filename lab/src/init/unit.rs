//! Units as data: what `systemd-run` asks for, what `systemctl` asks about them.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// What a client asks of process 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Start a unit, now or after a while; answer at once or at its end.
    Run {
        unit: Box<Unit>,
        wait: bool,
        on_active: Option<Duration>,
    },
    /// Send a signal to the processes of a unit.
    Kill {
        unit: String,
        signal: i32,
        main_only: bool,
    },
    /// Stop units and wait for their end.
    Stop { units: Vec<String> },
    /// Tell whether units are active.
    IsActive { units: Vec<String>, quiet: bool },
    /// Power off.
    PowerOff(Force),
    /// Power off after a while.
    Shutdown { after: Duration },
    /// Forget that.
    CancelShutdown,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) code: u8,
    pub(super) out: String,
    pub(super) err: String,
}

impl Reply {
    pub(super) fn done() -> Self {
        Self::code(0)
    }

    pub(super) fn code(code: u8) -> Self {
        Self {
            code,
            out: String::new(),
            err: String::new(),
        }
    }

    pub(super) fn error(code: u8, words: String) -> Self {
        Self {
            err: words,
            ..Self::code(code)
        }
    }
}

/// One transient service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unit {
    /// With its suffix; empty when process 1 shall find one.
    pub(super) name: String,
    pub(super) command: Vec<String>,
    pub(super) user: Option<User>,
    pub(super) folder: Option<PathBuf>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) kill_signal: i32,
    pub(super) kill_mode: KillMode,
    pub(super) send_hangup: bool,
    pub(super) stop_timeout: Option<Duration>,
    pub(super) runtime_max: Option<Duration>,
    pub(super) output: Output,
    pub(super) error: Output,
    pub(super) umask: u32,
    /// Whether it is forgotten even if it failed.
    pub(super) collect: bool,
}

impl Unit {
    pub(super) fn new(name: &str, command: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            command,
            user: None,
            folder: None,
            environment: Vec::new(),
            kill_signal: Signal::SIGTERM as i32,
            kill_mode: KillMode::ControlGroup,
            send_hangup: false,
            stop_timeout: None,
            runtime_max: None,
            output: Output::Journal,
            error: Output::Inherit,
            umask: 0o022,
            collect: false,
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
    /// None.
    None,
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

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Output {
    /// The console, which stands for the journal.
    Journal,
    /// Where standard output goes (standard error only).
    Inherit,
    Null,
    Append(PathBuf),
    Truncate(PathBuf),
}

/// `NAME` with the suffix of a service unless it has one.
pub(super) fn with_suffix(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((_, "service" | "timer")) => name.to_owned(),
        Some(_) | None => format!("{name}.service"),
    }
}

/// A signal as `SIGKILL`, `KILL` or `9`.
pub(super) fn signal(text: &str) -> Option<Signal> {
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).ok();
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    format!("SIG{name}").parse().ok()
}

/// A time span of systemd: `90`, `5s`, `1h 30min`, `500ms`.
pub(super) fn time_span(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 17] = [
        ("msec", 0.001),
        ("ms", 0.001),
        ("seconds", 1.0),
        ("second", 1.0),
        ("sec", 1.0),
        ("s", 1.0),
        ("minutes", 60.0),
        ("minute", 60.0),
        ("min", 60.0),
        ("m", 60.0),
        ("hours", 3600.0),
        ("hour", 3600.0),
        ("hr", 3600.0),
        ("h", 3600.0),
        ("days", 86_400.0),
        ("day", 86_400.0),
        ("d", 86_400.0),
    ];
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let factor = if letters == 0 {
            1.0
        } else {
            UNITS
                .iter()
                .find(|(name, _)| *name == &rest[..letters])
                .map(|(_, factor)| *factor)?
        };
        seconds += number * factor;
        rest = rest[letters..].trim_start();
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_systemds() {
        for (text, seconds) in [
            ("90", Some(90.0)),
            ("30min", Some(1800.0)),
            ("1h 30min", Some(5400.0)),
            ("1h30m5s", Some(5405.0)),
            ("500ms", Some(0.5)),
            ("1.5s", Some(1.5)),
            ("", None),
            ("soon", None),
            ("5 parsecs", None),
        ] {
            let parsed = time_span(text).map(|span| span.as_secs_f64());
            assert_eq!(parsed, seconds, "{text}");
        }
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["SIGKILL", "KILL", "9"] {
            assert_eq!(signal(text), Some(Signal::SIGKILL), "{text}");
        }
        assert_eq!(signal("SIGNONSENSE"), None);
    }
}
