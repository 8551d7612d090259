//! The only place that launches. Woken by the nudge, the tick and the end of an instance; it works
//! on until nothing is left to do or its time is nearly out, and never wakes itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stacks::pool::Scope;
use tokio::time::Instant;

use crate::apply::{Hands, Progress};
use crate::config::Config;
use crate::ledger::{Live, Remains};
use crate::pace::at_once;
use crate::plan::{self, Action, Claim, Held, Plan};
use crate::shell::Failure;
use crate::world::{Launch, World};

/// Most rounds under one lease. A thousand jobs are about a dozen launches, all in one round; rounds
/// beyond the first few only follow changes made by others.
const ROUNDS_MAX: usize = 40;
/// Most jobs that one round names as held: while a cap is reached every nudge comes here, and the
/// log would grow with the square of the list.
const HELD_NAMED_MAX: usize = 20;
/// Most registrations that one drain deletes: each is a request to the forge.
const REMAINS_MAX: usize = 20;
/// A drain starts no round with less than this left of its invocation, in seconds.
const RESERVE_S: u64 = 5;

/// Drains the list of waiting jobs, unless somebody else is at it. While jobs keep coming it goes on
/// until its time is out: each of them has asked to look again and left.
pub async fn drain(hands: Hands<'_>, config: &Config, holder: &str) -> Result<(), Failure> {
    loop {
        if !hands.shell.take_lease(holder, (hands.now_ms)()).await? {
            tracing::info!("another drain is at it and will look again");
            return Ok(());
        }
        let drained = rounds(hands, config, holder).await;
        if drained.is_err() || out_of_time(hands.deadline) {
            let left = hands.shell.leave_lease(holder).await;
            return drained.and(left);
        }
        if hands.shell.release_lease(holder).await? {
            return Ok(());
        }
    }
}

async fn rounds(hands: Hands<'_>, config: &Config, holder: &str) -> Result<(), Failure> {
    let mut verdicts = BTreeMap::new();
    let mut first_failure = None;
    for round in 0..ROUNDS_MAX {
        if out_of_time(hands.deadline) {
            tracing::warn!("out of time; the tick goes on");
            return Ok(());
        }
        if round > 0 && !hands.shell.take_lease(holder, (hands.now_ms)()).await? {
            return Ok(());
        }
        let live = hands.shell.live().await?;
        let remains = live.remains.clone();
        let mut world = world(live, config, (hands.now_ms)());
        world.verdicts = std::mem::take(&mut verdicts);
        let Plan { actions, held } = plan::drain(&world);
        log_held(&held);
        let mut changed = false;
        let mut launches = Vec::new();
        for action in actions {
            if out_of_time(hands.deadline) {
                break;
            }
            if let Action::Launch { launch, claims } = action {
                launches.push((launch, claims));
                continue;
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
        for done in launch_all(hands, launches, &world).await {
            match done {
                Ok(progress) => changed |= progress == Progress::Changed,
                Err(failure) => {
                    tracing::error!(%failure, "a launch failed; the next drain plans it anew");
                    first_failure.get_or_insert(failure);
                }
            }
        }
        if let (false, Some(failure)) = (changed, first_failure.take()) {
            return Err(failure);
        }
        if !changed {
            sweep_remains(hands, config, &remains).await;
            return Ok(());
        }
        verdicts = world.verdicts;
    }
    Ok(())
}

/// Sends launches several at a time, none when the time is nearly out.
async fn launch_all(
    hands: Hands<'_>,
    launches: Vec<(Launch, Vec<Claim>)>,
    world: &World,
) -> Vec<Result<Progress, Failure>> {
    let done = Mutex::new(Vec::new());
    at_once(launches, async |(launch, claims)| {
        if out_of_time(hands.deadline) {
            return;
        }
        let result = hands.claim_and_issue(launch, &claims, world).await;
        done.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(result);
    })
    .await;
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn log_held(held: &[Held]) {
    for held in held.iter().take(HELD_NAMED_MAX) {
        tracing::info!(job = %held.job, because = ?held.because, "held");
    }
    if held.len() > HELD_NAMED_MAX {
        tracing::info!(held = held.len(), "more are held than are named");
    }
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

/// Deletes registrations that nobody will use. The list keeps them until the forge has done it, so
/// a forge that does not answer is left alone until the next tick.
pub(crate) async fn sweep_remains(hands: Hands<'_>, config: &Config, remains: &[Remains]) {
    for remains in remains.iter().take(REMAINS_MAX) {
        let pool = config.pools.iter().find(|pool| pool.name == remains.pool);
        // Of a pool that was taken out nobody knows the scope; the forge's own reaches them all.
        let scope = pool.map_or(&Scope::Global, |pool| &pool.scope);
        let deleted = hands.forge.delete_runner(scope, remains.forge_id).await;
        if let Err(error) = deleted {
            tracing::warn!(instance = remains.instance, %error, "its registration stays for now");
            return;
        }
        if let Err(failure) = hands.shell.clear_remains(&remains.instance).await {
            tracing::warn!(instance = remains.instance, %failure, "could not strike it off");
        }
    }
}

fn out_of_time(deadline: Instant) -> bool {
    Instant::now() + Duration::from_secs(RESERVE_S) >= deadline
}
