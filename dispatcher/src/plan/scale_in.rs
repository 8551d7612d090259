//! Machines that nobody needs are ended, and only where it is certain that they have no job.
//!
//! A forge may hand a runner a job at any moment between our look and our act. A machine that has
//! not asked for its credential has none: its end is written under that condition, and the runner
//! route refuses it from then on. So those are ended when there are more machines than jobs. A
//! registered one waits for the next job for as long as its pool lets it: that is what the idle
//! timeout says, and a job that comes meanwhile starts at once. If it does not end itself then, it is
//! disabled at the forge first: it gets no job any more, and one that it has goes on. It is ended only
//! if the forge, asked later, says that it is idle. Forges that can't do that leave it to the pool's
//! maximum lifetime.

use std::cmp::Reverse;

use stacks::pool::Pool;

use super::Action;
use crate::model::runner::{EndReason, Runner, RunnerState};
use crate::model::world::World;

/// How long a machine must be too many before anything is done about it, in milliseconds. A newer
/// run of a concurrency group cancels the older one's job and queues its own at once (four seconds
/// apart with default queues, measured): that one takes the machine over.
pub const SURPLUS_GRACE_MS: u64 = 15_000;

/// How far beyond its pool's idle timeout a runner may be before we no longer wait for its machine to
/// end itself, in milliseconds: the machine looks every few seconds, and this is two ticks.
pub const IDLE_MARGIN_MS: u64 = 2 * 60_000;

/// How long after a runner was disabled the forge's word that it is idle counts, in milliseconds.
/// A request for a job that was under way then has long been answered: runners give up on one after
/// five seconds.
pub const SETTLE_MS: u64 = 30_000;

/// Most machines of one kind of step in one round: each is a write or a request to the forge, and
/// the next round or tick goes on.
pub const SCALE_IN_MAX: usize = 40;

/// The steps for machines that nobody needs. Jobs are launched for before: nobody waits for these.
pub(super) fn scale_in(world: &World) -> Vec<Action> {
    let mut steps = Steps::default();
    for pool in &world.pools {
        steps.decide(world, pool);
    }
    steps.into_actions()
}

#[derive(Default)]
struct Steps {
    surplus: Vec<String>,
    needed: Vec<String>,
    end: Vec<String>,
    disable: Vec<String>,
    end_idle: Vec<String>,
}

impl Steps {
    fn decide(&mut self, world: &World, pool: &Pool) {
        let now_ms = world.now_ms;
        let too_many = too_many(world, pool);
        // Those whose job never was: no other of its kind comes in its place.
        let denied = world.denied.get(&pool.name).copied().unwrap_or_default();
        let never_needed = &too_many[..denied.min(too_many.len())];
        let in_grace = |since_ms: u64| now_ms.saturating_sub(since_ms) < SURPLUS_GRACE_MS;
        let of_pool = |runner: &&Runner| runner.pool == pool.name;
        for runner in world.runners.iter().filter(of_pool) {
            let id = runner.instance.clone();
            let overdue = is_overdue(runner, pool, now_ms);
            let must_go = overdue || too_many.contains(&id.as_str());
            if is_settled(runner, now_ms) {
                self.end_idle.push(id);
            } else if runner.is_supply() {
                match (must_go, runner.surplus_since_ms) {
                    (false, None) => {}
                    (false, Some(_)) => self.needed.push(id),
                    (true, _) if never_needed.contains(&id.as_str()) => self.end.push(id),
                    (true, Some(since_ms)) if in_grace(since_ms) => {}
                    (true, _) if overdue => self.disable.push(id),
                    (true, None) => self.surplus.push(id),
                    (true, Some(_)) => self.end.push(id),
                }
            }
        }
    }

    fn into_actions(self) -> Vec<Action> {
        let some = |mut list: Vec<String>| {
            list.truncate(SCALE_IN_MAX);
            (!list.is_empty()).then_some(list)
        };
        let mut actions = Vec::new();
        if !(self.surplus.is_empty() && self.needed.is_empty()) {
            actions.push(Action::MarkSurplus {
                surplus: some(self.surplus).unwrap_or_default(),
                needed: some(self.needed).unwrap_or_default(),
            });
        }
        actions.extend(some(self.end).map(|instances| Action::End {
            instances,
            reason: EndReason::Surplus,
        }));
        actions.extend(some(self.disable).map(Action::DisableRunners));
        actions.extend(some(self.end_idle).map(Action::EndIdle));
        actions
    }
}

/// The machines of `pool` that boot although there are more free ones than waiting jobs, those that are to
/// go first at the beginning.
///
/// A launch under way is no machine yet and may come to nothing, so it makes none superfluous. A
/// runner of whose job the forge has not told yet counts on both sides or on neither: that job is
/// still on the list. Either way a machine is ended too late rather than too soon.
fn too_many<'a>(world: &'a World, pool: &Pool) -> Vec<&'a str> {
    let waiting = world.jobs.iter().filter(|job| job.pool == pool.name);
    let free = world
        .runners
        .iter()
        .filter(|runner| runner.pool == pool.name && runner.is_supply());
    let surplus = free.clone().count().saturating_sub(waiting.count());
    let mut booting: Vec<&Runner> = free
        .filter(|runner| runner.state == RunnerState::Booting)
        .collect();
    // Those of the last look first, or none would ever be too many for long enough; then the
    // youngest, which is farthest from a job.
    booting.sort_unstable_by_key(|runner| {
        (
            runner.surplus_since_ms.is_none(),
            Reverse(runner.launched_ms),
            runner.instance.as_str(),
        )
    });
    booting
        .into_iter()
        .take(surplus)
        .map(|runner| runner.instance.as_str())
        .collect()
}

/// Whether the runner is registered for longer than its machine lets one be idle.
fn is_overdue(runner: &Runner, pool: &Pool, now_ms: u64) -> bool {
    let limit_ms = u64::from(pool.idle_timeout_minutes) * 60_000 + IDLE_MARGIN_MS;
    let is_idle = runner.state == RunnerState::Idle;
    is_idle && now_ms.saturating_sub(runner.since_ms()) > limit_ms
}

/// Whether the runner was disabled so long ago that the forge's word on it counts.
fn is_settled(runner: &Runner, now_ms: u64) -> bool {
    runner.state == RunnerState::Disabled
        && runner.ending.is_none()
        && now_ms.saturating_sub(runner.since_ms()) >= SETTLE_MS
}
