//! The only place that launches. Woken by the nudge, the tick and the end of an instance; it works
//! on until nothing is left to do or its time is nearly out, and never wakes itself.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::apply::{Hands, Progress};
use crate::config::Config;
use crate::ledger::Live;
use crate::owed::{self, Owed};
use crate::plan::{self, Plan};
use crate::shell::Failure;
use crate::world::World;

/// Most rounds of one drain. A thousand jobs are about a dozen launches, all in one round; rounds
/// beyond the first few only follow changes made by others.
const ROUNDS_MAX: usize = 40;
/// A drain starts no round with less than this left of its invocation, in seconds.
const RESERVE_S: u64 = 5;

/// Drains the list of waiting jobs, unless somebody else is at it.
pub async fn drain(hands: Hands<'_>, config: &Config, holder: &str) -> Result<(), Failure> {
    for _ in 0..ROUNDS_MAX {
        if !hands.shell.take_lease(holder, (hands.now_ms)()).await? {
            tracing::info!("another drain is at it and will look again");
            return Ok(());
        }
        let drained = rounds(hands, config, holder).await;
        let quiet = hands.shell.release_lease(holder).await?;
        let owed = drained?;
        if quiet || out_of_time(hands.deadline) {
            // Without the lease: a slow forge holds up nobody's launch.
            owed::settle(hands, config, &owed).await;
            return Ok(());
        }
    }
    Ok(())
}

/// Rounds until nothing changes; gives what is owed to the forge.
async fn rounds(hands: Hands<'_>, config: &Config, holder: &str) -> Result<Owed, Failure> {
    let mut verdicts = BTreeMap::new();
    let mut first_failure = None;
    for round in 0..ROUNDS_MAX {
        if out_of_time(hands.deadline) {
            tracing::warn!("out of time; the tick goes on");
            break;
        }
        if round > 0 && !hands.shell.take_lease(holder, (hands.now_ms)()).await? {
            break;
        }
        let mut live = hands.shell.live().await?;
        let owed = Owed::take(&mut live);
        let mut world = world(live, config, (hands.now_ms)());
        world.verdicts = std::mem::take(&mut verdicts);
        let Plan { actions, held } = plan::drain(&world);
        for held in &held {
            tracing::info!(job = %held.job, because = ?held.because, "held");
        }
        let mut changed = false;
        for action in actions {
            if out_of_time(hands.deadline) {
                break;
            }
            // One action that fails keeps no other from being done.
            match hands.apply(action, &mut world).await {
                Ok(progress) => changed |= progress == Progress::Changed,
                Err(failure) => {
                    tracing::error!(%failure, "an action failed; the next drain plans it anew");
                    first_failure.get_or_insert(failure);
                }
            }
        }
        if let (false, Some(failure)) = (changed, first_failure.take()) {
            return Err(failure);
        }
        if !changed {
            return Ok(owed);
        }
        verdicts = world.verdicts;
    }
    Ok(Owed::default())
}

/// The world that `live` and `config` describe.
#[must_use]
pub fn world(live: Live, config: &Config, now_ms: u64) -> World {
    World {
        now_ms,
        max_runners: config.settings.max_runners,
        tags: config.settings.tags.clone(),
        pools: config.pools.clone(),
        jobs: live.jobs,
        launches: live.launches,
        runners: live.runners,
        counters: live.counters,
        verdicts: BTreeMap::new(),
    }
}

pub(crate) fn out_of_time(deadline: Instant) -> bool {
    Instant::now() + Duration::from_secs(RESERVE_S) >= deadline
}
