//! Launches: claimed under the caps, tried candidate by candidate, replaced by what they made.

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::{Change, number, text};
use super::{Ledger, item, job_key, launch_key, lease, live_key, runner_key};
use crate::aws::{Failure, WriteResult};
use crate::model::runner::Runner;
use crate::model::world::{COUNTER_ALL, Launch, counter_of};
use crate::plan::Claim;
use crate::simulation::{Fault, breaks};

impl Ledger {
    /// Claims `claims` for `launch` and reserves its runners under the caps, all or nothing.
    pub async fn claim(
        &self,
        launch: &Launch,
        claims: &[Claim],
        cap_pool: u32,
        cap_all: u32,
    ) -> Result<WriteResult, Failure> {
        self.write_all(claimed(launch, claims, (cap_pool, cap_all)))
            .await
    }

    /// The same, and takes the drain's lease with it if nobody else has it.
    pub(crate) async fn claim_and_lead(
        &self,
        launch: &Launch,
        claims: &[Claim],
        caps: (u32, u32),
        (holder, now_ms): (&str, u64),
    ) -> Result<WriteResult, Failure> {
        let mut changes = claimed(launch, claims, caps);
        changes.push(lease::taken(holder, now_ms));
        self.write_all(changes).await
    }

    /// Claims one job for a machine that is free already.
    pub(crate) async fn adopt(&self, claim: &Claim, launch: &str) -> Result<WriteResult, Failure> {
        self.write(claim_update(claim, launch)).await
    }

    /// Says that `launch` is sent for its current candidate from now on; refused where another has said so
    /// since it was read, or has recorded what came of it.
    pub(crate) async fn send_launch(
        &self,
        launch: &Launch,
        now_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let sent = Change::update(launch_key(&launch.id)).set("sent_ms", number(now_ms));
        self.write(sent.only_sent_by(launch)).await
    }

    /// Writes down that the launch's current candidate failed and that number `next` is tried.
    pub(crate) async fn next_candidate(
        &self,
        launch: &Launch,
        next: usize,
        (why, now_ms): (&str, u64),
    ) -> Result<WriteResult, Failure> {
        let tried = launch.tried.iter().map(String::as_str).chain([why]);
        let moved = Change::update(launch_key(&launch.id))
            .set("candidate_at", number(next as u64))
            .set("sent_ms", number(now_ms))
            .set("tried", AttributeValue::L(tried.map(text).collect()));
        self.write(moved.only_sent_by(launch)).await
    }

    /// Replaces a launch by the runners that it made and gives back what it reserved in vain.
    pub(crate) async fn record_launched(
        &self,
        launch: &Launch,
        runners: &[Runner],
    ) -> Result<WriteResult, Failure> {
        let made = u32::try_from(runners.len()).unwrap_or(u32::MAX);
        let done = Change::delete(launch_key(&launch.id));
        let done = if runners.is_empty() {
            done.only_sent_by(launch)
        } else {
            // Whoever sends it for this candidate is told the same.
            done.only_from("candidate_at", number(launch.at as u64))
        };
        let mut changes = vec![done];
        changes.extend(
            runners.iter().map(|runner| {
                Change::put(item(runner_key(&runner.instance), runner)).only_if_new()
            }),
        );
        changes.extend(give_back(&launch.pool, launch.count.saturating_sub(made)));
        self.write_all(changes).await
    }
}

impl Change {
    /// Only if nobody has said since that it is at work on `launch`.
    fn only_sent_by(self, launch: &Launch) -> Self {
        self.only_from("candidate_at", number(launch.at as u64))
            .only_from("sent_ms", number(launch.sent_ms))
    }

    /// Only if the entry of the claimed job is as it was seen.
    pub(super) fn only_as_seen(self, claim: &Claim) -> Self {
        if breaks(Fault::LeaseTrusted) {
            return self;
        }
        match &claim.seen {
            None => self.only_if("attribute_exists(pk) AND attribute_not_exists(launch)"),
            Some(seen) => self.only_from("launch", text(seen)),
        }
    }
}

/// The changes of a claim under the caps of its pool and of the fleet.
fn claimed(launch: &Launch, claims: &[Claim], (cap_pool, cap_all): (u32, u32)) -> Vec<Change> {
    let mut changes: Vec<Change> = claims
        .iter()
        .map(|claim| claim_update(claim, &launch.id))
        .collect();
    changes.push(Change::put(item(launch_key(&launch.id), launch)).only_if_new());
    changes.push(reserve(COUNTER_ALL, launch.count, cap_all));
    changes.push(reserve(&counter_of(&launch.pool), launch.count, cap_pool));
    changes
}

fn claim_update(claim: &Claim, launch: &str) -> Change {
    Change::update(job_key(&claim.job))
        .set("launch", text(launch))
        .set("launches", number(claim.launches.into()))
        .only_as_seen(claim)
}

/// Adds `count` to a counter if that stays within `cap`.
fn reserve(counter: &str, count: u32, cap: u32) -> Change {
    if breaks(Fault::CapReadThenActedOn) {
        return counted(counter, '+', count);
    }
    counted(counter, '+', count)
        .only_if("attribute_not_exists(n) OR n <= :room")
        .value(":room", number(cap.saturating_sub(count).into()))
}

/// Takes `count` off the counters of `pool` and of the fleet.
pub(super) fn give_back(pool: &str, count: u32) -> Vec<Change> {
    if count == 0 {
        return Vec::new();
    }
    let counters = [COUNTER_ALL.to_owned(), counter_of(pool)];
    counters.map(|one| counted(&one, '-', count)).into()
}

/// Counts `count` up or down, by `sign`, on a counter that may not be there yet.
fn counted(counter: &str, sign: char, count: u32) -> Change {
    Change::update(live_key(format!("counter#{counter}")))
        .assign(format!("n = if_not_exists(n, :none) {sign} :count"))
        .value(":none", number(0))
        .value(":count", number(count.into()))
}
