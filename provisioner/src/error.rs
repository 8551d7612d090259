//! Why a deployment could not be read, changed or ended: kind, cause, and what to do next.

use crate::ami::AmiError;
use crate::aws::CallError;
use crate::environment::EnvironmentError;
use crate::package::PackageError;
use crate::render::RenderError;
use crate::secrets::SecretError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The environment file.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The images' manifest.
    #[error(transparent)]
    Ami(#[from] AmiError),
    /// The templates.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The function's code.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A secret's value.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A call of AWS.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The credentials belong to another account than the environment's.
    #[error(
        "the credentials open account {found}, and the environment says {expected}; use the \
         right profile, or correct `account_id`"
    )]
    WrongAccount {
        /// The credentials' account.
        found: String,
        /// What the environment says.
        expected: String,
    },
    /// `AWS_REGION` names another region than the environment.
    #[error(
        "the shell says region {found} (AWS_REGION), and the environment says {expected}; \
         unset it, or correct `region`"
    )]
    WrongRegion {
        /// The shell's.
        found: String,
        /// What the environment says.
        expected: String,
    },
    /// There is no network to launch in.
    #[error("{0}")]
    Network(String),
    /// A pool can't be launched with its image.
    #[error("pool {pool} can't be launched with the image {image}: {because}")]
    Image {
        /// The pool.
        pool: String,
        /// The image, or the parameter that should name it.
        image: String,
        /// Why.
        because: String,
    },
    /// An image was not built, or not put in another's place.
    #[error("image {image}, {phase}: {because}")]
    Build {
        /// The image, and for which machines.
        image: String,
        /// What was being done.
        phase: &'static str,
        /// Why it failed.
        because: String,
    },
    /// Something of the deployment is not there yet.
    #[error("{what} is not there: `cargo xtask up` makes it")]
    NotDeployed {
        /// What is missing.
        what: &'static str,
    },
    /// A stack is in a state that needs a decision.
    #[error("stack {stack} can't be changed: {because}")]
    Blocked {
        /// Its name.
        stack: String,
        /// Why.
        because: String,
    },
    /// CloudFormation failed.
    #[error("stack {stack} ended as {status}: {cause}")]
    Stack {
        /// Its name.
        stack: String,
        /// Its status.
        status: String,
        /// The first thing that failed.
        cause: String,
    },
    /// The deployed function failed.
    #[error("the function {function} could not do it: {words}")]
    Function {
        /// Its name.
        function: String,
        /// What it says.
        words: String,
    },
    /// An experiment of AWS's Fault Injection Service came to nothing.
    #[error("the experiment that takes a Spot machine back failed: {0}")]
    Experiment(String),
    /// Something did not end in time.
    #[error(
        "{what} did not end within {seconds} seconds; run the command again to go on from there"
    )]
    Slow {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u64,
    },
}

impl Error {
    /// The command to run or the thing to look at next, where the message doesn't say it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Call(error) => error.hint().map(str::to_owned),
            Self::Stack { cause, .. } if cause.contains("already exists") => Some(
                "something of this name is left from another deployment: end that one, or choose \
                 another `name`"
                    .to_owned(),
            ),
            Self::Stack { .. } => Some(
                "correct the cause and run `cargo xtask up` again: it repairs what is half made"
                    .to_owned(),
            ),
            Self::Environment(_)
            | Self::Ami(_)
            | Self::Render(_)
            | Self::Package(_)
            | Self::Secret(_)
            | Self::WrongAccount { .. }
            | Self::WrongRegion { .. }
            | Self::Network(_)
            | Self::Image { .. }
            | Self::Build { .. }
            | Self::NotDeployed { .. }
            | Self::Blocked { .. }
            | Self::Function { .. }
            | Self::Experiment(_)
            | Self::Slow { .. } => None,
        }
    }
}
