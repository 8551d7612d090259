//! The tick's sweep: what EC2 has, held against what the ledger knows.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::runner::{EndReason, Runner, RunnerState};
use crate::model::world::{Instance, World};
use crate::simulation::{Fault, breaks};

/// How long an instance may be unknown to the ledger, and a runner unknown to EC2, in milliseconds.
/// Both sides show new things late; five minutes is far beyond what either takes.
pub const UNKNOWN_GRACE_MS: u64 = 5 * 60_000;

/// Limit of an instance of a launch of ours without a readable limit, in minutes.
pub const UNTAGGED_LIMIT_MINUTES: u32 = 60;

/// EC2 tells of a launch in whole seconds, so it was that much later at most, in milliseconds: nothing is ended
/// a moment before its limit.
const SECOND_MS: u64 = 1000;

/// What the tick's sweep does.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sweep<'a> {
    /// Instances to end, each with the reason.
    pub end: Vec<(String, EndReason)>,
    /// Runners that EC2 does not have any more: their rows are closed, each with EC2's code for its end.
    pub close: Vec<(&'a Runner, Option<&'a str>)>,
}

/// Plans the sweep. `ledger` is `None` while it can't be read: then age and tags alone decide, so
/// that nothing outlives its limit whatever is down.
#[must_use]
pub fn sweep<'a>(now_ms: u64, instances: &'a [Instance], ledger: Option<&'a World>) -> Sweep<'a> {
    let mut sweep = Sweep::default();
    let (mut alive, mut ended) = (BTreeSet::new(), BTreeMap::new());
    // What no launch of ours made is somebody else's, however it is tagged.
    let ours = instances.iter().filter(|it| it.launch.is_some());
    for instance in ours {
        if instance.ended {
            ended.insert(instance.id.as_str(), instance.state_reason.as_deref());
            continue;
        }
        // What makes or tries an image is no runner: it has its own moment, running or stopped.
        if instance.is_for_image() {
            if is_expired(now_ms, instance) {
                sweep
                    .end
                    .push((instance.id.clone(), EndReason::MaxLifetime));
            }
            continue;
        }
        alive.insert(instance.id.as_str());
        if let Some(reason) = end_reason(now_ms, instance, ledger) {
            sweep.end.push((instance.id.clone(), reason));
        }
    }
    let runners = ledger.map(|world| world.runners.iter());
    let gone = runners.into_iter().flatten().filter_map(|runner| {
        let id = runner.instance.as_str();
        let old = now_ms.saturating_sub(runner.launched_ms) > UNKNOWN_GRACE_MS;
        match ended.get(id) {
            Some(state_reason) => Some((runner, *state_reason)),
            None => (old && !alive.contains(id)).then_some((runner, None)),
        }
    });
    sweep.close.extend(gone);
    sweep
}

/// Whether the moment in its tag is over; without one that can be read, the limit of what has none.
fn is_expired(now_ms: u64, instance: &Instance) -> bool {
    let untagged_ms = instance.launched_ms + u64::from(UNTAGGED_LIMIT_MINUTES) * 60_000;
    now_ms > instance.expires_ms.unwrap_or(untagged_ms)
}

fn end_reason(now_ms: u64, instance: &Instance, ledger: Option<&World>) -> Option<EndReason> {
    let age_ms = now_ms.saturating_sub(instance.launched_ms + SECOND_MS);
    let over = |minutes: u32| age_ms > u64::from(minutes) * 60_000;
    if over(
        instance
            .max_lifetime_minutes
            .unwrap_or(UNTAGGED_LIMIT_MINUTES),
    ) {
        return Some(EndReason::MaxLifetime);
    }
    let world = ledger?;
    let row = world.runners.iter().find(|r| r.instance == instance.id);
    if let Some(runner) = row {
        let boot_timeout = world.pool(&runner.pool).map(|p| p.boot_timeout_minutes);
        let boots = runner.state == RunnerState::Booting;
        return (boots && boot_timeout.is_some_and(over)).then_some(EndReason::BootTimeout);
    }
    if breaks(Fault::SweepByAbsence) {
        return Some(EndReason::Orphan);
    }
    let unfinished = world
        .launches
        .iter()
        .any(|launch| Some(&launch.id) == instance.launch.as_ref());
    (!unfinished && age_ms > UNKNOWN_GRACE_MS).then_some(EndReason::Orphan)
}
