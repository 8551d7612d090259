//! Words that we owe to the owners of jobs, until the forge has taken them.
//!
//! They tell of the machine, not of the job: that none of ours serves it, or, if that was said, that
//! a runner has it after all, or that it lacks what the job asks for. What a job comes to is the
//! forge's own word.

use serde::{Deserialize, Serialize};

use super::{live_item, live_key, number};
use crate::job::{Job, JobKey};
use crate::shell::{Change, Failure, Item, Outcome, Shell};

/// How long the forge is offered a word, in milliseconds: after a day nobody waits for it, and the
/// forge itself has given the job up.
const NOTICE_KEEP_MS: u64 = 24 * 3600 * 1000;
/// Shortest time between two offers of a word, in milliseconds: a tick, and far longer than a call
/// to the forge may take.
const NOTICE_AGAIN_MS: u64 = 60_000;

/// A word for the owner of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The job.
    pub job: JobKey,
    /// Its name.
    pub name: String,
    /// The commit that it builds.
    pub head_sha: String,
    /// Where people look at it.
    pub html_url: String,
    /// The run that it belongs to.
    #[serde(default)]
    pub run_id: u64,
    /// What is said.
    pub says: Says,
    /// The word.
    pub reason: String,
    /// Since when we owe it.
    pub since_ms: u64,
    /// Not to be offered before.
    pub not_before_ms: u64,
}

/// What a word says of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// Nothing of ours serves it.
    Unserved,
    /// A runner has it after all.
    Served,
    /// Its services are not started, if it asks for any: only its workflow tells, so that is read
    /// before this is said.
    NoServices,
}

impl Shell {
    /// Strikes off a word that was said, or that is too old to be said.
    pub async fn clear_notice(&self, notice: &Notice) -> Result<(), Failure> {
        let _outcome = self
            .write(Change::Delete {
                key: key_of(&notice.job),
                condition: "since_ms = :since".to_owned(),
                values: Item::from([(":since".to_owned(), number(notice.since_ms))]),
            })
            .await?;
        Ok(())
    }

    /// Takes a word on oneself for as long as it takes to say it: of several drains one says it.
    pub async fn claim_notice(&self, notice: &Notice, now_ms: u64) -> Result<Outcome, Failure> {
        self.hold_notice(notice, now_ms + NOTICE_AGAIN_MS).await
    }

    /// Leaves a word that was taken at `now_ms` to the next drain.
    pub async fn unclaim_notice(&self, notice: &Notice, now_ms: u64) -> Result<(), Failure> {
        let _outcome = self.hold_notice(&claimed(notice, now_ms), now_ms).await?;
        Ok(())
    }

    /// Keeps a word that the forge refused for later: each time as long again as we have owed it.
    pub async fn postpone_notice(&self, notice: &Notice, now_ms: u64) -> Result<(), Failure> {
        let owed_ms = now_ms.saturating_sub(notice.since_ms);
        let until_ms = now_ms + owed_ms.max(NOTICE_AGAIN_MS);
        let _outcome = self.hold_notice(&claimed(notice, now_ms), until_ms).await?;
        Ok(())
    }

    async fn hold_notice(&self, notice: &Notice, until_ms: u64) -> Result<Outcome, Failure> {
        self.write(Change::Update {
            key: key_of(&notice.job),
            update: "SET not_before_ms = :until".to_owned(),
            condition: "since_ms = :since AND not_before_ms = :seen".to_owned(),
            values: Item::from([
                (":until".to_owned(), number(until_ms)),
                (":since".to_owned(), number(notice.since_ms)),
                (":seen".to_owned(), number(notice.not_before_ms)),
            ]),
        })
        .await
    }
}

impl Notice {
    /// Whether nobody waits for it any more.
    #[must_use]
    pub fn is_stale(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.since_ms) > NOTICE_KEEP_MS
    }
}

/// The change that owes a word about `job`; the last one counts. `None` for a job without a commit.
pub(super) fn owed(job: &Job, says: Says, reason: &str, now_ms: u64) -> Option<Change> {
    let is_commit = matches!(job.head_sha.len(), 40 | 64)
        && job.head_sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| {
        let notice = Notice {
            job: job.key.clone(),
            name: job.name.clone(),
            head_sha: job.head_sha.clone(),
            html_url: job.html_url.clone(),
            run_id: job.run_id,
            says,
            reason: reason.to_owned(),
            since_ms: now_ms,
            not_before_ms: 0,
        };
        Change::Put(live_item(&key_of(&job.key).1, &notice))
    })
}

/// A word as it is when it was taken at `now_ms`.
fn claimed(notice: &Notice, now_ms: u64) -> Notice {
    Notice {
        not_before_ms: now_ms + NOTICE_AGAIN_MS,
        ..notice.clone()
    }
}

fn key_of(job: &JobKey) -> (String, String) {
    live_key(&format!("notice#{job}"))
}
