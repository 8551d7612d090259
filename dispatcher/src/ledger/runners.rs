//! Runners: marked while they live, closed exactly once.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use super::launches::give_back;
use super::{HISTORY_S, LIVE, Remains, Row, item, live_item, live_key, number, read, runner_sk};
use crate::shell::{Change, Failure, Item, Outcome, Shell};
use crate::world::Runner;

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
