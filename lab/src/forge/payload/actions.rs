//! Bodies of runs, jobs, runners and hooks, and the two events about them.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::model::{Account, Hook, Job, Run, Runner, Scope, Status, Task};
use super::super::version::Version;
use super::{Email, HostedRepository, OrganizationBody, RepositoryBody, UserBody, time, user};

#[derive(Debug, Serialize)]
struct StepBody {
    name: String,
    number: usize,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conclusion: Option<&'static str>,
    started_at: String,
    completed_at: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct JobBody {
    id: i64,
    url: String,
    html_url: String,
    run_id: i64,
    run_url: String,
    name: String,
    labels: Vec<String>,
    run_attempt: i64,
    head_sha: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    head_branch: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conclusion: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runner_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runner_name: Option<String>,
    steps: Vec<StepBody>,
    created_at: String,
    started_at: String,
    completed_at: String,
}

/// One job. Its steps exist once a runner has it, and each shows the *job's* status: a quirk of the
/// forge's (measured), by which a job cancelled by its runner shows every step as a success.
pub(crate) fn job(
    hosted: HostedRepository<'_>,
    run: &Run,
    job: &Job,
    task: Option<&Task>,
) -> JobBody {
    let steps = task.map_or_else(Vec::new, |task| {
        job.steps
            .iter()
            .zip(&task.steps)
            .enumerate()
            .map(|(number, (name, times))| StepBody {
                name: name.clone(),
                number,
                status: job.status.word(),
                conclusion: job.status.conclusion(),
                started_at: time(times.started),
                completed_at: time(times.stopped),
            })
            .collect()
    });
    JobBody {
        id: job.id,
        url: format!("{}/actions/jobs/{}", hosted.api(), job.id),
        html_url: format!("{}/actions/runs/{}/jobs/{}", hosted.page(), run.id, job.id),
        run_id: run.id,
        run_url: format!("{}/actions/runs/{}", hosted.api(), run.id),
        name: job.name.clone(),
        labels: job.labels.clone(),
        run_attempt: job.attempt,
        head_sha: run.sha.clone(),
        head_branch: run.branch().map(str::to_owned),
        status: job.status.word(),
        conclusion: job.status.conclusion(),
        runner_id: task.map(|task| task.runner),
        runner_name: task.map(|task| task.runner_name.clone()),
        steps,
        created_at: time(job.created),
        started_at: time(job.started),
        completed_at: time(job.stopped),
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct RunBody {
    id: i64,
    url: String,
    /// Null in the first attempt; 1.27 brought it, and `pull_requests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_attempt_url: Option<Value>,
    html_url: String,
    display_title: String,
    path: String,
    event: &'static str,
    run_attempt: i64,
    run_number: i64,
    head_sha: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    head_branch: Option<String>,
    status: &'static str,
    actor: UserBody,
    trigger_actor: UserBody,
    repository: RepositoryBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_requests: Option<[&'static str; 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conclusion: Option<&'static str>,
    started_at: String,
    completed_at: String,
}

/// One run. Its attempt stays 0 before 1.27 (measured).
pub(crate) fn run(hosted: HostedRepository<'_>, actor: &Account, run: &Run) -> RunBody {
    let since_1_27 = hosted.version.is_gitea_since(Version::Gitea1_27);
    let url = format!("{}/actions/runs/{}", hosted.api(), run.id);
    let before = (run.attempt > 1).then(|| format!("{url}/attempts/{}", run.attempt - 1));
    RunBody {
        id: run.id,
        url,
        previous_attempt_url: since_1_27.then(|| json!(before)),
        html_url: format!("{}/actions/runs/{}", hosted.page(), run.id),
        display_title: run.title.clone(),
        path: format!("{}@{}", run.file(), run.reference),
        event: "push",
        run_attempt: run.attempt,
        run_number: run.number,
        head_sha: run.sha.clone(),
        head_branch: run.branch().map(str::to_owned),
        status: run.status.word(),
        actor: user(hosted.site, actor, Email::NoReply),
        trigger_actor: user(hosted.site, actor, Email::NoReply),
        repository: super::repository_for(hosted, super::View::Nobody),
        pull_requests: since_1_27.then_some([]),
        conclusion: run.status.conclusion(),
        started_at: time(run.started),
        completed_at: time(run.stopped),
    }
}

/// The event `workflow_job`.
#[derive(Debug, Serialize)]
pub(crate) struct JobEvent {
    action: &'static str,
    workflow_job: JobBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<OrganizationBody>,
    repository: RepositoryBody,
    sender: UserBody,
}

pub(crate) fn job_event(hosted: HostedRepository<'_>, actor: &Account, body: JobBody) -> JobEvent {
    JobEvent {
        action: body.status,
        workflow_job: body,
        organization: hosted.organization(),
        repository: super::repository(hosted),
        sender: user(hosted.site, actor, Email::NoReply),
    }
}

#[derive(Debug, Serialize)]
struct WorkflowBody {
    id: String,
    name: String,
    path: String,
    state: &'static str,
    created_at: String,
    updated_at: String,
    url: String,
    html_url: String,
    badge_url: String,
    deleted_at: &'static str,
}

/// The event `workflow_run`.
#[derive(Debug, Serialize)]
pub(crate) struct RunEvent {
    action: &'static str,
    workflow: WorkflowBody,
    workflow_run: RunBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    organization: Option<OrganizationBody>,
    repository: RepositoryBody,
    sender: UserBody,
}

/// The action of a run's event, where its status has one.
pub(crate) const fn run_action(status: Status) -> Option<&'static str> {
    match status {
        Status::Waiting => Some("requested"),
        Status::Running => Some("in_progress"),
        Status::Done(_) => Some("completed"),
        Status::Blocked => None,
    }
}

/// `committed` is when the workflow's file was last changed.
pub(crate) fn run_event(
    hosted: HostedRepository<'_>,
    actor: &Account,
    of: &Run,
    action: &'static str,
    committed: i64,
) -> RunEvent {
    let branch = &hosted.repository.default_branch;
    let file = of.file().to_owned();
    RunEvent {
        action,
        workflow: WorkflowBody {
            name: of.workflow.clone(),
            path: of.path.clone(),
            state: "active",
            created_at: time(committed),
            updated_at: time(committed),
            url: format!("{}/actions/workflows/{file}", hosted.api()),
            html_url: format!("{}/src/branch/{branch}/{}", hosted.page(), of.path),
            badge_url: format!(
                "{}/actions/workflows/{file}/badge.svg?branch={branch}",
                hosted.page()
            ),
            deleted_at: super::NEVER,
            id: file,
        },
        workflow_run: run(hosted, actor, of),
        organization: hosted.organization(),
        repository: super::repository(hosted),
        sender: user(hosted.site, actor, Email::NoReply),
    }
}

/// Seconds without a call after which a runner counts as offline.
const RUNNER_OFFLINE_S: i64 = 60;
/// Seconds after which a runner of whose job nothing is heard counts as idle.
const RUNNER_IDLE_S: i64 = 10;

/// How the forge has heard of a runner.
fn heard(runner: &Runner, now: i64) -> (bool, bool) {
    let online = now - runner.online < RUNNER_OFFLINE_S;
    (online, online && now - runner.active <= RUNNER_IDLE_S)
}

/// `busy` is no more than the forge's own guess: it was heard of a job just now.
pub(crate) fn runner(runner: &Runner, now: i64) -> Value {
    let mut body = runner_before_disabling(runner, now);
    body["disabled"] = json!(runner.disabled);
    body
}

/// The same of servers that can't take a runner out.
pub(crate) fn runner_before_disabling(runner: &Runner, now: i64) -> Value {
    let (online, busy) = heard(runner, now);
    let labels: Vec<Value> = runner
        .labels
        .iter()
        .map(|name| json!({"id": 0, "name": name, "type": "custom"}))
        .collect();
    json!({
        "id": runner.id,
        "name": runner.name,
        "status": if online { "online" } else { "offline" },
        "busy": busy,
        "ephemeral": runner.ephemeral,
        "labels": labels,
    })
}

/// The same as Forgejo has it from 15 on.
pub(crate) fn forgejo_runner(runner: &Runner, now: i64) -> Value {
    let status = match heard(runner, now) {
        (false, _) => "offline",
        (true, false) => "idle",
        (true, true) => "active",
    };
    let (owner, repository) = match runner.scope {
        Scope::Global => (0, 0),
        Scope::Owner(owner) => (owner, 0),
        Scope::Repository(repository) => (0, repository),
    };
    json!({
        "id": runner.id,
        "uuid": runner.uuid,
        "name": runner.name,
        "version": runner.version,
        "owner_id": owner,
        "repo_id": repository,
        "description": "",
        "labels": runner.labels,
        "status": status,
        "ephemeral": runner.ephemeral,
    })
}

/// A hook, without its secret.
pub(crate) fn hook(hook: &Hook) -> Value {
    json!({
        "id": hook.id,
        "type": "gitea",
        "branch_filter": "*",
        "config": {"content_type": "json", "url": hook.url},
        "events": hook.events,
        "authorization_header": hook.authorization,
        "active": hook.active,
        "updated_at": time(hook.created),
        "created_at": time(hook.created),
    })
}
