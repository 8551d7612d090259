//! Outbox of commit statuses that the forge has not accepted yet.
//!
//! They tell of the machine, not of the job: that none of ours serves it, or, if that was said, that
//! a runner has it after all, or that it lacks what the job asks for. Whether the job succeeds, the
//! forge says itself.

use serde::{Deserialize, Serialize};

use super::change::{Change, Key, number};
use super::{Ledger, item, live_key};
use crate::aws::{Failure, WriteResult};
use crate::forge::is_object;
use crate::model::job::{Job, JobKey};

/// How long a status is tried to be set, in milliseconds: after a day nobody waits for it, and the forge
/// itself has given the job up.
const KEEP_MS: u64 = 24 * 3600 * 1000;
/// Shortest time between two tries, in milliseconds: a tick, and far longer than a call to the forge
/// may take.
const AGAIN_MS: u64 = 60_000;

/// A commit status to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusUpdate {
    pub(crate) job: JobKey,
    pub(crate) name: String,
    pub(crate) head_sha: String,
    pub(crate) html_url: String,
    #[serde(default)]
    pub(crate) run_id: u64,
    pub(crate) kind: StatusKind,
    pub(crate) reason: String,
    pub(crate) since_ms: u64,
    pub(crate) not_before_ms: u64,
}

/// What a status says of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StatusKind {
    /// Nothing of ours serves it.
    NotServed,
    /// A runner has it after all.
    Served,
    /// It is paused.
    Paused,
    /// Its services are not started, if it asks for any: only its workflow tells, so that is read
    /// before this is said.
    NoServices,
}

impl Ledger {
    /// Takes a status off the list that is set, or given up.
    pub(crate) async fn clear_status_update(&self, update: &StatusUpdate) -> Result<(), Failure> {
        let cleared =
            Change::delete(key_of(&update.job)).only_from("since_ms", number(update.since_ms));
        self.write(cleared).await.map(drop)
    }

    /// Claims a status for as long as a call takes: of several drains one sets it.
    pub(crate) async fn claim_status_update(
        &self,
        update: &StatusUpdate,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let until_ms = now_ms + AGAIN_MS;
        self.hold_update(update, update.not_before_ms, until_ms)
            .await
    }

    /// Leaves a status that was claimed at `now_ms` to the next drain, behind the others.
    pub(crate) async fn unclaim_status_update(
        &self,
        update: &StatusUpdate,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let held = self.hold_update(update, now_ms + AGAIN_MS, now_ms);
        held.await.map(drop)
    }

    /// Keeps a status that the forge refused for later: each time as long again as it was tried for.
    pub(crate) async fn postpone_status_update(
        &self,
        update: &StatusUpdate,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let tried_ms = now_ms.saturating_sub(update.since_ms);
        let until_ms = now_ms + tried_ms.max(AGAIN_MS);
        let held = self.hold_update(update, now_ms + AGAIN_MS, until_ms);
        held.await.map(drop)
    }

    async fn hold_update(
        &self,
        update: &StatusUpdate,
        from_ms: u64,
        until_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let held = Change::update(key_of(&update.job))
            .set("not_before_ms", number(until_ms))
            .only_from("since_ms", number(update.since_ms))
            .only_from("not_before_ms", number(from_ms));
        self.write(held).await
    }
}

impl StatusUpdate {
    /// Whether nobody waits for it any more.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.since_ms) > KEEP_MS
    }
}

/// The change that puts a status of `job` on the list; the last one counts. `None` for a job without a
/// commit.
pub(super) fn queued(job: &Job, kind: StatusKind, reason: &str, now_ms: u64) -> Option<Change> {
    is_object(&job.head_sha).then(|| {
        let update = StatusUpdate {
            job: job.key.clone(),
            name: job.name.clone(),
            head_sha: job.head_sha.clone(),
            html_url: job.html_url.clone(),
            run_id: job.run_id,
            kind,
            reason: reason.to_owned(),
            since_ms: now_ms,
            not_before_ms: 0,
        };
        Change::put(item(key_of(&job.key), &update))
    })
}

fn key_of(job: &JobKey) -> Key {
    live_key(format!("status-update#{job}"))
}
