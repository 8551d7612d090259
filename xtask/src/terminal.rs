//! What goes to and comes from the person at the terminal: questions, progress, colour, Ctrl-C.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use provisioner::progress::{Event, Progress};
use provisioner::show::Palette;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::Error;

/// Between two lines that only say that something still takes its time.
const WAITING_EVERY: Duration = Duration::from_secs(10);

/// The exit code of a program that Ctrl-C has ended: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// Ctrl-C, for a command that must tidy up: the first stops what is under way, the second ends the program.
#[derive(Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens from now on. Without this Ctrl-C ends the program at once.
    pub fn listen() -> Result<Self, Error> {
        Self::listen_telling(|| None)
    }

    /// The same; whoever ends the program at once is told `last_words`. SIGTERM counts as Ctrl-C: that is how a
    /// job is stopped that runs such a command.
    pub fn listen_telling(
        last_words: impl Fn() -> Option<String> + Send + 'static,
    ) -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|source| Error::File {
                what: "listening for Ctrl-C".to_owned(),
                source,
            })
        };
        let mut pressed = listen(SignalKind::interrupt())?;
        let mut ended = listen(SignalKind::terminate())?;
        let (told, asked) = watch::channel(false);
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = pressed.recv() => {}
                    _ = ended.recv() => {}
                }
            };
            next().await;
            eprintln!("· stopping what is under way; Ctrl-C once more ends the command at once");
            told.send_replace(true);
            next().await;
            if let Some(words) = last_words() {
                eprintln!("· {words}");
            }
            std::process::exit(INTERRUPTED);
        });
        Ok(Self(asked))
    }

    /// Whether it was pressed.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// What comes of `work`; [`Error::Stopped`] if Ctrl-C was or is pressed before it is done.
    pub async fn unless<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut asked = self.0.clone();
        tokio::select! {
            biased;
            // What would say it lives as long as the program.
            Ok(_) = asked.wait_for(|asked| *asked) => {
                Err(Error::Stopped("what was under way was broken off".to_owned()))
            }
            done = work => done,
        }
    }
}

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
