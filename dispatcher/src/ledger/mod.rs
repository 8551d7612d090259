//! The ledger: one DynamoDB table, and every write that keeps it true.
//!
//! Layout: the partition `live` is the world as it is now, in sort-key order counters, jobs that
//! wait, launches, the lease, notices and remains for the forge, runners, events; see [`crate::world`] for
//! why the order matters. Everything else is history that people read: one partition a repository for its jobs,
//! one a runner that ended. History expires by itself; the live partition empties itself.

mod history;
mod jobs;
mod launches;
mod lease;
mod notices;
mod runners;
mod triggers;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stacks::pool::Scope;

use crate::job::JobKey;
use crate::shell::{Failure, Item, Shell};
use crate::world::{Launch, Runner, WaitingJob};

pub use history::Note;
pub use lease::LEASE_MS;
pub use notices::{Notice, Says};
pub use triggers::{Expected, Standing, Told, ToldJob, Trigger};

/// Partition of everything that is now.
const LIVE: &str = "live";
/// How long history is kept, in seconds: a quarter, as long as people ask about a build.
const HISTORY_S: u64 = 92 * 24 * 3600;
/// Age from which a job may have been in the ledger and be forgotten, in seconds: history, less a
/// day in which it was written.
pub(crate) const FORGOTTEN_AFTER_S: u64 = HISTORY_S - 24 * 3600;

/// What the live partition holds.
#[derive(Debug, Default)]
pub struct Live {
    /// Reserved runners by counter.
    pub counters: BTreeMap<String, u32>,
    /// Jobs that wait.
    pub jobs: Vec<WaitingJob>,
    /// Launches without a recorded outcome.
    pub launches: Vec<Launch>,
    /// Runners that have not ended.
    pub runners: Vec<Runner>,
    /// Words that we owe to the owners of jobs.
    pub notices: Vec<Notice>,
    /// Registrations at the forge that nobody will use.
    pub remains: Vec<Remains>,
    /// Events whose jobs are not all known or not all ended.
    pub triggers: Vec<Trigger>,
}

/// A registration at the forge whose instance ended without a job: a Gitea deletes only used ones
/// (measured), a Forgejo before 15 none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    /// The instance, which is the registration's name.
    pub instance: String,
    /// The pool.
    pub pool: String,
    /// The forge's id, if its answer reached us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge_id: Option<u64>,
    /// Whether the one of that id had a job: the forge deletes it itself.
    #[serde(default)]
    pub used: bool,
    /// Whether there may be more of that name: an answer got lost.
    #[serde(default)]
    pub unsure: bool,
    /// Where it was registered; rows of older versions don't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_in: Option<Scope>,
    /// Since when it is to be deleted.
    #[serde(default)]
    pub since_ms: u64,
    /// Not to be tried before.
    #[serde(default)]
    pub not_before_ms: u64,
}

/// A row with its keys; `ttl` only on history.
#[derive(Serialize)]
struct Row<'a, T> {
    pk: &'a str,
    sk: &'a str,
    #[serde(flatten)]
    body: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
}

/// A row that can't be read back: somebody edited the table, or a newer version wrote it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the ledger's row {sk} can't be read: {message}; delete it, or deploy the version that wrote it"
)]
pub struct BadRow {
    sk: String,
    message: String,
}

impl Shell {
    /// Reads the live partition.
    pub async fn live(&self) -> Result<Live, Failure> {
        let mut live = Live::default();
        for item in self.partition(LIVE).await? {
            // A runner that is skipped would be ended as an orphan: half a world is none.
            live.take(item)?;
        }
        live.jobs
            .sort_by_key(|job| (job.recorded_ms, job.key.clone()));
        Ok(live)
    }
}

impl From<BadRow> for Failure {
    fn from(row: BadRow) -> Self {
        Self {
            call: "reading the ledger",
            code: "bad-row".to_owned(),
            message: row.to_string(),
        }
    }
}

impl Live {
    fn take(&mut self, mut item: Item) -> Result<(), BadRow> {
        let sk = match item.get("sk") {
            Some(AttributeValue::S(sk)) => sk.clone(),
            _ => String::new(),
        };
        if let Some(name) = sk.strip_prefix("counter#") {
            let n = item.remove("n").and_then(|n| n.as_n().ok()?.parse().ok());
            self.counters.insert(name.to_owned(), n.unwrap_or_default());
        } else if sk.starts_with("job#") {
            self.jobs.push(read(item)?);
        } else if sk.starts_with("launch#") {
            self.launches.push(read(item)?);
        } else if sk.starts_with("notice#") {
            self.notices.push(read(item)?);
        } else if sk.starts_with("remains#") {
            self.remains.push(read(item)?);
        } else if sk.starts_with("runner#") {
            self.runners.push(read(item)?);
        } else if sk.starts_with("trigger#") {
            self.triggers.push(read(item)?);
        }
        Ok(())
    }
}

/// A number as DynamoDB has it.
#[must_use]
pub fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A text as DynamoDB has it.
#[must_use]
pub fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// A scope as runner rows have it.
#[must_use]
pub fn scope_value(scope: &Scope) -> AttributeValue {
    serde_dynamo::to_attribute_value(scope).expect("a scope is a word or a map of one")
}

/// A job's key as runner rows have it.
#[must_use]
pub fn key_value(key: &JobKey) -> AttributeValue {
    serde_dynamo::to_attribute_value(key).expect("a job key has no maps with odd keys")
}

fn job_sk(key: &JobKey) -> String {
    format!("job#{key}")
}

fn launch_sk(id: &str) -> String {
    format!("launch#{id}")
}

fn runner_sk(instance: &str) -> String {
    format!("runner#{instance}")
}

fn live_key(sk: &str) -> (String, String) {
    (LIVE.to_owned(), sk.to_owned())
}

fn item<T: Serialize>(row: &T) -> Item {
    serde_dynamo::to_item(row).expect("rows are plain structs")
}

fn live_item<T: Serialize>(sk: &str, body: &T) -> Item {
    item(&Row {
        pk: LIVE,
        sk,
        body,
        ttl: None,
    })
}

fn read<T: DeserializeOwned>(item: Item) -> Result<T, BadRow> {
    let sk = match item.get("sk") {
        Some(AttributeValue::S(sk)) => sk.clone(),
        _ => String::new(),
    };
    serde_dynamo::from_item(item).map_err(|error| BadRow {
        sk,
        message: error.to_string(),
    })
}
