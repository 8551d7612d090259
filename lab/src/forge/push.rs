//! A push: git takes it, then the forge compares refs, tells its hooks and starts the workflows of the
//! push itself. That a reference came or went is told, and starts none here.

use std::path::Path;

use serde_json::{Value, json};
use workflow::discovery::FoundFiles;

use super::engine::NewRun;
use super::git::{self, HttpAnswer, HttpRequest};
use super::git_command::Error;
use super::model::Run;
use super::payload::push::{Commit, Pushed, ZERO, push_event};
use super::runs::{self, Facts, PlannedRun};
use super::shared::Shared;
use super::state::State;

/// Hands a push to git, and afterwards does what a push causes.
pub(super) async fn receive(
    shared: &Shared,
    folder: &Path,
    request: HttpRequest<'_>,
    repository: i64,
    actor: i64,
) -> Result<HttpAnswer, Error> {
    let _one_at_a_time = shared.pushes.lock().await;
    let before = git::refs(folder).await?;
    let answer = git::http(folder, request).await?;
    let after = git::refs(folder).await?;

    let version = shared.with(|state, _| state.version);
    let default = shared.with(|state, now| {
        let known = state.repositories.get_mut(&repository)?;
        known.branches = after
            .keys()
            .filter(|name| name.starts_with("refs/heads/"))
            .count();
        known.updated = now;
        Some(format!("refs/heads/{}", known.default_branch))
    });
    let default = default.unwrap_or_default();
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        if old == new {
            continue;
        }
        let base = before.get(&default).filter(|_| *name != default);
        let pushed = git::pushed(folder, name, old, new, base, version.commits_max()).await?;
        let files = match &pushed.head {
            Some(head) if pushed.after != ZERO => {
                git::workflows(folder, &head.id, version.server()).await?
            }
            Some(_) | None => FoundFiles::default(),
        };
        let (_, refused) =
            shared.with(|state, now| settle(state, (repository, actor), pushed, files, now));
        for why in refused {
            // The forge ignores such files silently, which is no help to the demo's author.
            tracing::warn!(why, "a workflow file starts nothing");
        }
    }
    Ok(answer)
}

/// Tells the push, then starts a run for each workflow file that asks for it: the runs, and in words why
/// other files start none.
pub(crate) fn settle(
    state: &mut State,
    (repository, actor): (i64, i64),
    mut pushed: Pushed,
    files: FoundFiles,
    now: i64,
) -> (Vec<i64>, Vec<String>) {
    for commit in pushed.commits.iter_mut().chain(&mut pushed.head) {
        for person in [&mut commit.author, &mut commit.committer] {
            person.username = state
                .accounts
                .values()
                .find(|account| account.email == person.email)
                .map(|account| account.login.clone())
                .unwrap_or_default();
        }
    }
    // The end of a branch is no push.
    if pushed.after != ZERO || !pushed.reference.starts_with("refs/heads/") {
        state.announce_push(repository, actor, &pushed);
    }
    if pushed.before == ZERO || pushed.after == ZERO {
        state.announce_reference(repository, actor, &pushed);
    }
    let Some(head) = pushed.head.clone() else {
        return (Vec::new(), Vec::new());
    };
    let event = push_event(state.hosted(repository), &state.accounts[&actor], &pushed);
    let event = serde_json::to_value(event).unwrap_or_default();
    let facts = Facts {
        message: &head.message,
        changed: &pushed.files,
        variables: &state.variables_of(repository),
        disabled: &state.disabled_in(repository),
    };
    let (runs, refused) = runs::started(state.version, &event, files, facts);
    let github = context(state, repository, actor, &pushed, &event);
    let mut started = Vec::new();
    for run in runs {
        end_group(state, repository, run.group.as_deref(), now);
        let new = new_run(run, (repository, actor), (&pushed, &head), &github);
        started.push(state.start_run(new, now));
    }
    (started, refused)
}

/// Ends the runs of a group that have not ended, before another of it starts.
fn end_group(state: &mut State, repository: i64, group: Option<&str>, now: i64) {
    let is_one = |run: &&Run| {
        let is_of_group = group.is_some() && run.group.as_deref() == group;
        is_of_group && run.repository == repository && !run.status.is_done()
    };
    let open = state.runs.values().filter(is_one);
    let open: Vec<i64> = open.map(|run| run.id).collect();
    for run in open {
        state.cancel(run, now);
    }
}

/// A workflow's path below its folder.
pub(super) fn below_folder(path: &str) -> &str {
    path.split_once("/workflows/")
        .map_or(path, |(_, below)| below)
}

fn new_run(
    run: PlannedRun,
    (repository, actor): (i64, i64),
    (pushed, head): (&Pushed, &Commit),
    github: &Value,
) -> NewRun {
    let file = run.path.rsplit('/').next().unwrap_or(&run.path);
    let workflow = run.name.clone().unwrap_or_else(|| file.to_owned());
    let mut github = github.clone();
    github["workflow"] = json!(workflow);
    NewRun {
        repository,
        actor,
        path: run.path,
        name: run.name,
        workflow,
        title: head.message.lines().next().unwrap_or_default().to_owned(),
        reference: pushed.reference.clone(),
        sha: head.id.clone(),
        committed: head.committed,
        jobs: run.jobs,
        group: run.group,
        github,
    }
}

/// The `github` context of a push, without what only a run or a task knows.
fn context(state: &State, repository: i64, actor: i64, pushed: &Pushed, event: &Value) -> Value {
    let hosted = state.hosted(repository);
    let actor = &state.accounts[&actor];
    let reference = pushed.reference.as_str();
    let (kind, name) = match reference.strip_prefix("refs/tags/") {
        Some(name) => ("tag", name),
        None => (
            "branch",
            reference.strip_prefix("refs/heads/").unwrap_or(reference),
        ),
    };
    json!({
        "actor": actor.login,
        "api_url": format!("{}/api/v1", hosted.site.root),
        "event": event,
        "event_name": "push",
        "ref": reference,
        "ref_name": name,
        "ref_type": kind,
        "repository": hosted.full_name(),
        "repository_owner": hosted.owner.login,
        "server_url": hosted.site.root,
        "sha": pushed.head.as_ref().map(|head| head.id.as_str()),
        "triggering_actor": actor.login,
    })
}
