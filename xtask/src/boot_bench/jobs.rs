//! Jobs that are pushed one after the other, each to a machine of its own, and say when their first step began.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use provisioner::Environment;
use stacks::pool::Pool;

use super::Asked;
use super::table::Phase;
use crate::error::Error;
use crate::forge::{self, Checkout, Site};
use crate::output::seconds;

/// Where the token is that pushes and reads logs.
const ENV_TOKEN: &str = "FORGE_TOKEN";
/// The branch that is pushed to, over whatever is there.
const BRANCH: &str = "boot-bench";
/// The job's word, before its times.
const WORD: &str = "boot-bench-step ";
/// What the job has to do beside the boot of its machine.
const JOB_LIMIT: Duration = Duration::from_mins(2);
/// Between two looks at a job. What is measured is not read from these looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where jobs are pushed.
pub struct Pushed {
    /// The forge.
    pub site: Site,
    /// `owner/name`.
    pub repository: String,
}

/// One job, in milliseconds since 1970.
pub struct JobRun {
    /// The forge's id.
    pub id: u64,
    /// When the forge had taken the push.
    pub pushed_ms: u64,
    /// When its first step began, by its machine's clock.
    pub step_ms: u64,
    /// How long its machine's kernel had run then, in seconds.
    pub uptime_s: f64,
}

impl Pushed {
    /// The repository of the environment's forge, as whoever gave the token.
    pub fn of(environment: &Environment, repository: &str) -> Result<Self, Error> {
        let token = std::env::var(ENV_TOKEN).map_err(|_| {
            let why = format!(
                "jobs are pushed with a token that may push to {repository}: put it into {ENV_TOKEN}"
            );
            Error::Unmeasured(why)
        })?;
        Ok(Self {
            site: Site {
                url: environment.forge.url.clone(),
                token,
            },
            repository: repository.to_owned(),
        })
    }

    /// Runs as many jobs on machines of `pool` as are asked for; those that only warm up are left out.
    pub async fn run(&self, pool: &Pool, asked: &Asked) -> Result<Vec<JobRun>, Error> {
        let label = pool.labels.first();
        let label =
            label.ok_or_else(|| Error::Unmeasured(format!("{} has no label", pool.name)))?;
        let label = &label.name;
        let workflow = workflow(label);
        let checkout = self.site.checkout(&self.repository).await?;
        let limit = JOB_LIMIT + Duration::from_secs(u64::from(pool.boot_timeout_minutes) * 60);
        let (all, warm) = asked.counts();
        let mut runs = Vec::new();
        for number in 0..all {
            eprintln!("· {}: job {} of {all}", pool.name, number + 1);
            let name = format!("{} {number}", pool.name);
            let run = self.one(&checkout, &workflow, &name);
            let run = tokio::time::timeout(limit, run).await;
            let run = run.map_err(|_| {
                Error::Unmeasured(format!(
                    "the job with label {label} has not ended within {} s",
                    limit.as_secs()
                ))
            })??;
            runs.push(run);
        }
        Ok(runs.split_off(warm))
    }

    async fn one(&self, checkout: &Checkout, workflow: &str, name: &str) -> Result<JobRun, Error> {
        let before = self.site.jobs(&self.repository).await?;
        let newest = before.iter().map(|job| job.id).max().unwrap_or_default();
        let files = [
            (".gitea/workflows/boot-bench.yml", workflow),
            ("stamp", name),
        ];
        checkout.push_over(BRANCH, name, &files).await?;
        let pushed_ms = now_ms();
        let job = loop {
            let jobs = self.site.jobs(&self.repository).await?;
            let mut new = jobs.into_iter().filter(|job| job.id > newest);
            match new.find(|job| job.status == "completed") {
                Some(job) => break job,
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        let log = self.site.log(&self.repository, &job).await?;
        let (step_ms, uptime_s) = said(&log).ok_or_else(|| {
            let how = job.conclusion.as_deref().unwrap_or("nothing");
            Error::Unmeasured(format!(
                "the job ended as {how} and did not say when it began: {log}"
            ))
        })?;
        Ok(JobRun {
            id: job.id,
            pushed_ms,
            step_ms,
            uptime_s,
        })
    }
}

/// A workflow of one job, whose one step says when it began.
fn workflow(label: &str) -> String {
    let mut text = format!(
        "on: {{push: {{branches: [{BRANCH}]}}}}\njobs:\n  boot-bench:\n    runs-on: \"{label}\"\n    steps:\n"
    );
    let _ = writeln!(
        text,
        "    - run: echo \"{WORD}$(date +%s%3N) $(cut -d ' ' -f 1 /proc/uptime)\""
    );
    text
}

/// When the step of this log began, and its machine's uptime then. A log may repeat the command itself.
fn said(log: &str) -> Option<(u64, f64)> {
    log.lines().find_map(|line| {
        let (_, figures) = line.split_once(WORD)?;
        let (ms, uptime) = figures.split_once(' ')?;
        Some((ms.parse().ok()?, uptime.trim().parse().ok()?))
    })
}

/// What is told of the jobs of a pool, on AWS: who is neither forge nor function sees no more of them.
pub async fn measure(pushed: &Pushed, pool: &Pool, asked: &Asked) -> Result<Vec<Phase>, Error> {
    let runs = pushed.run(pool, asked).await?;
    let all = |value: fn(&JobRun) -> f64| runs.iter().map(value).collect::<Vec<_>>();
    Ok(vec![
        Phase::part(
            "push taken → kernel (function and EC2)",
            all(|run| seconds(run.pushed_ms, run.step_ms) - run.uptime_s),
        ),
        Phase::part("kernel → first step", all(|run| run.uptime_s)),
        Phase::sum(
            "push taken → first step",
            all(|run| seconds(run.pushed_ms, run.step_ms)),
        ),
    ])
}

/// What stands above the table of a pool's jobs.
pub fn title(pool: &Pool, asked: &Asked) -> String {
    format!(
        "pool {}: {} jobs after {} to warm up",
        pool.name, asked.runs, asked.warm
    )
}

/// What went wrong at the forge.
impl From<forge::Error> for Error {
    fn from(error: forge::Error) -> Self {
        Self::Unmeasured(error.to_string())
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_step_are_read_behind_the_command_that_says_them() {
        let workflow = workflow("ubuntu-latest");
        let command = workflow.lines().last().unwrap();
        let log = format!(
            "2026-11-30T12:00:00.1Z ⭐ Run Main {command}\n2026-11-30T12:00:00.2Z {WORD}1796040000123 4.25\n"
        );
        assert_eq!(said(&log), Some((1_796_040_000_123, 4.25)));
        assert_eq!(said(command), None);
    }
}
