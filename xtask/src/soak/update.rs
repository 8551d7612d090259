//! One story instead of many: the forge is updated while jobs wait, run and wait for others. Every job
//! is served once, and nobody gets a second machine for one attempt.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Folder, ForgeProgram};
use serde::Serialize;

use super::scenario::FILE;
use super::watch::Watch;
use super::{ORGANIZATION, deploy, settle, tell_problems};
use crate::forge::{Forge, ForgeJob};
use crate::lab_deployment::{PlayError, then_lab_down};
use crate::output::say;

/// What is run before the update, and once more during it.
const AGAIN: &str = "\
on: push
jobs:
  again: {runs-on: go, steps: [{run: echo again}]}
";
/// More jobs than machines are allowed: some run and some wait when the forge goes, and one waits for
/// another. Their time is for the slowest of the first machines.
const MANY: &str = "\
on: push
jobs:
  first: {runs-on: base, steps: [{run: sleep 45}]}
  last: {needs: first, runs-on: go, steps: [{run: echo last}]}
  many:
    runs-on: base
    strategy: {matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]}}
    steps: [{run: sleep 45}]
";
/// Jobs of [`MANY`] that run at the same time, all that the lab's environment allows.
const RUNNING: usize = 20;
/// Longest for one of the story's waits: the jobs of two rounds of machines take two minutes.
const LIMIT: Duration = Duration::from_mins(5);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the story came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing was lost, doubled or left.
    pub ok: bool,
    /// The version before.
    pub from: String,
    /// The version after.
    pub to: String,
    /// Jobs that ran when the forge was stopped.
    pub running: usize,
    /// Jobs that waited for a runner then.
    pub waiting: usize,
    /// Jobs that runners got, those that were run again twice.
    pub attempts: usize,
    /// Machines that were launched.
    pub machines: usize,
    /// How long the forge was away.
    pub away_s: f64,
    /// What was not as it should be.
    pub problems: Vec<String>,
    /// What is left after `down`.
    pub left: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// Plays it, and cleans up whatever happens.
pub async fn run(root: &Path, from: ForgeProgram, to: &ForgeProgram) -> Result<Report, PlayError> {
    let start = Instant::now();
    let folder = Folder::default_one();
    let whole = whole(root, &folder, from, to);
    let (mut report, left) = then_lab_down(&folder, whole).await?;
    if left.total() > 0 {
        report.left.push(format!("{left:?}"));
    }
    report.ok = report.problems.is_empty() && report.left.is_empty();
    report.seconds = start.elapsed().as_secs_f64();
    tell(&report);
    Ok(report)
}

async fn whole(
    root: &Path,
    folder: &Folder,
    from: ForgeProgram,
    to: &ForgeProgram,
) -> Result<Report, PlayError> {
    let (deployment, forge) = deploy(root, folder, &from.into()).await?;
    let version = forge.lab().forge_version.clone();
    let mut story = Story {
        watch: Watch::new(&forge),
        forge,
    };
    story.push("again", AGAIN).await?;
    let again = story.until("again", |jobs| all(jobs, "completed")).await?;
    story.push("many", MANY).await?;
    let is_full = |jobs: &[ForgeJob]| count(jobs, "in_progress") == RUNNING;
    let before = story.until("many", is_full).await?;
    // No machine is allowed for it any more: it waits through the update.
    let path = repository("again");
    story.forge.rerun_run(&path, again[0].run_id).await?;
    story.until("again", |jobs| all(jobs, "queued")).await?;

    say(&format!("updating {version} to {to}"));
    let stopped = Instant::now();
    story.watch.look(&story.forge).await?;
    story.forge = story.forge.updated(to).await?;
    let away = stopped.elapsed();
    story.watch.updated(&story.forge.lab().forge_version);
    let mut problems = Vec::new();
    // One job runs twice. Whether each attempt was served tells its end: of the events that the forge
    // had not sent when it was stopped, some are lost.
    let mut attempts = 1;
    for name in ["again", "many"] {
        for job in story.until(name, |jobs| all(jobs, "completed")).await? {
            if job.conclusion.as_deref() != Some("success") {
                problems.push(format!("{} ended as {:?}", job.name, job.conclusion));
            }
            attempts += 1;
        }
    }
    let Story { forge, mut watch } = story;
    problems.extend(settle(&deployment, &forge, &mut watch).await?);
    problems.extend(watch.doubled());
    let machines = watch.machines();
    if machines != attempts {
        problems.push(format!("{machines} machines for {attempts} attempts"));
    }
    Ok(Report {
        ok: false,
        from: version,
        to: forge.lab().forge_version.clone(),
        running: count(&before, "in_progress"),
        waiting: count(&before, "queued") + 1,
        attempts,
        machines,
        away_s: away.as_secs_f64(),
        problems,
        left: deployment.down(&forge).await?,
        seconds: 0.0,
    })
}

struct Story {
    forge: Forge,
    watch: Watch,
}

impl Story {
    /// Pushes `workflow` to the new repository `name`.
    async fn push(&self, name: &str, workflow: &str) -> Result<(), PlayError> {
        self.forge.make_repository(ORGANIZATION, name).await?;
        let checkout = self.forge.checkout(&repository(name)).await?;
        let files = [(FILE, workflow)];
        Ok(checkout.push("first", &files).await?)
    }

    /// The jobs of `name`, once there are some of which it `holds`.
    async fn until(
        &mut self,
        name: &str,
        holds: impl Fn(&[ForgeJob]) -> bool,
    ) -> Result<Vec<ForgeJob>, PlayError> {
        let start = Instant::now();
        loop {
            self.watch.look(&self.forge).await?;
            let jobs = self.forge.jobs(&repository(name)).await?;
            if !jobs.is_empty() && holds(&jobs) {
                return Ok(jobs);
            }
            if start.elapsed() > LIMIT {
                let stand: Vec<String> = jobs
                    .iter()
                    .map(|job| format!("{} is {}", job.name, job.status))
                    .collect();
                return Err(PlayError::TooLong(LIMIT.as_secs(), stand.join(", ")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn repository(name: &str) -> String {
    format!("{ORGANIZATION}/{name}")
}

fn count(jobs: &[ForgeJob], status: &str) -> usize {
    jobs.iter().filter(|job| job.status == status).count()
}

fn all(jobs: &[ForgeJob], status: &str) -> bool {
    count(jobs, status) == jobs.len()
}

fn tell(report: &Report) {
    say(&format!(
        "\n  {} became {} while {} jobs ran and {} waited, and was away for {:.1} s: {} attempts on {} \
         machines",
        report.from,
        report.to,
        report.running,
        report.waiting,
        report.away_s,
        report.attempts,
        report.machines,
    ));
    tell_problems(&report.problems, &report.left, report.seconds);
}
