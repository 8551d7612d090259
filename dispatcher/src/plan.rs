//! Decides what to launch, what to end and what to leave alone. Pure: the same world gives the same
//! plan, and every job that gets no machine is told why.
//!
//! The rule is *count, don't pair*: a forge gives a runner whichever matching job is oldest, so a
//! pool needs as many free runners as it has waiting jobs, whoever was launched for whom.

mod action;
mod pause;
mod put_back;
mod scale_in;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use stacks::pool::Pool;

use crate::model::job::JobKey;
use crate::model::launch;
use crate::model::runner::{EndReason, Runner, RunnerState};
use crate::model::world::{COUNTER_ALL, ForgeJobState, WaitingJob, World, counter_of};

pub use action::{Action, Claim};
pub use scale_in::{IDLE_MARGIN_MS, SCALE_IN_MAX, SETTLE_MS, SURPLUS_GRACE_MS};
pub use sweep::{Sweep, UNKNOWN_GRACE_MS, UNTAGGED_LIMIT_MINUTES, sweep};

/// Most launches for one job. A machine that ends without taking its job is bad luck once, and a
/// broken image or network by the third time: more would only cost money.
pub const LAUNCHES_MAX: u32 = 3;

/// Most launches for one job while the forge can't tell whether it waits. A forge that is down lets
/// no machine register either: one replacement delays nobody, more would only boot in vain.
pub const LAUNCHES_BLIND_MAX: u32 = 2;

/// After which time on the list a job counts as gone of which the forge can't tell, in milliseconds: it
/// gives up jobs itself that have waited for a day (Gitea 1.26 and Forgejo, `ABANDONED_JOB_TIMEOUT`). Its
/// repository may not be the token's to read.
const ABANDONED_MS: u64 = 24 * 3600 * 1000;

/// How long a runner that says it is busy, of whose job the forge has not told yet, still counts for
/// the job that it was launched for, in milliseconds. Its own word may overtake the forge's event,
/// which takes up to four seconds with default queues (measured).
pub const STARTED_GRACE_MS: u64 = 30_000;

/// Most jobs that one round asks the forge about: each is a request, and the next round goes on.
pub const VERIFY_MAX: usize = 20;

/// Most launches in one round for jobs of one pool that are launched alone, since the account's quota is
/// reached: each may be refused, and refused requests use up EC2's bucket for everybody.
pub const ALONE_MAX: usize = 6;

/// What a drain does next.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What to do, in order.
    pub actions: Vec<Action>,
    /// Who waits, and why.
    pub held: Vec<Held>,
}

/// A job that gets no machine now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The job.
    pub job: JobKey,
    /// Why.
    pub because: Because,
}

/// Why a job waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Its pool runs as many instances as it may.
    PoolFull,
    /// The deployment runs as many instances as it may.
    FleetFull,
    /// Its last launch came to nothing; the next try is later.
    BackingOff,
    /// Somebody has paused it.
    Paused,
    /// The forge registers no runner of its pool.
    NotRegistered,
    /// The account's quota is reached; others of its pool are tried first.
    OverQuota,
    /// Its pool is not configured any more, but the machine launched for it may still take it.
    PoolGone,
    /// Its machines ended without it, and the forge does not say whether it still waits.
    ForgeSilent,
}

impl Because {
    /// The same in words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::PoolFull => "its pool runs as many machines as it may",
            Self::FleetFull => "the deployment runs as many machines as it may",
            Self::BackingOff => "its last launch came to nothing, the next try is later",
            Self::Paused => "somebody has paused it: cargo xtask resume",
            Self::NotRegistered => "the forge registers no runner of its pool",
            Self::OverQuota => "the account's quota is reached, others of its pool are tried first",
            Self::PoolGone => {
                "its pool was taken out, and the machine launched for it may still take it"
            }
            Self::ForgeSilent => {
                "its machines ended without it, and the forge does not say whether it waits"
            }
        }
    }
}

/// Plans one round of a drain.
#[must_use]
pub fn drain(world: &World) -> Plan {
    let mut plan = Plan::default();
    plan.actions.extend(put_back::put_back(world));
    let now_ms = world.now_ms;
    let open = world
        .launches
        .iter()
        .filter(|it| it.is_left(now_ms))
        .cloned();
    plan.actions.extend(open.map(Action::Reissue));
    plan.actions.extend(unended(world));
    let superseded = world.superseded.iter().map(claim).map(Action::Supersede);
    plan.actions.extend(superseded);
    let mut wanted: Vec<&WaitingJob> = Vec::new();
    for pool in &world.pools {
        wanted.extend(demand(world, pool, &mut plan));
    }
    for job in &world.jobs {
        if world.pool(&job.pool).is_none() {
            reassign(world, job, &mut plan);
        }
    }
    wanted.sort_unstable_by_key(|job| (job.recorded_ms, job.key.clone()));
    let wanted = pause::hold(world, wanted, &mut plan);
    launch_within_caps(world, &wanted, &mut plan);
    plan.actions.extend(scale_in::scale_in(world));
    plan
}

