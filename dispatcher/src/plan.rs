//! Decides what to launch, what to end and what to leave alone. Pure: the same world gives the same
//! plan, and every job that gets no machine is told why.
//!
//! The rule is *count, don't pair*: a forge gives a runner whichever matching job is oldest, so a
//! pool needs as many free runners as it has waiting jobs, whoever was launched for whom.

use std::collections::{BTreeMap, BTreeSet};

use stacks::pool::Pool;

use crate::job::JobKey;
use crate::launch;
use crate::world::{COUNTER_ALL, Instance, Launch, Runner, Verdict, WaitingJob, World, counter_of};

/// Most launches for one job. A machine that ends without taking its job is bad luck once, and a
/// broken image or network by the third time: more would only cost money.
pub const LAUNCHES_MAX: u32 = 3;

/// Most launches for one job while the forge can't tell whether it waits. A forge that is down lets
/// no machine register either: one replacement delays nobody, more would only boot in vain.
pub const LAUNCHES_BLIND_MAX: u32 = 2;

/// How long a runner that says it is busy, of whose job the forge has not told yet, still counts for
/// the job that it was launched for, in milliseconds. Its own word may overtake the forge's event,
/// which takes up to four seconds with default queues (measured).
pub const STARTED_GRACE_MS: u64 = 30_000;

/// Most jobs that one round asks the forge about: each is a request, and the next round goes on.
pub const VERIFY_MAX: usize = 20;

/// How long an instance may be unknown to the ledger, and a runner unknown to EC2, in milliseconds.
/// Both sides show new things late; five minutes is far beyond what either takes.
pub const UNKNOWN_GRACE_MS: u64 = 5 * 60_000;

/// Limit of an instance that carries our tag but no readable limit, in minutes.
pub const UNTAGGED_LIMIT_MINUTES: u32 = 60;

/// What a drain does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What to do, in order.
    pub actions: Vec<Action>,
    /// Who waits, and why.
    pub held: Vec<Held>,
}

/// One step of a drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// An earlier drain claimed this launch and did not record its outcome: send it again.
    Reissue(Launch),
    /// Claim these jobs and launch an instance for each.
    Launch {
        /// The request.
        launch: Launch,
        /// The jobs, as they were seen.
        claims: Vec<Claim>,
    },
    /// A free runner is already there or on its way: claim the job for it.
    Adopt {
        /// The job, as it was seen.
        claim: Claim,
        /// The launch whose machine is free.
        launch: String,
    },
    /// More machines went away than jobs were taken: ask the forge whether these still wait.
    Verify(Vec<JobKey>),
    /// The forge says that it no longer waits: take it off the list, as it was seen.
    Forget(Claim),
    /// Every machine launched for it ended without taking it, and the forge says that it waits.
    GiveUp(Claim),
    /// End these machines: their jobs were cancelled under them.
    EndCancelled(Vec<String>),
}

/// A job that a launch claims, as the planner saw it: the claim fails if it changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub job: JobKey,
    /// The launch that had claimed it.
    pub seen: Option<String>,
    /// How many launches it has had, this one included.
    pub launches: u32,
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
    /// Its pool is not configured any more.
    PoolGone,
    /// Its machines ended without it, and the forge does not say whether it still waits.
    ForgeSilent,
}

/// Plans one round of a drain.
#[must_use]
pub fn drain(world: &World) -> Plan {
    let mut plan = Plan {
        actions: world
            .launches
            .iter()
            .cloned()
            .map(Action::Reissue)
            .collect(),
        held: Vec::new(),
    };
    let cancelled = cancelled(world);
    if !cancelled.is_empty() {
        plan.actions.push(Action::EndCancelled(cancelled));
    }
    let mut wanted: Vec<&WaitingJob> = Vec::new();
    for pool in &world.pools {
        wanted.extend(demand(world, pool, &mut plan));
    }
    for job in &world.jobs {
        if world.pool(&job.pool).is_none() {
            plan.hold(job, Because::PoolGone);
        }
    }
    wanted.sort_by_key(|job| (job.recorded_ms, job.key.clone()));
    launch_within_caps(world, &wanted, &mut plan);
    plan
}

