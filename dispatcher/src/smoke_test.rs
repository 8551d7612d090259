//! A smoke test: one machine by the very path of a job's (claim, launch, boot, credential, registration), and
//! no job on it. Whoever asked looks at it and has it ended.
//!
//! Its launch has an id that tells, so that the planner counts it for no job, and no job is counted for it. Its
//! machine has a credential and starts no runner: a forge gives a job to who asks for one, whatever labels
//! there are, so that is the only fence that every forge has.

use stacks::pool::{CapacityType, Pool};
use stacks::smoke_test::{SmokeMachine, SmokeState, SmokeStep, SmokeTest};

use crate::aws::{Failure, WriteResult};
use crate::ledger::Live;
use crate::model::launch;
use crate::model::runner::{EndReason, Runner, RunnerState};
use crate::model::world::{COUNTER_ALL, Launch, World, counter_of};
use crate::reconcile::context::{Context, Progress};
use crate::reconcile::observe::{Seen, observe};
use crate::rehearsal::call;

/// Does one step of it, and tells how the machine fares.
pub(crate) async fn smoke_test(
    context: Context<'_>,
    SmokeTest { id, step }: SmokeTest,
) -> Result<SmokeState, Failure> {
    if let SmokeStep::Look { instance } = &step {
        return look(context, &id, instance.as_deref()).await;
    }
    let Seen { world, .. } = observe(context).await?;
    let open = world.launches.iter().find(|launch| launch.id == id);
    let runner = world.runners.iter().find(|runner| runner.launch == id);
    let mut refused = String::new();
    let mut end = None;
    match step {
        SmokeStep::Launch {
            pool,
            spot,
            max_lifetime_minutes,
        } if open.is_none() && runner.is_none() => {
            let launch = planned(&world, &pool, spot).map(|launch| Launch {
                max_lifetime_minutes: max_lifetime_minutes.unwrap_or(launch.max_lifetime_minutes),
                id: id.clone(),
                ..launch
            });
            refused = match launch {
                Ok(launch) => given_back(context.claim_and_issue(launch, &[], &world, None).await?),
                Err(why) => why,
            };
        }
        SmokeStep::End => {
            // One that has a job after all is the job's.
            if let Some(runner) = runner.filter(|runner| runner.state != RunnerState::Busy) {
                let what = format!("its own machine {}", runner.instance);
                let ended = end_machine(context, runner).await?;
                end = ended.map(|ended| call("ec2:TerminateInstances", what, ended));
            }
        }
        SmokeStep::Launch { .. } => {
            if let Some(open) = open.filter(|it| it.is_left(context.now_ms())) {
                refused = given_back(context.reissue(open.clone()).await?);
            }
        }
        SmokeStep::Look { .. } => {} // Above.
    }
    let instance = runner.map(|runner| runner.instance.as_str());
    Ok(SmokeState {
        refused,
        end,
        ..state(context, &id, instance).await?
    })
}

/// How the machine fares. There is a look each second, so of one that lives only its own row is read: the live
/// partition may be megabytes.
async fn look(
    context: Context<'_>,
    id: &str,
    instance: Option<&str>,
) -> Result<SmokeState, Failure> {
    let alive = match instance {
        Some(instance) => context.ledger.runner(instance).await?,
        None => None,
    };
    match alive.filter(|runner| runner.launch == id) {
        Some(runner) => Ok(SmokeState {
            machine: Some(told(runner, false, false)),
            ..SmokeState::default()
        }),
        None => state(context, id, instance).await,
    }
}

/// What the whole live partition says of the launch `id`.
async fn state(
    context: Context<'_>,
    id: &str,
    instance: Option<&str>,
) -> Result<SmokeState, Failure> {
    let live = context.ledger.live().await?;
    Ok(SmokeState {
        open: live.launches.iter().any(|launch| launch.id == id),
        machine: machine(context, &live, id, instance).await?,
        ..SmokeState::default()
    })
}

