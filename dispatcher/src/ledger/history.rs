//! What is kept of a job for ever after: where it stands, and how it got there.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::change::{Change, Item};
use super::{HISTORY_S, Ledger, Row, item, number, read, text};
use crate::aws::Failure;
use crate::model::job::{AttemptNumbers, Job, JobEvent, JobKey, JobSource, JobStatus};

/// Attribute of a job's history: the runner that has or had it.
pub(super) const INSTANCE_ID: &str = "instance_id";
/// Attribute of a job's history: when its commit was marked as not served. It is there as long as that
/// mark is.
const REFUSED_MS: &str = "refused_ms";

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
    status: JobStatus,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<&'a str>,
    recorded_ms: u64,
    /// When a delivery last told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_ms: Option<u64>,
}

/// What history knows of a job as its deliveries described it.
#[derive(Deserialize)]
struct KnownJob {
    run_id: u64,
    #[serde(rename = "job_name")]
    name: String,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    head_sha: String,
    #[serde(default)]
    html_url: String,
}

/// How a move affects the status that marks the job's commit as not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusGuard {
    /// Not at all.
    Any,
    /// The move holds only if there is none.
    None,
    /// It sets one.
    Set,
    /// It takes the one that was set back.
    TakenBack,
}

impl Ledger {
    /// A job as its deliveries described it; `None` for one that nobody knows.
    pub async fn job(&self, key: &JobKey) -> Result<Option<Job>, Failure> {
        let (pk, sk) = history_key(key);
        let Some(row) = self.item(&pk, &sk).await? else {
            return Ok(None);
        };
        let known: KnownJob = read(row)?;
        Ok(Some(Job {
            key: key.clone(),
            run_id: known.run_id,
            name: known.name,
            labels: known.labels,
            head_sha: known.head_sha,
            html_url: known.html_url,
            // Only a delivery is judged by its age.
            created_ms: None,
            source: JobSource::Ledger,
            numbers: AttemptNumbers::FromZero,
        }))
    }
}

pub(super) fn history_key(key: &JobKey) -> (String, String) {
    (
        format!("repo#{}", key.repository),
        format!("{:012}#{:04}", key.id, key.attempt),
    )
}

pub(super) fn job_item(
    job: &Job,
    status: JobStatus,
    reason: &str,
    pool: Option<&str>,
    now_ms: u64,
    refused_ms: Option<u64>,
) -> Item {
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
            delivered_ms: (job.source == JobSource::Delivery).then_some(now_ms),
            refused_ms,
        },
        ttl: Some(now_ms / 1000 + HISTORY_S),
    })
}

/// The update that moves a job by `event` where its status admits it.
pub(super) fn job_update(
    key: &JobKey,
    job: Option<&Job>,
    event: JobEvent,
    note: &Note<'_>,
    guard: StatusGuard,
    now_ms: u64,
) -> Change {
    let (stamp, admits_new) = match event {
        JobEvent::Claimed => ("launched_ms", false),
        JobEvent::Released => ("released_ms", false),
        JobEvent::Started => ("started_ms", true),
        JobEvent::Ended { .. } => ("ended_ms", true),
        JobEvent::OverLimit | JobEvent::GivenUp | JobEvent::MachineLost => ("ended_ms", false),
        JobEvent::Requeued => ("requeued_ms", false),
    };
    let mut values = Item::new();
    let mut sets = Vec::new();
    for (name, value) in job_attributes(key, job, note) {
        sets.push(format!("{name} = :{name}"));
        values.insert(format!(":{name}"), value);
    }
    sets.push(format!("{stamp} = :now"));
    if job.is_some_and(|job| job.source == JobSource::Delivery) {
        sets.push("delivered_ms = :now".to_owned());
    }
    values.insert(":now".to_owned(), number(now_ms));
    sets.push("#ttl = :ttl".to_owned());
    values.insert(":ttl".to_owned(), number(now_ms / 1000 + HISTORY_S));
    let mut admitted = Vec::new();
    let mut target = None;
    for (index, (from, to)) in JobStatus::moved_by(event).enumerate() {
        admitted.push(format!("job_status = :from{index}"));
        values.insert(format!(":from{index}"), text(from.word()));
        target = Some(to);
    }
    let target = target.expect("every event moves some status");
    sets.push("job_status = :job_status".to_owned());
    values.insert(":job_status".to_owned(), text(target.word()));
    if admits_new && job.is_some() {
        admitted.push("attribute_not_exists(pk)".to_owned());
    }
    let mut conditions = vec![format!("({})", admitted.join(" OR "))];
    let mut removes = Vec::new();
    if event == JobEvent::Requeued {
        // What is told of its former end would contradict its status.
        removes.extend(["ended_ms", "conclusion", "launch"]);
        conditions.push(format!("attribute_not_exists({INSTANCE_ID})"));
    }
    match guard {
        StatusGuard::Any => {}
        StatusGuard::None => conditions.push(format!("attribute_not_exists({REFUSED_MS})")),
        StatusGuard::Set => sets.push(format!("{REFUSED_MS} = :now")),
        StatusGuard::TakenBack => {
            conditions.push(format!("attribute_exists({REFUSED_MS})"));
            removes.push(REFUSED_MS);
        }
    }
    let mut update = format!("SET {}", sets.join(", "));
    if !removes.is_empty() {
        update = format!("{update} REMOVE {}", removes.join(", "));
    }
    Change::Update {
        key: history_key(key),
        update,
        condition: conditions.join(" AND "),
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
            (
                "labels",
                AttributeValue::L(job.labels.iter().map(|label| text(label)).collect()),
            ),
            ("head_sha", text(&job.head_sha)),
            ("html_url", text(&job.html_url)),
        ]);
    }
    attributes
}
