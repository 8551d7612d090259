//! Runners: moved through their states while they live, closed exactly once.

use aws_sdk_dynamodb::types::AttributeValue;
use stacks::pool::Scope;
use stacks::smoke_test::SMOKE_LAUNCH;

use super::boot_failures;
use super::change::{Change, Key, number, text};
use super::launches::give_back;
use super::stale_registrations::stale_of;
use super::{HISTORY_S, Ledger, item, read, runner_key};
use crate::aws::{Failure, WriteResult};
use crate::model::job::{ForgeRunner, JobKey};
use crate::model::runner::{
    Boot, EndReason, Ending, INTERRUPTED, Runner, RunnerEvent, RunnerState,
};
use crate::simulation::{Fault, breaks};

/// The key of what is kept of a runner that ended.
fn ended_key(instance: &str) -> Key {
    (format!("runner#{instance}"), "ended".to_owned())
}

/// An update of a live runner's row.
fn update(instance: &str) -> Change {
    Change::update(runner_key(instance)).only_if_there()
}

/// An update of the runner that the forge calls `told`, if it can be ours.
fn told_by_forge(told: &ForgeRunner) -> Option<Change> {
    if breaks(Fault::CancelledByRunnerName) {
        return Some(update(&told.name));
    }
    let id = told.id.filter(|_| told.name.starts_with("i-"))?;
    Some(update(&told.name).only_from("forge_id", number(id)))
}

impl Change {
    /// Moves a runner by `event`, if its state admits that.
    fn moved(self, event: RunnerEvent, now_ms: u64) -> Self {
        let (from, to) = event.moves();
        self.in_states(from)
            .set("runner_state", text(to.word()))
            .stamped(to.word(), now_ms)
    }

    /// Only in one of `states`.
    fn in_states(self, states: &[RunnerState]) -> Self {
        let words: Vec<&str> = states.iter().map(|state| state.word()).collect();
        self.only_from_any("runner_state", &words, false)
    }

    /// Notes when this was: the first time counts.
    fn stamped(self, what: &str, now_ms: u64) -> Self {
        let place = format!("timeline.#{what}");
        self.assign(format!("{place} = if_not_exists({place}, :now)"))
            .value(":now", number(now_ms))
    }

    /// That it ends from now on.
    fn ends(self, reason: Option<EndReason>, now_ms: u64) -> Self {
        let ending = Ending {
            since_ms: now_ms,
            reason,
        };
        let ending = serde_dynamo::to_attribute_value(ending).expect("a plain struct");
        self.set("ending", ending)
    }

    /// Only if it does not end yet.
    fn only_living(self) -> Self {
        self.only_if("attribute_not_exists(ending)")
    }
}

impl Ledger {
    /// The live row of one runner.
    pub(crate) async fn runner(&self, instance: &str) -> Result<Option<Runner>, Failure> {
        let item = self.item(runner_key(instance)).await?;
        item.map(read).transpose()
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
        let update = update(instance)
            .moved(RunnerEvent::Asked, now_ms)
            .set("registered_in", scope)
            .only_living();
        self.write(update).await
    }

    /// The forge did not register it: it may ask again. `maybe_registered`: its answer got lost.
    pub(crate) async fn runner_not_registered(
        &self,
        instance: &str,
        maybe_registered: bool,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let mut update = update(instance).moved(RunnerEvent::NotRegistered, now_ms);
        if maybe_registered {
            update = update.set("maybe_registered", AttributeValue::Bool(true));
        }
        self.write(update).await.map(drop)
    }

    /// The forge registered it under `forge_id`.
    pub(crate) async fn runner_registered(
        &self,
        instance: &str,
        forge_id: u64,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let update = update(instance)
            .moved(RunnerEvent::Registered, now_ms)
            .set("forge_id", number(forge_id));
        self.write(update).await
    }

    /// Its machine says that it has a job; only the forge says which.
    pub async fn runner_started(&self, instance: &str, now_ms: u64) -> Result<(), Failure> {
        let update = update(instance).moved(RunnerEvent::Started, now_ms);
        self.write(update).await.map(drop)
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
            .set("job", job)
            .only_if("attribute_not_exists(job)");
        self.write(update).await
    }

    /// The forge says that the job of `told` was cancelled: its machine is to end. Refused if `told` is
    /// none of ours.
    pub(crate) async fn runner_cancelled(
        &self,
        told: &ForgeRunner,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let Some(update) = told_by_forge(told) else {
            return Ok(WriteResult::Refused);
        };
        let update = update.ends(Some(EndReason::JobCancelled), now_ms);
        self.write(update).await
    }

