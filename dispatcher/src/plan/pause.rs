//! Jobs that get no machine by somebody's word. They stay on the list, and their owners are told once. What
//! runs goes on, and a machine that is there anyway may take one of them.

use super::{Action, Because, Plan, VERIFY_MAX, claim};
use crate::model::world::{WaitingJob, World};

/// Holds those of `wanted` that are paused, and gives the others.
pub(super) fn hold<'a>(
    world: &World,
    wanted: Vec<&'a WaitingJob>,
    plan: &mut Plan,
) -> Vec<&'a WaitingJob> {
    let mut told = 0;
    let mut others = Vec::new();
    for job in wanted {
        let Some(pause) = world.pauses.iter().find(|pause| pause.holds(job)) else {
            others.push(job);
            continue;
        };
        plan.hold(job, Because::Paused);
        if !job.told_paused && told < VERIFY_MAX {
            told += 1;
            plan.actions.push(Action::TellPaused {
                claim: claim(job),
                reason: pause.reason.clone(),
            });
        }
    }
    others
}
