//! Jobs: on the list while they wait, in the history for ever after.

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::{Change, number, text};
use super::history::{
    INSTANCE_ID, Note, REFUSED_MS, StatusGuard, history_key, job_new, job_update,
};
use super::lease::{Ask, LEASE_MS, Recorded};
use super::status_updates::StatusKind;
use super::{Ledger, item, job_key, number_in, status_updates};
use stacks::pool::Pool;

use crate::aws::{Failure, WriteResult};
use crate::model::job::{ForgeRunner, Job, JobEvent, JobKey, JobSource, JobStatus};
use crate::model::world::WaitingJob;
use crate::plan::Claim;

/// What became of a job that the forge lists as waiting, and that our list has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhyListed {
    /// Nothing of ours serves it, which its owner was told.
    InVain,
    /// This, of which nobody told; and when we were told what it contradicts: that a runner has it, or that it
    /// has ended without one.
    Again(JobEvent, u64),
    /// Its row has just changed: the next look tells.
    Unsure,
}

impl Ledger {
    /// Records a job that waits for `pool` and puts it on the list, once. On a machine without containers
    /// its services are to be looked into.
    pub(crate) async fn record_waiting(
        &self,
        job: &Job,
        pool: &Pool,
        ask: Ask,
        now_ms: u64,
    ) -> Result<Recorded, Failure> {
        let name = pool.name.as_str();
        let row = job_new(job, JobStatus::Pending, "", now_ms).set("#pool", text(name));
        let mut changes = vec![row, listed(&waiting(job, name, now_ms))];
        // Of an expected job that is found out when the forge has told of it.
        if pool.runs_on_host(&job.labels) && job.source != JobSource::Expectation {
            let reason = format!(
                "it asks for services:, which are not started on the host labels of pool {name}: \
                 use a docker:// label, or give the job a container:"
            );
            changes.extend(status_updates::queued(
                job,
                StatusKind::NoServices,
                &reason,
                now_ms,
            ));
        }
        self.write_asking(changes, ask, now_ms).await
    }

    /// Whether a job is known, has ended here and never had a runner: what a rerun finds whose job
    /// was cancelled, skipped or refused before, since only a runner makes the forge count attempts.
    pub(crate) async fn ended_unserved(&self, key: &JobKey) -> Result<bool, Failure> {
        let row = self.item(history_key(key)).await?.unwrap_or_default();
        let status = row.get("job_status").and_then(|word| word.as_s().ok());
        let (ended, _) = JobEvent::Requeued.moves();
        let ended = ended
            .iter()
            .any(|one| status.is_some_and(|word| word == one.word()));
        Ok(ended && !row.contains_key(INSTANCE_ID))
    }

    /// What must have become of a job that the forge lists as waiting and that is off our list.
    pub(crate) async fn why_listed(&self, key: &JobKey) -> Result<WhyListed, Failure> {
        let row = self.item(history_key(key)).await?.unwrap_or_default();
        let word = row.get("job_status").and_then(|word| word.as_s().ok());
        let is_any =
            |of: &[JobStatus]| word.is_some_and(|it| of.iter().any(|one| it == one.word()));
        let (has_started, _) = JobEvent::TakenBack.moves();
        Ok(match row.contains_key(INSTANCE_ID) {
            true if is_any(has_started) => {
                WhyListed::Again(JobEvent::TakenBack, number_in(&row, "started_ms"))
            }
            false if is_any(&[JobStatus::Completed, JobStatus::Cancelled]) => {
                WhyListed::Again(JobEvent::Requeued, number_in(&row, "ended_ms"))
            }
            false if is_any(&[JobStatus::Failed]) => WhyListed::InVain,
            true | false => WhyListed::Unsure,
        })
    }

    /// Puts a job back on the list that ended without a runner, or that the forge took back from one.
    pub(crate) async fn record_again(
        &self,
        job: &Job,
        pool: &str,
        event: JobEvent,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let waiting = WaitingJob {
            // In the past, and not zero: the launch's id and token must differ from those of before.
            not_before_ms: now_ms.saturating_sub(LEASE_MS),
            ..waiting(job, pool, now_ms)
        };
        let note = Note::of("the forge queued it again");
        self.write_served(job, "a pool serves it now", now_ms, |guard| {
            let row = job_update(&job.key, Some(job), event, &note, guard, now_ms);
            vec![row, listed(&waiting)]
        })
        .await
    }

