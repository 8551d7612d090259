//! Events that may have started workflows: on the live list until it is known which jobs came of
//! them and those have ended, with what happened in the repository's history.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::{Change, Key, number, text};
use super::lease::{Ask, Recorded};
use super::{HISTORY_S, Ledger, item, live_key, number_in, read};
use crate::aws::{Failure, WriteResult};
use crate::model::job::digest;
use workflow::event::Event;
use workflow::event::EventKind;

/// How long an event is remembered after its end, in seconds: as long as somebody may send its
/// delivery again.
const KEEP_S: u64 = 7 * 24 * 3600;
/// Most jobs of a repository that are looked at for the last that the forge told of: a few runs.
const RECENT_MAX: usize = 50;
/// In the sort keys of a repository's history, the keys of jobs that the forge counts come before
/// this, and those of jobs that we expect after it.
const BEFORE_EXPECTED: &str = "4";

/// An event on the live list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingEvent {
    /// Its id: the same for the same event, however often it is told.
    pub(crate) id: String,
    pub(crate) repository: String,
    pub(crate) event: EventKind,
    /// The commit that its workflows are read at, if the delivery says it; else a branch.
    pub(crate) at: String,
    pub(crate) recorded_ms: u64,
    #[serde(default)]
    pub(crate) not_before_ms: u64,
    /// How often it was tried in vain.
    #[serde(default)]
    pub(crate) tries: u32,
    /// The jobs that are expected of it; `None` as long as nobody has found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expects: Option<Vec<Expected>>,
}

/// A job that is expected of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Expected {
    /// The number in its key.
    pub(crate) id: u64,
    /// The attempt in its key: it was run again so often.
    #[serde(default)]
    pub(crate) attempt: u64,
    /// Which run of the event it is of.
    pub(crate) run: usize,
    /// Its id in the workflow.
    pub(crate) job: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    /// The jobs of its run that must end first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) needs: Vec<String>,
    /// What its `if` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<String>,
    /// Under which words the forge puts its state on the commit.
    pub(crate) context: String,
    /// Where it stands, as far as we know.
    pub(crate) state: ExpectedState,
}

impl Expected {
    /// How many bytes its texts have, about.
    pub(crate) fn text_bytes(&self) -> usize {
        let condition = self.condition.iter();
        let lists = self.labels.iter().chain(&self.needs).chain(condition);
        let texts = [&self.job, &self.name, &self.context];
        lists.chain(texts).map(String::len).sum()
    }
}

/// Where an expected job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ExpectedState {
    /// Behind other jobs, or an approval.
    Blocked,
    /// It was put on the list of jobs that wait; a runner may have it by now.
    Listed,
    /// It ended well.
    Success,
    /// It ended badly, or was ended.
    Failure,
    /// It did not run.
    Skipped,
}

impl ExpectedState {
    /// Whether it has ended.
    pub(crate) const fn has_ended(self) -> bool {
        match self {
            Self::Blocked | Self::Listed => false,
            Self::Success | Self::Failure | Self::Skipped => true,
        }
    }
}

/// What the ledger knows of how a repository's jobs are told of.
#[derive(Debug, Default)]
pub(crate) struct JobReports {
    /// When it was last found that no delivery told of a job that was due.
    pub(crate) silent_ms: u64,
    /// Jobs that the forge told of.
    pub(crate) jobs: Vec<ReportedJob>,
}

/// A job as its history has it.
#[derive(Debug, Deserialize)]
pub(crate) struct ReportedJob {
    /// When a delivery last told of it; 0: none did.
    #[serde(default)]
    delivered_ms: u64,
    /// When the forge's list last told of it; 0: it never did.
    #[serde(default)]
    listed_ms: u64,
    #[serde(default)]
    head_sha: String,
    #[serde(default, rename = "job_name")]
    pub(crate) name: String,
}

impl JobReports {
    /// Whether deliveries tell of the repository's jobs, as far as one knows.
    pub(crate) fn is_exact(&self) -> bool {
        self.jobs
            .iter()
            .any(|job| job.delivered_ms > self.silent_ms)
    }

    /// Whether a delivery told of a job of the commit `sha` since then.
    pub(crate) fn is_delivered(&self, sha: &str, since_ms: u64) -> bool {
        let is_it = |job: &ReportedJob| job.head_sha == sha && job.delivered_ms >= since_ms;
        self.jobs.iter().any(is_it)
    }

    /// How many jobs of each name the forge told of since then, of the commit `sha`. Its list may tell
    /// of one that has run and ended before the delivery of its event comes.
    pub(crate) fn told(&self, sha: &str, since_ms: u64) -> BTreeMap<&str, usize> {
        let told_ms = |job: &ReportedJob| job.delivered_ms.max(job.listed_ms);
        let mut told = BTreeMap::new();
        for job in &self.jobs {
            if job.head_sha == sha && told_ms(job) >= since_ms {
                *told.entry(&*job.name).or_default() += 1;
            }
        }
        told
    }
}

#[derive(Deserialize)]
struct KnownEvent {
    facts: String,
}

