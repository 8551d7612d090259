//! What somebody has paused. A pause holds until it is taken back.

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::{Change, Key, number, text};
use super::history::{REFUSED_MS, history_key};
use super::status_updates::StatusKind;
use super::{Ledger, item, job_key, live_key, status_updates};
use crate::aws::{Failure, WriteResult};
use crate::model::job::Job;
use crate::model::world::Pause;
use crate::plan::Claim;

impl Ledger {
    /// Pauses what `pause` names, or gives it another reason.
    pub(crate) async fn pause(&self, pause: &Pause) -> Result<(), Failure> {
        let row = Change::put(item(key_of(pause), pause));
        self.write(row).await.map(drop)
    }

    /// Ends the pause of what `pause` names; refused if there is none.
    pub(crate) async fn resume(&self, pause: &Pause) -> Result<WriteResult, Failure> {
        let gone = Change::delete(key_of(pause)).only_if_there();
        self.write(gone).await
    }

    /// Notes that the owner of a paused job is told, and queues the commit status that tells it. It is taken
    /// back when a runner has the job.
    pub(crate) async fn tell_paused(
        &self,
        claim: &Claim,
        job: Option<&Job>,
        reason: &str,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let entry = Change::update(job_key(&claim.job))
            .set("told_paused", AttributeValue::Bool(true))
            .only_as_seen(claim);
        let mut changes = vec![entry];
        if let Some(job) = job {
            let mut row = Change::update(history_key(&claim.job))
                .set("reason", text(reason))
                .only_if_there();
            let status = status_updates::queued(job, StatusKind::Paused, reason, now_ms);
            if status.is_some() {
                row = row.set(REFUSED_MS, number(now_ms));
            }
            changes.push(row);
            changes.extend(status);
        }
        self.write_all(changes).await.map(drop)
    }
}

fn key_of(pause: &Pause) -> Key {
    let repository = pause.repository.as_deref().map(str::to_lowercase);
    live_key(match (&pause.pool, repository) {
        (None, None) => "pause#all".to_owned(),
        (Some(pool), None) => format!("pause#pool/{pool}"),
        (None, Some(repository)) => format!("pause#repository/{repository}"),
        (Some(pool), Some(repository)) => format!("pause#pool/{pool}/{repository}"),
    })
}
