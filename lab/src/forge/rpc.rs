//! The runner protocol, `runner.v1.RunnerService`, in connect's JSON codec.
//!
//! Codes and messages are the measured ones of Gitea: almost every refusal is a 500, so callers must
//! read the message. A Forgejo's have codes of their own.

use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::engine::NewRunner;
use super::model::{Conclusion, Runner, Scope, Status, StepTimes};
use super::state::State;
use super::version::Version;
use workflow::ForgeKind;

/// Longest name of a runner; the forge cuts longer ones with an ellipsis.
const NAME_MAX_CHARS: usize = 255;
/// Lines of log that are kept of one task.
const LOG_MAX_LINES: usize = 20_000;

/// What is answered: a status and a JSON document, or nothing but the status.
pub(crate) type Answer = (StatusCode, Option<Value>);

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Register {
    name: String,
    token: String,
    version: String,
    labels: Vec<String>,
    ephemeral: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Declare {
    version: String,
    labels: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FetchTask {
    tasks_version: Int64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UpdateTask {
    state: TaskState,
    outputs: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TaskState {
    id: Int64,
    result: String,
    stopped_at: Option<String>,
    steps: Vec<StepState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StepState {
    id: Int64,
    started_at: Option<String>,
    stopped_at: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UpdateLog {
    task_id: Int64,
    index: Int64,
    rows: Vec<LogRow>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LogRow {
    content: String,
}

/// protobuf's 64-bit numbers: JSON strings, read from numbers too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
struct Int64(i64);

impl TryFrom<Value> for Int64 {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        value
            .as_str()
            .map_or_else(|| value.as_i64(), |text| text.parse().ok())
            .map(Self)
            .ok_or_else(|| format!("{value} is not an integer"))
    }
}

/// What is wrong with a request, as connect has it.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Argument,
    Runner,
    Other,
}

fn refuse(version: Version, wrong: Wrong, message: &str) -> Answer {
    let (status, code) = match (version.kind(), wrong) {
        (ForgeKind::Gitea, _) => (StatusCode::INTERNAL_SERVER_ERROR, "unknown"),
        (ForgeKind::Forgejo, Wrong::Argument) => (StatusCode::BAD_REQUEST, "invalid_argument"),
        (ForgeKind::Forgejo, Wrong::Runner) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        (ForgeKind::Forgejo, Wrong::Other) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    };
    (status, Some(json!({"code": code, "message": message})))
}

/// Parses `body` and hands it on; broken JSON has connect's own code.
fn with<T: for<'a> Deserialize<'a>>(body: &[u8], then: impl FnOnce(T) -> Answer) -> Answer {
    match serde_json::from_slice(body) {
        Ok(request) => then(request),
        Err(error) => {
            let message = format!("unmarshal message: {error}");
            let body = json!({"code": "invalid_argument", "message": message});
            (StatusCode::BAD_REQUEST, Some(body))
        }
    }
}

/// One call of `method_name`.
pub(crate) fn call(
    state: &mut State,
    method_name: &str,
    method: &Method,
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
) -> Answer {
    if method != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, None);
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let json = header("content-type")
        .is_some_and(|value| value.split(';').next() == Some("application/json"));
    if !json {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, None);
    }
    if method_name == "Register" {
        return with(body, |request| register(state, request, now));
    }
    let uuid = header("x-runner-uuid").unwrap_or_default();
    let token = header("x-runner-token").unwrap_or_default();
    let Some(runner) = state.runner_of(uuid, token) else {
        let message = match state.version.kind() {
            ForgeKind::Gitea => "rpc error: code = Unauthenticated desc = unregistered runner",
            ForgeKind::Forgejo => "unregistered runner",
        };
        return refuse(state.version, Wrong::Runner, message);
    };
    if let Some(runner) = state.runners.get_mut(&runner) {
        runner.online = now;
        if ["UpdateTask", "UpdateLog"].contains(&method_name) {
            runner.active = now;
        }
    }
    match method_name {
        "Declare" => with(body, |request| declare(state, runner, request)),
        "FetchTask" => with(body, |request| fetch_task(state, runner, &request, now)),
        "UpdateTask" => with(body, |request| update_task(state, runner, request, now)),
        "UpdateLog" => with(body, |request| update_log(state, runner, request, now)),
        _ => (StatusCode::NOT_FOUND, None),
    }
}

fn register(state: &mut State, request: Register, now: i64) -> Answer {
    if request.name.is_empty() || request.token.is_empty() {
        return refuse(state.version, Wrong::Argument, "missing runner token, name");
    }
    let scope = state
        .registration
        .iter()
        .find(|(_, token)| **token == request.token)
        .map(|(scope, _)| *scope);
    let Some(scope) = scope else {
        return refuse(
            state.version,
            Wrong::Argument,
            "runner registration token not found",
        );
    };
    let mut name = request.name;
    if name.chars().count() > NAME_MAX_CHARS {
        name = name.chars().take(NAME_MAX_CHARS - 1).collect();
        name.push('…');
    }
    let new = NewRunner {
        name,
        version: request.version,
        labels: request.labels,
        ephemeral: request.ephemeral && state.version.has_one_job_runners(),
    };
    let runner = state.register(scope, new, now);
    (StatusCode::OK, Some(runner_body(&state.runners[&runner])))
}

/// False and empty fields are absent, as in protobuf's JSON.
fn runner_body(runner: &Runner) -> Value {
    let mut body = json!({
        "id": runner.id.to_string(),
        "uuid": runner.uuid,
        "token": runner.token,
        "name": runner.name,
    });
    if !runner.version.is_empty() {
        body["version"] = json!(runner.version);
    }
    if !runner.labels.is_empty() {
        body["labels"] = json!(runner.labels);
    }
    if runner.ephemeral {
        body["ephemeral"] = json!(true);
    }
    json!({"runner": body})
}

fn declare(state: &mut State, runner: i64, request: Declare) -> Answer {
    let Some(runner) = state.runners.get_mut(&runner) else {
        return (StatusCode::NOT_FOUND, None);
    };
    runner.version = request.version;
    runner.labels = request.labels;
    (StatusCode::OK, Some(runner_body(runner)))
}

/// A runner that has seen the newest tasks' version is not searched for again.
fn fetch_task(state: &mut State, runner: i64, request: &FetchTask, now: i64) -> Answer {
    let version = state.tasks_version.to_string();
    let task = if request.tasks_version.0 == state.tasks_version {
        None
    } else {
        state.hand_out(runner, now)
    };
    let mut body = json!({"tasksVersion": version});
    if let Some(task) = task {
        body["task"] = task_body(state, task);
    }
    (StatusCode::OK, Some(body))
}

fn task_body(state: &State, task: i64) -> Value {
    let task = &state.tasks[&task];
    let job = &state.jobs[&task.job];
    let mut context = state.runs[&job.run].github.clone();
    context["job"] = json!(job.key);
    context["run_attempt"] = json!(job.attempt.to_string());
    context["token"] = json!(task.token);
    let needs: serde_json::Map<String, Value> = state
        .needs_of(job)
        .into_iter()
        .map(|(key, mut need)| {
            let result = need["result"].as_str().unwrap_or_default().to_uppercase();
            need["result"] = json!(format!("RESULT_{result}"));
            (key, need)
        })
        .collect();
    json!({
        "id": task.id.to_string(),
        "workflowPayload": STANDARD.encode(&job.payload),
        "context": context,
        "secrets": {"GITEA_TOKEN": task.token, "GITHUB_TOKEN": task.token},
        "needs": needs,
        "vars": {},
    })
}

fn update_task(state: &mut State, runner: i64, request: UpdateTask, now: i64) -> Answer {
    let Some(task) = own_task(state, runner, request.state.id) else {
        return refuse(state.version, Wrong::Other, "invalid runner for task");
    };
    let mut job = 0;
    if let Some(task) = state.tasks.get_mut(&task) {
        task.heartbeat = now;
        job = task.job;
        for step in &request.state.steps {
            let at = usize::try_from(step.id.0).unwrap_or(usize::MAX);
            if let Some(known) = task.steps.get_mut(at) {
                *known = StepTimes {
                    started: seconds(step.started_at.as_deref()),
                    stopped: seconds(step.stopped_at.as_deref()),
                };
            }
        }
    }
    let sent: Vec<String> = request.outputs.keys().cloned().collect();
    if let Some(job) = state.jobs.get_mut(&job) {
        job.outputs.extend(request.outputs);
    }
    if let Some(conclusion) = Conclusion::of_result(&request.state.result) {
        let stopped = seconds(request.state.stopped_at.as_deref());
        state.finish(task, conclusion, if stopped > 0 { stopped } else { now });
    }
    // How a runner that still has a row learns that its job was cancelled.
    let cancelled = state
        .jobs
        .get(&job)
        .is_some_and(|job| job.status == Status::Done(Conclusion::Cancelled));
    let result = if cancelled {
        "RESULT_CANCELLED"
    } else {
        request.state.result.as_str()
    };
    let body = json!({
        "state": {"id": task.to_string(), "result": result},
        "sentOutputs": sent,
    });
    (StatusCode::OK, Some(body))
}

fn update_log(state: &mut State, runner: i64, request: UpdateLog, now: i64) -> Answer {
    let Some(task) = own_task(state, runner, request.task_id) else {
        return refuse(state.version, Wrong::Other, "invalid runner for task");
    };
    let mut acknowledged = 0;
    if let Some(task) = state.tasks.get_mut(&task) {
        task.heartbeat = now;
        // Rows that came before are not written twice.
        let start = usize::try_from(request.index.0).unwrap_or_default();
        let known = task.log.len().saturating_sub(start);
        let room = LOG_MAX_LINES.saturating_sub(task.log.len());
        let new = request.rows.into_iter().skip(known).take(room);
        task.log.extend(new.map(|row| row.content));
        acknowledged = task.log.len();
    }
    let body = json!({"ackIndex": acknowledged.to_string()});
    (StatusCode::OK, Some(body))
}

fn own_task(state: &State, runner: i64, task: Int64) -> Option<i64> {
    state
        .tasks
        .get(&task.0)
        .filter(|task| task.runner == runner)
        .map(|task| task.id)
}

/// An RFC 3339 time in seconds; 0 without one.
fn seconds(time: Option<&str>) -> i64 {
    time.and_then(|time| time.parse::<jiff::Timestamp>().ok())
        .map_or(0, jiff::Timestamp::as_second)
}

/// The registration token of a scope: always the same one, made when first asked for.
pub(crate) fn registration_token(state: &mut State, scope: Scope) -> String {
    state
        .registration
        .entry(scope)
        .or_insert_with(|| crate::ids::random_hex(20))
        .clone()
}
