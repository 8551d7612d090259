//! The ledger: one DynamoDB table, and every write that keeps it true.
//!
//! Layout: the partition `live` is the world as it is now, in sort-key order counters, jobs that
//! wait, launches, the lease, remains at the forge, runners; see [`crate::world`] for why the order
//! matters. Everything else is history that people read: one partition a repository for its jobs,
//! one a runner that ended. History expires by itself; the live partition empties itself.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::job::{Fact, Job, JobKey, Status};
use crate::plan::Claim;
use crate::shell::{Change, Failure, Item, Outcome, Shell};
use crate::world::{COUNTER_ALL, Launch, Runner, WaitingJob, counter_of};

/// Attribute of a job's history: the runner that has or had it.
const INSTANCE_ID: &str = "instance_id";
/// Partition of everything that is now.
const LIVE: &str = "live";
/// How long history is kept, in seconds: a quarter, as long as people ask about a build.
const HISTORY_S: u64 = 92 * 24 * 3600;
/// How long one holder may keep the drain's lease without renewing it, in milliseconds: one round
/// with a slow `RunInstances`. A crashed holder delays the next drain by at most this.
pub const LEASE_MS: u64 = 30_000;
/// How long a deployment that is taken down launches nothing, in milliseconds: longer than `down`
/// takes.
const LAST_LEASE_MS: u64 = 15 * 60_000;

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
    /// Registrations at the forge that nobody will use.
    pub remains: Vec<Remains>,
}

/// A registration at the forge whose instance ended without a job: the forge deletes only used
/// ones (measured).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    /// The instance, which is the registration's name.
    pub instance: String,
    /// The pool, which says where it was registered.
    pub pool: String,
    /// The forge's id.
    pub forge_id: u64,
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

/// What is kept of a runner that ended.
#[derive(Serialize)]
struct EndedRow<'a> {
    #[serde(flatten)]
    runner: &'a Runner,
    ended_ms: u64,
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

impl Shell {
    /// Reads the live partition.
    pub async fn live(&self) -> Result<Live, Failure> {
        let mut live = Live::default();
        for item in self.partition(LIVE).await? {
            // A runner that is skipped would be ended as an orphan: half a world is none.
            live.take(item).map_err(|error| Failure {
                call: "reading the ledger",
                code: "bad-row".to_owned(),
                message: error.to_string(),
            })?;
        }
        live.jobs
            .sort_by_key(|job| (job.recorded_ms, job.key.clone()));
        Ok(live)
    }

