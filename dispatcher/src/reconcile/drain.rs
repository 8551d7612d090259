//! The only place that launches. Woken by the nudge, the tick and the end of an instance; it works
//! on until nothing is left to do or its time is nearly out, and never wakes itself.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use super::context::{Context, Progress, Woken};
use super::expect::{self, Denied, Looks};
use super::observe::{Seen, observe};
use super::outbox;
use super::rate_limit::LAUNCHES_AT_ONCE;
use crate::aws::{Failure, WriteResult};
use crate::ledger::{Live, RENEW};
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
/// So many jobs within that time, in milliseconds, are a burst: a forge that sends one delivery after the
/// other sends some twenty a second, and a workflow of a few jobs is none.
const BURST_JOBS: usize = 5;
const BURST_MS: u64 = 2_000;
/// How long a drain lets the jobs of a burst gather when it has nothing else to do. Nobody's first job waits
/// for it.
const GATHER: Duration = Duration::from_millis(400);
/// Most jobs that one round names as held: while a cap is reached every nudge comes here, and the
/// log would grow with the square of the list.
const HELD_NAMED_MAX: usize = 20;

/// What a drain has done when nothing changes any more.
#[derive(Default)]
struct Done {
    /// What is owed to the forge.
    left: Live,
    /// Whether it may have the lease.
    leads: bool,
    /// What is done without it.
    later: Later,
    /// The first failure of an action that nothing has made good.
    failure: Option<Failure>,
}

/// Actions that wait for the forge, and nobody for them; and what they rest on.
#[derive(Default)]
struct Later {
    actions: Vec<Action>,
    world: World,
}

