//! Runners: moved through their states while they live, closed exactly once.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use stacks::pool::Scope;

use super::change::{Change, Item};
use super::launches::give_back;
use super::stale_registrations::{stale_of, stale_sk};
use super::{
    HISTORY_S, LIVE, Ledger, Row, item, live_item, live_key, number, read, runner_sk, text,
};
use crate::aws::{Failure, WriteResult};
use crate::model::job::{ForgeRunner, JobKey};
use crate::model::runner::{EndReason, Ending, Runner, RunnerEvent, RunnerState};

/// What is kept of a runner that ended.
#[derive(Serialize)]
struct EndedRow<'a> {
    #[serde(flatten)]
    runner: &'a Runner,
    ended_ms: u64,
}

/// An update of a live runner's row, under the conditions that it collects.
struct RunnerUpdate {
    instance: String,
    sets: Vec<String>,
    removes: Vec<&'static str>,
    conditions: Vec<String>,
    values: Item,
}

impl RunnerUpdate {
    fn of(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            sets: Vec::new(),
            removes: Vec::new(),
            conditions: vec!["attribute_exists(pk)".to_owned()],
            values: Item::new(),
        }
    }

    /// Moves it by `event`, if its state admits that.
    fn moved(self, event: RunnerEvent, now_ms: u64) -> Self {
        let target = event.leads_to().word();
        self.in_states(RunnerState::moved_by(event))
            .set("runner_state = :target")
            .value(":target", text(target))
            .stamped(target, now_ms)
    }

    /// Only in one of `states`.
    fn in_states(mut self, states: impl IntoIterator<Item = RunnerState>) -> Self {
        let mut admitted = Vec::new();
        for (index, state) in states.into_iter().enumerate() {
            admitted.push(format!("runner_state = :state{index}"));
            self = self.value(&format!(":state{index}"), text(state.word()));
        }
        self.only_if(&format!("({})", admitted.join(" OR ")))
    }

    /// Notes when this was: the first time counts.
    fn stamped(self, what: &str, now_ms: u64) -> Self {
        let place = format!("timeline.#{what}");
        self.set(&format!("{place} = if_not_exists({place}, :now)"))
            .value(":now", number(now_ms))
    }

    fn set(mut self, assignment: &str) -> Self {
        self.sets.push(assignment.to_owned());
        self
    }

    fn only_if(mut self, condition: &str) -> Self {
        self.conditions.push(condition.to_owned());
        self
    }

    fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// That it ends from now on.
    fn ends(self, reason: Option<EndReason>, now_ms: u64) -> Self {
        let ending = Ending {
            since_ms: now_ms,
            reason,
        };
        let ending = serde_dynamo::to_attribute_value(ending).expect("a plain struct");
        self.set("ending = :ending").value(":ending", ending)
    }

    fn into_change(self) -> Change {
        let mut update = String::new();
        if !self.sets.is_empty() {
            update = format!("SET {}", self.sets.join(", "));
        }
        if !self.removes.is_empty() {
            update = format!("{update} REMOVE {}", self.removes.join(", "));
        }
        Change::Update {
            key: live_key(&runner_sk(&self.instance)),
            update,
            condition: self.conditions.join(" AND "),
            values: self.values,
        }
    }
}

impl Ledger {
    /// The live row of one runner.
    pub async fn runner(&self, instance: &str) -> Result<Option<Runner>, Failure> {
        let item = self.item(LIVE, &runner_sk(instance)).await?;
        Ok(item.map(read).transpose()?)
    }

    /// A runner asks for the credential that registers it in `scope`. Refused: it was given one, or is
    /// to end.
    pub async fn runner_asked(
        &self,
        instance: &str,
        scope: &Scope,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let scope = serde_dynamo::to_attribute_value(scope).expect("a word or a map of one");
        let update = RunnerUpdate::of(instance)
            .moved(RunnerEvent::Asked, now_ms)
            .set("registered_in = :scope")
            .value(":scope", scope)
            .only_if("attribute_not_exists(ending)");
        self.write_runner(update).await
    }

    /// The forge did not register it: it may ask again. `maybe_registered`: its answer got lost.
    pub async fn runner_not_registered(
        &self,
        instance: &str,
        maybe_registered: bool,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let mut update = RunnerUpdate::of(instance).moved(RunnerEvent::NotRegistered, now_ms);
        if maybe_registered {
            let yes = AttributeValue::Bool(true);
            update = update.set("maybe_registered = :yes").value(":yes", yes);
        }
        let _result = self.write_runner(update).await?;
        Ok(())
    }

    /// The forge registered it under `forge_id`.
    pub async fn runner_registered(
        &self,
        instance: &str,
        forge_id: u64,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let update = RunnerUpdate::of(instance)
            .moved(RunnerEvent::Registered, now_ms)
            .set("forge_id = :forge_id")
            .value(":forge_id", number(forge_id));
        self.write_runner(update).await
    }

    /// Its machine says that it has a job; only the forge says which.
    pub async fn runner_started(&self, instance: &str, now_ms: u64) -> Result<(), Failure> {
        let update = RunnerUpdate::of(instance).moved(RunnerEvent::Started, now_ms);
        let _result = self.write_runner(update).await?;
        Ok(())
    }

    /// The forge says that `told` has `job`. Refused if `told` is none of ours: the name says which row
    /// is meant, the forge's id whether it is that one. Anybody may register a runner of their own under
    /// the name of one of our instances.
    pub(super) async fn runner_has_job(
        &self,
        told: &ForgeRunner,
        job: &JobKey,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let Some(update) = told_by_forge(told) else {
            return Ok(WriteResult::Refused);
        };
        let job = serde_dynamo::to_attribute_value(job).expect("a plain struct");
        let update = update
            .moved(RunnerEvent::Started, now_ms)
            .set("job = :job")
            .value(":job", job)
            .only_if("attribute_not_exists(job)");
        self.write_runner(update).await
    }