    /// Records a job that nothing of ours will serve, and queues an error status.
    pub(crate) async fn record_refused(
        &self,
        job: &Job,
        reason: &str,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let status = status_updates::queued(job, StatusKind::NotServed, reason, now_ms);
        let mut row = job_new(job, JobStatus::Failed, reason, now_ms);
        if status.is_some() {
            row = row.set(REFUSED_MS, number(now_ms));
        }
        let mut changes = vec![row];
        changes.extend(status);
        self.write_all(changes).await
    }

    /// Fails a job that nothing of ours will serve after all, queues an error status, and takes it off the
    /// list, unless it changed since it was read.
    pub(crate) async fn give_up(
        &self,
        claim: &Claim,
        job: &Job,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let note = Note::of(reason);
        let status = status_updates::queued(job, StatusKind::NotServed, reason, now_ms);
        let guard = if status.is_some() {
            StatusGuard::Set
        } else {
            StatusGuard::Any
        };
        let row = job_update(&job.key, None, JobEvent::GivenUp, &note, guard, now_ms);
        let told = [row].into_iter().chain(status);
        self.take_off(claim, told.collect()).await
    }

    /// Gives a job on the list to another pool, if it is as it was seen.
    pub(crate) async fn reassign_pool(
        &self,
        claim: &Claim,
        pool: &str,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let entry = Change::update(job_key(&claim.job))
            .set("#pool", text(pool))
            .set("reassigned_ms", number(now_ms))
            .remove("launch")
            .only_as_seen(claim);
        let row = Change::update(history_key(&claim.job))
            .set("#pool", text(pool))
            .only_if_there();
        self.write_all(vec![entry, row]).await
    }