    /// Records a job that waits and puts it on the list, once: [`Outcome::Refused`] says that it
    /// was recorded before.
    pub async fn record_waiting(
        &self,
        job: &Job,
        pool: &str,
        now_ms: u64,
    ) -> Result<Outcome, Failure> {
        let waiting = WaitingJob {
            key: job.key.clone(),
            pool: pool.to_owned(),
            recorded_ms: now_ms,
            launch: None,
            launches: 0,
            not_before_ms: 0,
        };
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
            key: job.key.clone(),
            pool: pool.to_owned(),
            recorded_ms: now_ms,
            launch: None,
            launches: 0,
            // Over already, and not zero: the launch's id and token must differ from those of before.
            not_before_ms: now_ms.saturating_sub(LEASE_MS),
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

    /// Claims `claims` for `launch` and reserves its runners under the caps, all or nothing.
    pub async fn claim(
        &self,
        launch: &Launch,
        claims: &[Claim],
        cap_pool: u32,
        cap_all: u32,
    ) -> Result<Outcome, Failure> {
        let mut changes: Vec<Change> = claims
            .iter()
            .map(|claim| claim_update(claim, &launch.id))
            .collect();
        changes.push(Change::PutNew(live_item(&launch_sk(&launch.id), launch)));
        changes.push(reserve(COUNTER_ALL, launch.count, cap_all));
        changes.push(reserve(&counter_of(&launch.pool), launch.count, cap_pool));
        self.write_all(changes).await
    }

    /// Claims one job for a machine that is free already.
    pub async fn adopt(&self, claim: &Claim, launch: &str) -> Result<Outcome, Failure> {
        self.write(claim_update(claim, launch)).await
    }

    /// Writes down that the launch's current candidate failed and the next one is tried.
    pub async fn next_candidate(&self, launch: &Launch, why: &str) -> Result<Outcome, Failure> {
        let mut next = launch.clone();
        next.at += 1;
        next.tried.push(why.to_owned());
        self.write(Change::Update {
            key: live_key(&launch_sk(&launch.id)),
            update: "SET candidate_at = :next, tried = :tried".to_owned(),
            condition: "attribute_exists(pk) AND candidate_at = :at".to_owned(),
            values: Item::from([
                (":next".to_owned(), number(next.at as u64)),
                (":at".to_owned(), number(launch.at as u64)),
                (
                    ":tried".to_owned(),
                    AttributeValue::L(next.tried.into_iter().map(AttributeValue::S).collect()),
                ),
            ]),
        })
        .await
    }

    /// Replaces a launch by the runners that it made and gives back what it reserved in vain.
    pub async fn record_launched(
        &self,
        launch: &Launch,
        runners: &[Runner],
    ) -> Result<Outcome, Failure> {
        let made = u32::try_from(runners.len()).unwrap_or(u32::MAX);
        let mut changes: Vec<Change> = vec![Change::Delete {
            key: live_key(&launch_sk(&launch.id)),
            condition: "candidate_at = :at".to_owned(),
            values: Item::from([(":at".to_owned(), number(launch.at as u64))]),
        }];
        changes.extend(
            runners
                .iter()
                .map(|runner| Change::PutNew(live_item(&runner_sk(&runner.instance), runner))),
        );
        changes.extend(give_back(&launch.pool, launch.count.saturating_sub(made)));
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

    /// The live row of one runner.
    pub async fn runner(&self, instance: &str) -> Result<Option<Runner>, Failure> {
        let item = self.item(LIVE, &runner_sk(instance)).await?;
        Ok(item.and_then(|item| {
            read(item)
                .inspect_err(|error| tracing::error!(%error, "skipped a row of the ledger"))
                .ok()
        }))
    }

    /// Sets attributes of a live runner, under `condition` besides its existence.
    pub async fn set_runner(
        &self,
        instance: &str,
        sets: &[(&str, AttributeValue)],
        condition: &str,
    ) -> Result<Outcome, Failure> {
        let assignments: Vec<String> = sets
            .iter()
            .map(|(name, _)| format!("{name} = :{name}"))
            .collect();
        let mut full = "attribute_exists(pk)".to_owned();
        if !condition.is_empty() {
            full = format!("{full} AND {condition}");
        }
        self.write(Change::Update {
            key: live_key(&runner_sk(instance)),
            update: format!("SET {}", assignments.join(", ")),
            condition: full,
            values: sets
                .iter()
                .map(|(name, value)| (format!(":{name}"), value.clone()))
                .collect(),
        })
        .await
    }

    /// Takes back a credential mark, so that the machine may ask again.
    pub async fn unset_credential(&self, instance: &str, marked_ms: u64) -> Result<(), Failure> {
        let _outcome = self
            .write(Change::Update {
                key: live_key(&runner_sk(instance)),
                update: "REMOVE credential_ms".to_owned(),
                condition: "credential_ms = :then".to_owned(),
                values: Item::from([(":then".to_owned(), number(marked_ms))]),
            })
            .await?;
        Ok(())
    }

    /// Closes a runner's row exactly once: history, counters, and what remains of it at the forge.
    /// Refused when the row is gone, or is not as it was read any more: what it registered or took
    /// since must not be forgotten.
    pub async fn close_runner(&self, runner: &Runner, now_ms: u64) -> Result<Outcome, Failure> {
        let ended = EndedRow {
            runner,
            ended_ms: now_ms,
        };
        let pk = format!("runner#{}", runner.instance);
        let mut values = Item::new();
        let condition = ["attribute_exists(pk)".to_owned()]
            .into_iter()
            .chain(
                [("forge_id", runner.forge_id), ("busy_ms", runner.busy_ms)]
                    .into_iter()
                    .map(|(name, seen)| unchanged(name, seen, &mut values)),
            )
            .collect::<Vec<_>>()
            .join(" AND ");
        let mut changes = vec![
            Change::Delete {
                key: live_key(&runner_sk(&runner.instance)),
                condition,
                values,
            },
            Change::Put(item(&Row {
                pk: &pk,
                sk: "ended",
                body: &ended,
                ttl: Some(now_ms / 1000 + HISTORY_S),
            })),
        ];
        changes.extend(give_back(&runner.pool, 1));
        if let (Some(forge_id), None) = (runner.forge_id, runner.busy_ms) {
            let remains = Remains {
                instance: runner.instance.clone(),
                pool: runner.pool.clone(),
                forge_id,
            };
            changes.push(Change::Put(live_item(
                &format!("remains#{}", runner.instance),
                &remains,
            )));
        }
        self.write_all(changes).await
    }

    /// Strikes what remained at the forge off the list.
    pub async fn clear_remains(&self, instance: &str) -> Result<(), Failure> {
        let _outcome = self
            .write(Change::Delete {
                key: live_key(&format!("remains#{instance}")),
                condition: String::new(),
                values: Item::new(),
            })
            .await?;
        Ok(())
    }

    /// Takes or renews the drain's lease. A loser leaves the mark that makes the holder look again.
    pub async fn take_lease(&self, holder: &str, now_ms: u64) -> Result<bool, Failure> {
        let taken = self
            .write(Change::Update {
                key: live_key("lease"),
                update: "SET holder = :holder, until_ms = :until, again = :no".to_owned(),
                condition: "attribute_not_exists(pk) OR until_ms < :now OR holder = :holder"
                    .to_owned(),
                values: Item::from([
                    (":holder".to_owned(), text(holder)),
                    (":until".to_owned(), number(now_ms + LEASE_MS)),
                    (":now".to_owned(), number(now_ms)),
                    (":no".to_owned(), AttributeValue::Bool(false)),
                ]),
            })
            .await?;
        if taken == Outcome::Written {
            return Ok(true);
        }
        let _marked = self
            .write(Change::Update {
                key: live_key("lease"),
                update: "SET again = :yes".to_owned(),
                condition: "attribute_exists(pk)".to_owned(),
                values: Item::from([(":yes".to_owned(), AttributeValue::Bool(true))]),
            })
            .await?;
        Ok(false)
    }

    /// Takes the lease for good, whoever holds it: the deployment is taken down, nothing may be
    /// launched any more. It runs out, in case nobody goes on with that.
    pub async fn take_last_lease(&self, now_ms: u64) -> Result<(), Failure> {
        let _outcome = self
            .write(Change::Update {
                key: live_key("lease"),
                update: "SET holder = :holder, until_ms = :until, again = :no".to_owned(),
                condition: String::new(),
                values: Item::from([
                    (":holder".to_owned(), text("retired")),
                    (":until".to_owned(), number(now_ms + LAST_LEASE_MS)),
                    (":no".to_owned(), AttributeValue::Bool(false)),
                ]),
            })
            .await?;
        Ok(())
    }

    /// Gives the lease back; `false` says that somebody asked to look again, or has taken it.
    pub async fn release_lease(&self, holder: &str) -> Result<bool, Failure> {
        let released = self
            .write(Change::Update {
                key: live_key("lease"),
                update: "SET until_ms = :zero".to_owned(),
                condition: "holder = :holder AND again = :no".to_owned(),
                values: Item::from([
                    (":holder".to_owned(), text(holder)),
                    (":zero".to_owned(), number(0)),
                    (":no".to_owned(), AttributeValue::Bool(false)),
                ]),
            })
            .await?;
        Ok(released == Outcome::Written)
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
        } else if sk.starts_with("remains#") {
            self.remains.push(read(item)?);
        } else if sk.starts_with("runner#") {
            self.runners.push(read(item)?);
        }
        Ok(())
    }
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

fn history_key(key: &JobKey) -> (String, String) {
    (
        format!("repo#{}", key.repository),
        format!("{:012}#{:04}", key.id, key.attempt),
    )
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

/// A job's key as runner rows have it.
#[must_use]
pub fn key_value(key: &JobKey) -> AttributeValue {
    serde_dynamo::to_attribute_value(key).expect("a job key has no maps with odd keys")
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

fn claim_update(claim: &Claim, launch: &str) -> Change {
    let mut values = Item::from([
        (":launch".to_owned(), text(launch)),
        (":launches".to_owned(), number(claim.launches.into())),
    ]);
    let condition = match &claim.seen {
        None => "attribute_exists(pk) AND attribute_not_exists(launch)".to_owned(),
        Some(seen) => {
            values.insert(":seen".to_owned(), text(seen));
            "launch = :seen".to_owned()
        }
    };
    Change::Update {
        key: live_key(&job_sk(&claim.job)),
        update: "SET launch = :launch, launches = :launches".to_owned(),
        condition,
        values,
    }
}

/// The condition that an attribute is as it was read.
fn unchanged(name: &str, seen: Option<u64>, values: &mut Item) -> String {
    match seen {
        None => format!("attribute_not_exists({name})"),
        Some(seen) => {
            values.insert(format!(":{name}"), number(seen));
            format!("{name} = :{name}")
        }
    }
}

/// Adds `count` to a counter if that stays within `cap`.
fn reserve(counter: &str, count: u32, cap: u32) -> Change {
    Change::Update {
        key: live_key(&format!("counter#{counter}")),
        update: "ADD n :count".to_owned(),
        condition: "attribute_not_exists(n) OR n <= :room".to_owned(),
        values: Item::from([
            (":count".to_owned(), number(count.into())),
            (":room".to_owned(), number(cap.saturating_sub(count).into())),
        ]),
    }
}

/// Takes `count` off the counters of `pool` and of the fleet.
fn give_back(pool: &str, count: u32) -> Vec<Change> {
    if count == 0 {
        return Vec::new();
    }
    [COUNTER_ALL.to_owned(), counter_of(pool)]
        .into_iter()
        .map(|counter| Change::Update {
            key: live_key(&format!("counter#{counter}")),
            update: "ADD n :less".to_owned(),
            condition: String::new(),
            values: Item::from([(":less".to_owned(), AttributeValue::N(format!("-{count}")))]),
        })
        .collect()
}
