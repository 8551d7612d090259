//! Asks for a task until there is one, runs it, and stops as the real one stops.

use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use super::client::Client;
use super::config::{Config, Registration};
use super::execute::execute;
use super::log;
use super::payload::Task;
use super::progress::{Outcome, Progress};

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

pub(super) async fn run(config: &Config, registration: &Registration) -> Result<(), String> {
    let mut stop = Stop::new()?;
    let client = Client::new(registration);
    log("info", "Starting runner daemon");
    let labels = registration.label_names();
    let declare = json!({"version": super::VERSION, "labels": labels});
    client
        .call("Declare", &declare)
        .await
        .map_err(|error| format!("fail to invoke Declare: {error}"))?;
    log(
        "info",
        &format!(
            "runner: {}, with version: {}, with labels: {labels:?}, declare successfully",
            registration.name,
            super::VERSION
        ),
    );
    let mut version = "0".to_owned();
    loop {
        let fetched = client
            .call("FetchTask", &json!({"tasksVersion": version}))
            .await;
        match fetched {
            Ok(answer) => {
                if let Some(seen) = answer["tasksVersion"].as_str() {
                    seen.clone_into(&mut version);
                }
                if answer["task"].is_object() {
                    let task: Task = serde_json::from_value(answer["task"].clone())
                        .map_err(|error| format!("cannot read the task: {error}"))?;
                    let told = run_task(config, registration, &client, &task, &mut stop).await;
                    if registration.ephemeral || told {
                        return Ok(());
                    }
                }
            }
            Err(error) if error.is_unregistered() => return Err(error.to_string()),
            Err(error) => log("error", &format!("failed to fetch task: {error}")),
        }
        tokio::select! {
            () = stop.wait() => {
                log("info", "runner: shutdown initiated, no job is running");
                return Ok(());
            }
            () = tokio::time::sleep(config.fetch_interval) => {}
        }
    }
}

/// Runs one task to its last report. Whether it was told to stop meanwhile.
async fn run_task(
    config: &Config,
    registration: &Registration,
    client: &Client,
    task: &Task,
    stop: &mut Stop,
) -> bool {
    let repository = task.context["repository"].as_str().unwrap_or_default();
    log(
        "info",
        &format!(
            "task {} repo is {repository} https://github.com {}",
            task.id, registration.address
        ),
    );
    let job = match task.job() {
        Ok(job) => job,
        Err(error) => {
            let progress = Progress::new(0, Vec::new());
            progress.log(&format!("##[error]{error}"));
            progress
                .report_end(client, &task.id, Outcome::Failure)
                .await;
            return false;
        }
    };
    let progress = Progress::new(job.steps.len(), task.secrets.values().cloned().collect());
    let (cancel, cancelled) = watch::channel(false);
    let execution = execute(config, &registration.name, task, &job, &progress, cancelled);
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
                kill_at = Some(Instant::now() + config.shutdown_timeout);
            }
            () = sleep_until(kill_at), if kill_at.is_some() && !*cancel.borrow() => {
                cancel.send_replace(true);
            }
        }
    };
    if *cancel.borrow() {
        // The trap (measured): a job that its own runner cancels is reported as a success, each of
        // its steps too.
        outcome = if by_forge {
            Outcome::Cancelled
        } else {
            progress.log("Job succeeded");
            progress.log("context canceled");
            (0..job.steps.len()).for_each(|at| progress.end_step(at, Outcome::Success));
            Outcome::Success
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
