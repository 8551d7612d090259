//! `cargo xtask soak`: many runs of what makes trouble (reruns, cancellations, concurrency groups,
//! needs, a large matrix), against the whole deployment, and a count of what got lost.

mod kind;
mod reruns;
mod scenario;
mod update;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lab::{Folder, ForgeProgram, ForgeQueue, Setup};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::kind::Kind;
use self::scenario::{Told, play};
use self::watch::{Seen, Watch};
use crate::forge::Forge;
use crate::forge_arg::ForgeArg;
use crate::lab_deployment::{LabDeployment, PlayError, then_lab_down};
use crate::output::say;

const ORGANIZATION: &str = "soak";
/// The organization that the lab's pool `team` serves.
const TEAM: &str = "soak-team";
/// Scenarios at the same time: enough that machines and jobs of several meet.
const AT_ONCE: usize = 4;
/// Longest until the last machine is gone: an idle one waits a minute, and a tick comes each minute.
const GONE_LIMIT: Duration = Duration::from_mins(4);
/// Complaints of the forge's log that are told.
const COMPLAINTS_TOLD: usize = 40;
/// Between two looks at what is left.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    #[command(flatten)]
    pub forge: ForgeArg,
    /// Play one story instead: the forge is updated to this one while jobs wait and run.
    #[arg(long, value_name = "FORGE", conflicts_with_all = ["runs", "forge_queue"])]
    pub update_to: Option<ForgeProgram>,
    /// The queues of a real forge from a push to its hooks: channel, as operators should have them, or
    /// level, the default of Gitea and Forgejo, with which hooks come late.
    #[arg(long, value_name = "QUEUE", default_value = "channel")]
    pub forge_queue: ForgeQueue,
    /// How many; thirteen kinds take turns.
    #[arg(long, default_value_t = Kind::ALL.len())]
    pub runs: usize,
    /// These kinds alone, more than one with commas.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub only: Vec<Kind>,
    /// Print the report as one JSON object on the last line.
    #[arg(long)]
    pub json: bool,
}

/// What was played, and its verdict.
pub enum Played {
    /// Many runs.
    Runs(Report),
    /// The story of an update.
    Update(update::Report),
}

/// The verdict on many runs.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing was lost, doubled or left.
    pub ok: bool,
    /// The forge, as it tells its version.
    pub forge: String,
    /// Scenarios played.
    pub runs: usize,
    /// Jobs at the forge.
    pub jobs: usize,
    /// What was not as it should be.
    pub problems: Vec<String>,
    /// What was seen from outside.
    #[serde(flatten)]
    pub seen: Seen,
    /// What is left after `down`.
    pub left: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// Plays what is asked for.
pub async fn run(root: &Path, asked: Asked) -> Result<Played, PlayError> {
    let program = asked.forge.program();
    if let Some(to) = asked.update_to {
        return Ok(Played::Update(update::run(root, program, &to).await?));
    }
    let setup = Setup {
        queue: asked.forge_queue,
        ..program.into()
    };
    let all = if asked.only.is_empty() {
        &Kind::ALL
    } else {
        asked.only.as_slice()
    };
    let kinds: Vec<Kind> = all.iter().copied().cycle().take(asked.runs).collect();
    Ok(Played::Runs(play_runs(root, &setup, &kinds).await?))
}

/// Plays these scenarios, and cleans up whatever happens.
async fn play_runs(root: &Path, setup: &Setup, kinds: &[Kind]) -> Result<Report, PlayError> {
    let start = Instant::now();
    let folder = Folder::default_one();
    let whole = whole(root, &folder, setup, kinds);
    let (mut report, left) = then_lab_down(&folder, whole).await?;
    if left.total() > 0 {
        report.left.push(format!("{left:?}"));
    }
    // Of a soak that saw nothing nobody knows that all was well.
    let is_seen = report.seen.attempts > 0;
    report.ok = is_seen && report.problems.is_empty() && report.left.is_empty();
    report.seconds = start.elapsed().as_secs_f64();
    tell(&report);
    Ok(report)
}

/// Everything between lab up and lab down.
async fn whole(
    root: &Path,
    folder: &Folder,
    setup: &Setup,
    kinds: &[Kind],
) -> Result<Report, PlayError> {
    let (deployment, forge) = deploy(root, folder, setup).await?;
    let mut watch = Watch::new(&forge);
    let told = play_all(&forge, kinds, &mut watch).await?;
    let mut problems: Vec<String> = told
        .iter()
        .flat_map(|told| {
            let at = format!("{} ({})", told.kind.word(), told.repository);
            told.problems
                .iter()
                .map(move |problem| format!("{at}: {problem}"))
        })
        .collect();
    problems.extend(settle(&deployment, &forge, &mut watch).await?);
    problems.extend(watch.doubled());
    problems.extend(watch.idled());
    problems.extend(watch.late());

    let left = deployment.down(&forge).await?;
    Ok(Report {
        ok: false,
        forge: forge.lab().forge_version.clone(),
        runs: told.len(),
        jobs: told.iter().map(|told| told.jobs).sum(),
        problems,
        seen: watch.into_seen(),
        left,
        seconds: 0.0,
    })
}

