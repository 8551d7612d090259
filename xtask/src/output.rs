//! What people read of a command: its lines, and why it failed.

use std::io::Write;
use std::process::ExitCode;

use crate::error::Error;

/// One line of output. A closed pipe is nobody's error.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Seconds between two moments in milliseconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "durations of seconds in milliseconds"
)]
#[must_use]
pub fn seconds(from_ms: u64, to_ms: u64) -> f64 {
    to_ms.saturating_sub(from_ms) as f64 / 1000.0
}

/// Why a command failed: the message with its causes, and what to do next.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Self {
            message,
            hint: None,
        }
    }
}

/// The failure with the hint that the error has.
pub fn hinted(error: Error) -> Failure {
    let hint = error.hint();
    Failure {
        hint,
        ..Failure::from(error)
    }
}

impl Failure {
    /// Says it on standard error.
    pub fn report(&self) -> ExitCode {
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "error: {}", self.message);
        if let Some(hint) = &self.hint {
            let _ = writeln!(stderr, " hint: {hint}");
        }
        ExitCode::FAILURE
    }
}
