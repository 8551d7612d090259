//! A job of the forge: its key, what we know of it, and the statuses that it passes through.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What names one attempt of a job for ever, whichever version of the forge tells of it, and in
/// whichever event ([`AttemptNumbers`]).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    /// `owner/name`.
    pub repository: String,
    /// The forge's id of the job.
    pub id: u64,
    /// How many attempts went before it.
    pub attempt: u64,
}

/// How a forge numbers the attempts of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptNumbers {
    /// Runners count them: 0 at the first `queued`, and one more from the moment on that a runner has
    /// it. A rerun keeps the id, and the number if no runner ever had the job (measured on Gitea 1.26).
    FromZero,
    /// The run counts them: 1 at the first `queued`, and the same in all that is told of that attempt.
    /// A rerun has another id (measured on Gitea 1.27). Forgejo's list counts from 1 too.
    FromOne,
}

impl AttemptNumbers {
    /// How many attempts went before the one that is told of as `told`.
    pub(crate) fn before(self, told: u64, has_runner: bool) -> u64 {
        let counts_itself = self == Self::FromOne || has_runner;
        // 0 from a server that counts from one is of a job that an older version made.
        told.saturating_sub(u64::from(counts_itself))
    }
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
    /// How we know of it.
    pub source: JobSource,
    /// How whoever told of it numbers attempts.
    pub numbers: AttemptNumbers,
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

/// How we know of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobSource {
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
    /// The key under which it was queued if the forge was updated since, from a version whose runners
    /// count: a rerun that waits keeps its number, which counts one attempt less now.
    pub(crate) fn key_before_update(&self) -> Option<JobKey> {
        let attempt = self.key.attempt.checked_add(1)?;
        (self.numbers == AttemptNumbers::FromOne).then(|| JobKey {
            attempt,
            ..self.key.clone()
        })
    }

    /// Hash of repository, commit and name: it matches an expected job to the one that the forge then
    /// tells of. Not unique, and nothing rests on its being so.
    #[must_use]
    pub fn alias(&self) -> u64 {
        digest([self.key.repository.as_str(), &self.head_sha, &self.name])
    }

    /// The [`Self::alias`] that it has where the forge tells of it without its commit, as the lists of
    /// Forgejo do.
    pub(crate) fn bare_alias(&self) -> u64 {
        digest([self.key.repository.as_str(), "", &self.name])
    }
}

/// A number that is the same for the same texts, whichever build computes it.
pub(crate) fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    let bytes = hash.finalize();
    u64::from_le_bytes(bytes[..8].try_into().expect("a digest has 32 bytes"))
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
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
pub enum JobEvent {
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
    /// The forge queued it again before any runner ever had it, hence under the key of before.
    Requeued,
    /// The forge took it back from its runner, and it waits again.
    TakenBack,
}

impl JobEvent {
    /// The statuses that it moves, and to which: the ledger's condition. In any other it is stale and
    /// changes nothing.
    ///
    /// Deliveries come late, twice and out of order, so each event only moves a job forward: what the
    /// forge reported as ended stays ended until it queues it again, and our own verdicts give way to
    /// the forge's.
    pub(crate) const fn moves(self) -> (&'static [JobStatus], JobStatus) {
        use JobStatus::{Cancelled, Completed, Failed, Launching, Pending, Running, Timeout};
        match self {
            Self::Claimed => (&[Pending], Launching),
            Self::Released => (&[Launching], Pending),
            Self::Started => (&[Pending, Launching, Failed], Running),
            Self::Ended { cancelled } => (
                &[Pending, Launching, Running, Failed],
                if cancelled { Cancelled } else { Completed },
            ),
            Self::OverLimit => (&[Running], Timeout),
            Self::GivenUp => (&[Pending, Launching], Failed),
            Self::MachineLost => (&[Running], Failed),
            Self::Requeued => (&[Completed, Failed, Cancelled], Pending),
            Self::TakenBack => (&[Running, Failed], Pending),
        }
    }
}

impl JobStatus {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_told_of_an_attempt_comes_to_one_number() {
        use AttemptNumbers::{FromOne, FromZero};
        for (numbers, queued, taken, before) in [
            (FromZero, 0, 1, 0),
            (FromZero, 1, 2, 1),
            (FromOne, 1, 1, 0),
            (FromOne, 2, 2, 1),
            // Queued by a version that counted from zero, and told of by one that counts from one.
            (FromOne, 0, 0, 0),
        ] {
            assert_eq!(
                numbers.before(queued, false),
                before,
                "{numbers:?} {queued}"
            );
            assert_eq!(numbers.before(taken, true), before, "{numbers:?} {taken}");
        }
    }
    #[test]
    fn what_the_forge_ended_stays_ended_until_the_forge_queues_it_again() {
        for event in [
            JobEvent::Claimed,
            JobEvent::Released,
            JobEvent::Started,
            JobEvent::Ended { cancelled: false },
            JobEvent::Ended { cancelled: true },
            JobEvent::OverLimit,
            JobEvent::GivenUp,
            JobEvent::MachineLost,
            JobEvent::TakenBack,
        ] {
            let (from, _) = event.moves();
            let ended = [JobStatus::Completed, JobStatus::Cancelled];
            assert!(!ended.iter().any(|ended| from.contains(ended)), "{event:?}");
        }
    }
}