/// A lab with the stacks, and the organizations of all scenarios.
async fn deploy(
    root: &Path,
    folder: &Folder,
    setup: &Setup,
) -> Result<(LabDeployment, Forge), PlayError> {
    let (deployment, forge) = LabDeployment::up(root, folder, setup).await?;
    for organization in [ORGANIZATION, TEAM] {
        forge.make_organization(organization).await?;
        let events = ["push", "workflow_job"];
        forge
            .make_hook(organization, &deployment.hook_url(), &events)
            .await?;
    }
    Ok((deployment, forge))
}

async fn play_all(
    forge: &Forge,
    kinds: &[Kind],
    watch: &mut Watch,
) -> Result<Vec<Told>, PlayError> {
    let runs = kinds.len();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for (number, &kind) in kinds.iter().enumerate() {
        let name = format!("{}-{number}", kind.word());
        let (forge, places) = (forge.clone(), Arc::clone(&places));
        playing.spawn(async move {
            let _place = places.acquire().await;
            forge.make_repository(ORGANIZATION, &name).await?;
            play(&forge, &format!("{ORGANIZATION}/{name}"), kind).await
        });
    }
    let mut told = Vec::new();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            ended = playing.join_next() => {
                let Some(ended) = ended else { break };
                let ended = ended.map_err(|_| PlayError::Stopped)??;
                say(&format!(
                    "  {:>3} of {runs}  {:<16} {:>2} jobs  {}",
                    told.len() + 1,
                    ended.kind.word(),
                    ended.jobs,
                    if ended.problems.is_empty() { "as meant".to_owned() } else { ended.problems.join("; ") },
                ));
                told.push(ended);
            }
            _ = looks.tick() => watch.look(forge).await?,
        }
    }
    Ok(told)
}

/// Waits until the last machine is gone and the ledger is at rest; says what is not in time.
async fn settle(
    deployment: &LabDeployment,
    forge: &Forge,
    watch: &mut Watch,
) -> Result<Vec<String>, PlayError> {
    say("every job has ended; waiting for the last machine to go");
    let start = Instant::now();
    loop {
        watch.look(forge).await?;
        let live = deployment.ledger.live().await?;
        let open = [
            (watch.alive(), "machines"),
            (live.jobs.len(), "jobs on the list"),
            (live.launches.len(), "launches open"),
            (live.runners.len(), "runner rows"),
            (
                live.stale_registrations.len(),
                "registrations to be deleted",
            ),
            (
                live.counters.values().map(|count| *count as usize).sum(),
                "places reserved",
            ),
            (
                usize::try_from(forge.runners().await?).unwrap_or(usize::MAX),
                "runners at the forge",
            ),
        ];
        let open: Vec<String> = open
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if open.is_empty() || start.elapsed() > GONE_LIMIT {
            return Ok(open);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn tell(report: &Report) {
    let seen = &report.seen;
    say(&format!(
        "\n  {} runs on {}, {} jobs, {} attempts taken by {} machines; {} machines ended without a \
         job, {} jobs were cancelled before they had one, {} were taken back by the forge\n  queued to started: p50 {:.2} s, p95 {:.2} s, max {:.2} s; a machine was \
         gone {:.2} s after its job's end at most, {:.2} s after its cancellation",
        report.runs,
        report.forge,
        report.jobs,
        seen.attempts,
        seen.machines,
        seen.idle_machines,
        seen.cancelled_waiting,
        seen.taken_back,
        seen.queued_to_started_p50_s,
        seen.queued_to_started_p95_s,
        seen.queued_to_started_max_s,
        seen.ended_to_gone_max_s,
        seen.cancelled_to_gone_max_s,
    ));
    tell_problems(&report.problems, &report.left, report.seconds);
    if !report.problems.is_empty() {
        tell_complaints(&Folder::default_one().forge_log());
    }
}

/// What the forge itself complained of, last: a problem may be one of its own.
fn tell_complaints(log: &Path) {
    let Ok(text) = std::fs::read_to_string(log) else {
        return;
    };
    let complaints: Vec<&str> = text.lines().filter(|line| is_complaint(line)).collect();
    say(&format!(
        "  the forge's log has {} complaints",
        complaints.len()
    ));
    let earlier = complaints.len().saturating_sub(COMPLAINTS_TOLD);
    for complaint in complaints.iter().skip(earlier) {
        say(&format!("    {complaint}"));
    }
}

/// Gitea marks each line with the first letter of its level. Its warnings are slow requests and queries, some
/// with the hash of a token.
fn is_complaint(line: &str) -> bool {
    ["[E]", "[C]", "[F]"]
        .iter()
        .any(|level| line.contains(level))
}

fn tell_problems(problems: &[String], left: &[String], seconds: f64) {
    for problem in problems {
        say(&format!("  problem: {problem}"));
    }
    for one in left {
        say(&format!("  left: {one}"));
    }
    say(&format!(
        "  {} problems, {} left, {seconds:.0} s",
        problems.len(),
        left.len(),
    ));
}
