//! What plan tests tell: jobs, runners, launches, and the world that they make.

use std::collections::BTreeMap;

use dispatcher::model::job::JobKey;
use dispatcher::model::runner::{EndReason, Ending, Runner, RunnerState};
use dispatcher::model::world::{Launch, WaitingJob, World};
use dispatcher::plan::{self, Action, Because};
use stacks::pool::{CapacityType, Label, Pool, Scope};

pub(crate) const MINUTE_MS: u64 = 60_000;
pub(crate) const NOW_MS: u64 = 1_000 * MINUTE_MS;

pub(crate) fn pool(name: &str, max_runners: u32) -> Pool {
    Pool {
        name: name.to_owned(),
        labels: vec![Label {
            name: name.to_owned(),
            serve: "host".to_owned(),
        }],
        accepts_unlabelled: false,
        scope: Scope::Global,
        repositories: vec!["*".to_owned()],
        instance_types: vec!["m7a.medium".to_owned(), "c7a.medium".to_owned()],
        subnets: "subnet-a, subnet-b".to_owned(),
        capacity: CapacityType::SpotThenOnDemand,
        cpu_credits: None,
        max_runners,
        max_lifetime_minutes: 30,
        boot_timeout_minutes: 5,
        idle_timeout_minutes: 3,
        clone_token: false,
        template_id: "lt-1".to_owned(),
        template_version: "7".to_owned(),
    }
}

pub(crate) fn key(id: u64) -> JobKey {
    JobKey {
        repository: "acme/app".to_owned(),
        id,
        attempt: 0,
    }
}

/// Job `id` of pool `go`, recorded `id` milliseconds after the epoch, so ids are also ages.
pub(crate) fn waiting(id: u64) -> WaitingJob {
    WaitingJob {
        key: key(id),
        pool: "go".to_owned(),
        recorded_ms: id,
        reassigned_ms: 0,
        launch: None,
        launches: 0,
        not_before_ms: 0,
        alone: false,
        told_paused: false,
        alias: 0,
        bare_alias: 0,
    }
}

pub(crate) fn claimed(id: u64, launch: &str, launches: u32) -> WaitingJob {
    WaitingJob {
        launch: Some(launch.to_owned()),
        launches,
        ..waiting(id)
    }
}

pub(crate) fn runner(instance: &str, launch: &str) -> Runner {
    Runner {
        registered_in: None,
        instance: instance.to_owned(),
        pool: "go".to_owned(),
        launch: launch.to_owned(),
        instance_type: "m7a.medium".to_owned(),
        image: None,
        spot: true,
        launched_ms: NOW_MS - MINUTE_MS,
        max_lifetime_minutes: 30,
        state: RunnerState::Booting,
        timeline: BTreeMap::new(),
        surplus_since_ms: None,
        forge_id: None,
        maybe_registered: false,
        job: None,
        found: None,
        ending: None,
    }
}

/// The same in `state` since then.
pub(crate) fn in_state(runner: Runner, state: RunnerState, since_ms: u64) -> Runner {
    Runner {
        state,
        timeline: [(state.word().to_owned(), since_ms)].into(),
        ..runner
    }
}

/// That it ends, and why.
pub(crate) fn ending(reason: Option<EndReason>) -> Ending {
    Ending {
        since_ms: NOW_MS - 1,
        reason,
    }
}

/// A launch of one machine without an outcome.
pub(crate) fn open_launch(id: &str) -> Launch {
    Launch {
        id: id.to_owned(),
        pool: "go".to_owned(),
        jobs: vec![key(1)],
        count: 1,
        candidates: vec![],
        at: 0,
        template_id: "lt-1".to_owned(),
        template_version: "7".to_owned(),
        credit: None,
        max_lifetime_minutes: 30,
        tags: BTreeMap::new(),
        claimed_ms: NOW_MS,
        sent_ms: 0,
        tried: vec![],
    }
}

pub(crate) fn world(jobs: Vec<WaitingJob>, runners: Vec<Runner>) -> World {
    World {
        now_ms: NOW_MS,
        configured_ms: NOW_MS,
        max_runners: 1000,
        pools: vec![pool("go", 1000)],
        jobs,
        runners,
        ..World::default()
    }
}

/// Which jobs the plan holds, and why.
pub(crate) fn held(world: &World) -> Vec<(u64, Because)> {
    let held = plan::drain(world).held.into_iter();
    held.map(|held| (held.job.id, held.because)).collect()
}

/// The plan in one line an action, as a person would say it.
pub(crate) fn told(world: &World) -> Vec<String> {
    plan::drain(world)
        .actions
        .iter()
        .map(|action| match action {
            Action::PutBack { image, .. } => format!(
                "put {} back to {}",
                image.ami,
                image.previous.as_deref().unwrap_or("none")
            ),
            Action::Reissue(launch) => format!("reissue {}", launch.id),
            Action::Launch { claims, .. } => {
                let jobs: Vec<_> = claims.iter().map(|claim| &claim.job).collect();
                format!("launch for {}", ids(&jobs))
            }
            Action::Adopt { claim, launch } => format!("adopt {} by {launch}", claim.job.id),
            Action::Verify(jobs) => format!("verify {}", ids(&jobs.iter().collect::<Vec<_>>())),
            Action::Supersede(claim) => format!("supersede {}", claim.job.id),
            Action::Forget(claim) => format!("forget {}", claim.job.id),
            Action::GiveUp(claim) => format!("give up {}", claim.job.id),
            Action::Abandon(claim) => format!("abandon {}", claim.job.id),
            Action::TellHeld { claim, reason } => {
                format!("tell {} why it is held: {reason}", claim.job.id)
            }
            Action::ReassignPool(claim) => format!("reassign {}", claim.job.id),
            Action::End { instances, reason } => {
                format!("end {} as {}", instances.join(","), reason.word())
            }
            Action::MarkSurplus { surplus, needed } => {
                format!(
                    "surplus [{}] needed [{}]",
                    surplus.join(","),
                    needed.join(",")
                )
            }
            Action::DisableRunners(instances) => format!("disable {}", instances.join(",")),
            Action::EndIdle(instances) => format!("end if idle {}", instances.join(",")),
        })
        .collect()
}

fn ids(jobs: &[&JobKey]) -> String {
    let ids: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
    ids.join(",")
}
