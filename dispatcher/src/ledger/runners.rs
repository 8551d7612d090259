//! Runners: marked while they live, closed exactly once.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use super::launches::give_back;
use super::{HISTORY_S, LIVE, Remains, Row, item, live_item, live_key, number, read, runner_sk};
use crate::job::ForgeRunner;
use crate::shell::{Change, Failure, Item, Outcome, Shell};
use crate::world::Runner;

/// Attribute of a runner's row: the forge's id of its registration.
const FORGE_ID: &str = "forge_id";

/// What is kept of a runner that ended.
#[derive(Serialize)]
struct EndedRow<'a> {
    #[serde(flatten)]
    runner: &'a Runner,
    ended_ms: u64,
}

impl Shell {
    /// The live row of one runner.
    pub async fn runner(&self, instance: &str) -> Result<Option<Runner>, Failure> {
        let item = self.item(LIVE, &runner_sk(instance)).await?;
        Ok(item.map(read).transpose()?)
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

    /// Sets attributes of the live runner that the forge calls `told`, if it is ours: the name says
    /// which row, the forge's id whether that row is meant. Anybody may register a runner of their own
    /// under the name of one of our instances.
    pub async fn set_runner_of_forge(
        &self,
        told: &ForgeRunner,
        sets: &[(&str, AttributeValue)],
        condition: &str,
    ) -> Result<Outcome, Failure> {
        let (true, Some(id)) = (told.name.starts_with("i-"), told.id) else {
            return Ok(Outcome::Refused(Vec::new()));
        };
        let mut full = format!("forge_id = :{FORGE_ID}");
        if !condition.is_empty() {
            full = format!("{full} AND {condition}");
        }
        let id = [(FORGE_ID, number(id))];
        self.set_runner(&told.name, &[sets, &id].concat(), &full)
            .await
    }

    /// Takes back a credential mark, so that the machine may ask again. `unsure`: the forge may have
    /// registered something for it.
    pub async fn unset_credential(
        &self,
        instance: &str,
        marked_ms: u64,
        unsure: bool,
    ) -> Result<(), Failure> {
        let set = if unsure { "SET unsure_ms = :then " } else { "" };
        let _outcome = self
            .write(Change::Update {
                key: live_key(&runner_sk(instance)),
                update: format!("{set}REMOVE credential_ms"),
                condition: "credential_ms = :then".to_owned(),
                values: Item::from([(":then".to_owned(), number(marked_ms))]),
            })
            .await?;
        Ok(())
    }

    /// A machine that was too many is needed again.
    pub async fn unset_spare(&self, instance: &str) -> Result<(), Failure> {
        let _outcome = self
            .write(Change::Update {
                key: live_key(&runner_sk(instance)),
                update: "REMOVE spare_ms".to_owned(),
                condition: "attribute_exists(pk)".to_owned(),
                values: Item::new(),
            })
            .await?;
        Ok(())
    }

    /// Closes a runner's row exactly once: history, counters, and what remains of it at the forge.
    /// Refused when the row is gone, or is not as it was read any more: what it registered or took
    /// since must not be forgotten. `keeps_used`: the forge deletes no registration by itself.
    pub async fn close_runner(
        &self,
        runner: &Runner,
        keeps_used: bool,
        now_ms: u64,
    ) -> Result<Outcome, Failure> {
        let ended = EndedRow {
            runner,
            ended_ms: now_ms,
        };
        let pk = format!("runner#{}", runner.instance);
        let mut values = Item::new();
        let condition = ["attribute_exists(pk)".to_owned()]
            .into_iter()
            .chain(
                [
                    ("credential_ms", runner.credential_ms),
                    ("forge_id", runner.forge_id),
                    ("busy_ms", runner.busy_ms),
                    ("unsure_ms", runner.unsure_ms),
                ]
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
        changes.extend(remains_of(runner, keeps_used, now_ms).map(|remains| {
            let sk = format!("remains#{}", remains.instance);
            Change::Put(live_item(&sk, &remains))
        }));
        self.write_all(changes).await
    }

    /// Puts a registration that nobody will use on the list of those to delete.
    pub async fn add_remains(&self, remains: &Remains) -> Result<(), Failure> {
        let sk = format!("remains#{}", remains.instance);
        let _outcome = self.write(Change::Put(live_item(&sk, remains))).await?;
        Ok(())
    }

    /// Leaves what the forge did not delete for later, each time as long again as it is to be deleted:
    /// one that it will never delete keeps no other waiting.
    pub async fn postpone_remains(&self, remains: &Remains, now_ms: u64) -> Result<(), Failure> {
        let since_ms = match remains.since_ms {
            0 => now_ms,
            since_ms => since_ms,
        };
        let until_ms = now_ms + now_ms.saturating_sub(since_ms).max(REMAINS_AGAIN_MS);
        let _outcome = self
            .write(Change::Update {
                key: live_key(&format!("remains#{}", remains.instance)),
                update: "SET not_before_ms = :until, since_ms = :since".to_owned(),
                condition: "attribute_exists(pk)".to_owned(),
                values: Item::from([
                    (":until".to_owned(), number(until_ms)),
                    (":since".to_owned(), number(since_ms)),
                ]),
            })
            .await?;
        Ok(())
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
}

/// How long the forge is asked to delete a registration, in milliseconds: a token or a scope that is
/// set right within a week still has it deleted.
const REMAINS_KEEP_MS: u64 = 7 * 24 * 3600 * 1000;
/// Shortest time between two tries, in milliseconds: a tick.
const REMAINS_AGAIN_MS: u64 = 60_000;

impl Remains {
    /// Whether it was tried for long enough.
    #[must_use]
    pub fn is_stale(&self, now_ms: u64) -> bool {
        self.since_ms > 0 && now_ms.saturating_sub(self.since_ms) > REMAINS_KEEP_MS
    }
}

/// What the forge may still hold of a runner whose machine has ended. A registration without an
/// answer, and one whose answer was not recorded, is known by its name alone.
fn remains_of(runner: &Runner, keeps_used: bool, now_ms: u64) -> Option<Remains> {
    let used = runner.busy_ms.is_some() && !keeps_used;
    let unsure =
        runner.unsure_ms.is_some() || (runner.credential_ms.is_some() && runner.forge_id.is_none());
    let unused = runner.forge_id.is_some() && !used;
    (unsure || unused).then(|| Remains {
        instance: runner.instance.clone(),
        pool: runner.pool.clone(),
        forge_id: runner.forge_id,
        used,
        unsure,
        registered_in: runner.registered_in.clone(),
        since_ms: now_ms,
        not_before_ms: 0,
    })
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
