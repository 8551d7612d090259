//! What the planner sees: plain data, read at one moment.
//!
//! The ledger's live partition is read in the order counters, jobs, launches, runners. That order
//! matters: a job is taken off the list before its runner counts as busy, and a launch is replaced
//! by its runners in one transaction. Read in this order, a machine may be seen twice but never
//! missed, so a race can only delay a launch, not double it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stacks::images::OLD_DAYS;
use stacks::names::IMAGE_LAUNCH;
use stacks::pool::Pool;
use stacks::smoke_test::SMOKE_LAUNCH;

use super::image::{BootFailures, Image};
use super::job::JobKey;
use super::runner::Runner;

/// Everything that a decision rests on.
#[derive(Debug, Default, Clone)]
pub struct World {
    /// When it was read, in milliseconds since 1970.
    pub now_ms: u64,
    /// When the pools and limits were read, in milliseconds since 1970: another instance of the
    /// function may know newer ones.
    pub configured_ms: u64,
    /// Most runners of all pools together.
    pub max_runners: u32,
    /// Tags of every instance, beside the deployment's own.
    pub tags: BTreeMap<String, String>,
    /// The pools, in order of preference.
    pub pools: Vec<Pool>,
    /// Jobs that wait for a runner, oldest first.
    pub jobs: Vec<WaitingJob>,
    /// Jobs that the forge has told of since under another key: expected ones, and those whose repository was
    /// renamed.
    pub superseded: Vec<WaitingJob>,
    /// Launches without a recorded outcome.
    pub launches: Vec<Launch>,
    /// Runners that have not ended.
    pub runners: Vec<Runner>,
    /// Reserved runners, by counter.
    pub counters: BTreeMap<String, u32>,
    /// What the forge said of jobs that we asked about.
    pub forge_states: BTreeMap<JobKey, ForgeJobState>,
    /// What gets no machine, by somebody's word.
    pub pauses: Vec<Pause>,
    /// Pools whose runners the forge refuses to register, whichever machine asks.
    pub refusals: Vec<Refusal>,
    /// How many jobs of each pool were just taken off the list because the forge does not have them.
    pub denied: BTreeMap<String, usize>,
    /// The images that machines start from, of those that this deployment makes.
    pub images: Vec<Image>,
    /// How machines of new images came up, and did not.
    pub boot_failures: Vec<BootFailures>,
}

/// A job on the list of those that wait for a runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingJob {
    /// Its key.
    pub key: JobKey,
    /// The pool that serves it.
    pub pool: String,
    /// When it was recorded.
    pub recorded_ms: u64,
    /// When another pool took it over, if one did.
    #[serde(default)]
    pub reassigned_ms: u64,
    /// The launch that claimed it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<String>,
    /// How many launches have claimed it so far.
    #[serde(default)]
    pub launches: u32,
    /// Not to be claimed before this moment.
    #[serde(default)]
    pub not_before_ms: u64,
    /// Whether it gets a launch of its own: together with others it was more than the account's quota.
    #[serde(default)]
    pub alone: bool,
    /// Whether its owner was told that it is paused.
    #[serde(default)]
    pub told_paused: bool,
    /// What it has in common with the same job under another key, see `Job::alias`.
    #[serde(default)]
    pub alias: u64,
    /// The same where its commit is not told, see `Job::bare_alias`.
    #[serde(default)]
    pub bare_alias: u64,
}

/// Somebody's word that jobs are recorded and not launched for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Those of this pool only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Those of this repository only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Why, for the jobs' owners.
    #[serde(default)]
    pub reason: String,
}

impl Pause {
    /// Whether `job` is meant. Forges compare names without case.
    #[must_use]
    pub fn holds(&self, job: &WaitingJob) -> bool {
        let of_pool = self.pool.as_ref().is_none_or(|pool| *pool == job.pool);
        let of_repository = self
            .repository
            .as_ref()
            .is_none_or(|name| name.eq_ignore_ascii_case(&job.key.repository));
        of_pool && of_repository
    }
}

/// That the forge refuses to register the runners of a pool: no machine of it would get a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The pool.
    pub pool: String,
    /// Why, for operators and the jobs' owners.
    pub reason: String,
}

