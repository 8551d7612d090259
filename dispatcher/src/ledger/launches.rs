//! Launches: claimed under the caps, tried candidate by candidate, replaced by what they made.

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::{Change, Item};
use super::{Ledger, job_sk, launch_sk, live_item, live_key, number, runner_sk, text};
use crate::aws::{Failure, WriteResult};
use crate::model::runner::Runner;
use crate::model::world::{COUNTER_ALL, Launch, counter_of};
use crate::plan::Claim;

impl Ledger {
    /// Claims `claims` for `launch` and reserves its runners under the caps, all or nothing.
    pub async fn claim(
        &self,
        launch: &Launch,
        claims: &[Claim],
        cap_pool: u32,
        cap_all: u32,
    ) -> Result<WriteResult, Failure> {
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
    pub async fn adopt(&self, claim: &Claim, launch: &str) -> Result<WriteResult, Failure> {
        self.write(claim_update(claim, launch)).await
    }

    /// Writes down that the launch's current candidate failed and the next one is tried.
    pub async fn next_candidate(&self, launch: &Launch, why: &str) -> Result<WriteResult, Failure> {
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
    ) -> Result<WriteResult, Failure> {
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
}

impl Claim {
    /// The condition that the job's entry is as it was seen.
    pub(super) fn as_seen(&self) -> (String, Item) {
        match &self.seen {
            None => (
                "attribute_exists(pk) AND attribute_not_exists(launch)".to_owned(),
                Item::new(),
            ),
            Some(seen) => (
                "launch = :seen".to_owned(),
                Item::from([(":seen".to_owned(), text(seen))]),
            ),
        }
    }
}

fn claim_update(claim: &Claim, launch: &str) -> Change {
    let (condition, mut values) = claim.as_seen();
    values.insert(":launch".to_owned(), text(launch));
    values.insert(":launches".to_owned(), number(claim.launches.into()));
    Change::Update {
        key: live_key(&job_sk(&claim.job)),
        update: "SET launch = :launch, launches = :launches".to_owned(),
        condition,
        values,
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
pub(super) fn give_back(pool: &str, count: u32) -> Vec<Change> {
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