    /// The forge gives it no job any more.
    pub(crate) async fn runner_disabled(&self, instance: &str, now_ms: u64) -> Result<(), Failure> {
        let (from, to) = RunnerEvent::Disabled.moves();
        let update = update(instance)
            .in_states(from)
            .set("runner_state", text(to.word()))
            // The last time counts: from then on the forge is given time to show what it had given it.
            .assign("timeline.disabled = :now".to_owned())
            .value(":now", number(now_ms))
            .only_living();
        self.write(update).await.map(drop)
    }

    /// It became surplus.
    pub(crate) async fn runner_surplus(&self, instance: &str, now_ms: u64) -> Result<(), Failure> {
        let update = update(instance)
            .set("surplus_since_ms", number(now_ms))
            .only_living();
        self.write(update).await.map(drop)
    }

    /// It is needed again.
    pub(crate) async fn runner_needed(&self, instance: &str) -> Result<(), Failure> {
        let update = update(instance).remove("surplus_since_ms");
        self.write(update).await.map(drop)
    }

    /// Notes something that happened to it.
    pub(crate) async fn runner_noted(
        &self,
        instance: &str,
        what: RunnerNote,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let update = update(instance).stamped(what.word(), now_ms);
        self.write(update).await.map(drop)
    }

    /// The machine of a smoke test says what a job would find; its first word counts, and nobody else's.
    pub(crate) async fn runner_found(
        &self,
        instance: &str,
        words: &str,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let update = update(instance)
            .set("#found", text(words))
            .stamped("found", now_ms)
            .only_if("begins_with(launch, :smoke) AND attribute_not_exists(#found)")
            .value(":smoke", text(SMOKE_LAUNCH));
        self.write(update).await.map(drop)
    }

    /// What is kept of a runner that ended.
    pub(crate) async fn ended_runner(&self, instance: &str) -> Result<Option<Runner>, Failure> {
        let item = self.item(ended_key(instance)).await?;
        item.map(read).transpose()
    }

    /// We end it, if its state admits that for this reason.
    pub async fn end_runner(
        &self,
        instance: &str,
        reason: &EndReason,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let mut update = update(instance).ends(Some(reason.clone()), now_ms);
        if let Some(states) = reason.ends_only() {
            update = update.in_states(states);
        }
        self.write(update).await
    }

    /// Its machine ends itself, and says why if its boot failed. What was said before stands.
    pub(crate) async fn runner_ends_itself(
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
        let update = update(instance).ends(reason, now_ms).only_if(unsaid);
        self.write(update).await.map(drop)
    }

    /// Closes a runner's row exactly once: history, counters, and what remains of it at the forge.
    /// Refused when the row is gone, or is not as it was read any more: what it registered or took
    /// since must not be forgotten. `keeps_used`: the forge deletes no registration by itself. `boot`: the new
    /// image from which it started, and what it tells of that.
    pub(crate) async fn close_runner(
        &self,
        runner: &Runner,
        keeps_used: bool,
        boot: Option<(&str, Boot)>,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let maybe = AttributeValue::Bool(runner.maybe_registered);
        let row = Change::delete(runner_key(&runner.instance))
            .only_from("runner_state", text(runner.state.word()))
            .only_from("maybe_registered", maybe)
            .only_if(match runner.job {
                None => "attribute_not_exists(job)",
                Some(_) => "attribute_exists(job)",
            });
        let row = match runner.forge_id {
            None => row.only_if("attribute_not_exists(forge_id)"),
            Some(id) => row.only_from("forge_id", number(id)),
        };
        let row = if breaks(Fault::CounterGivenBackTwice) {
            Change::delete(runner_key(&runner.instance))
        } else {
            row
        };
        let mut ended = item(ended_key(&runner.instance), runner);
        ended.insert("ended_ms".to_owned(), number(now_ms));
        ended.insert("ttl".to_owned(), number(now_ms / 1000 + HISTORY_S));
        let mut changes = vec![row, Change::put(ended)];
        changes.extend(give_back(&runner.pool, 1));
        changes.extend(stale_of(runner, keeps_used, now_ms).map(|stale| stale.put()));
        let instance = &runner.instance;
        let told = boot.and_then(|(ami, boot)| boot_failures::told(ami, boot, instance, now_ms));
        changes.extend(told);
        self.write_all(changes).await
    }
}

/// What is noted of a runner for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunnerNote {
    /// Its runner process is up.
    Online,
    /// EC2 warned that it takes the instance back.
    Interrupted,
}

impl RunnerNote {
    const fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Interrupted => INTERRUPTED,
        }
    }
}
