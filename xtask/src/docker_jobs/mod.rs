//! `cargo xtask docker-jobs`: what jobs ask of Docker, from the push to the end of the machine, with a real
//! Gitea, its real runner and a real Docker in the lab's machines. It pushes one workflow, and holds each of its
//! jobs' result and log against what the docs say of such jobs.

mod census;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use lab::real_forge::Release;
use lab::{Folder, ForgeProgram, Leftovers};
use serde::Serialize;

use self::census::Census;
use crate::forge::{Forge, ForgeJob};
use crate::forge_arg::ForgeArg;
use crate::lab_deployment::{LabDeployment, PlayError, then_lab_down};
use crate::output::say;

/// The deployment, below the checkout's root.
const ENVIRONMENT: &str = "xtask/tests/docker/environment.toml";
/// What is pushed.
const WORKFLOW: &str = include_str!("../../tests/docker/jobs.yml");
/// The organization and its repository.
const ORGANIZATION: &str = "docker";
const REPOSITORY: &str = "docker/app";
/// Longest until every job has ended and every machine is gone: ten machines on two cores.
const LIMIT: Duration = Duration::from_mins(3);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Lines of a log that are shown where a job did not end as it was meant to.
const SHOWN_LINES: usize = 40;
/// The one job whose commit is told that it runs without its services.
const SILENTLY_WITHOUT: &str = "services-on-the-machine";
/// Longest until it is told: a status that was refused is tried again with the next tick, of a minute.
const TOLD_LIMIT: Duration = Duration::from_secs(75);

/// What is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    #[command(flatten)]
    pub forge: ForgeArg,
    /// Print the report as one JSON object on the last line.
    #[arg(long)]
    pub json: bool,
}

/// How a job is meant to end, and what its log has to say.
struct Meant {
    job: &'static str,
    conclusion: &'static str,
    says: &'static [&'static str],
}

/// Every job of the workflow.
#[rustfmt::skip]
const MEANT: [Meant; 10] = [
    Meant { job: "services", conclusion: "success", says: &["answer 42", "docker says OK", "the pool says hello from the pool"] },
    Meant { job: "container", conclusion: "success", says: &["in a container as root", "may not unshare", "homes of the machine: 0"] },
    Meant { job: "both", conclusion: "success", says: &["answer 42"] },
    Meant { job: "both-in-docker", conclusion: "success", says: &["answer 42", "the job says hello from the job"] },
    Meant { job: "docker-on-the-machine", conclusion: "success", says: &["as ci of ci docker", "answer 42"] },
    Meant { job: "services-on-the-machine", conclusion: "success", says: &["containers: 0"] },
    Meant { job: "service-that-never-answers", conclusion: "failure", says: &["no database after 3 tries"] },
    Meant { job: "unhealthy-service", conclusion: "success", says: &["ran as root"] },
    Meant { job: "service-without-an-image", conclusion: "failure", says: &["Error response from daemon"] },
    Meant { job: "container-without-docker", conclusion: "failure", says: &["permission denied"] },
];

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether every job ended as meant and nothing is left.
    pub ok: bool,
    /// The forge, as it tells its version.
    pub forge: String,
    /// How each job ended.
    pub jobs: BTreeMap<String, String>,
    /// What was not as it should be.
    pub problems: Vec<String>,
    /// What is left after `down`.
    pub left: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// Plays it, and cleans up whatever happens.
pub async fn run(root: &Path, asked: Asked) -> Result<Report, PlayError> {
    if std::env::var_os(lab::ENV_DOCKER).is_none() {
        return Err(PlayError::NoDocker(lab::ENV_DOCKER));
    }
    let start = Instant::now();
    let folder = Folder::default_one();
    let before = Census::take()?;
    let program = asked.forge.or(ForgeProgram::Gitea(Release::NEWEST));
    let whole = whole(root, &folder, program, &before);
    let (mut report, left) = then_lab_down(&folder, whole).await?;
    if left != Leftovers::default() {
        report.left.push(format!("{left:?}"));
    }
    let after = Census::take()?.since(&before);
    report.left.extend(after.lines());
    report.ok = report.problems.is_empty() && report.left.is_empty();
    report.seconds = start.elapsed().as_secs_f64();
    for line in report.problems.iter().chain(&report.left) {
        say(&format!("  NOT AS IT SHOULD BE: {line}"));
    }
    let (jobs, problems, left) = (report.jobs.len(), report.problems.len(), report.left.len());
    let seconds = report.seconds;
    say(&format!(
        "{jobs} jobs, {problems} problems, {left} left, in {seconds:.0} s"
    ));
    Ok(report)
}