/// Drains the list of waiting jobs, unless another invocation does. While jobs keep coming it goes on
/// until its time is out: each of them has asked to look again and left. What was `seen` a moment ago is
/// not read again.
pub async fn drain(
    context: Context<'_>,
    holder: &str,
    woken: Woken,
    seen: Option<Seen>,
) -> Result<(), Failure> {
    let mut waits = 0;
    let mut looks = Looks::default();
    let mut denied = Denied::new();
    let mut first = Some(seen);
    for _ in 0..LOOKS_MAX {
        let looked = match first.take() {
            Some(seen) => Box::pin(first_look(context, holder, seen)).await,
            None => rounds(context, holder, std::mem::take(&mut denied)).await,
        };
        let time_is_out = context.out_of_time();
        let Done {
            left,
            leads,
            later,
            failure,
        } = match looked {
            Ok(None) => {
                tracing::info!("another drain has the lease and will look again");
                if !looks.go_on(context, &mut denied).await? {
                    return looks.end(context, holder).await;
                }
                continue;
            }
            Ok(Some(done)) if !time_is_out => done,
            unfinished => {
                let gone = context.ledger.leave_lease(holder).await;
                return match unfinished {
                    Ok(done) => done.and_then(|done| done.failure).map_or(gone, Err),
                    Err(failure) => Err(failure),
                };
            }
        };
        if !leads || context.ledger.release_lease(holder).await? {
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
            let mut failure = failure;
            for done in apply_all(context, later.actions, &later.world).await {
                if let Err(late) = done {
                    failure.get_or_insert(failed(late));
                }
            }
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

/// The first look, without the lease: most drains find nothing to do, or one launch, whose claim takes the
/// lease. For all else it is taken, and what is done follows from a look after that. `None`: another drain
/// is at work, and was asked to look again.
async fn first_look(
    context: Context<'_>,
    holder: &str,
    seen: Option<Seen>,
) -> Result<Option<Done>, Failure> {
    let Seen { live, world } = match seen {
        Some(seen) => seen,
        None => observe(context).await?,
    };
    if live.lease.is_of_another(holder, world.now_ms) {
        return match context.ledger.ask_again(context.now_ms()).await? {
            WriteResult::Written => Ok(None),
            // It has given the lease back since, and what was seen is old.
            WriteResult::Refused => rounds(context, holder, Denied::new()).await,
        };
    }
    let Plan { actions, held } = plan::drain(&world);
    let (late, mut actions): (Vec<_>, Vec<_>) = actions.into_iter().partition(Action::can_wait);
    let (launch, claims) = match actions.pop() {
        None if !is_burst(&world) => {
            log_held(&held);
            return Ok(Some(Done {
                left: live,
                later: Later {
                    actions: late,
                    world,
                },
                ..Done::default()
            }));
        }
        Some(Action::Launch { launch, claims }) if actions.is_empty() => (launch, claims),
        Some(_) | None => return rounds(context, holder, Denied::new()).await,
    };
    log_held(&held);
    let launched = context.claim_and_issue(launch, &claims, &world, Some(holder));
    let failure = match keep_lease(context, holder, launched).await {
        Ok(Progress::Changed | Progress::GivenBack(_) | Progress::Verified(_)) => {
            return rounds(context, holder, Denied::new()).await;
        }
        Ok(Progress::Waits) => None,
        Err(failure) => Some(failed(failure)),
    };
    Ok(Some(Done {
        left: live,
        leads: true,
        later: Later {
            actions: late,
            world,
        },
        failure,
    }))
}

/// Rounds under the lease until nothing changes; `None` as in [`first_look`].
async fn rounds(
    context: Context<'_>,
    holder: &str,
    denied: Denied,
) -> Result<Option<Done>, Failure> {
    let mut denied = Some(denied);
    let mut forge_states = BTreeMap::new();
    let mut first_failure = None;
    for _ in 0..ROUNDS_MAX {
        if context.out_of_time() {
            tracing::warn!("drain is out of time; the next reconcile goes on");
            break;
        }
        if !context.ledger.take_lease(holder, context.now_ms()).await? {
            return Ok(None);
        }
        let Seen { live, mut world } = observe(context).await?;
        // Kept over the rounds: what was told once is not asked again in this drain.
        world.forge_states.clone_from(&forge_states);
        world.denied = denied.take().unwrap_or_default();
        let Plan { actions, held } = plan::drain(&world);
        let (late, actions): (Vec<_>, Vec<_>) = actions.into_iter().partition(Action::can_wait);
        log_held(&held);
        let mut changed = false;
        let applied = apply_all(context, actions, &world);
        for done in keep_lease(context, holder, applied).await {
            // One action that fails keeps no other from being done.
            match done {
                Ok(Progress::Waits) => {}
                Ok(Progress::Changed | Progress::GivenBack(_)) => changed = true,
                Ok(Progress::Verified(states)) => {
                    changed = true;
                    forge_states.extend(states);
                }
                Err(failure) => {
                    first_failure.get_or_insert(failed(failure));
                }
            }
        }
        let failure = first_failure.take();
        if !changed && failure.is_none() && is_burst(&world) {
            tokio::time::sleep(GATHER).await;
        } else if !changed {
            return Ok(Some(Done {
                left: live,
                leads: true,
                later: Later {
                    actions: late,
                    world,
                },
                failure,
            }));
        }
    }
    Ok(Some(Done {
        leads: true,
        ..Done::default()
    }))
}

/// Whether jobs come faster than drains are woken for: then one stays for those that follow, and launches
/// for several together.
fn is_burst(world: &World) -> bool {
    let is_new = |recorded_ms: u64| world.now_ms.saturating_sub(recorded_ms) < BURST_MS;
    let new = world.jobs.iter().filter(|job| is_new(job.recorded_ms));
    new.count() >= BURST_JOBS
}

/// Does `work`, and keeps the lease meanwhile.
async fn keep_lease<T>(context: Context<'_>, holder: &str, work: impl Future<Output = T>) -> T {
    let renewing = async {
        loop {
            tokio::time::sleep(RENEW).await;
            let renewed = context.ledger.renew_lease(holder, context.now_ms()).await;
            if let Err(failure) = renewed {
                tracing::warn!(error = %failure, "lease not renewed");
            }
        }
    };
    // In this order, whoever is ready first: the same world, the same course.
    tokio::select! {
        biased;
        done = work => done,
        never = renewing => never,
    }
}

fn failed(failure: Failure) -> Failure {
    tracing::error!(error = %failure, "an action failed; the next drain plans it again");
    failure
}

/// What machines start from first; then launches, several at a time, since somebody waits for each; then all else,
/// in order.
/// Nothing is begun when the time is nearly out.
async fn apply_all(
    context: Context<'_>,
    actions: Vec<Action>,
    world: &World,
) -> Vec<Result<Progress, Failure>> {
    let (images, actions): (Vec<_>, Vec<_>) = actions.into_iter().partition(Action::is_put_back);
    let (launches, others): (Vec<_>, Vec<_>) = actions.into_iter().partition(Action::launches);
    let begin = |action| async move {
        if context.out_of_time() {
            return Ok(Progress::Waits);
        }
        context.apply(action, world).await
    };
    let mut done = Vec::new();
    for action in images {
        done.push(begin(action).await);
    }
    let tried = stream::iter(launches.into_iter().map(begin)).buffer_unordered(LAUNCHES_AT_ONCE);
    done.extend(tried.collect::<Vec<_>>().await);
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
