//! The tick's sweep: what EC2 has, held against what the ledger knows.

use std::collections::BTreeSet;

use crate::model::runner::{EndReason, RunnerState};
use crate::model::world::{Instance, World};

/// How long an instance may be unknown to the ledger, and a runner unknown to EC2, in milliseconds.
/// Both sides show new things late; five minutes is far beyond what either takes.
pub const UNKNOWN_GRACE_MS: u64 = 5 * 60_000;

/// Limit of an instance that carries our tag but no readable limit, in minutes.
pub const UNTAGGED_LIMIT_MINUTES: u32 = 60;

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
        let (mut alive, mut ended) = (BTreeSet::new(), BTreeSet::new());
        for instance in instances {
            let set = if instance.ended {
                &mut ended
            } else {
                &mut alive
            };
            set.insert(instance.id.as_str());
        }
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
    let unfinished = world
        .launches
        .iter()
        .any(|launch| Some(&launch.id) == instance.launch.as_ref());
    (!unfinished && age_ms > UNKNOWN_GRACE_MS).then_some(EndReason::Orphan)
}
