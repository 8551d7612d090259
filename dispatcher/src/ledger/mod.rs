//! The ledger: one DynamoDB table, and every write that keeps it true.
//!
//! Layout: the partition `live` is the world as it is now, in the order of its sort keys: boot failures, counters,
//! jobs that wait, launches, the lease, looks, pauses, pending events, refusals, stale registrations, runners,
//! status updates. See [`crate::model::world`] for why that order matters. Everything else is history that people
//! read: one partition a repository for its jobs, one a runner that ended. History expires by itself; the live
//! partition empties itself.
//!
//! No other file of the crate has an expression or the name of an attribute: what others want of the
//! ledger is an operation here.

mod birth;
mod boot_failures;
mod change;
mod history;
mod jobs;
mod launches;
mod lease;
mod looks;
mod pauses;
mod pending_events;
mod refusals;
mod rehearsal;
mod runners;
mod stale_registrations;
mod status_updates;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};
use stacks::pool::Scope;

use self::change::{Change, Item, Key, key_item, text};
use crate::aws::dynamo::Table;
use crate::aws::pages::Pages;
use crate::aws::{Aws, Failure, WriteResult};
use crate::model::image::BootFailures;
use crate::model::job::JobKey;
use crate::model::runner::Runner;
use crate::model::world::{Launch, Pause, Refusal, WaitingJob};

use lease::Lease;

pub(crate) use birth::Birth;

pub(crate) use history::Note;
pub(crate) use jobs::WhyListed;
pub(crate) use lease::{Ask, RENEW, Recorded};
pub(crate) use pending_events::{Expected, ExpectedState, PendingEvent, event_id};
pub(crate) use runners::RunnerNote;
pub use stale_registrations::StaleRegistration;
pub(crate) use status_updates::{StatusKind, StatusUpdate};

/// Most bytes that one query finds: some 20,000 waiting jobs and what is launched for them. What is read
/// has to fit into the function's memory, whoever wrote it.
const READ_MAX_BYTES: usize = 16 * 1024 * 1024;
/// What a failure calls it.
const READING: &str = "reading the ledger";
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
    /// Commit statuses that the forge has not accepted yet.
    pub(crate) status_updates: Vec<StatusUpdate>,
    /// Registrations at the forge that nobody will use.
    pub stale_registrations: Vec<StaleRegistration>,
    /// Events whose jobs are not all known or not all ended.
    pub(crate) pending_events: Vec<PendingEvent>,
    /// Who drains.
    pub(crate) lease: Lease,
    /// When the deployment began to serve; `None` until its first reconcile.
    pub(crate) birth: Option<Birth>,
    /// What somebody has paused.
    pub pauses: Vec<Pause>,
    /// Pools whose runners the forge refuses to register.
    pub refusals: Vec<Refusal>,
    /// How machines of new images came up, and did not.
    pub boot_failures: Vec<BootFailures>,
    /// When an event was last evaluated, by the sort key of its scope's look.
    evaluated_ms: BTreeMap<String, u64>,
}

/// The ledger of one deployment.
#[derive(Debug)]
pub struct Ledger {
    table: Table,
}

impl Ledger {
    /// That of the deployment whose function calls `aws`.
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        Self { table: aws.table() }
    }

    /// Reads the live partition.
    pub async fn live(&self) -> Result<Live, Failure> {
        let mut live = Live::default();
        for item in self.partition(LIVE).await? {
            // A runner that is skipped would be ended as an orphan: half a world is none.
            live.take(item)?;
        }
        live.jobs
            .sort_unstable_by_key(|job| (job.recorded_ms, job.key.clone()));
        Ok(live)
    }

    /// Every item of one partition, in the order of the sort key.
    async fn partition(&self, pk: &str) -> Result<Vec<Item>, Failure> {
        self.rows(self.query(pk, None), usize::MAX).await
    }

    /// One item. By a query, which costs the same: an operation of the SDK less.
    async fn item(&self, (pk, sk): Key) -> Result<Option<Item>, Failure> {
        let found = self.rows(self.query(&pk, Some(("=", &sk))), 1).await?;
        Ok(found.into_iter().next())
    }

    /// At most `limit` items of one partition below the sort key `below`, the last ones first.
    async fn newest(&self, pk: &str, below: &str, limit: usize) -> Result<Vec<Item>, Failure> {
        let query = self.query(pk, Some(("<", below)));
        let page = i32::try_from(limit).unwrap_or(i32::MAX);
        let query = query.scan_index_forward(false).limit(page);
        self.rows(query, limit).await
    }

    /// What `query` finds, `enough` of it at most.
    async fn rows(&self, query: QueryFluentBuilder, enough: usize) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        let mut bytes = 0;
        // Half a world would have its machines ended as orphans.
        let mut pages = Pages::of(READING, (READ_MAX_BYTES, "bytes"));
        loop {
            let page = query.clone().set_exclusive_start_key(pages.token());
            let page = self.table.read(page).await?;
            let found = page.items.unwrap_or_default();
            bytes += found.iter().map(bytes_in).sum::<usize>();
            items.extend(found);
            if items.len() >= enough || pages.is_last(page.last_evaluated_key, bytes)? {
                items.truncate(enough);
                return Ok(items);
            }
        }
    }

    /// A query of one partition, with a condition on the sort key.
    fn query(&self, pk: &str, sk: Option<(&str, &str)>) -> QueryFluentBuilder {
        let query = self.table.query();
        let query = query.expression_attribute_values(":pk", text(pk));
        match sk {
            None => query.key_condition_expression("pk = :pk"),
            Some((compared, sk)) => query
                .key_condition_expression(format!("pk = :pk AND sk {compared} :sk"))
                .expression_attribute_values(":sk", text(sk)),
        }
    }

    /// Writes one change.
    async fn write(&self, change: Change) -> Result<WriteResult, Failure> {
        self.write_all(vec![change]).await
    }

    /// Writes all of `changes` or none. A single change goes the same way: the plain writes are three
    /// more operations of the SDK in every byte count of the function, for half a millionth of a
    /// dollar each.
    async fn write_all(&self, changes: Vec<Change>) -> Result<WriteResult, Failure> {
        let table = self.table.name();
        let items = changes
            .into_iter()
            .map(|change| change.in_transaction(table));
        self.table.write(items.collect()).await
    }
}