impl Ledger {
    /// Records an event, once.
    pub(crate) async fn record_event(
        &self,
        id: &str,
        event: &Event,
        ask: Ask,
        now_ms: u64,
    ) -> Result<Recorded, Failure> {
        let repository = &event.body.repository.full_name;
        let facts = serde_json::to_string(event).expect("its maps have texts for keys");
        let history = Change::update(history_key(repository, id))
            .set("facts", text(&facts))
            .set("#event", text(event.kind.word()))
            .set("recorded_ms", number(now_ms))
            .kept_for(KEEP_S, now_ms)
            .only_if_new();
        let pending = PendingEvent {
            id: id.to_owned(),
            repository: repository.clone(),
            event: event.kind,
            at: event.reads().at,
            recorded_ms: now_ms,
            not_before_ms: 0,
            tries: 0,
            expects: None,
        };
        let live = Change::put(item(live_key(event_sk(id)), &pending));
        self.write_asking(vec![history, live], ask, now_ms).await
    }

    /// What happened; `None` if nobody knows any more.
    pub(crate) async fn event(&self, pending: &PendingEvent) -> Result<Option<Event>, Failure> {
        let key = history_key(&pending.repository, &pending.id);
        let Some(row) = self.item(key).await? else {
            return Ok(None);
        };
        let known: KnownEvent = read(row)?;
        Ok(serde_json::from_str(&known.facts).ok())
    }

    /// Compare-and-set on `not_before_ms`: writes an event as it is now if it is as it was seen. Whoever
    /// wins owns it until `now.not_before_ms`: of several drains one looks into it.
    pub(crate) async fn claim_event(
        &self,
        seen: &PendingEvent,
        now: &PendingEvent,
    ) -> Result<WriteResult, Failure> {
        let key = live_key(event_sk(&now.id));
        let mut change = Change::update(key.clone())
            .set("not_before_ms", number(now.not_before_ms))
            .set("tries", number(now.tries.into()))
            .only_from("not_before_ms", number(seen.not_before_ms));
        if let Some(expects) = item(key, now).remove("expects") {
            change = change.set("expects", expects);
        }
        self.write(change).await
    }

    /// Takes an event off the list and says in the history what came of it.
    pub(crate) async fn close_event(
        &self,
        pending: &PendingEvent,
        outcome: &str,
    ) -> Result<(), Failure> {
        let history = Change::update(history_key(&pending.repository, &pending.id))
            .set("outcome", text(outcome));
        let live = Change::delete(live_key(event_sk(&pending.id)));
        self.write_all(vec![history, live]).await.map(drop)
    }

    /// How the jobs of `repository` are told of.
    pub(crate) async fn job_reports(&self, repository: &str) -> Result<JobReports, Failure> {
        let pk = format!("repo#{repository}");
        let mut reports = JobReports::default();
        for row in self.newest(&pk, BEFORE_EXPECTED, RECENT_MAX).await? {
            let job: ReportedJob = read(row)?;
            if job.delivered_ms.max(job.listed_ms) > 0 {
                reports.jobs.push(job);
            }
        }
        if let Some(row) = self.item(silence_key(repository)).await? {
            reports.silent_ms = number_in(&row, "silent_ms");
        }
        Ok(reports)
    }

    /// Notes that no delivery told of a job of `repository` that was due.
    pub(crate) async fn note_silence(&self, repository: &str, now_ms: u64) -> Result<(), Failure> {
        let noted = Change::update(silence_key(repository))
            .set("silent_ms", number(now_ms))
            .kept_for(HISTORY_S, now_ms);
        self.write(noted).await.map(drop)
    }
}

fn event_sk(id: &str) -> String {
    format!("pending-event#{id}")
}

/// The key of what is known of a repository's hook.
fn silence_key(repository: &str) -> Key {
    (format!("repo#{repository}"), "silence".to_owned())
}

fn history_key(repository: &str, id: &str) -> Key {
    (format!("repo#{repository}"), event_sk(id))
}

/// How long the same reference is not made or deleted twice, in milliseconds: its push and its own
/// delivery come within seconds. Where they come on two sides of a border a machine is launched too
/// much; a branch that comes and goes again is not missed.
const REFERENCE_MS: u64 = 1_800_000;

/// The id of an event that was told of at `told_ms`: the same for the same event. A reference is made
/// or deleted once in a while, whoever tells of it; all else is as its delivery says, to the byte.
pub(crate) fn event_id(event: &Event, delivery: &str, told_ms: u64) -> String {
    let body = &event.body;
    let word = event.kind.word();
    if event.kind.is_of_a_reference() {
        let period = (told_ms / REFERENCE_MS).to_string();
        let own = [
            body.repository.full_name.as_str(),
            word,
            &body.ref_type,
            &body.git_ref,
            &body.sha,
            &period,
        ];
        format!("{word}-{:016x}", digest(own))
    } else {
        format!("{word}-{:016x}", digest([word, delivery]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use workflow::event::Body;
    use workflow::event::EventKind;

    #[test]
    fn a_branch_that_is_deleted_again_later_is_another_event() {
        let gone = |kind| Event {
            kind,
            body: Body {
                git_ref: "renovate/x".to_owned(),
                ref_type: "branch".to_owned(),
                ..Body::default()
            },
        };
        let id = |delivery, told_ms| event_id(&gone(EventKind::Delete), delivery, told_ms);
        assert_eq!(id("its own", 1_000), id("a push", 2_000));
        assert_ne!(id("its own", 1_000), id("its own", 1_000 + REFERENCE_MS));
        let issue = |delivery, told_ms| event_id(&gone(EventKind::Issues), delivery, told_ms);
        assert_eq!(issue("1a", 1_000), issue("1a", 1_000 + REFERENCE_MS));
        assert_ne!(issue("1a", 1_000), issue("2b", 1_000));
    }
}
