//! A job of the forge: its key, what we know of it, and the statuses that it passes through.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What names a job for ever: reruns keep the id and raise the attempt.
///
/// Gitea counts attempts from 0 in `queued`; from the moment a runner has the job, events of the
/// same attempt say one more (measured on 1.26). [`JobKey`] holds what `queued` said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    /// `owner/name`.
    pub repository: String,
    /// The forge's id of the job.
    pub id: u64,
    /// The attempt, as the job's `queued` event counted it.
    pub attempt: u64,
}

/// Ids from here on are ours: of jobs that an event is expected to have started, which the forge has
/// not told of yet. No forge counts that far, and every JSON reader holds what is above it.
const EXPECTED_FROM: u64 = 1 << 52;

impl JobKey {
    /// The key of a job that is expected, from a digest that is its own.
    #[must_use]
    pub fn expected(repository: &str, digest: u64) -> Self {
        Self {
            repository: repository.to_owned(),
            id: EXPECTED_FROM | (digest & (EXPECTED_FROM - 1)),
            attempt: 0,
        }
    }

    /// Whether the job is only expected: the forge knows it under another id.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.id >= EXPECTED_FROM
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#{}", self.repository, self.id, self.attempt)
    }
}

/// A job as a delivery describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its key.
    pub key: JobKey,
    /// The run it belongs to.
    pub run_id: u64,
    /// Its name, with the matrix values in brackets.
    pub name: String,
    /// What it asks for, exactly as received.
    pub labels: Vec<String>,
    /// The commit that it builds.
    pub head_sha: String,
    /// Where people look at it.
    pub html_url: String,
    /// When the forge made it, in milliseconds since 1970, if it says so; reruns keep it.
    pub created_ms: Option<u64>,
    /// Who told of it.
    pub told_by: ToldBy,
}

/// A runner as the forge names it when it speaks of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeRunner {
    /// The forge's id of the registration. It alone says whose runner it is: a name is whatever the
    /// one who registered it has chosen.
    pub id: Option<u64>,
    /// Its name; of ours it is the instance's id.
    pub name: String,
}

/// Who told of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldBy {
    /// A delivery of its own.
    Delivery,
    /// The forge, when we asked what waits there.
    List,
    /// An event and the workflow files: the forge itself has not told of it yet.
    Expectation,
    /// The ledger.
    Ledger,
}

impl Job {
    /// What an expected job and the one that the forge then tells of have in common: jobs of one
    /// commit that have one name. Two may share it; nothing rests on its being unique.
    #[must_use]
    pub fn alias(&self) -> u64 {
        digest([self.key.repository.as_str(), &self.head_sha, &self.name])
    }

    /// The [`Self::alias`] that it has where the forge tells of it without its commit, as the lists of
    /// Forgejo do.
    #[must_use]
    pub fn bare_alias(&self) -> u64 {
        digest([self.key.repository.as_str(), "", &self.name])
    }
}

/// A number that is the same for the same texts, whichever build computes it.
#[must_use]
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    let bytes = hash.finalize();
    u64::from_le_bytes(bytes[..8].try_into().expect("a digest has 32 bytes"))
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Waits for a machine.
    Pending,
    /// A machine was asked for on its behalf.
    Launching,
    /// A runner has it.
    Running,
    /// The forge reported its end.
    Completed,
    /// Its machine was ended because it was over its limit.
    Timeout,
    /// We could not serve it, or lost its machine; the reason says why.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

/// What moves a job from one status to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A launch claimed it.
    Claimed,
    /// Its launch came to nothing; it waits again.
    Released,
    /// The forge gave it to a runner.
    Started,
    /// The forge reported its end.
    Ended {
        /// Whether that end was a cancellation.
        cancelled: bool,
    },
    /// Its machine was ended because it was over its limit.
    OverLimit,
    /// We give up on it.
    GivenUp,
    /// Its machine went away under it.
    MachineLost,
    /// The forge queued it again before any runner ever had it, hence with the attempt of before.
    Requeued,
}

impl Fact {
    /// Every fact, for tables.
    pub const ALL: [Self; 9] = [
        Self::Claimed,
        Self::Released,
        Self::Started,
        Self::Ended { cancelled: false },
        Self::Ended { cancelled: true },
        Self::OverLimit,
        Self::GivenUp,
        Self::MachineLost,
        Self::Requeued,
    ];
}

impl Status {
    /// Every status, for tables.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Launching,
        Self::Running,
        Self::Completed,
        Self::Timeout,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word in the ledger.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Launching => "launching",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status after `fact`, or `None` where the fact is stale and changes nothing.
    ///
    /// Deliveries come late, twice and out of order, so each fact only moves a job forward: what
    /// the forge reported as ended stays ended, and our own verdicts give way to the forge's.
    #[must_use]
    pub const fn after(self, fact: Fact) -> Option<Self> {
        match (self, fact) {
            (Self::Pending, Fact::Claimed) => Some(Self::Launching),
            (Self::Launching, Fact::Released) => Some(Self::Pending),
            (Self::Pending | Self::Launching | Self::Failed, Fact::Started) => Some(Self::Running),
            (
                Self::Pending | Self::Launching | Self::Running | Self::Failed,
                Fact::Ended { cancelled },
            ) => Some(if cancelled {
                Self::Cancelled
            } else {
                Self::Completed
            }),
            (Self::Running, Fact::OverLimit) => Some(Self::Timeout),
            (Self::Pending | Self::Launching, Fact::GivenUp)
            | (Self::Running, Fact::MachineLost) => Some(Self::Failed),
            (Self::Completed | Self::Failed | Self::Cancelled, Fact::Requeued) => {
                Some(Self::Pending)
            }
            (
                Self::Pending
                | Self::Launching
                | Self::Running
                | Self::Completed
                | Self::Timeout
                | Self::Failed
                | Self::Cancelled,
                Fact::Claimed
                | Fact::Released
                | Fact::Started
                | Fact::Ended { .. }
                | Fact::OverLimit
                | Fact::GivenUp
                | Fact::MachineLost
                | Fact::Requeued,
            ) => None,
        }
    }

    /// The statuses that `fact` moves, each with where it leads: the ledger's condition.
    pub fn moved_by(fact: Fact) -> impl Iterator<Item = (Self, Self)> {
        Self::ALL
            .into_iter()
            .filter_map(move |from| from.after(fact).map(|to| (from, to)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_moves_some_status_and_to_one_status_only() {
        for fact in Fact::ALL {
            let targets: Vec<_> = Status::moved_by(fact).map(|(_, to)| to.word()).collect();
            assert!(!targets.is_empty(), "{fact:?} moves nothing");
            assert!(
                targets.iter().all(|to| *to == targets[0]),
                "{fact:?} leads to {targets:?}: the ledger writes one status per fact"
            );
        }
    }

    #[test]
    fn what_the_forge_ended_stays_ended_until_the_forge_queues_it_again() {
        for fact in Fact::ALL {
            if fact == Fact::Requeued {
                continue;
            }
            assert_eq!(Status::Completed.after(fact), None);
            assert_eq!(Status::Cancelled.after(fact), None);
        }
    }

    #[test]
    fn a_job_that_we_gave_up_on_can_still_be_served_by_another_runner() {
        assert_eq!(Status::Failed.after(Fact::Started), Some(Status::Running));
    }
}