impl Live {
    /// When an event of `scope` was last evaluated, in milliseconds since 1970.
    pub(crate) fn evaluated_ms(&self, scope: &Scope) -> Option<u64> {
        self.evaluated_ms.get(&looks::key_of(scope).1).copied()
    }

    fn take(&mut self, item: Item) -> Result<(), Failure> {
        let sk = sk_of(&item);
        if let Some(name) = sk.strip_prefix("counter#") {
            let n = u32::try_from(number_in(&item, "n"));
            self.counters.insert(name.to_owned(), n.unwrap_or_default());
        } else if sk.starts_with("look#") {
            self.evaluated_ms
                .insert(sk, number_in(&item, "evaluated_ms"));
        } else if sk == "lease" {
            let holder = item.get("holder").and_then(|holder| holder.as_s().ok());
            self.lease = Lease {
                holder: holder.cloned().unwrap_or_default(),
                until_ms: number_in(&item, "until_ms"),
            };
        } else if sk == birth::SK {
            self.birth = Some(read(item)?);
        } else if sk.starts_with("boot-failures#") {
            self.boot_failures.push(read(item)?);
        } else if sk.starts_with("pause#") {
            self.pauses.push(read(item)?);
        } else if sk.starts_with("refusal#") {
            self.refusals.push(read(item)?);
        } else if sk.starts_with("job#") {
            self.jobs.push(read(item)?);
        } else if sk.starts_with("launch#") {
            self.launches.push(read(item)?);
        } else if sk.starts_with("status-update#") {
            self.status_updates.push(read(item)?);
        } else if sk.starts_with("registration#") {
            self.stale_registrations.push(read(item)?);
        } else if sk.starts_with("runner#") {
            self.runners.push(read(item)?);
        } else if sk.starts_with("pending-event#") {
            self.pending_events.push(read(item)?);
        }
        Ok(())
    }
}

fn job_key(key: &JobKey) -> Key {
    live_key(format!("job#{key}"))
}

fn launch_key(id: &str) -> Key {
    live_key(format!("launch#{id}"))
}

fn runner_key(instance: &str) -> Key {
    live_key(format!("runner#{instance}"))
}

fn live_key(sk: String) -> Key {
    (LIVE.to_owned(), sk)
}

fn item<T: Serialize>(key: Key, body: &T) -> Item {
    let mut item: Item = serde_dynamo::to_item(body).expect("rows are plain structs");
    item.extend(key_item(key));
    item
}

/// Reads a row. Where that fails, somebody edited the table, or a newer version wrote it.
fn read<T: DeserializeOwned>(item: Item) -> Result<T, Failure> {
    let sk = sk_of(&item);
    serde_dynamo::from_item(item).map_err(|error| {
        let message = format!(
            "the ledger's row {sk} can't be read: {error}; delete it, or deploy the version that \
             wrote it"
        );
        Failure::new(READING, "bad-row", message)
    })
}

/// What of an item counts: its names and values, nested ones too.
fn bytes_in(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + bytes_of(value))
        .sum()
}

fn bytes_of(value: &AttributeValue) -> usize {
    if let Ok(text) = value.as_s().or_else(|_| value.as_n()) {
        text.len()
    } else if let Ok(list) = value.as_l() {
        list.iter().map(bytes_of).sum()
    } else {
        value.as_m().map_or(1, bytes_in)
    }
}

/// A number of a row; 0 where it has none.
fn number_in(item: &Item, name: &str) -> u64 {
    let number = item.get(name).and_then(|n| n.as_n().ok()?.parse().ok());
    number.unwrap_or_default()
}

fn sk_of(item: &Item) -> String {
    let sk = item.get("sk").and_then(|sk| sk.as_s().ok());
    sk.cloned().unwrap_or_default()
}
