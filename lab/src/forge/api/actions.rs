//! Jobs, runs and runners.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::model::{Conclusion, Scope, Status};
use super::super::payload::actions;
use super::super::reply::{bare, reply, words};
use super::super::rpc::registration_token;
use super::super::state::State;
use super::super::version::Version;
use super::request::{Answer, Refusal, Request, created, id};

pub(super) fn answer(
    state: &mut State,
    request: &Request<'_>,
    scope: Scope,
    rest: &[&str],
    now: i64,
) -> Answer {
    let since = |first| state.version.is_gitea_since(first);
    let exists = match (request.method, rest) {
        (&Method::GET, ["runners", "registration-token"]) => !since(Version::Gitea1_26),
        (&Method::PATCH, ["runners", ..]) | (&Method::POST, ["runs" | "jobs", ..]) => {
            since(Version::Gitea1_26)
        }
        (_, ["runners", ..]) => since(Version::Gitea1_24),
        (_, ["runs" | "jobs", ..]) => since(Version::Gitea1_25),
        _ => false,
    };
    // What was taken away reads as a runner of that name.
    let taken = rest == ["runners", "registration-token"] && request.method == Method::GET;
    if !exists && !taken {
        return Err(Refusal::NoRoute);
    }
    match (request.method, rest) {
        (_, ["runners", rest @ ..]) => runners(state, request, scope, rest, now),
        (&Method::GET, ["jobs"]) => jobs(state, request, |job| {
            scope.covers(&state.repositories[&job.repository])
        }),
        (_, rest) => match scope {
            Scope::Repository(repository) => in_repository(state, request, repository, rest, now),
            Scope::Global | Scope::Owner(_) => Err(Refusal::NotFound),
        },
    }
}

fn in_repository(
    state: &mut State,
    request: &Request<'_>,
    repository: i64,
    rest: &[&str],
    now: i64,
) -> Answer {
    let run_id = |state: &State, text: &str| {
        let id = id(text)?;
        let run = state.runs.get(&id);
        let own = run.is_some_and(|run| run.repository == repository);
        own.then_some(id).ok_or(Refusal::NotFound)
    };
    let job_id = |state: &State, text: &str| {
        let id = id(text)?;
        let job = state
            .jobs
            .get(&id)
            .filter(|job| job.repository == repository);
        job.map(|_| id).ok_or(Refusal::NotFound)
    };
    match (request.method, rest) {
        (&Method::GET, ["jobs", job]) => {
            let job = &state.jobs[&job_id(state, job)?];
            Ok(reply(StatusCode::OK, &json!(state.job_body(job))))
        }
        (&Method::GET, ["jobs", job, "logs"]) => {
            let job = &state.jobs[&job_id(state, job)?];
            let task = job.task.and_then(|task| state.tasks.get(&task));
            let log = task.ok_or(Refusal::NotFound)?.log.join("\n");
            Ok(words(StatusCode::OK, log + "\n"))
        }
        (&Method::GET, ["runs", run]) => {
            let run = &state.runs[&run_id(state, run)?];
            Ok(reply(StatusCode::OK, &json!(state.run_body(run))))
        }
        (&Method::POST, ["runs", run, "rerun"]) => {
            let run = run_id(state, run)?;
            again(state, run, None, now)
        }
        (&Method::POST, ["runs", _, "jobs", job, "rerun"]) => {
            let job = job_id(state, job)?;
            again(state, state.jobs[&job].run, Some(job), now)
        }
        _ => Err(Refusal::NotFound),
    }
}

fn again(state: &mut State, run: i64, job: Option<i64>, now: i64) -> Answer {
    state
        .rerun(run, job, now)
        .map_err(|why| Refusal::Bad(why.to_owned()))?;
    let run = &state.runs[&run];
    Ok(created(&json!(state.run_body(run))))
}

/// The filter's words; several are a choice. `labels` is ignored, as the forge does.
fn jobs(
    state: &State,
    request: &Request<'_>,
    concerns: impl Fn(&super::super::model::Job) -> bool,
) -> Answer {
    let wanted = statuses(request)?;
    let jobs: Vec<Value> = state
        .jobs
        .values()
        .filter(|job| concerns(job) && (wanted.is_empty() || wanted.contains(&job.status)))
        .map(|job| json!(state.job_body(job)))
        .collect();
    Ok(request.page("jobs", &jobs))
}

fn statuses(request: &Request<'_>) -> Result<Vec<Status>, Refusal> {
    let done = [
        Conclusion::Success,
        Conclusion::Failure,
        Conclusion::Cancelled,
        Conclusion::Skipped,
    ];
    let mut wanted = Vec::new();
    for word in request.values("status") {
        match word {
            "queued" => wanted.push(Status::Waiting),
            "waiting" | "pending" | "requested" => wanted.push(Status::Blocked),
            "in_progress" => wanted.push(Status::Running),
            "completed" => wanted.extend(done.map(Status::Done)),
            word => match done
                .into_iter()
                .find(|conclusion| conclusion.word() == word)
            {
                Some(conclusion) => wanted.push(Status::Done(conclusion)),
                None => return Err(Refusal::Bad(format!("Invalid status: {word}"))),
            },
        }
    }
    Ok(wanted)
}

/// A registration token as it was had before 1.26; that of the whole forge at a place of its own.
pub(super) fn old_token(state: &mut State, request: &Request<'_>, scope: Scope) -> Answer {
    if request.method != Method::GET {
        return Err(Refusal::NoRoute);
    }
    if state.version.is_gitea_since(Version::Gitea1_26) {
        return Err(Refusal::Missing("Runner not found".to_owned()));
    }
    let token = registration_token(state, scope);
    Ok(reply(StatusCode::OK, &json!({"token": token})))
}

fn runners(
    state: &mut State,
    request: &Request<'_>,
    scope: Scope,
    rest: &[&str],
    now: i64,
) -> Answer {
    // The whole forge's list shows every runner, others only their own.
    let shows = |of: Scope| scope == Scope::Global || of == scope;
    let own = |state: &State, text: &str| {
        let id = id(text)?;
        let runner = state.runners.get(&id).filter(|runner| shows(runner.scope));
        runner.map(|_| id).ok_or(Refusal::NotFound)
    };
    let body = |state: &State, runner: i64| actions::runner(&state.runners[&runner], now);
    match (request.method, rest) {
        (&Method::GET, []) => {
            let runners: Vec<Value> = state
                .runners
                .values()
                .filter(|runner| shows(runner.scope))
                .map(|runner| body(state, runner.id))
                .collect();
            Ok(request.page("runners", &runners))
        }
        (&Method::GET, ["registration-token"]) if scope != Scope::Global => {
            old_token(state, request, scope)
        }
        (&Method::POST, ["registration-token"]) => {
            let token = registration_token(state, scope);
            Ok(reply(StatusCode::OK, &json!({"token": token})))
        }
        (&Method::GET, [runner]) => {
            let runner = own(state, runner)?;
            Ok(reply(StatusCode::OK, &body(state, runner)))
        }
        (&Method::DELETE, [runner]) => {
            let runner = own(state, runner)?;
            state.runners.remove(&runner);
            Ok(bare(StatusCode::NO_CONTENT))
        }
        (&Method::PATCH, [runner]) => {
            let runner = own(state, runner)?;
            let disabled = request.json()?["disabled"] == json!(true);
            if let Some(runner) = state.runners.get_mut(&runner) {
                runner.disabled = disabled;
            }
            Ok(reply(StatusCode::OK, &body(state, runner)))
        }
        _ => Err(Refusal::NotFound),
    }
}