/// Machines that are marked to be ended and live on: the mark is written first, so the call may have
/// failed. For a cancelled job the mark is all: the forge can't reach an ephemeral runner any more,
/// and the job's processes would run on to their end.
fn unended(world: &World) -> impl Iterator<Item = Action> {
    let reasons = [
        EndReason::JobCancelled,
        EndReason::Surplus,
        EndReason::Idle,
        EndReason::SmokeTest,
    ];
    reasons.into_iter().filter_map(|reason| {
        let marked = |runner: &&Runner| runner.end_reason() == Some(&reason);
        let instances: Vec<String> = world
            .runners
            .iter()
            .filter(marked)
            .map(|runner| runner.instance.clone())
            .collect();
        (!instances.is_empty()).then_some(Action::End { instances, reason })
    })
}

/// Decides about a job whose pool was taken out of the environment. A machine of before that is
/// registered takes it if it can, and ends by itself if it can't.
fn reassign(world: &World, job: &WaitingJob, plan: &mut Plan) {
    let may_take_it = world.runners.iter().any(|runner| {
        Some(&runner.launch) == job.launch.as_ref()
            && runner.is_supply()
            && runner.state != RunnerState::Booting
    });
    // Whoever gave it its pool may have read newer parameters than these, which are kept a while.
    let may_be_new = job.recorded_ms.max(job.reassigned_ms) >= world.configured_ms;
    if may_take_it || may_be_new {
        plan.hold(job, Because::PoolGone);
    } else {
        plan.actions.push(Action::ReassignPool(claim(job)));
    }
}

/// The jobs of `pool` that need a new machine. What needs none is decided into `plan`.
fn demand<'a>(world: &'a World, pool: &Pool, plan: &mut Plan) -> Vec<&'a WaitingJob> {
    let of_pool = |name: &String| *name == pool.name;
    let (claimed, unclaimed): (Vec<_>, Vec<_>) = world
        .jobs
        .iter()
        .filter(|job| of_pool(&job.pool))
        .partition(|job| job.launch.is_some());
    let free = free_machines(world, pool);

    let mut wanted = replacements(world, pool, &claimed, &free, plan);

    let mut surplus = free.iter().skip(claimed.len());
    for job in unclaimed {
        if job.not_before_ms > world.now_ms {
            plan.hold(job, Because::BackingOff);
        } else if let Some(launch) = surplus.next() {
            // A machine that is there anyway is no launch on the job's behalf.
            let claim = Claim {
                launches: job.launches,
                ..claim(job)
            };
            plan.actions.push(Action::Adopt {
                claim,
                launch: (*launch).to_owned(),
            });
        } else {
            wanted.push(job);
        }
    }
    wanted
}

/// The launches of the pool's free machines, one entry a machine: those that could still take a
/// job, and those asked for.
fn free_machines<'a>(world: &'a World, pool: &Pool) -> Vec<&'a str> {
    let running = world
        .runners
        .iter()
        .filter(|runner| runner.pool == pool.name && runner.is_supply())
        .map(|runner| runner.launch.as_str());
    let asked = world
        .launches
        .iter()
        .filter(|launch| launch.pool == pool.name && !launch.is_smoke_test())
        .flat_map(|launch| std::iter::repeat_n(launch.id.as_str(), launch.count as usize));
    running.chain(asked).collect()
}

