//! Jobs: on the list while they wait, in the history for ever after.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use super::lease::LEASE_MS;
use super::{HISTORY_S, Row, item, job_sk, live_item, live_key, number, text};
use crate::job::{Fact, Job, JobKey, Status};
use crate::plan::Claim;
use crate::shell::{Change, Failure, Item, Outcome, Shell};
use crate::world::WaitingJob;

/// Attribute of a job's history: the runner that has or had it.
const INSTANCE_ID: &str = "instance_id";

/// Why a job's row moves.
#[derive(Debug, Clone, Default)]
pub struct Note<'a> {
    /// For people.
    pub reason: &'a str,
    /// The launch that claimed it.
    pub launch: Option<&'a str>,
    /// The runner that has it.
    pub instance: Option<&'a str>,
    /// The forge's conclusion.
    pub conclusion: Option<&'a str>,
}

#[derive(Serialize)]
struct JobRow<'a> {
    repository: &'a str,
    job_id: u64,
    attempt: u64,
    run_id: u64,
    #[serde(rename = "job_name")]
    name: &'a str,
    labels: &'a [String],
    head_sha: &'a str,
    html_url: &'a str,
    #[serde(rename = "job_status")]
    status: Status,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<&'a str>,
    recorded_ms: u64,
}

impl Shell {
    /// Records a job that waits and puts it on the list, once: [`Outcome::Refused`] says that it
    /// was recorded before.
    pub async fn record_waiting(
        &self,
        job: &Job,
        pool: &str,
        now_ms: u64,
    ) -> Result<Outcome, Failure> {
        let waiting = waiting(job, pool, now_ms);
        self.write_all(vec![
            Change::PutNew(job_item(job, Status::Pending, "", Some(pool), now_ms)),
            Change::Put(live_item(&job_sk(&job.key), &waiting)),
        ])
        .await
    }

    /// Whether a job is known, has ended here and never had a runner: what a rerun finds whose job
    /// was cancelled, skipped or refused before, since only a runner makes the forge count attempts.
    pub async fn ended_unserved(&self, key: &JobKey) -> Result<bool, Failure> {
        let (pk, sk) = history_key(key);
        let row = self.item(&pk, &sk).await?.unwrap_or_default();
        let status = row.get("job_status").and_then(|word| word.as_s().ok());
        let ended = Status::moved_by(Fact::Requeued)
            .any(|(from, _)| status.is_some_and(|word| word == from.word()));
        Ok(ended && !row.contains_key(INSTANCE_ID))
    }

    /// Puts a job that ended without a runner back on the list, once.
    pub async fn record_again(
        &self,
        job: &Job,
        pool: &str,
        now_ms: u64,
    ) -> Result<Outcome, Failure> {
        let waiting = WaitingJob {
            // Over already, and not zero: the launch's id and token must differ from those of before.
            not_before_ms: now_ms.saturating_sub(LEASE_MS),
            ..waiting(job, pool, now_ms)
        };
        let note = Note {
            reason: "the forge queued it again",
            ..Note::default()
        };
        self.write_all(vec![
            job_update(&job.key, Some(job), Fact::Requeued, &note, now_ms),
            Change::Put(live_item(&job_sk(&job.key), &waiting)),
        ])
        .await
    }

    /// Records a job that nothing of ours will serve.
    pub async fn record_refused(
        &self,
        job: &Job,
        reason: &str,
        now_ms: u64,
    ) -> Result<Outcome, Failure> {
        self.write(Change::PutNew(job_item(
            job,
            Status::Failed,
            reason,
            None,
            now_ms,
        )))
        .await
    }

    /// Moves a job's history by `fact` and, in the same transaction, takes it off the list when it
    /// no longer waits. Deliveries come in any order: a job that was never recorded gets its row
    /// here, so that a late `queued` finds it and launches nothing.
    pub async fn move_job(
        &self,
        key: &JobKey,
        job: Option<&Job>,
        fact: Fact,
        note: &Note<'_>,
        now_ms: u64,
    ) -> Result<Outcome, Failure> {
        let mut changes = vec![job_update(key, job, fact, note, now_ms)];
        let still_waits = matches!(fact, Fact::Claimed | Fact::Released | Fact::Requeued);
        if !still_waits {
            changes.push(Change::Delete {
                key: live_key(&job_sk(key)),
                condition: String::new(),
                values: Item::new(),
            });
        }
        self.write_all(changes).await
    }

    /// Puts a job back on the list after its launch came to nothing.
    pub async fn release_job(
        &self,
        key: &JobKey,
        launch: &str,
        not_before_ms: u64,
    ) -> Result<Outcome, Failure> {
        self.write(Change::Update {
            key: live_key(&job_sk(key)),
            update: "SET not_before_ms = :then, launches = launches - :one REMOVE launch"
                .to_owned(),
            condition: "launch = :launch".to_owned(),
            values: Item::from([
                (":then".to_owned(), number(not_before_ms)),
                (":one".to_owned(), number(1)),
                (":launch".to_owned(), text(launch)),
            ]),
        })
        .await
    }

