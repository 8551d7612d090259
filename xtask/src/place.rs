//! What the deployment commands share: where they act, how they ask, how they show progress.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use provisioner::Deployment;
use provisioner::package::{self, Code, Profile};
use provisioner::progress::{Event, Progress};
use provisioner::show::{Colour, Words};

/// Between two lines that only say that something still takes its time.
const WAITING_EVERY: Duration = Duration::from_secs(10);

/// One deployment, and how its commands are called.
#[derive(Debug, Clone)]
pub struct Place {
    /// The environment as it was named on the command line.
    pub env: String,
    /// Whether it is the lab.
    pub lab: bool,
    /// The checkout.
    pub root: PathBuf,
    /// The deployment itself.
    pub deployment: Deployment,
    /// Where the forge reaches the dispatcher, when that is not the API's own address.
    pub hook_url: Option<String>,
    /// Where the forge is reached from here, when that is not its own address.
    pub forge_endpoint: Option<String>,
}

/// Why a deployment command stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The deployment.
    #[error(transparent)]
    Deployment(#[from] provisioner::Error),
    /// There is nobody to ask.
    #[error("nobody is there to be asked; say --yes to go on without asking")]
    NobodyToAsk,
    /// The answer was no.
    #[error("nothing was changed")]
    Refused,
    /// Something is left.
    #[error("{count} things of {name} are left; they are listed above")]
    Left {
        /// How many.
        count: usize,
        /// The deployment.
        name: String,
    },
    /// There is no lab to act on.
    #[error("no lab runs; start it with `cargo xtask lab up`")]
    NoLab,
    /// No such secret.
    #[error(
        "there is no secret {0}; there are webhook, forge-token, registration-token, clone-token"
    )]
    NoSuchSecret(String),
    /// A file, or the terminal.
    #[error("{what}: {source}")]
    File {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl Error {
    /// What to do next, where the message doesn't say it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Deployment(error) => error.hint(),
            Self::NobodyToAsk
            | Self::NoLab
            | Self::Refused
            | Self::Left { .. }
            | Self::NoSuchSecret(_)
            | Self::File { .. } => None,
        }
    }
}

impl Place {
    /// How its commands are written.
    #[must_use]
    pub fn words(&self) -> Words {
        let set_secret = if self.lab {
            "cargo xtask --lab secret set NAME".to_owned()
        } else {
            format!("cargo xtask secret set NAME {}", self.env)
        };
        Words {
            colour: colour(),
            set_secret,
        }
    }

    /// The function's code, built and packed: once the credentials are known to open the right
    /// account, since the build for Lambda takes minutes.
    pub async fn code(&self, progress: &dyn Progress) -> Result<Code, Error> {
        provisioner::identity(&self.deployment).await?;
        let profile = if self.lab {
            Profile::Lab
        } else {
            Profile::Lambda(self.deployment.environment.dispatcher.arch)
        };
        let takes = match profile {
            Profile::Lab => "",
            Profile::Lambda(_) => ", which takes minutes the first time",
        };
        progress.report(Event::Step(format!("building the function's code{takes}")));
        let code = package::build(&self.root, profile).await;
        Ok(code.map_err(provisioner::Error::from)?)
    }
}

/// The file of the environment called `env`: a path as it is, a name in `stacks/environments`.
#[must_use]
pub fn environment_path(root: &Path, env: &str) -> PathBuf {
    let is_path = Path::new(env).extension().is_some_and(|end| end == "toml");
    if is_path {
        return PathBuf::from(env);
    }
    root.join("stacks/environments").join(format!("{env}.toml"))
}

/// Colour for terminals whose owner didn't object.
#[must_use]
pub fn colour() -> Colour {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Colour::On
    } else {
        Colour::Off
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
