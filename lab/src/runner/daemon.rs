//! Asks for a task until there is one, runs it, and stops as the real one stops.

use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use super::client::Client;
use super::command::{Program, Task as For};
use super::config::{Config, Registration};
use super::execute::execute;
use super::log;
use super::payload::Task;
use super::progress::Progress;
use crate::forge::Conclusion;

/// How often the forge hears of a running job.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// SIGTERM and SIGINT, which mean the same.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Self, String> {
        let signal = |kind| signal(kind).map_err(|error| format!("no signals: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How a run of the program ends.
pub(super) enum End {
    /// After its job or jobs, or told to stop.
    Done,
    /// There was no job, and nobody told it to wait for one.
    NoJob,
}

pub(super) async fn run(
    program: Program,
    task: For,
    labels: &[String],
    config: &Config,
    registration: &Registration,
) -> Result<End, String> {
    let mut stop = Stop::new()?;
    let client = Client::new(registration, config.fetch_timeout);
    let version = program.version();
    match task {
        For::Daemon => log("info", "Starting runner daemon"),
        For::OneJob { .. } => log("info", "Starting job"),
    }
    let declare = json!({"version": version, "labels": labels});
    client
        .call("Declare", &declare)
        .await
        .map_err(|error| format!("fail to invoke Declare: {error}"))?;
    log(
        "info",
        &format!(
            "runner: {}, with version: {version}, with labels: {labels:?}, declare successfully",
            registration.name,
        ),
    );
    let mut seen = "0".to_owned();
    loop {
        let fetched = client
            .call("FetchTask", &json!({"tasksVersion": seen}))
            .await;
        match fetched {
            Ok(answer) => {
                // One job is asked for anew each time.
                if let (For::Daemon, Some(version)) = (task, answer["tasksVersion"].as_str()) {
                    version.clone_into(&mut seen);
                }
                if answer["task"].is_object() {
                    let job: Task = serde_json::from_value(answer["task"].clone())
                        .map_err(|error| format!("cannot read the task: {error}"))?;
                    let grace = grace(task, config, registration);
                    let run = Run {
                        config,
                        registration,
                        grace,
                        is_one_job: matches!(task, For::OneJob { .. }),
                    };
                    let told = run_task(&run, &client, &job, &mut stop).await;
                    if is_over(task, registration) || told {
                        return Ok(End::Done);
                    }
                }
            }
            // Whoever waits for one job goes on asking, whatever it is answered.
            Err(error) if task == For::Daemon && error.is_unregistered() => {
                return Err(error.to_string());
            }
            Err(error) => log("error", &format!("failed to fetch task: {error}")),
        }
        if task == (For::OneJob { wait: false }) {
            return Ok(End::NoJob);
        }
        tokio::select! {
            () = stop.wait() => {
                log("info", "runner: shutdown initiated, no job is running");
                return Ok(End::Done);
            }
            () = tokio::time::sleep(config.fetch_interval) => {}
        }
    }
}

/// How long the job may go on once the program was told to stop.
fn grace(task: For, config: &Config, registration: &Registration) -> Duration {
    match task {
        For::Daemon => config.shutdown_timeout,
        For::OneJob { .. } => {
            let from = &registration.address;
            let words = format!("single task poller successfully fetched one task from {from}");
            log("info", &words);
            Duration::ZERO
        }
    }
}

/// Whether a job was its last.
fn is_over(task: For, registration: &Registration) -> bool {
    match task {
        For::Daemon => registration.ephemeral,
        For::OneJob { .. } => true,
    }
}

/// What a task is run with.
struct Run<'a> {
    config: &'a Config,
    registration: &'a Registration,
    /// How long a job may go on once the program was told to stop.
    grace: Duration,
    /// Whether this is forgejo-runner's `one-job`.
    is_one_job: bool,
}

/// Runs one task to its last report. Whether it was told to stop meanwhile.
async fn run_task(run: &Run<'_>, client: &Client, task: &Task, stop: &mut Stop) -> bool {
    let repository = task.context["repository"].as_str().unwrap_or_default();
    log(
        "info",
        &format!(
            "task {} repo is {repository} https://github.com {}",
            task.id, run.registration.address
        ),
    );
    let job = match task.job() {
        Ok(job) => job,
        Err(error) => {
            let progress = Progress::new(0, Vec::new());
            progress.log(&format!("##[error]{error}"));
            progress
                .report_end(client, &task.id, Conclusion::Failure)
                .await;
            return false;
        }
    };
    let progress = Progress::new(job.steps.len(), task.secrets.values().cloned().collect());
    let (cancel, cancelled) = watch::channel(false);
    let execution = execute(
        run.config,
        &run.registration.name,
        task,
        &job,
        &progress,
        cancelled,
    );
    tokio::pin!(execution);
    let mut reports = tokio::time::interval(REPORT_INTERVAL);
    let mut kill_at = None;
    let mut by_forge = false;
    let mut outcome = loop {
        tokio::select! {
            outcome = &mut execution => break outcome,
            _ = reports.tick() => {
                // A failed report is repeated by the next.
                if let Ok(true) = progress.report(client, &task.id, None).await {
                    by_forge = true;
                    cancel.send_replace(true);
                }
            }
            () = stop.wait(), if kill_at.is_none() => {
                log("info", "runner: shutdown initiated, waiting for the running job");
                kill_at = Some(Instant::now() + run.grace);
            }
            () = sleep_until(kill_at), if kill_at.is_some() && !*cancel.borrow() => {
                cancel.send_replace(true);
            }
        }
    };
    if *cancel.borrow() {
        outcome = if by_forge {
            Conclusion::Cancelled
        } else if run.is_one_job {
            // As it is (measured on forgejo-runner 12.8.2).
            progress.log("context canceled");
            Conclusion::Failure
        } else {
            // The trap (measured on gitea-runner): a job that its own runner cancels is reported as a
            // success, each of its steps too.
            progress.log("Job succeeded");
            progress.log("context canceled");
            (0..job.steps.len()).for_each(|at| progress.end_step(at, Conclusion::Success));
            Conclusion::Success
        };
    }
    progress.report_end(client, &task.id, outcome).await;
    kill_at.is_some()
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