/// Machines whose jobs were cancelled: the forge can't reach an ephemeral runner any more, so the
/// job's processes would run on to their end.
fn cancelled(world: &World) -> Vec<String> {
    world
        .runners
        .iter()
        .filter(|runner| runner.end_reason.as_deref() == Some(EndReason::JobCancelled.word()))
        .map(|runner| runner.instance.clone())
        .collect()
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
        .filter(|launch| launch.pool == pool.name)
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
    let alive: BTreeSet<&str> = free.iter().copied().collect();
    let started = world
        .runners
        .iter()
        .filter(|runner| runner.pool == pool.name && has_just_started(runner, world.now_ms))
        .count();
    let shortage = claimed.len().saturating_sub(free.len() + started);
    let mut suspects: Vec<&WaitingJob> = claimed.to_vec();
    suspects.sort_by_key(|job| {
        let lost = job.launch.as_deref().is_some_and(|l| !alive.contains(l));
        (!lost, job.recorded_ms, job.key.clone())
    });

    let mut ask = Vec::new();
    let mut wanted = Vec::new();
    for job in suspects.into_iter().take(shortage) {
        match world.verdicts.get(&job.key) {
            None => ask.push(job.key.clone()),
            Some(Verdict::Gone) => plan.actions.push(Action::Forget(claim(job))),
            Some(Verdict::Waiting) if job.launches >= LAUNCHES_MAX => {
                plan.actions.push(Action::GiveUp(claim(job)));
            }
            Some(Verdict::Unknown) if job.launches >= LAUNCHES_BLIND_MAX => {
                plan.hold(job, Because::ForgeSilent);
            }
            Some(Verdict::Waiting | Verdict::Unknown) => wanted.push(job),
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
        } else {
            left_all -= 1;
            batch.push(job);
        }
    }
    for (pool, jobs) in batches {
        let pool = world.pool(pool).expect("batches are made of known pools");
        for chunk in jobs.chunks(launch::JOBS_MAX) {
            plan.actions.push(Action::Launch {
                launch: launch::launch(world, pool, chunk),
                claims: chunk.iter().map(|job| claim(job)).collect(),
            });
        }
    }
}

/// Whether the runner took a job of which the forge has not told yet.
fn has_just_started(runner: &Runner, now_ms: u64) -> bool {
    let since_ms = runner.busy_ms.map(|busy| now_ms.saturating_sub(busy));
    runner.job.is_none()
        && runner.ending_ms.is_none()
        && since_ms.is_some_and(|since| since < STARTED_GRACE_MS)
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

/// One step of the tick's sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sweep {
    /// End this instance.
    End {
        /// Its id.
        instance: String,
        /// Why.
        reason: EndReason,
    },
    /// EC2 does not have it any more: close its row.
    Close {
        /// Its id.
        instance: String,
    },
}

/// Why we end an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// It is older than its pool allows.
    OverLimit,
    /// It did not ask for its credential in time.
    BootLimit,
    /// It carries our tag, but no launch of ours made it.
    Orphan,
    /// Its job was cancelled, and the forge can't reach an ephemeral runner any more.
    JobCancelled,
    /// The deployment is taken down.
    Retired,
}

impl EndReason {
    /// The word in the ledger.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OverLimit => "over-limit",
            Self::BootLimit => "boot-limit",
            Self::Orphan => "orphan",
            Self::JobCancelled => "job-cancelled",
            Self::Retired => "retired",
        }
    }
}

/// Plans the sweep. `ledger` is `None` while it can't be read: then age and tags alone decide, so
/// that nothing outlives its limit whatever is down.
#[must_use]
pub fn sweep(now_ms: u64, instances: &[Instance], ledger: Option<&World>) -> Vec<Sweep> {
    let mut sweeps: Vec<Sweep> = instances
        .iter()
        .filter(|instance| !instance.ended)
        .filter_map(|instance| {
            end_reason(now_ms, instance, ledger).map(|reason| Sweep::End {
                instance: instance.id.clone(),
                reason,
            })
        })
        .collect();
    if let Some(world) = ledger {
        let alive: BTreeSet<&str> = instances
            .iter()
            .filter(|instance| !instance.ended)
            .map(|instance| instance.id.as_str())
            .collect();
        let ended: BTreeSet<&str> = instances
            .iter()
            .filter(|instance| instance.ended)
            .map(|instance| instance.id.as_str())
            .collect();
        sweeps.extend(
            world
                .runners
                .iter()
                .filter(|runner| {
                    let id = runner.instance.as_str();
                    let old = now_ms.saturating_sub(runner.launched_ms) > UNKNOWN_GRACE_MS;
                    ended.contains(id) || (old && !alive.contains(id))
                })
                .map(|runner| Sweep::Close {
                    instance: runner.instance.clone(),
                }),
        );
    }
    sweeps
}

fn end_reason(now_ms: u64, instance: &Instance, ledger: Option<&World>) -> Option<EndReason> {
    let age_ms = now_ms.saturating_sub(instance.launched_ms);
    let over = |minutes: u32| age_ms > u64::from(minutes) * 60_000;
    if over(instance.limit_minutes.unwrap_or(UNTAGGED_LIMIT_MINUTES)) {
        return Some(EndReason::OverLimit);
    }
    let world = ledger?;
    let row = world.runners.iter().find(|r| r.instance == instance.id);
    if let Some(runner) = row {
        let boot_limit = world.pool(&runner.pool).map(|p| p.boot_limit_minutes);
        let boots = runner.credential_ms.is_none() && runner.busy_ms.is_none();
        return (boots && boot_limit.is_some_and(over)).then_some(EndReason::BootLimit);
    }
    let unfinished = world
        .launches
        .iter()
        .any(|launch| Some(&launch.id) == instance.launch.as_ref());
    (!unfinished && age_ms > UNKNOWN_GRACE_MS).then_some(EndReason::Orphan)
}
