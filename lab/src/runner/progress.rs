//! What is known of the running job, and how the forge is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::{Client, Error};
use super::log;
use crate::forge::Conclusion;

/// Rows of log in one call.
const ROWS_MAX: usize = 1_000;
/// Pauses before the last report is tried again: 55 s in all, as measured.
const LAST_REPORT_PAUSES_S: [u64; 6] = [1, 2, 4, 8, 16, 24];

#[derive(Debug, Clone, Copy, Default)]
struct StepProgress {
    outcome: Option<Conclusion>,
    started: Option<Timestamp>,
    stopped: Option<Timestamp>,
    log_index: usize,
    log_length: usize,
}

#[derive(Debug)]
struct Inner {
    rows: Vec<(Timestamp, String)>,
    sent: usize,
    steps: Vec<StepProgress>,
    masks: Vec<String>,
    outputs: Vec<(String, String)>,
}

/// Shared between the job, its output readers and the reports.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<Inner>>);

impl Progress {
    pub(super) fn new(steps: usize, masks: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            rows: Vec::new(),
            sent: 0,
            steps: vec![StepProgress::default(); steps],
            masks,
            outputs: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line of the job's log; secrets in it are covered.
    pub(super) fn log(&self, line: &str) {
        let mut inner = self.lock();
        let mut line = line.to_owned();
        for mask in &inner.masks {
            line = line.replace(mask, "***");
        }
        inner.rows.push((Timestamp::now(), line));
    }

    pub(super) fn start_step(&self, at: usize) {
        let mut inner = self.lock();
        let log_index = inner.rows.len();
        if let Some(step) = inner.steps.get_mut(at) {
            (step.started, step.log_index) = (Some(Timestamp::now()), log_index);
        }
    }

    pub(super) fn end_step(&self, at: usize, outcome: Conclusion) {
        let mut inner = self.lock();
        let rows = inner.rows.len();
        if let Some(step) = inner.steps.get_mut(at) {
            step.outcome = Some(outcome);
            if step.started.is_some() {
                step.stopped = Some(Timestamp::now());
                step.log_length = rows - step.log_index;
            }
        }
    }

    pub(super) fn set_outputs(&self, outputs: Vec<(String, String)>) {
        self.lock().outputs = outputs;
    }

    /// Sends what is new; whether the forge says that the job is cancelled.
    pub(super) async fn report(
        &self,
        client: &Client,
        task: &str,
        end: Option<Conclusion>,
    ) -> Result<bool, Error> {
        loop {
            let (index, rows, all) = self.unsent();
            if rows.is_empty() && end.is_none() {
                break;
            }
            let last = end.is_some() && all;
            let count = rows.len();
            let body = json!({
                "taskId": task, "index": index.to_string(), "rows": rows, "noMore": last,
            });
            client.call("UpdateLog", &body).await?;
            self.lock().sent = index + count;
            if all {
                break;
            }
        }
        let answer = client.call("UpdateTask", &self.state(task, end)).await?;
        Ok(answer["state"]["result"] == "RESULT_CANCELLED")
    }

    /// The last report, tried for almost a minute: a forge that forgot this runner answers no
    /// better then, and the real one tries all the same.
    pub(super) async fn report_end(&self, client: &Client, task: &str, end: Conclusion) {
        for pause_s in LAST_REPORT_PAUSES_S {
            match self.report(client, task, Some(end)).await {
                Ok(_) => return,
                Err(error) => log("error", &format!("failed to report the job: {error}")),
            }
            tokio::time::sleep(Duration::from_secs(pause_s)).await;
        }
        if let Err(error) = self.report(client, task, Some(end)).await {
            log("error", &format!("gave up to report the job: {error}"));
        }
    }

    /// The next rows, from where, and whether they are all.
    fn unsent(&self) -> (usize, Vec<Value>, bool) {
        let inner = self.lock();
        let rows: Vec<Value> = inner.rows[inner.sent..]
            .iter()
            .take(ROWS_MAX)
            .map(|(time, line)| json!({"time": time.to_string(), "content": line}))
            .collect();
        let all = inner.sent + rows.len() == inner.rows.len();
        (inner.sent, rows, all)
    }

    fn state(&self, task: &str, end: Option<Conclusion>) -> Value {
        let inner = self.lock();
        let steps: Vec<Value> = inner
            .steps
            .iter()
            .enumerate()
            .map(|(at, step)| {
                json!({
                    "id": at.to_string(),
                    "result": step.outcome.map_or("RESULT_UNSPECIFIED".to_owned(), Conclusion::result),
                    "startedAt": step.started.map(|time| time.to_string()),
                    "stoppedAt": step.stopped.map(|time| time.to_string()),
                    "logIndex": step.log_index.to_string(),
                    "logLength": step.log_length.to_string(),
                })
            })
            .collect();
        let mut state = json!({"id": task, "steps": steps});
        if let Some(end) = end {
            state["result"] = json!(end.result());
            state["stoppedAt"] = json!(Timestamp::now().to_string());
        }
        let outputs: std::collections::BTreeMap<&str, &str> = inner
            .outputs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        json!({"state": state, "outputs": outputs})
    }
}
