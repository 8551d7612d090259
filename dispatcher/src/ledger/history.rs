//! What is kept of a job for ever after: where it stands, and how it got there.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use super::change::{Change, Key, number, text};
use super::{HISTORY_S, Ledger, read};
use crate::aws::Failure;
use crate::model::job::{AttemptNumbers, Job, JobEvent, JobKey, JobSource, JobStatus};

/// Attribute of a job's history: the runner that has or had it.
pub(super) const INSTANCE_ID: &str = "instance_id";
/// Attribute of a job's history: when its commit was marked as not served. It is there as long as that
/// mark is.
pub(super) const REFUSED_MS: &str = "refused_ms";

/// Why a job's row moves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Note<'a> {
    /// For people.
    pub(crate) reason: &'a str,
    /// The launch that claimed it.
    pub(crate) launch: Option<&'a str>,
    /// The runner that has it.
    pub(crate) instance: Option<&'a str>,
    /// The forge's conclusion.
    pub(crate) conclusion: Option<&'a str>,
}

impl<'a> Note<'a> {
    /// One that says why, and no more.
    pub(crate) fn of(reason: &'a str) -> Self {
        Self {
            reason,
            ..Self::default()
        }
    }
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
    pub(crate) async fn job(&self, key: &JobKey) -> Result<Option<Job>, Failure> {
        let Some(row) = self.item(history_key(key)).await? else {
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

pub(super) fn history_key(key: &JobKey) -> Key {
    (
        format!("repo#{}", key.repository),
        format!("{:012}#{:04}", key.id, key.attempt),
    )
}

/// The first row of a job, where it has none.
pub(super) fn job_new(job: &Job, status: JobStatus, reason: &str, now_ms: u64) -> Change {
    Change::update(history_key(&job.key))
        .set("job_status", text(status.word()))
        .set("reason", text(reason))
        .set("recorded_ms", number(now_ms))
        .told(job, now_ms)
        .kept_for(HISTORY_S, now_ms)
        .only_if_new()
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
        JobEvent::TakenBack => ("taken_back_ms", false),
    };
    let (from, to) = event.moves();
    let from: Vec<&str> = from.iter().map(|status| status.word()).collect();
    let mut change = Change::update(history_key(key))
        .set("job_status", text(to.word()))
        .set("reason", text(note.reason))
        .set(stamp, number(now_ms))
        .kept_for(HISTORY_S, now_ms)
        .only_from_any("job_status", &from, admits_new && job.is_some());
    let notes = [
        ("launch", note.launch),
        (INSTANCE_ID, note.instance),
        ("conclusion", note.conclusion),
    ];
    for (name, value) in notes {
        if let Some(value) = value {
            change = change.set(name, text(value));
        }
    }
    if let Some(job) = job {
        change = change.told(job, now_ms);
    }
    if let (JobEvent::OverLimit | JobEvent::MachineLost, Some(instance)) = (event, note.instance) {
        // Another one may have it by now.
        change = change.only_from(INSTANCE_ID, text(instance));
    }
    if to == JobStatus::Pending && event != JobEvent::Released {
        // What is told of its former end would contradict its status.
        for name in ["ended_ms", "conclusion", "launch"] {
            change = change.remove(name);
        }
    }
    if event == JobEvent::Requeued {
        change = change.only_if(&format!("attribute_not_exists({INSTANCE_ID})"));
    }
    if event == JobEvent::TakenBack {
        change = change.remove(INSTANCE_ID).remove("started_ms");
    }
    match guard {
        StatusGuard::Any => change,
        StatusGuard::None => change.only_if(&format!("attribute_not_exists({REFUSED_MS})")),
        StatusGuard::Set => change.set(REFUSED_MS, number(now_ms)),
        StatusGuard::TakenBack => change
            .remove(REFUSED_MS)
            .only_if(&format!("attribute_exists({REFUSED_MS})")),
    }
}

impl Change {
    /// Sets what is told of `job`, and when if the forge told it.
    fn told(self, job: &Job, now_ms: u64) -> Self {
        let labels = job.labels.iter().map(|label| text(label)).collect();
        let change = self
            .set("repository", text(&job.key.repository))
            .set("job_id", number(job.key.id))
            .set("attempt", number(job.key.attempt))
            .set("run_id", number(job.run_id))
            .set("job_name", text(&job.name))
            .set("labels", AttributeValue::L(labels))
            .set("head_sha", text(&job.head_sha))
            .set("html_url", text(&job.html_url));
        match job.source {
            JobSource::Delivery => change.set("delivered_ms", number(now_ms)),
            JobSource::List => change.set("listed_ms", number(now_ms)),
            JobSource::Expectation | JobSource::Ledger => change,
        }
    }
}