    /// Moves a job's history by `event` and, in the same transaction, takes it off the list when it
    /// no longer waits. Deliveries come in any order: a job that was never recorded gets its row
    /// here, so that a late `queued` finds it and launches nothing.
    pub(crate) async fn move_job(
        &self,
        key: &JobKey,
        job: Option<&Job>,
        event: JobEvent,
        note: &Note<'_>,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let still_waits = matches!(
            event,
            JobEvent::Claimed | JobEvent::Released | JobEvent::Requeued | JobEvent::TakenBack
        );
        let changes = |guard| {
            let mut changes = vec![job_update(key, job, event, note, guard, now_ms)];
            if !still_waits {
                changes.push(unlisted(key));
            }
            changes
        };
        match (job, note.instance) {
            (Some(job), Some(runner)) => {
                let reason = format!("a runner has it: {runner}");
                self.write_served(job, &reason, now_ms, changes).await
            }
            (None, _) | (_, None) => self.write_all(changes(StatusGuard::Any)).await,
        }
    }

    /// Notes that `runner` has a job. The job goes off the list first and its machine counts as busy
    /// second: see [`crate::model::world`] for why this order never launches twice.
    pub(crate) async fn start_job(
        &self,
        job: &Job,
        runner: &ForgeRunner,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let name = runner.name.as_str();
        let reason = format!("a runner has it: {name}");
        let note = Note {
            instance: Some(name),
            ..Note::of(&reason)
        };
        let (key, moved) = self
            .move_told(job, JobEvent::Started, &note, now_ms)
            .await?;
        let _result = self.runner_has_job(runner, &key, now_ms).await?;
        Ok(moved)
    }

    /// Notes how a job ended.
    pub(crate) async fn end_job(
        &self,
        job: &Job,
        cancelled: bool,
        note: &Note<'_>,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let event = JobEvent::Ended { cancelled };
        let (_, moved) = self.move_told(job, event, note, now_ms).await?;
        Ok(moved)
    }

    /// Moves a job that the forge tells of, and says under which key: what moves nothing may be told of
    /// one that waits since before the forge was updated.
    async fn move_told(
        &self,
        job: &Job,
        event: JobEvent,
        note: &Note<'_>,
        now_ms: u64,
    ) -> Result<(JobKey, WriteResult), Failure> {
        let moved = self
            .move_job(&job.key, Some(job), event, note, now_ms)
            .await?;
        if moved == WriteResult::Refused
            && let Some(before) = job.key_before_update()
            && self.move_job(&before, None, event, note, now_ms).await? == WriteResult::Written
        {
            return Ok((before, WriteResult::Written));
        }
        Ok((job.key.clone(), moved))
    }

    /// Writes `changes` of a job that is served. If its commit was marked as not served, that mark is
    /// taken back with them: it must not stay for a job that ran. The usual case has none and costs no
    /// more than without.
    async fn write_served(
        &self,
        job: &Job,
        reason: &str,
        now_ms: u64,
        changes: impl Fn(StatusGuard) -> Vec<Change>,
    ) -> Result<WriteResult, Failure> {
        let Some(status) = status_updates::queued(job, StatusKind::Served, reason, now_ms) else {
            return self.write_all(changes(StatusGuard::Any)).await;
        };
        let written = self.write_all(changes(StatusGuard::None)).await?;
        if written == WriteResult::Written {
            return Ok(written);
        }
        let mut changes = changes(StatusGuard::TakenBack);
        changes.push(status);
        self.write_all(changes).await
    }

    /// Puts a job back on the list after its launch came to nothing.
    pub(crate) async fn release_job(
        &self,
        key: &JobKey,
        launch: &str,
        not_before_ms: u64,
    ) -> Result<WriteResult, Failure> {
        self.write(released(key, launch, not_before_ms)).await
    }

    /// Puts a job back on the list that gets a launch of its own, since together with others it was
    /// more than the account's quota.
    pub(crate) async fn release_alone(
        &self,
        key: &JobKey,
        launch: &str,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let released = released(key, launch, now_ms);
        self.write(released.set("alone", AttributeValue::Bool(true)))
            .await
    }

    /// Takes a job off the list that waits no longer, if it is as it was seen: it may have been queued
    /// again meanwhile.
    pub(crate) async fn drop_job(
        &self,
        claim: &Claim,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let (event, note) = (JobEvent::GivenUp, Note::of(reason));
        let told = job_update(&claim.job, None, event, &note, StatusGuard::Any, now_ms);
        self.take_off(claim, vec![told]).await
    }

    /// Takes a job off the list as it was seen, and leaves its history alone.
    pub(crate) async fn forget_job(&self, claim: &Claim) -> Result<(), Failure> {
        let off = unlisted(&claim.job).only_as_seen(claim);
        self.write(off).await.map(drop)
    }

    /// Takes a job off the list as it was seen and writes with it what is `told`, unless its history tells
    /// of something later.
    async fn take_off(&self, claim: &Claim, told: Vec<Change>) -> Result<(), Failure> {
        let mut changes = told;
        changes.push(unlisted(&claim.job).only_as_seen(claim));
        match self.write_all(changes).await? {
            WriteResult::Written => Ok(()),
            WriteResult::Refused => self.forget_job(claim).await,
        }
    }

    /// Takes a job off the list that was only expected; its history may have ended before.
    pub(crate) async fn drop_expected(
        &self,
        key: &JobKey,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let event = JobEvent::Ended { cancelled: false };
        let note = Note::of(reason);
        match self.move_job(key, None, event, &note, now_ms).await? {
            WriteResult::Written => Ok(()),
            WriteResult::Refused => self.write(unlisted(key)).await.map(drop),
        }
    }
}

/// A job's entry on the list, before any launch.
fn waiting(job: &Job, pool: &str, now_ms: u64) -> WaitingJob {
    WaitingJob {
        key: job.key.clone(),
        pool: pool.to_owned(),
        recorded_ms: now_ms,
        reassigned_ms: 0,
        launch: None,
        launches: 0,
        not_before_ms: 0,
        alone: false,
        told_paused: false,
        alias: job.alias(),
        bare_alias: job.bare_alias(),
    }
}

/// Puts a job on the list.
fn listed(job: &WaitingJob) -> Change {
    Change::put(item(job_key(&job.key), job))
}

/// Frees a job of its launch, which does not count.
fn released(key: &JobKey, launch: &str, not_before_ms: u64) -> Change {
    Change::update(job_key(key))
        .set("not_before_ms", number(not_before_ms))
        .assign("launches = launches - :one".to_owned())
        .value(":one", number(1))
        .remove("launch")
        .only_from("launch", text(launch))
}

/// Takes a job off the list.
fn unlisted(key: &JobKey) -> Change {
    Change::delete(job_key(key))
}
