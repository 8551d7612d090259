//! Jobs that get no machine by somebody's word, or since the forge would register none: what fails for every
//! machine alike is no reason for another. They stay on the list, and their owners are told once. What runs goes
//! on, and a machine that is there anyway may take one of them.

use super::{Action, Because, Plan, VERIFY_MAX, claim};
use crate::model::world::{WaitingJob, World};

/// Holds those of `wanted` that are paused or could not be registered for, and gives the others.
pub(super) fn hold<'a>(
    world: &World,
    wanted: Vec<&'a WaitingJob>,
    plan: &mut Plan,
) -> Vec<&'a WaitingJob> {
    let mut told = 0;
    let mut others = Vec::new();
    for job in wanted {
        let pause = world.pauses.iter().find(|pause| pause.holds(job));
        let (because, reason) = match (pause, world.refusal(&job.pool)) {
            (Some(pause), _) => (Because::Paused, format!("paused: {}", pause.reason)),
            (None, Some(refusal)) => (Because::NotRegistered, refusal.reason.clone()),
            (None, None) => {
                others.push(job);
                continue;
            }
        };
        plan.hold(job, because);
        if !job.told_paused && told < VERIFY_MAX {
            told += 1;
            plan.actions.push(Action::TellHeld {
                claim: claim(job),
                reason,
            });
        }
    }
    others
}