/// One `RunInstances` request in all its parts, written down before it is sent, so that it can be
/// sent again without a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Its id; with the number of the candidate it is the client token.
    pub id: String,
    /// The pool.
    pub pool: String,
    /// The jobs on whose behalf it is made.
    pub jobs: Vec<JobKey>,
    /// Instances asked for.
    pub count: u32,
    /// Where to ask, in order.
    pub candidates: Vec<Candidate>,
    /// The candidate being tried, an index into `candidates`.
    #[serde(rename = "candidate_at")]
    pub at: usize,
    /// Id of the launch template.
    pub template_id: String,
    /// Version of the launch template.
    pub template_version: String,
    /// Credit mode for T types, as EC2 spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<String>,
    /// The instances' own limit in minutes.
    pub max_lifetime_minutes: u32,
    /// Tags beside the deployment's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// When it was claimed.
    pub claimed_ms: u64,
    /// When who is at work on it last said so. Nobody else sends it until that is over, whoever has the
    /// drain's lease.
    pub sent_ms: u64,
    /// Why earlier candidates failed.
    #[serde(default)]
    pub tried: Vec<String>,
}

/// One place to ask for instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Instance type.
    pub instance_type: String,
    /// Subnet.
    pub subnet: String,
    /// Whether as Spot.
    pub spot: bool,
}

/// What the forge says of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForgeJobState {
    /// It still waits for a runner.
    Waiting,
    /// It does not: taken, ended or deleted.
    Gone,
    /// The forge could not tell.
    Unknown,
}

/// An instance as EC2 describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// EC2's id.
    pub id: String,
    /// The pool in its tag.
    pub pool: String,
    /// The launch in its tag, if it has one.
    pub launch: Option<String>,
    /// The AMI that it started from.
    pub image: Option<String>,
    /// The limit in its tag, in minutes, if it has one that can be read.
    pub max_lifetime_minutes: Option<u32>,
    /// When the sweep may end it, if it makes or tries an image and says so in its tag.
    pub expires_ms: Option<u64>,
    /// Whether it is past ending: shutting down or terminated.
    pub ended: bool,
    /// EC2's code for why it ended, if it has and EC2 says that.
    pub state_reason: Option<String>,
    /// When it was launched.
    pub launched_ms: u64,
}

impl Instance {
    /// Whether it makes or tries an image: it is no runner, and in no ledger.
    #[must_use]
    pub fn is_for_image(&self) -> bool {
        let launch = self.launch.as_deref();
        launch.is_some_and(|launch| launch.starts_with(IMAGE_LAUNCH))
    }
}

impl Launch {
    /// The candidate being tried.
    pub(crate) fn candidate(&self) -> Option<&Candidate> {
        self.candidates.get(self.at)
    }

    /// Whether its machine is for a smoke test, and for no job.
    pub(crate) fn is_smoke_test(&self) -> bool {
        self.id.starts_with(SMOKE_LAUNCH)
    }

    /// The client token of the candidate being tried. Each has its own: a token with other
    /// parameters is an error, and in another zone it would launch a second time.
    #[must_use]
    pub fn token(&self) -> String {
        format!("{}-{}", self.id, self.at)
    }
}

/// Name of the counter over all pools.
pub const COUNTER_ALL: &str = "all";

/// Name of the counter of one pool.
#[must_use]
pub fn counter_of(pool: &str) -> String {
    format!("pool#{pool}")
}

impl World {
    /// Runners reserved under the counter called `name`.
    #[must_use]
    pub fn reserved(&self, name: &str) -> u32 {
        self.counters.get(name).copied().unwrap_or_default()
    }

    /// The pool called `name`.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// That the forge registers no runner of the pool called `name`, if so.
    #[must_use]
    pub fn refusal(&self, name: &str) -> Option<&Refusal> {
        self.refusals.iter().find(|refusal| refusal.pool == name)
    }

    /// How long the job has waited that waits longest, in seconds. `None`: no job waits.
    #[must_use]
    pub fn oldest_waiting_s(&self) -> Option<u64> {
        let oldest_ms = self.jobs.iter().map(|job| job.recorded_ms).min()?;
        Some(self.now_ms.saturating_sub(oldest_ms) / 1000)
    }

    /// The oldest image and its age in days, if it has an age of which people should know.
    #[must_use]
    pub fn old_image(&self) -> Option<(&Image, u64)> {
        let images = self.images.iter();
        let oldest = images.min_by_key(|image| image.made_ms)?;
        let days = oldest.age_days(self.now_ms);
        (days >= OLD_DAYS).then_some((oldest, days))
    }
}
