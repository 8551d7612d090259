//! What goes to and comes from the person at the terminal: questions, progress, colour.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use provisioner::progress::{Event, Progress};
use provisioner::show::Palette;

use crate::error::Error;

/// Between two lines that only say that something still takes its time.
const WAITING_EVERY: Duration = Duration::from_secs(10);

/// Colours for a terminal, unless `NO_COLOR` is set.
#[must_use]
pub fn palette() -> Palette {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Palette::COLOURS
    } else {
        Palette::PLAIN
    }
}

/// Asks until it is answered, and goes on only after a yes.
pub fn consent(question: &str, yes: bool) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Error::NobodyToAsk);
    }
    let terminal = |source| Error::File {
        what: "reading the answer".to_owned(),
        source,
    };
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ").map_err(terminal)?;
    stderr.flush().map_err(terminal)?;
    let mut answer = String::new();
    stdin.read_line(&mut answer).map_err(terminal)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::Refused),
    }
}

/// Shows progress on standard error, so that standard output stays what was asked for.
#[derive(Debug, Default)]
pub struct OnStderr {
    last_wait: Mutex<Option<Instant>>,
}

impl Progress for OnStderr {
    fn report(&self, event: Event) {
        match event {
            Event::Step(what) => eprintln!("· {what}"),
            Event::Resource {
                id, status, reason, ..
            } => {
                // Failures carry their reason; successes need none.
                let reason = reason
                    .filter(|_| status.contains("FAILED") || status.contains("ROLLBACK"))
                    .map(|reason| format!("  {reason}"));
                eprintln!("    {status:<24} {id}{}", reason.unwrap_or_default());
            }
            Event::Waiting { what, seconds } => {
                let Ok(mut last) = self.last_wait.lock() else {
                    return;
                };
                if seconds > 0 && last.is_none_or(|last| last.elapsed() >= WAITING_EVERY) {
                    *last = Some(Instant::now());
                    eprintln!("    … {what}, {seconds} s");
                }
            }
        }
    }
}