/// Everything between lab up and lab down.
async fn whole(
    root: &Path,
    folder: &Folder,
    program: ForgeProgram,
    before: &Census,
) -> Result<Report, PlayError> {
    let environment = root.join(ENVIRONMENT).display().to_string();
    let setup = program.into();
    let up = LabDeployment::up_as(root, folder, &setup, &environment);
    let (deployment, forge) = up.await?;
    forge.make_organization(ORGANIZATION).await?;
    let events = ["push", "workflow_job"];
    let hook = deployment.hook_url();
    forge.make_hook(ORGANIZATION, &hook, &events).await?;
    forge.make_repository(ORGANIZATION, "app").await?;
    let checkout = forge.checkout(REPOSITORY).await?;
    let files = [(".gitea/workflows/docker.yml", WORKFLOW)];
    checkout.push("Jobs that use Docker", &files).await?;
    say("pushed; seconds count from here");

    let mut report = Report {
        forge: forge.lab().forge_version.clone(),
        ..Report::default()
    };
    let (jobs, daemons) = watch(&forge, before).await?;
    if daemons == 0 {
        let blind = "no daemon was ever seen, so that none is left says nothing";
        report.problems.push(blind.to_owned());
    }
    for meant in &MEANT {
        let job = jobs.iter().find(|job| job.name == meant.job);
        let problems = judge(&forge, meant, job).await?;
        let ended = job.map_or("missing", ended);
        report.jobs.insert(meant.job.to_owned(), ended.to_owned());
        report.problems.extend(problems);
    }
    let errors = errors(&forge).await?;
    let is_it = |context: &String| context.rsplit(" / ").next() == Some(SILENTLY_WITHOUT);
    if errors.len() != 1 || !errors.iter().all(is_it) {
        let wanted = format!("{errors:?} have an error status, not {SILENTLY_WITHOUT:?} alone");
        report.problems.push(wanted);
    }
    report.left = deployment.down(&forge).await?;
    Ok(report)
}

/// Waits until every job has ended and every machine is gone: the jobs, and how many of Docker's daemons were
/// seen at the same time.
async fn watch(forge: &Forge, before: &Census) -> Result<(Vec<ForgeJob>, usize), PlayError> {
    let begun = Instant::now();
    let mut told = BTreeSet::new();
    let mut daemons = 0;
    loop {
        let jobs = forge.jobs(REPOSITORY).await?;
        for job in &jobs {
            let stand = format!("{}: {}", job.name, ended(job));
            if job.status == "completed" && told.insert(job.id) {
                say(&format!(
                    "  {:6.1} s  {stand}",
                    begun.elapsed().as_secs_f64()
                ));
            }
        }
        daemons = daemons.max(Census::take()?.since(before).daemons());
        let machines = forge.machines().await?;
        let open = jobs.iter().filter(|job| job.status != "completed");
        let open: Vec<&str> = open.map(|job| job.name.as_str()).collect();
        let alive = machines.iter().filter(|machine| machine.ended.is_none());
        let alive = alive.count();
        if open.is_empty() && alive == 0 && jobs.len() >= MEANT.len() {
            return Ok((jobs, daemons));
        }
        if begun.elapsed() > LIMIT {
            let stand = format!(
                "open are {open:?} of {} jobs, {alive} machines are there",
                jobs.len()
            );
            return Err(PlayError::TooLong(LIMIT.as_secs(), stand));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until some status calls the commit erroneous: all that do.
async fn errors(forge: &Forge) -> Result<Vec<String>, PlayError> {
    let begun = Instant::now();
    loop {
        let errors = forge.errors(REPOSITORY).await?;
        if !errors.is_empty() || begun.elapsed() > TOLD_LIMIT {
            return Ok(errors);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How a job ended, or where it stands.
fn ended(job: &ForgeJob) -> &str {
    job.conclusion.as_deref().unwrap_or(&job.status)
}

/// What of a job was not as meant. Its log is shown then.
async fn judge(
    forge: &Forge,
    meant: &Meant,
    job: Option<&ForgeJob>,
) -> Result<Vec<String>, PlayError> {
    let name = meant.job;
    let Some(job) = job else {
        return Ok(vec![format!("{name}: the forge has no such job")]);
    };
    let log = forge.log(REPOSITORY, job).await?;
    let mut problems = Vec::new();
    if ended(job) != meant.conclusion {
        let wanted = meant.conclusion;
        problems.push(format!("{name}: ended as {}, not {wanted}", ended(job)));
    }
    let unsaid = meant.says.iter().filter(|words| !log.contains(**words));
    problems.extend(unsaid.map(|words| format!("{name}: its log does not say {words:?}")));
    if !problems.is_empty() {
        let lines: Vec<&str> = log.lines().collect();
        say(&format!("  the end of {name}'s log:"));
        for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
            say(&format!("    {line}"));
        }
    }
    Ok(problems)
}