    /// The forge says that the job of `told` was cancelled: its machine is to end. Refused if `told` is
    /// none of ours.
    pub async fn runner_cancelled(
        &self,
        told: &ForgeRunner,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let Some(update) = told_by_forge(told) else {
            return Ok(WriteResult::Refused);
        };
        let update = update.ends(Some(EndReason::JobCancelled), now_ms);
        self.write_runner(update).await
    }

    /// The forge gives it no job any more.
    pub async fn runner_disabled(&self, instance: &str, now_ms: u64) -> Result<(), Failure> {
        let disabled = RunnerState::Disabled.word();
        let update = RunnerUpdate::of(instance)
            .in_states(RunnerState::moved_by(RunnerEvent::Disabled))
            .set("runner_state = :target")
            .value(":target", text(disabled))
            // The last time counts: from then on the forge is given time to show what it had given it.
            .set("timeline.disabled = :now")
            .value(":now", number(now_ms))
            .only_if("attribute_not_exists(ending)");
        let _result = self.write_runner(update).await?;
        Ok(())
    }

    /// It became surplus.
    pub async fn runner_surplus(&self, instance: &str, now_ms: u64) -> Result<(), Failure> {
        let update = RunnerUpdate::of(instance)
            .set("surplus_since_ms = :now")
            .value(":now", number(now_ms))
            .only_if("attribute_not_exists(ending)");
        let _result = self.write_runner(update).await?;
        Ok(())
    }

    /// It is needed again.
    pub async fn runner_needed(&self, instance: &str) -> Result<(), Failure> {
        let mut update = RunnerUpdate::of(instance);
        update.removes.push("surplus_since_ms");
        let _result = self.write_runner(update).await?;
        Ok(())
    }

    /// Notes something that happened to it.
    pub async fn runner_noted(
        &self,
        instance: &str,
        what: RunnerNote,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let update = RunnerUpdate::of(instance).stamped(what.word(), now_ms);
        let _result = self.write_runner(update).await?;
        Ok(())
    }

    /// We end it, if its state admits that for this reason.
    pub async fn end_runner(
        &self,
        instance: &str,
        reason: &EndReason,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let mut update = RunnerUpdate::of(instance).ends(Some(reason.clone()), now_ms);
        if let Some(states) = reason.ends_only() {
            update = update.in_states(states.iter().copied());
        }
        self.write_runner(update).await
    }

    /// Its machine ends itself, and says why if its boot failed. What was said before stands.
    pub async fn runner_ends_itself(
        &self,
        instance: &str,
        reason: Option<EndReason>,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let unsaid = if reason.is_some() {
            "attribute_not_exists(ending.reason)"
        } else {
            "attribute_not_exists(ending)"
        };
        let update = RunnerUpdate::of(instance)
            .ends(reason, now_ms)
            .only_if(unsaid);
        let _result = self.write_runner(update).await?;
        Ok(())
    }

    async fn write_runner(&self, update: RunnerUpdate) -> Result<WriteResult, Failure> {
        self.write(update.into_change()).await
    }

    /// Closes a runner's row exactly once: history, counters, and what remains of it at the forge.
    /// Refused when the row is gone, or is not as it was read any more: what it registered or took
    /// since must not be forgotten. `keeps_used`: the forge deletes no registration by itself.
    pub async fn close_runner(
        &self,
        runner: &Runner,
        keeps_used: bool,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let ended = EndedRow {
            runner,
            ended_ms: now_ms,
        };
        let mut values = Item::from([(":state".to_owned(), text(runner.state.word()))]);
        let mut conditions = vec!["runner_state = :state".to_owned()];
        conditions.push(match runner.forge_id {
            None => "attribute_not_exists(forge_id)".to_owned(),
            Some(id) => {
                values.insert(":forge_id".to_owned(), number(id));
                "forge_id = :forge_id".to_owned()
            }
        });
        conditions.push(match runner.job {
            None => "attribute_not_exists(job)".to_owned(),
            Some(_) => "attribute_exists(job)".to_owned(),
        });
        values.insert(
            ":maybe".to_owned(),
            AttributeValue::Bool(runner.maybe_registered),
        );
        conditions.push("maybe_registered = :maybe".to_owned());
        let pk = format!("runner#{}", runner.instance);
        let mut changes = vec![
            Change::Delete {
                key: live_key(&runner_sk(&runner.instance)),
                condition: conditions.join(" AND "),
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
        changes.extend(
            stale_of(runner, keeps_used, now_ms)
                .map(|stale| Change::Put(live_item(&stale_sk(&stale.instance), &stale))),
        );
        self.write_all(changes).await
    }
}

/// What is noted of a runner for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunnerNote {
    /// Its runner process is up.
    Online,
    /// EC2 warned that it takes the instance back.
    Interrupted,
}

impl RunnerNote {
    const fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Interrupted => "interrupted",
        }
    }
}

/// An update of the runner that the forge calls `told`, if it can be ours.
fn told_by_forge(told: &ForgeRunner) -> Option<RunnerUpdate> {
    let id = told.id.filter(|_| told.name.starts_with("i-"))?;
    let update = RunnerUpdate::of(&told.name)
        .only_if("forge_id = :told_id")
        .value(":told_id", number(id));
    Some(update)
}
