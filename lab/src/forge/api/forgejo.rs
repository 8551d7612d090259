//! What a Forgejo has in place of Gitea's API of runners and jobs. 15 answers as 15.0.3 was seen to; 14
//! and 11, which lacks what came later, as their source has it.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::engine::NewRunner;
use super::super::model::{Job, Scope, Status};
use super::super::payload::actions;
use super::super::reply::{Response, bare, reply};
use super::super::rpc::registration_token;
use super::super::state::State;
use super::super::version::Version;
use super::request::{Answer, Refusal, Request, created, id};

/// Everything below `actions` and, for the whole forge, below `runners`.
pub(super) fn answer(
    state: &mut State,
    request: &Request<'_>,
    scope: Scope,
    rest: &[&str],
    now: i64,
) -> Answer {
    let lists = state.version >= Version::Forgejo14;
    // The whole forge's stood apart; from 15 on they stand with the others too.
    let stands = scope != Scope::Global || state.version >= Version::Forgejo15;
    match (request.method, rest) {
        (&Method::GET, ["runners", asked @ ("registration-token" | "jobs")])
            if scope == Scope::Global =>
        {
            Ok(token_or_jobs(state, request, scope, asked))
        }
        (
            &Method::GET,
            [
                "actions",
                "runners",
                asked @ ("registration-token" | "jobs"),
            ],
        ) if stands => Ok(token_or_jobs(state, request, scope, asked)),
        (&Method::GET, ["actions", "runs", run]) if lists => run_body(state, scope, run),
        (_, ["actions", "runners", rest @ ..]) if lists => {
            runners(state, request, scope, rest, now)
        }
        _ => Err(Refusal::NoRoute),
    }
}

fn token_or_jobs(state: &mut State, request: &Request<'_>, scope: Scope, asked: &str) -> Response {
    let body = if asked == "jobs" {
        jobs(state, request, scope)
    } else {
        json!({"token": registration_token(state, scope)})
    };
    reply(StatusCode::OK, &body)
}

fn runners(
    state: &mut State,
    request: &Request<'_>,
    scope: Scope,
    rest: &[&str],
    now: i64,
) -> Answer {
    let shows = |of: Scope| scope == Scope::Global || of == scope;
    let newest = state.version >= Version::Forgejo15;
    let own = |state: &State, text: &str, missing: fn(String) -> Refusal| {
        let id = id(text)?;
        let runner = state.runners.get(&id).filter(|runner| shows(runner.scope));
        let words = || missing(format!("runner with id {id}: resource does not exist"));
        runner.map(|_| id).ok_or_else(words)
    };
    let body = |state: &State, runner: i64| {
        let runner = &state.runners[&runner];
        if newest {
            actions::forgejo_runner(runner, now)
        } else {
            actions::runner_before_disabling(runner, now)
        }
    };
    match (request.method, rest) {
        (&Method::GET, []) => {
            let runners = state.runners.values().filter(|runner| shows(runner.scope));
            let runners: Vec<Value> = runners.map(|runner| body(state, runner.id)).collect();
            Ok(if newest {
                request.list(&runners)
            } else {
                request.page("runners", &runners)
            })
        }
        (&Method::POST, []) if newest => make(state, request, scope, now),
        (&Method::GET, [runner]) => {
            let runner = own(state, runner, Refusal::Missing)?;
            Ok(reply(StatusCode::OK, &body(state, runner)))
        }
        (&Method::DELETE, [runner]) => {
            // Before, only asking for one that is not there was a 404.
            let missing = if newest {
                Refusal::Missing
            } else {
                Refusal::Failed
            };
            let runner = own(state, runner, missing)?;
            state.runners.remove(&runner);
            Ok(bare(StatusCode::NO_CONTENT))
        }
        (_, ["registration-token"]) if newest => Err(Refusal::NoMethod),
        _ => Err(Refusal::NoRoute),
    }
}

/// A runner that was never heard of: its labels come when it declares them.
fn make(state: &mut State, request: &Request<'_>, scope: Scope, now: i64) -> Answer {
    let body = request.json()?;
    let name = body["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(Refusal::Unprocessable("[Name]: Required".to_owned()));
    }
    let new = NewRunner {
        name: name.to_owned(),
        version: String::new(),
        labels: Vec::new(),
        ephemeral: body["ephemeral"] == json!(true),
    };
    let id = state.register(scope, new, now);
    let runner = state.runners.get_mut(&id).ok_or(Refusal::NotFound)?;
    runner.online = 0;
    Ok(created(&json!({
        "id": id, "uuid": runner.uuid, "token": runner.token,
    })))
}

/// Jobs that wait or run, as a bare list; Go writes an empty one as null. Labels that were not asked
/// for mean every job from 15 on, and none before.
fn jobs(state: &State, request: &Request<'_>, scope: Scope) -> Value {
    let asked: Option<Vec<&str>> = request
        .values("labels")
        .next()
        .map(|labels| labels.trim().split(',').collect());
    let newest = state.version >= Version::Forgejo15;
    let wanted = |job: &Job| match &asked {
        None => newest,
        Some(labels) if job.labels.is_empty() => newest && labels.as_slice() == [""],
        Some(labels) => job
            .labels
            .iter()
            .all(|label| labels.contains(&label.as_str())),
    };
    let jobs: Vec<Value> = state
        .jobs
        .values()
        .filter(|job| matches!(job.status, Status::Waiting | Status::Running))
        .filter(|job| scope.covers(&state.repositories[&job.repository]) && wanted(job))
        .map(|job| job_body(state, job))
        .collect();
    if jobs.is_empty() {
        Value::Null
    } else {
        json!(jobs)
    }
}

fn job_body(state: &State, job: &Job) -> Value {
    let mut body = json!({
        "id": job.id,
        "repo_id": job.repository,
        "owner_id": state.repositories[&job.repository].owner,
        "name": job.name,
        "needs": if job.needs.is_empty() { Value::Null } else { json!(job.needs) },
        "runs_on": if job.labels.is_empty() { Value::Null } else { json!(job.labels) },
        "task_id": job.task.unwrap_or_default(),
        "status": word(job.status),
    });
    if state.version >= Version::Forgejo15 {
        // A waiting attempt counts already.
        let attempt = job.attempt + i64::from(job.status == Status::Waiting);
        body["attempt"] = json!(attempt);
        body["handle"] = json!(format!(
            "00000000-0000-4000-a000-{:06x}{attempt:06x}",
            job.id
        ));
    }
    body
}

fn run_body(state: &State, scope: Scope, run: &str) -> Answer {
    let run = state
        .runs
        .get(&id(run)?)
        .filter(|run| scope == Scope::Repository(run.repository))
        .ok_or(Refusal::NotFound)?;
    Ok(reply(
        StatusCode::OK,
        &json!({
            "id": run.id,
            "title": run.title,
            "workflow_id": run.file(),
            "index_in_repo": run.number,
            "prettyref": run.branch().unwrap_or(&run.reference),
            "commit_sha": run.sha,
            "event": "push",
            "trigger_event": "push",
            "status": word(run.status),
        }),
    ))
}

/// Forgejo's words for how a job stands.
fn word(status: Status) -> &'static str {
    match status {
        Status::Waiting => "waiting",
        Status::Blocked => "blocked",
        Status::Running => "running",
        Status::Done(conclusion) => conclusion.word(),
    }
}
