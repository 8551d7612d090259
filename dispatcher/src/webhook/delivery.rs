//! What a delivery says, once it is verified and read.

use workflow::event::Event;

use crate::forge::job_json::OutOfBounds;
use crate::model::job::{ForgeRunner, Job};

/// Largest body that is read. Lambda's own limit of 6 MB counts the escaped event; a forge's
/// largest deliveries (pushes) stay far below.
pub const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Longest foreign word in a reason, in characters: enough to recognise it, never a flood.
const WORD_MAX_CHARS: usize = 60;

/// A verified and parsed delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A job needs a runner.
    Queued(Job),
    /// A runner took a job.
    Started {
        /// The job.
        job: Job,
        /// The runner.
        runner: ForgeRunner,
    },
    /// A job ended.
    Ended {
        /// The job.
        job: Job,
        /// The forge's word for how.
        conclusion: String,
        /// The runner that had it, if one had.
        runner: Option<ForgeRunner>,
    },
    /// Something that may start workflows: which jobs it starts is found out after the answer.
    Event {
        /// What happened.
        event: Box<Event>,
        /// Digest of the delivery: the same event comes from every level that has a hook.
        digest: String,
    },
    /// It asks nothing of us; the reason says why.
    Ignored(String),
}

/// A delivery that is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadDelivery {
    /// Larger than we read.
    #[error("the body has {0} bytes, the limit is {BODY_MAX_BYTES}")]
    TooLarge(usize),
    /// The deployment has no secret yet.
    #[error("this deployment has no webhook secret yet: run `cargo xtask secret set webhook`")]
    NoSecret,
    /// No signature, or an empty one.
    #[error("the delivery is not signed: enter the deployment's secret in the webhook's settings")]
    NotSigned,
    /// Signed with another secret, or changed on the way.
    #[error("the signature does not match: the webhook needs this deployment's secret")]
    BadSignature,
    /// Not JSON, or not what the event should hold.
    #[error("the body can't be read: {0}")]
    Unreadable(String),
}

impl From<OutOfBounds> for BadDelivery {
    fn from(error: OutOfBounds) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl Delivery {
    /// The job that it tells of.
    #[must_use]
    pub fn job(&self) -> Option<&Job> {
        match self {
            Self::Queued(job) | Self::Started { job, .. } | Self::Ended { job, .. } => Some(job),
            Self::Event { .. } | Self::Ignored(_) => None,
        }
    }
}

/// Foreign text in a reason.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(WORD_MAX_CHARS).collect()
}