    /// Takes a job off the list without a word in its history, if it is as it was seen: it may have
    /// been queued again meanwhile.
    pub async fn forget_job(&self, claim: &Claim) -> Result<Outcome, Failure> {
        let seen = claim.seen.as_deref().unwrap_or_default();
        self.write(Change::Delete {
            key: live_key(&job_sk(&claim.job)),
            condition: "launch = :seen".to_owned(),
            values: Item::from([(":seen".to_owned(), text(seen))]),
        })
        .await
    }
}

/// A job's entry on the list, before any launch.
fn waiting(job: &Job, pool: &str, now_ms: u64) -> WaitingJob {
    WaitingJob {
        key: job.key.clone(),
        pool: pool.to_owned(),
        recorded_ms: now_ms,
        launch: None,
        launches: 0,
        not_before_ms: 0,
    }
}

fn history_key(key: &JobKey) -> (String, String) {
    (
        format!("repo#{}", key.repository),
        format!("{:012}#{:04}", key.id, key.attempt),
    )
}

fn job_item(job: &Job, status: Status, reason: &str, pool: Option<&str>, now_ms: u64) -> Item {
    let (pk, sk) = history_key(&job.key);
    item(&Row {
        pk: &pk,
        sk: &sk,
        body: &JobRow {
            repository: &job.key.repository,
            job_id: job.key.id,
            attempt: job.key.attempt,
            run_id: job.run_id,
            name: &job.name,
            labels: &job.labels,
            head_sha: &job.head_sha,
            html_url: &job.html_url,
            status,
            reason,
            pool,
            recorded_ms: now_ms,
        },
        ttl: Some(now_ms / 1000 + HISTORY_S),
    })
}

/// The update that moves a job by `fact` where its status admits it.
fn job_update(key: &JobKey, job: Option<&Job>, fact: Fact, note: &Note<'_>, now_ms: u64) -> Change {
    let (stamp, admits_new) = match fact {
        Fact::Claimed => ("launched_ms", false),
        Fact::Released => ("released_ms", false),
        Fact::Started => ("started_ms", true),
        Fact::Ended { .. } => ("ended_ms", true),
        Fact::OverLimit | Fact::GivenUp | Fact::MachineLost => ("ended_ms", false),
        Fact::Requeued => ("requeued_ms", false),
    };
    let mut values = Item::new();
    let mut sets = Vec::new();
    for (name, value) in job_attributes(key, job, note) {
        sets.push(format!("{name} = :{name}"));
        values.insert(format!(":{name}"), value);
    }
    sets.push(format!("{stamp} = :now"));
    values.insert(":now".to_owned(), number(now_ms));
    sets.push("#ttl = :ttl".to_owned());
    values.insert(":ttl".to_owned(), number(now_ms / 1000 + HISTORY_S));
    let mut conditions = Vec::new();
    let mut target = None;
    for (index, (from, to)) in Status::moved_by(fact).enumerate() {
        conditions.push(format!("job_status = :from{index}"));
        values.insert(format!(":from{index}"), text(from.word()));
        target = Some(to);
    }
    let target = target.expect("every fact moves some status");
    sets.push("job_status = :job_status".to_owned());
    values.insert(":job_status".to_owned(), text(target.word()));
    if admits_new {
        conditions.push("attribute_not_exists(pk)".to_owned());
    }
    let mut update = format!("SET {}", sets.join(", "));
    let mut condition = conditions.join(" OR ");
    if fact == Fact::Requeued {
        // What is told of its former end would contradict its status.
        update.push_str(" REMOVE ended_ms, conclusion, launch");
        condition = format!("({condition}) AND attribute_not_exists({INSTANCE_ID})");
    }
    Change::Update {
        key: history_key(key),
        update,
        condition,
        values,
    }
}

/// What an update writes into a job's history besides status and times.
fn job_attributes(
    key: &JobKey,
    job: Option<&Job>,
    note: &Note<'_>,
) -> Vec<(&'static str, AttributeValue)> {
    let mut attributes = vec![("reason", text(note.reason))];
    let notes = [
        ("launch", note.launch),
        (INSTANCE_ID, note.instance),
        ("conclusion", note.conclusion),
    ];
    attributes.extend(
        notes
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, text(value)))),
    );
    if let Some(job) = job {
        attributes.extend([
            ("repository", text(&key.repository)),
            ("job_id", number(key.id)),
            ("attempt", number(key.attempt)),
            ("run_id", number(job.run_id)),
            ("job_name", text(&job.name)),
            ("html_url", text(&job.html_url)),
        ]);
    }
    attributes
}
