//! The only place that launches. Woken by the nudge, the tick and the end of an instance; it works
//! on until nothing is left to do or its time is nearly out, and never wakes itself.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use crate::apply::{Hands, Progress};
use crate::config::Config;
use crate::ledger::Live;
use crate::owed::{self, Owed};
use crate::pace::LAUNCHES_AT_ONCE;
use crate::plan::{self, Action, Held, Plan};
use crate::predict;
use crate::shell::Failure;
use crate::world::{WaitingJob, World};

/// Most times that one drain takes the lease: while jobs keep coming, its time is out long before.
const LOOKS_MAX: usize = 1000;
/// Most times that a drain waits for another one's look into an event, and how long each time.
const WAITS_MAX: usize = 4;
const WAIT: Duration = Duration::from_secs(1);
/// Most rounds under one lease. A thousand jobs are about a dozen launches, all in one round; rounds
/// beyond the first few only follow changes made by others.
const ROUNDS_MAX: usize = 40;
/// Most jobs that one round names as held: while a cap is reached every nudge comes here, and the
/// log would grow with the square of the list.
const HELD_NAMED_MAX: usize = 20;
/// A drain starts no round with less than this left of its invocation, in seconds.
const RESERVE_S: u64 = 5;

/// What a drain was woken by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// A machine ended, and its job with it: others may have waited for that one.
    ByAnEnd,
    /// Anything else.
    Otherwise,
}

/// Drains the list of waiting jobs, unless somebody else is at it. While jobs keep coming it goes on
/// until its time is out: each of them has asked to look again and left.
pub async fn drain(
    hands: Hands<'_>,
    config: &Config,
    holder: &str,
    woken: Woken,
) -> Result<(), Failure> {
    let mut waits = 0;
    for _ in 0..LOOKS_MAX {
        if !hands.shell.take_lease(holder, (hands.now_ms)()).await? {
            tracing::info!("another drain is at it and will look again");
            return Ok(());
        }
        let drained = rounds(hands, config, holder).await;
        let time_is_out = out_of_time(hands.deadline);
        let (owed, failure) = match drained {
            Ok(done) if !time_is_out => done,
            unfinished => {
                let left = hands.shell.leave_lease(holder).await;
                return match unfinished {
                    Ok((_, None)) => left,
                    Ok((_, Some(failure))) | Err(failure) => Err(failure),
                };
            }
        };
        if hands.shell.release_lease(holder).await? {
            // Without the lease: a slow forge holds up nobody's launch.
            let settled = predict::settle(hands, config, &owed.triggers, woken).await;
            if settled.grew || settled.left {
                continue;
            }
            // Whoever looks into it may have looked before this machine's job ended.
            if settled.busy && woken == Woken::ByAnEnd && waits < WAITS_MAX {
                waits += 1;
                tokio::time::sleep(WAIT).await;
                continue;
            }
            owed::settle(hands, config, &owed).await;
            return failure.map_or(Ok(()), Err);
        }
    }
    tracing::warn!("work kept coming; the tick goes on");
    Ok(())
}

/// Rounds until nothing changes; gives what is left to do then, and the first failure of an action
/// that nothing has made good.
async fn rounds(
    hands: Hands<'_>,
    config: &Config,
    holder: &str,
) -> Result<(Owed, Option<Failure>), Failure> {
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
        // Kept over the rounds: what was told once is not asked again in this drain.
        world.verdicts.clone_from(&verdicts);
        let Plan { actions, held } = plan::drain(&world);
        log_held(&held);
        let mut changed = false;
        for done in apply_all(hands, actions, &world).await {
            // One action that fails keeps no other from being done.
            match done {
                Ok(Progress::Waits) => {}
                Ok(Progress::Changed) => changed = true,
                Ok(Progress::Told(told)) => {
                    changed = true;
                    verdicts.extend(told);
                }
                Err(failure) => {
                    tracing::error!(%failure, "an action failed; the next drain plans it anew");
                    first_failure.get_or_insert(failure);
                }
            }
        }
        let failure = first_failure.take();
        if !changed {
            return Ok((owed, failure));
        }
    }
    Ok((Owed::default(), None))
}

/// Launches first and several at a time, since somebody waits for each; then all else, in order.
/// Nothing is begun when the time is nearly out.
async fn apply_all(
    hands: Hands<'_>,
    actions: Vec<Action>,
    world: &World,
) -> Vec<Result<Progress, Failure>> {
    let (launches, others): (Vec<_>, Vec<_>) = actions.into_iter().partition(Action::launches);
    let begin = |action| async move {
        if out_of_time(hands.deadline) {
            return Ok(Progress::Waits);
        }
        hands.apply(action, world).await
    };
    let mut done: Vec<_> = stream::iter(launches.into_iter().map(begin))
        .buffer_unordered(LAUNCHES_AT_ONCE)
        .collect()
        .await;
    for action in others {
        done.push(begin(action).await);
    }
    done
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
    let age_ms = u64::try_from(config.read_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (superseded, jobs) = superseded(live.jobs);
    World {
        now_ms,
        configured_ms: now_ms.saturating_sub(age_ms),
        max_runners: config.settings.max_runners,
        tags: config.settings.tags.clone(),
        pools: config.pools.clone(),
        jobs,
        superseded,
        launches: live.launches,
        runners: live.runners,
        counters: live.counters,
        verdicts: BTreeMap::new(),
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

pub(crate) fn out_of_time(deadline: Instant) -> bool {
    Instant::now() + Duration::from_secs(RESERVE_S) >= deadline
}
