//! Why a command about a deployment stopped, and what to do then.

/// Why a deployment command stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The deployment.
    #[error(transparent)]
    Deployment(#[from] provisioner::Error),
    /// No environment is named, and the command takes none for granted.
    #[error("`{command}` has to be told which environment is meant: {known}")]
    Unnamed {
        /// The command.
        command: &'static str,
        /// The environments that there are.
        known: String,
    },
    /// There is nobody to ask.
    #[error("there is no terminal to ask at; --yes goes on without asking")]
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
    /// The function lacks rights.
    #[error("{0} of the function's calls are denied; they are listed above")]
    Denied(usize),
    /// Machines did not come or go as they should.
    #[error("{failed} of {all} smoke tests failed; they are told above")]
    Smoke {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// Steps of the acceptance failed.
    #[error("{0} steps failed; they are told above and in the report")]
    Acceptance(usize),
    /// What a bench measures did not come.
    #[error("nothing is measured: {0}")]
    Unmeasured(String),
    /// The bound can't be kept.
    #[error("what an hour of {0} costs is not known here; say it: --usd-per-hour N")]
    UnknownPrice(String),
    /// Somebody pressed Ctrl-C.
    #[error("stopped: {0}")]
    Stopped(String),
    /// The forge's way does not lead to the function.
    #[error("a signed delivery was not answered as it should be: {0}")]
    NoAnswer(String),
    /// There is no lab to act on.
    #[error("no lab runs; start it with `cargo xtask lab up`")]
    NoLab,
    /// No such pool.
    #[error("there is no pool {name}; there are {known}")]
    NoSuchPool {
        /// What was asked for.
        name: String,
        /// Those of the environment.
        known: String,
    },
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
            Self::Unnamed { command, .. } => Some(format!(
                "`cargo xtask {command} NAME`, or `cargo xtask --lab {command}` for the lab's"
            )),
            Self::Denied(_) => Some(
                "if the role was changed by hand, put the statement back; else a service control policy \
                 or a permissions boundary denies it"
                    .to_owned(),
            ),
            Self::NoAnswer(_) => Some(
                "the forge would get the same: look at the function's log, then `cargo xtask rehearse`"
                    .to_owned(),
            ),
            Self::NobodyToAsk
            | Self::Smoke { .. }
            | Self::Acceptance(_)
            | Self::Unmeasured(_)
            | Self::UnknownPrice(_)
            | Self::Stopped(_)
            | Self::NoLab
            | Self::NoSuchPool { .. }
            | Self::Refused
            | Self::Left { .. }
            | Self::NoSuchSecret(_)
            | Self::File { .. } => None,
        }
    }
}
