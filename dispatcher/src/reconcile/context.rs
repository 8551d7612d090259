//! The clients, the deadline and the clock of one invocation.

use std::time::Duration;

use tokio::time::Instant;

use super::known_jobs::KnownJobs;
use super::rate_limit::RateLimit;
use crate::aws::{Aws, Failure};
use crate::config::Config;
use crate::forge::ForgeError;
use crate::ledger::Ledger;
use crate::model::job::JobKey;
use crate::model::world::ForgeJobState;

/// Nothing is begun with less than this left of its invocation, in seconds.
const RESERVE_S: u64 = 5;

/// What a drain was woken by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// A machine ended, and its job with it: others may have waited for that one.
    ByAnEnd,
    /// Anything else.
    Otherwise,
}

/// What one invocation works with.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// AWS.
    pub aws: &'a Aws,
    /// What is written down.
    pub ledger: &'a Ledger,
    /// What the stacks and the operators say, and the forge.
    pub config: &'a Config,
    /// How fast launches go out.
    pub rate_limit: &'a RateLimit,
    /// Jobs that need no writing down any more.
    pub known_jobs: &'a KnownJobs,
    /// When this invocation must be done.
    pub deadline: Instant,
    /// The clock, in milliseconds since 1970.
    pub now_ms: fn() -> u64,
}

impl Context<'_> {
    /// Whether so little time is left that nothing more is to be begun.
    pub(crate) fn out_of_time(&self) -> bool {
        self.out_of_time_in(Duration::ZERO)
    }

    /// Whether that will be so after a `wait`.
    pub(crate) fn out_of_time_in(&self, wait: Duration) -> bool {
        Instant::now() + wait + Duration::from_secs(RESERVE_S) >= self.deadline
    }

    /// The time, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        (self.now_ms)()
    }
}

/// What an action came to, as far as the loop cares.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// The world has changed, or may have: look again.
    Changed,
    /// A launch came to nothing, and why: look again.
    GivenBack(String),
    /// The forge said this of jobs: look again with it.
    Verified(Vec<(JobKey, ForgeJobState)>),
    /// Nothing more to do about it in this drain.
    Waits,
}

/// Why something that needs ledger and forge could not be done now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Ledger(#[from] Failure),
}
