//! A push: git takes it, then the forge compares refs, tells its hooks and starts workflows.

use std::path::Path;

use serde_json::{Value, json};

use super::engine;
use super::engine::NewRun;
use super::git::{self, HttpAnswer, HttpRequest};
use super::git_command::Error;
use super::payload::push::{Pushed, ZERO, push_event};
use super::shared::Shared;
use super::state::State;
use super::workflow::{Push, Workflow};

/// Texts in the head commit's message that keep the forge from starting anything.
const SKIP_WORDS: [&str; 5] = [
    "[skip ci]",
    "[ci skip]",
    "[no ci]",
    "[skip actions]",
    "[actions skip]",
];

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
        known.size_kb = git::size_kb(folder);
        known.updated = now;
        Some(format!("refs/heads/{}", known.default_branch))
    });
    let default = default.unwrap_or_default();
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        // The end of a branch is another event, which nobody here listens to.
        if old == new || (new.is_none() && name.starts_with("refs/heads/")) {
            continue;
        }
        let base = before.get(&default).filter(|_| *name != default);
        let pushed = git::pushed(folder, name, old, new, base).await?;
        let files = match &pushed.head {
            Some(head) if starts_workflows(&pushed) => {
                git::workflows(folder, &head.id, version.workflow_folders()).await?
            }
            Some(_) | None => Vec::new(),
        };
        shared.with(|state, now| settle(state, repository, actor, pushed, &files, now));
    }
    Ok(answer)
}

fn starts_workflows(pushed: &Pushed) -> bool {
    pushed.after != ZERO
        && pushed
            .head
            .as_ref()
            .is_some_and(|head| !SKIP_WORDS.iter().any(|word| head.message.contains(word)))
}

/// Tells the push, then starts a run for each workflow file that asks for it.
fn settle(
    state: &mut State,
    repository: i64,
    actor: i64,
    mut pushed: Pushed,
    files: &[(String, String)],
    now: i64,
) {
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
    state.announce_push(repository, actor, &pushed);
    let github = context(state, repository, actor, &pushed);
    for (path, text) in files {
        let key = (repository, below_folder(path).to_owned());
        if state.disabled.contains(&key) {
            continue;
        }
        match plan(path, text, &pushed, &github) {
            Ok(Some(mut run)) => {
                (run.repository, run.actor) = (repository, actor);
                state.start_run(run, now);
            }
            Ok(None) => {}
            // The forge ignores such files silently, which is no help to the demo's author.
            Err(error) => tracing::warn!(path, %error, "a workflow file starts nothing"),
        }
    }
}

/// A workflow's path below its folder.
pub(super) fn below_folder(path: &str) -> &str {
    path.split_once("/workflows/")
        .map_or(path, |(_, below)| below)
}

fn plan(
    path: &str,
    text: &str,
    pushed: &Pushed,
    github: &Value,
) -> Result<Option<engine::NewRun>, super::workflow::Error> {
    let workflow = Workflow::parse(text)?;
    let push = Push {
        reference: &pushed.reference,
        files: &pushed.files,
    };
    let Some(head) = pushed.head.as_ref().filter(|_| workflow.starts_on(&push)) else {
        return Ok(None);
    };
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = workflow.name.clone().unwrap_or_else(|| file.to_owned());
    let mut github = github.clone();
    github["workflow"] = json!(name);
    Ok(Some(NewRun {
        repository: 0,
        actor: 0,
        path: path.to_owned(),
        name: workflow.name.clone(),
        workflow: name,
        title: head.message.lines().next().unwrap_or_default().to_owned(),
        reference: pushed.reference.clone(),
        sha: head.id.clone(),
        committed: head.committed,
        jobs: workflow.plan(&github)?,
        github,
    }))
}

/// The `github` context of a push, without what only a run or a task knows.
fn context(state: &State, repository: i64, actor: i64, pushed: &Pushed) -> Value {
    let place = state.place(repository);
    let actor = &state.accounts[&actor];
    let reference = pushed.reference.as_str();
    let (kind, name) = match reference.strip_prefix("refs/tags/") {
        Some(name) => ("tag", name),
        None => (
            "branch",
            reference.strip_prefix("refs/heads/").unwrap_or(reference),
        ),
    };
    let event = serde_json::to_value(push_event(place, actor, pushed)).unwrap_or_default();
    json!({
        "actor": actor.login,
        "api_url": format!("{}/api/v1", place.site.root),
        "event": event,
        "event_name": "push",
        "ref": reference,
        "ref_name": name,
        "ref_type": kind,
        "repository": place.full_name(),
        "repository_owner": place.owner.login,
        "server_url": place.site.root,
        "sha": pushed.head.as_ref().map(|head| head.id.as_str()),
        "triggering_actor": actor.login,
    })
}
