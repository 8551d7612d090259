//! `cargo xtask demo`: the mission on this machine, from stacks to zero. It takes no part in what
//! it shows: it pushes, watches, replays a delivery, breaks one machine, and counts what is left.

mod report;
mod story;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Folder, ForgeProgram};

use self::report::{JobReport, Promise, Report, summary};
use self::watch::Watch;
use crate::lab_deployment::{LabDeployment, PlayError, then_lab_down};
use crate::output::say;

/// What is pushed when no other workflow is given.
const WORKFLOW: &str = include_str!("workflow.yml");
/// What is pushed beside it.
const BUILD_SCRIPT: (&str, &str) = ("build.sh", "echo \"built $1 on $(hostname)\"\n");
/// The organization that the demo makes.
const ORGANIZATION: &str = "demo";
/// The repository that it pushes to.
const REPOSITORY: &str = "demo/app";
/// Longest that all jobs may take, and after them the last machine to be gone. A boot takes a
/// second or two in the lab; a lost machine is replaced within a tick of a minute.
const JOBS_LIMIT: Duration = Duration::from_mins(3);
/// How often the watcher looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often the announcement of the first job is sent again.
const REPLAYS: usize = 10;

/// Runs the demo, and cleans up whatever happens. With `push_only` the webhook tells the dispatcher of
/// pushes alone, and it finds out by itself which jobs they start.
pub async fn run(
    root: &Path,
    workflow: Option<&Path>,
    program: ForgeProgram,
    push_only: bool,
) -> Result<Report, PlayError> {
    let start = Instant::now();
    let workflow = match workflow {
        None => WORKFLOW.to_owned(),
        Some(path) => std::fs::read_to_string(path).map_err(|source| PlayError::File { source })?,
    };
    let expected = expectations(&workflow)?;

    let folder = Folder::default_one();
    let told = tell(root, &folder, program, push_only, &workflow);
    let ((watch, mut left), remaining) = then_lab_down(&folder, told).await?;
    left.extend(remains(&remaining));

    let report = verdict(&watch, left, &expected, start);
    say(&summary(&report));
    Ok(report)
}

/// Everything between lab up and lab down: what was seen, and what is left.
async fn tell(
    root: &Path,
    folder: &Folder,
    program: ForgeProgram,
    push_only: bool,
    workflow: &str,
) -> Result<(Watch, Vec<String>), PlayError> {
    let (deployment, forge) = LabDeployment::up(root, folder, &program.into()).await?;
    forge.make_organization(ORGANIZATION).await?;
    let events: &[&str] = if push_only {
        &["push"]
    } else {
        &["push", "workflow_job"]
    };
    forge
        .make_hook(ORGANIZATION, &deployment.hook_url(), events)
        .await?;
    if push_only {
        // The watcher has a hook of its own for the rest.
        let witness = format!("{}/_lab/witness", forge.lab().front_door);
        let events = ["workflow_job"];
        forge.make_hook(ORGANIZATION, &witness, &events).await?;
    }
    forge.make_repository(ORGANIZATION, "app").await?;
    let checkout = forge.checkout(REPOSITORY).await?;
    let mut watch = Watch::default();
    forge.break_one_boot().await?;
    let files = [(".gitea/workflows/demo.yml", workflow), BUILD_SCRIPT];
    checkout.push("Build, test, fail once", &files).await?;
    watch.pushed();
    say("pushed; seconds count from here");

    let begun = Instant::now();
    loop {
        watch.look(&forge, &deployment).await?;
        watch.replay_once(&forge, REPLAYS).await?;
        if watch.is_over() {
            break;
        }
        if begun.elapsed() > JOBS_LIMIT {
            return Err(PlayError::TooLong(
                JOBS_LIMIT.as_secs(),
                watch.what_is_open(),
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    watch.search_for_secrets(forge.lab(), &deployment, folder)?;
    let left = deployment.down(&forge).await?;
    Ok((watch, left))
}

/// How each job of the workflow is meant to end, by its id: `DEMO_EXPECT` in its env, or success.
fn expectations(workflow: &str) -> Result<BTreeMap<String, String>, PlayError> {
    let bad = |what: &str| PlayError::Workflow(what.to_owned());
    let document: serde_yaml::Value =
        serde_yaml::from_str(workflow).map_err(|error| bad(&error.to_string()))?;
    let jobs = document["jobs"].as_mapping();
    let jobs = jobs.ok_or_else(|| bad("no jobs"))?;
    let mut expected = BTreeMap::new();
    for (id, job) in jobs {
        let id = id.as_str().ok_or_else(|| bad("a job without a name"))?;
        let conclusion = job["env"]["DEMO_EXPECT"].as_str().unwrap_or("success");
        let name = job["name"].as_str().unwrap_or(id);
        expected.insert(name.to_owned(), conclusion.to_owned());
    }
    Ok(expected)
}

/// What the lab left on this machine, counted from the kernel's own lists.
fn remains(left: &lab::Leftovers) -> Vec<String> {
    [
        (left.processes, "processes of instances"),
        (left.mounts, "mounts"),
        (left.namespaces, "namespaces"),
        (left.groups, "control groups"),
        (left.services, "processes of the lab"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect()
}

fn verdict(
    watch: &Watch,
    leftovers: Vec<String>,
    expected: &BTreeMap<String, String>,
    start: Instant,
) -> Report {
    let jobs: Vec<JobReport> = watch
        .jobs
        .values()
        .map(|job| {
            let base = job.name.split(" (").next().unwrap_or(&job.name);
            let meant = expected.get(base).map_or("success", String::as_str);
            JobReport::of(job, meant)
        })
        .collect();
    let as_meant = jobs.iter().filter(|job| job.result == job.expected).count();
    let gone = jobs.iter().filter(|job| job.instance_gone).count();
    let mut promises = vec![Promise {
        name: "every job ended as its workflow says",
        held: as_meant == jobs.len() && !jobs.is_empty(),
        seen: format!("{as_meant} of {}", jobs.len()),
    }];
    promises.extend(watch.promises());
    promises.push(Promise {
        name: "every machine is gone",
        held: gone == jobs.len(),
        seen: format!("{gone} of {}", jobs.len()),
    });
    promises.push(Promise {
        name: "nothing is left at AWS, forge or on this machine",
        held: leftovers.is_empty(),
        seen: format!("{} left", leftovers.len()),
    });
    Report {
        ok: promises.iter().all(|promise| promise.held),
        left: leftovers.len() as u64,
        leftovers,
        seconds: start.elapsed().as_secs_f64(),
        cost_usd: watch.cost_usd(),
        jobs,
        promises,
    }
}