/// The claimed jobs for which there is no machine any more: one ended early, or took another job.
fn replacements<'a>(
    world: &'a World,
    pool: &Pool,
    claimed: &[&'a WaitingJob],
    free: &[&str],
    plan: &mut Plan,
) -> Vec<&'a WaitingJob> {
    let mut alive = BTreeSet::new();
    alive.extend(free.iter().copied());
    let untold = world
        .runners
        .iter()
        .filter(|runner| runner.pool == pool.name && is_busy_with_an_untold_job(runner));
    let (just, longer): (Vec<_>, Vec<_>) =
        untold.partition(|runner| has_just_started(runner, world.now_ms));
    // Of an expected job no forge tells that a runner has it: the runner's own word stands.
    let expected = claimed.iter().filter(|job| job.key.is_expected()).count();
    let started = just.len() + longer.len().min(expected);
    let shortage = claimed.len().saturating_sub(free.len() + started);
    let mut suspects: Vec<&WaitingJob> = claimed.to_vec();
    suspects.sort_unstable_by_key(|job| {
        let lost = job.launch.as_deref().is_some_and(|l| !alive.contains(l));
        (!lost, job.recorded_ms, job.key.clone())
    });

    // Machines that the forge refuses say nothing of the job.
    let refused = world.refusal(&pool.name).is_some();
    let mut ask = Vec::new();
    let mut wanted = Vec::new();
    for job in suspects.into_iter().take(shortage) {
        match world.forge_states.get(&job.key) {
            None => ask.push(job.key.clone()),
            Some(ForgeJobState::Gone) => plan.actions.push(Action::Forget(claim(job))),
            Some(ForgeJobState::Waiting) if job.launches >= LAUNCHES_MAX && !refused => {
                plan.actions.push(Action::GiveUp(claim(job)));
            }
            Some(ForgeJobState::Unknown) if job.launches >= LAUNCHES_BLIND_MAX => {
                if world.now_ms.saturating_sub(job.recorded_ms) > ABANDONED_MS {
                    plan.actions.push(Action::Abandon(claim(job)));
                } else {
                    plan.hold(job, Because::ForgeSilent);
                }
            }
            Some(ForgeJobState::Waiting | ForgeJobState::Unknown) => wanted.push(job),
        }
    }
    ask.truncate(VERIFY_MAX);
    if !ask.is_empty() {
        plan.actions.push(Action::Verify(ask));
    }
    wanted
}

/// Launches for `wanted`, oldest first over all pools, as far as the caps go.
fn launch_within_caps(world: &World, wanted: &[&WaitingJob], plan: &mut Plan) {
    let mut left_all = world
        .max_runners
        .saturating_sub(world.reserved(COUNTER_ALL));
    let mut alone = Alone::of(world);
    let mut batches: BTreeMap<&str, Vec<&WaitingJob>> = BTreeMap::new();
    for &job in wanted {
        let Some(pool) = world.pool(&job.pool) else {
            continue;
        };
        let batch = batches.entry(pool.name.as_str()).or_default();
        let left_pool = pool
            .max_runners
            .saturating_sub(world.reserved(&counter_of(&pool.name)));
        if left_all == 0 {
            plan.hold(job, Because::FleetFull);
        } else if batch.len() >= left_pool as usize {
            plan.hold(job, Because::PoolFull);
        } else if job.alone && !alone.admits(job) {
            plan.hold(job, Because::OverQuota);
        } else {
            left_all -= 1;
            batch.push(job);
        }
    }
    for (pool, jobs) in batches {
        let pool = world.pool(pool).expect("batches are made of known pools");
        let (alone, together): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.alone);
        for chunk in alone.chunks(1).chain(together.chunks(launch::JOBS_MAX)) {
            plan.actions.push(Action::Launch {
                launch: launch::launch(world, pool, chunk),
                claims: chunk.iter().map(|job| claim(job)).collect(),
            });
        }
    }
}

/// How many jobs of each pool are launched alone in this round.
struct Alone<'a>(BTreeMap<&'a str, usize>);

impl<'a> Alone<'a> {
    /// None of a pool while one of its own was refused a moment ago.
    fn of(world: &'a World) -> Self {
        let refused = world
            .jobs
            .iter()
            .filter(|job| job.alone && job.launch.is_none() && job.not_before_ms > world.now_ms);
        Self(refused.map(|job| (job.pool.as_str(), ALONE_MAX)).collect())
    }

    fn admits(&mut self, job: &'a WaitingJob) -> bool {
        let launched = self.0.entry(job.pool.as_str()).or_default();
        *launched += 1;
        *launched <= ALONE_MAX
    }
}

/// Whether the runner took a job of which the forge has not told.
fn is_busy_with_an_untold_job(runner: &Runner) -> bool {
    runner.state == RunnerState::Busy && runner.job.is_none() && runner.ending.is_none()
}

/// Whether that was a moment ago.
fn has_just_started(runner: &Runner, now_ms: u64) -> bool {
    now_ms.saturating_sub(runner.since_ms()) < STARTED_GRACE_MS
}

fn claim(job: &WaitingJob) -> Claim {
    Claim {
        job: job.key.clone(),
        seen: job.launch.clone(),
        launches: job.launches + 1,
    }
}

impl Plan {
    fn hold(&mut self, job: &WaitingJob, because: Because) {
        self.held.push(Held {
            job: job.key.clone(),
            because,
        });
    }
}
