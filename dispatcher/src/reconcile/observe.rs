//! The world that one round decides about, from what the ledger and the parameters say.

use std::collections::BTreeMap;
use std::mem::take;

use super::context::Context;
use crate::aws::Failure;
use crate::config::Config;
use crate::ledger::Live;
use crate::model::world::{WaitingJob, World};

/// What one look has found.
#[derive(Debug)]
pub struct Seen {
    /// What no decision rests on: what is owed to the forge, events, and who drains.
    pub live: Live,
    /// What decisions rest on.
    pub world: World,
}

/// Looks at the ledger.
pub async fn observe(context: Context<'_>) -> Result<Seen, Failure> {
    let mut live = context.ledger.live().await?;
    let world = world(&mut live, context.config, context.now_ms());
    Ok(Seen { live, world })
}

/// The world that `live` and `config` describe. In `live` remains what no decision rests on: what is
/// owed to the forge, and events.
#[must_use]
pub fn world(live: &mut Live, config: &Config, now_ms: u64) -> World {
    let age_ms = u64::try_from(config.age().as_millis()).unwrap_or(u64::MAX);
    let (superseded, jobs) = superseded(take(&mut live.jobs));
    World {
        now_ms,
        configured_ms: now_ms.saturating_sub(age_ms),
        max_runners: config.settings.max_runners,
        tags: config.settings.tags.clone(),
        pools: config.pools.clone(),
        jobs,
        superseded,
        launches: take(&mut live.launches),
        runners: take(&mut live.runners),
        counters: take(&mut live.counters),
        pauses: take(&mut live.pauses),
        images: config.images.clone(),
        boot_failures: take(&mut live.boot_failures),
        ..World::default()
    }
}

/// Parts the expected jobs of which the forge has told since from the others: one for each job on the
/// list under the forge's own key. So no job is counted twice, whoever told of it first.
fn superseded(jobs: Vec<WaitingJob>) -> (Vec<WaitingJob>, Vec<WaitingJob>) {
    let mut told = BTreeMap::<u64, usize>::new();
    for job in jobs.iter().filter(|job| !job.key.is_expected()) {
        *told.entry(job.alias).or_default() += 1;
    }
    jobs.into_iter().partition(|job| {
        let is_left = |alias: &&u64| told.get(*alias).is_some_and(|left| *left > 0);
        let alias = [job.alias, job.bare_alias];
        let alias = alias.iter().find(is_left).filter(|_| job.key.is_expected());
        if let Some(left) = alias.and_then(|alias| told.get_mut(alias)) {
            *left -= 1;
        }
        alias.is_some()
    })
}
