//! The only place that launches. Woken by the nudge, the tick and the end of an instance; it works
//! on until nothing is left to do or its time is nearly out, and never wakes itself.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use super::context::{Context, Progress, Woken};
use super::expect::{self, Denied, Looks};
use super::observe::world;
use super::outbox;
use super::rate_limit::LAUNCHES_AT_ONCE;
use crate::aws::Failure;
use crate::ledger::Live;
use crate::model::world::World;
use crate::plan::{self, Action, Held, Plan};

/// Most times that one drain takes the lease: while jobs keep coming, its time is out long before.
const LOOKS_MAX: usize = 1000;
/// How often a drain waits while another invocation evaluates the same event, and how long each time.
const WAITS_MAX: usize = 4;
const WAIT: Duration = Duration::from_secs(1);
/// Most rounds under one lease. A thousand jobs are about a dozen launches, all in one round; rounds
/// beyond the first few only follow changes made by others.
const ROUNDS_MAX: usize = 40;
/// Most jobs that one round names as held: while a cap is reached every nudge comes here, and the
/// log would grow with the square of the list.
const HELD_NAMED_MAX: usize = 20;

/// Drains the list of waiting jobs, unless another invocation has the lease. While jobs keep coming it goes on
/// until its time is out: each of them has asked to look again and left.
pub async fn drain(context: Context<'_>, holder: &str, woken: Woken) -> Result<(), Failure> {
    let mut waits = 0;
    let mut looks = Looks::default();
    let mut denied = Denied::new();
    for _ in 0..LOOKS_MAX {
        if !context.ledger.take_lease(holder, context.now_ms()).await? {
            tracing::info!("another drain has the lease and will look again");
            if !looks.go_on(context, &mut denied).await? {
                return looks.end(context, holder).await;
            }
            continue;
        }
        let drained = rounds(context, holder, std::mem::take(&mut denied)).await;
        let time_is_out = context.out_of_time();
        let (left, failure) = match drained {
            Ok(done) if !time_is_out => done,
            unfinished => {
                let gone = context.ledger.leave_lease(holder).await;
                return match unfinished {
                    Ok((_, None)) => gone,
                    Ok((_, Some(failure))) | Err(failure) => Err(failure),
                };
            }
        };
        if context.ledger.release_lease(holder).await? {
            // Without the lease: a slow forge holds up nobody's launch.
            let processed = expect::process(context, &left.pending_events, woken).await;
            looks.add(context, holder, &processed.evaluated).await?;
            if processed.grew || processed.left {
                continue;
            }
            // Whoever looks into it may have looked before this machine's job ended.
            if processed.busy && woken == Woken::ByAnEnd && waits < WAITS_MAX {
                waits += 1;
                tokio::time::sleep(WAIT).await;
                continue;
            }
            outbox::flush(context, &left).await;
            if let Some(failure) = failure {
                return Err(failure);
            }
            if !looks.go_on(context, &mut denied).await? {
                return looks.end(context, holder).await;
            }
        }
    }
    tracing::warn!("drain stops while jobs keep coming; the next reconcile goes on");
    Ok(())
}

/// Rounds until nothing changes; gives what is left to do then, and the first failure of an action
/// that nothing has made good.
async fn rounds(
    context: Context<'_>,
    holder: &str,
    denied: Denied,
) -> Result<(Live, Option<Failure>), Failure> {
    let mut denied = Some(denied);
    let mut forge_states = BTreeMap::new();
    let mut first_failure = None;
    for round in 0..ROUNDS_MAX {
        if context.out_of_time() {
            tracing::warn!("drain is out of time; the next reconcile goes on");
            break;
        }
        if round > 0 && !context.ledger.take_lease(holder, context.now_ms()).await? {
            break;
        }
        let mut live = context.ledger.live().await?;
        let mut world = world(&mut live, context.config, context.now_ms());
        // Kept over the rounds: what was told once is not asked again in this drain.
        world.forge_states.clone_from(&forge_states);
        world.denied = denied.take().unwrap_or_default();
        let Plan { actions, held } = plan::drain(&world);
        log_held(&held);
        let mut changed = false;
        for done in apply_all(context, actions, &world).await {
            // One action that fails keeps no other from being done.
            match done {
                Ok(Progress::Waits) => {}
                Ok(Progress::Changed) => changed = true,
                Ok(Progress::Verified(states)) => {
                    changed = true;
                    forge_states.extend(states);
                }
                Err(failure) => {
                    tracing::error!(error = %failure, "an action failed; the next drain plans it again");
                    first_failure.get_or_insert(failure);
                }
            }
        }
        let failure = first_failure.take();
        if !changed {
            return Ok((live, failure));
        }
    }
    Ok((Live::default(), None))
}

/// Launches first and several at a time, since somebody waits for each; then all else, in order.
/// Nothing is begun when the time is nearly out.
async fn apply_all(
    context: Context<'_>,
    actions: Vec<Action>,
    world: &World,
) -> Vec<Result<Progress, Failure>> {
    let (launches, others): (Vec<_>, Vec<_>) = actions.into_iter().partition(Action::launches);
    let begin = |action| async move {
        if context.out_of_time() {
            return Ok(Progress::Waits);
        }
        context.apply(action, world).await
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
        tracing::info!(
            job = %held.job,
            repository = held.job.repository,
            because = ?held.because,
            "job waits: {}",
            held.because.words(),
        );
    }
    if held.len() > HELD_NAMED_MAX {
        tracing::info!(waiting = held.len(), "more jobs wait than are named");
    }
}