/// Ends it; what it said before, of a boot that failed, stands. `None`: EC2 was not asked, since it has a
/// job or is gone by now.
async fn end_machine(
    context: Context<'_>,
    runner: &Runner,
) -> Result<Option<Result<(), Failure>>, Failure> {
    let ends = runner.end_reason().is_some()
        || context
            .ledger
            .end_runner(&runner.instance, &EndReason::SmokeTest, context.now_ms())
            .await?
            == WriteResult::Written;
    if !ends {
        return Ok(None);
    }
    let instance = std::slice::from_ref(&runner.instance);
    Ok(Some(context.aws.end_instances(instance).await))
}

/// The launch of one machine of `pool` in one market, or why there is none. The claim counts once more.
fn planned(world: &World, pool: &str, spot: bool) -> Result<Launch, String> {
    let pool = world.pool(pool);
    let pool = pool.ok_or("no such pool is deployed")?;
    let holds = |of: &Option<String>| of.as_ref().is_none_or(|name| *name == pool.name);
    let mut pauses = world.pauses.iter();
    if let Some(pause) = pauses.find(|pause| pause.repository.is_none() && holds(&pause.pool)) {
        return Err(format!(
            "somebody has paused it, `cargo xtask resume`: {}",
            pause.reason
        ));
    }
    let capacity = match (pool.capacity, spot) {
        (CapacityType::Spot | CapacityType::SpotThenOnDemand, true) => CapacityType::Spot,
        (CapacityType::OnDemand | CapacityType::SpotThenOnDemand, false) => CapacityType::OnDemand,
        (CapacityType::OnDemand, true) | (CapacityType::Spot, false) => {
            return Err("its pool does not buy machines that way".to_owned());
        }
    };
    let pool = Pool {
        capacity,
        ..pool.clone()
    };
    let is_full = |counter: &str, cap: u32| world.reserved(counter) >= cap;
    if is_full(COUNTER_ALL, world.max_runners) || is_full(&counter_of(&pool.name), pool.max_runners)
    {
        return Err("its pool or the deployment runs as many machines as it may".to_owned());
    }
    Ok(Launch {
        count: 1,
        ..launch::launch(world, &pool, &[])
    })
}

/// Why no machine comes of a launch; empty where one may.
fn given_back(progress: Progress) -> String {
    match progress {
        Progress::GivenBack(why) => why,
        Progress::Changed | Progress::Verified(_) | Progress::Waits => String::new(),
    }
}

/// The machine of the launch `id`; one that has ended is found as `instance`.
async fn machine(
    context: Context<'_>,
    live: &Live,
    id: &str,
    instance: Option<&str>,
) -> Result<Option<SmokeMachine>, Failure> {
    let alive = live.runners.iter().find(|runner| runner.launch == id);
    let ended = match instance {
        Some(instance) if alive.is_none() => context.ledger.ended_runner(instance).await?,
        Some(_) | None => None,
    };
    let closed = ended.is_some();
    let runner = alive.cloned().or(ended);
    // The history of another machine is nobody's business here.
    let runner = runner.filter(|runner| runner.launch == id);
    Ok(runner.map(|runner| {
        let mut stale = live.stale_registrations.iter();
        let owed = stale.any(|one| one.instance == runner.instance);
        told(runner, closed, owed)
    }))
}

/// What is told of a machine. `owed`: the forge has still to delete its registration.
fn told(runner: Runner, closed: bool, owed: bool) -> SmokeMachine {
    let reason = runner.end_reason();
    SmokeMachine {
        registered: owed || (!closed && runner.forge_id.is_some()),
        closed,
        reason: reason.map_or_else(String::new, |reason| reason.word().to_owned()),
        found: runner.found.unwrap_or_default(),
        instance: runner.instance,
        instance_type: runner.instance_type,
        spot: runner.spot,
        launched_ms: runner.launched_ms,
        timeline: runner.timeline,
    }
}
