//! The bench in a lab of its own: a pool of a finished image beside one of each stock image, and what front door
//! and forge noted of its jobs.

use std::path::Path;

use lab::{Entry, Folder, ForgeProgram, InstanceReport};
use serde_json::Value;

use super::jobs::{JobRun, Pushed, title};
use super::table::{Phase, table};
use super::{Asked, machines};
use crate::forge::Forge;
use crate::lab_deployment::{LabDeployment, PlayError};
use crate::output::{say, seconds};
use crate::terminal::Stop;

/// The deployment, below the checkout's root.
const ENVIRONMENT: &str = "xtask/tests/boot-bench/environment.toml";
/// The organization and its repository.
const ORGANIZATION: &str = "bench";
const REPOSITORY: &str = "bench/app";
/// What these figures are worth.
const ABOUT: &str = "\nMeasured in the lab: function, forge and machines share this computer. Not in it are EC2's \
    own part (`EC2's yes → kernel`, the boot of a kernel, network between them) and what boot installs on a stock \
    image: machines of the lab have git, Node and the runner. `cargo xtask boot-bench ENV --repo OWNER/NAME` \
    measures the whole on AWS.";

/// Everything between lab up and lab down: what is told.
pub async fn play(root: &Path, folder: &Folder, asked: &Asked) -> Result<String, PlayError> {
    let environment = root.join(ENVIRONMENT).display().to_string();
    let setup = ForgeProgram::default().into();
    let up = LabDeployment::up_as(root, folder, &setup, &environment);
    let (deployment, forge) = up.await?;
    forge.make_organization(ORGANIZATION).await?;
    let events = ["push", "workflow_job"];
    let hook = deployment.hook_url();
    forge.make_hook(ORGANIZATION, &hook, &events).await?;
    forge.make_repository(ORGANIZATION, "app").await?;
    let pushed = Pushed {
        site: forge.site.clone(),
        repository: REPOSITORY.to_owned(),
    };
    let stop = Stop::listen()?;
    let target = deployment.target();
    let mut told = String::new();
    for pool in target.pools(asked.pool.as_deref())? {
        let measured = machines::measure(target, &pool, asked, &stop).await?;
        told.push_str(&table(&measured.title, &measured.phases));
        told.push('\n');
        let runs = pushed.run(&pool, asked).await?;
        let phases = phases(&forge, &runs).await?;
        told.push_str(&table(&title(&pool, asked), &phases));
        told.push('\n');
    }
    for left in deployment.down(&forge).await? {
        say(&format!("left: {left}"));
    }
    told.push_str(ABOUT);
    Ok(told)
}

/// What the lab knows of one job more than its owner, in milliseconds since 1970.
struct Witnessed {
    delivered: u64,
    answered: u64,
    launched: u64,
    given: u64,
}

impl Witnessed {
    /// `None` where something of it was not seen.
    fn of(job: &JobRun, deliveries: &[Entry], machines: &[InstanceReport]) -> Option<Self> {
        let of_job = |entry: &Entry, action: &str| {
            let body: Value = serde_json::from_str(&entry.body).ok()?;
            let told = &body["workflow_job"];
            let is_meant = body["action"] == action && told["id"] == job.id;
            is_meant.then(|| told["runner_name"].as_str().map(str::to_owned))
        };
        let mut all = deliveries.iter();
        let queued = all.find(|entry| of_job(entry, "queued").is_some())?;
        let mut all = deliveries.iter();
        let (given, runner) = all.find_map(|entry| {
            let runner = of_job(entry, "in_progress")?;
            Some((entry.received_ms, runner?))
        })?;
        let machine = machines.iter().find(|machine| machine.id == runner)?;
        Some(Self {
            delivered: queued.received_ms,
            answered: queued.answered_ms,
            launched: u64::try_from(machine.launched.as_millisecond()).ok()?,
            given,
        })
    }
}

async fn phases(forge: &Forge, runs: &[JobRun]) -> Result<Vec<Phase>, PlayError> {
    let deliveries = forge.deliveries(0).await?;
    let machines = forge.machines().await?;
    let seen: Vec<(&JobRun, Witnessed)> = runs
        .iter()
        .filter_map(|run| Some((run, Witnessed::of(run, &deliveries, &machines)?)))
        .collect();
    let all = |value: fn(&JobRun, &Witnessed) -> f64| {
        let values = seen.iter().map(|(run, seen)| value(run, seen));
        values.collect::<Vec<_>>()
    };
    Ok(vec![
        Phase::part(
            "webhook → answered (meanwhile)",
            all(|_, seen| seconds(seen.delivered, seen.answered)),
        ),
        Phase::part(
            "webhook → EC2's yes",
            all(|_, seen| seconds(seen.delivered, seen.launched)),
        ),
        Phase::part(
            "EC2's yes → job given to the runner",
            all(|_, seen| seconds(seen.launched, seen.given)),
        ),
        Phase::part(
            "job given → first step",
            all(|run, seen| seconds(seen.given, run.step_ms)),
        ),
        Phase::sum(
            "webhook → first step",
            all(|run, seen| seconds(seen.delivered, run.step_ms)),
        ),
    ])
}
