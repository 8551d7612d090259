//! Accounts, repositories, hooks, tokens and commit statuses.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use workflow::ForgeKind;

use super::super::model::{CommitStatus, Hook, Scope, Token};
use super::super::payload::{self, Email, actions, time};
use super::super::reply::{Response, reply, words};
use super::super::shared::Shared;
use super::super::state::{Kind, State};
use super::super::{git, objects};
use super::request::{Answer, Refusal, Request, created, id, strings, with_total};
use crate::ids::random_hex;

/// Longest name of an account or repository, as in the forge.
const NAME_MAX_CHARS: usize = 100;

fn to_value<T: serde::Serialize>(body: T) -> Value {
    serde_json::to_value(body).unwrap_or_default()
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().unwrap_or_default()
}

/// A name that may become a folder's.
fn name<'a>(body: &'a Value, key: &str) -> Result<&'a str, Refusal> {
    let name = text(body, key);
    let fits = !name.is_empty()
        && name.len() <= NAME_MAX_CHARS
        && !name.starts_with('.')
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    if fits {
        Ok(name)
    } else {
        Err(Refusal::Unprocessable(format!(
            "[{key}]: {name:?} is not a name"
        )))
    }
}

pub(super) async fn create_repository(
    shared: &Shared,
    request: &Request<'_>,
    token: &Token,
) -> Answer {
    let body = request.json()?;
    let name = name(&body, "name")?.to_owned();
    if body["auto_init"] == json!(true) {
        return Err(Refusal::Unprocessable(
            "the stand-in makes empty repositories only: push the first commit".to_owned(),
        ));
    }
    let branch = match text(&body, "default_branch") {
        "" => "main",
        branch => branch,
    };
    let owner = shared.with(|state, _| {
        let owner = match request.segments {
            ["orgs", login, ..] => state
                .account(login)
                .filter(|account| account.organization)
                .ok_or(Refusal::NotFound)?,
            _ => &state.accounts[&token.account],
        };
        if state.repository(&owner.login, &name).is_some() {
            let message = "The repository with the same name already exists.";
            return Err(Refusal::Conflict(message.to_owned()));
        }
        Ok(owner.clone())
    })?;
    let folder = git::folder(&shared.data, &owner.login, &name);
    git::create(&folder, branch)
        .await
        .map_err(|error| Refusal::Failed(error.to_string()))?;
    shared.with(|state, now| {
        let id = state.add_repository(owner.id, &name, branch, now);
        if let Some(repository) = state.repositories.get_mut(&id) {
            repository.private = body["private"] == json!(true);
        }
        Ok(created(&to_value(payload::repository(state.hosted(id)))))
    })
}

/// What needs no scope; `None` for anything else.
pub(super) fn answer(
    state: &mut State,
    request: &Request<'_>,
    token: &Token,
    now: i64,
) -> Option<Answer> {
    let own = (request.method, request.segments);
    Some(match own {
        (&Method::GET, ["user"]) => {
            let account = &state.accounts[&token.account];
            let body = to_value(payload::user(&state.site, account, Email::Own));
            Ok(reply(StatusCode::OK, &body))
        }
        (&Method::GET, ["admin", "orgs"]) if token.admin => {
            let all = state.accounts.values();
            let all = all.filter(|account| account.organization);
            let all = all.map(|account| to_value(payload::organization(&state.site, account)));
            Ok(request.list(&all.collect::<Vec<_>>()))
        }
        (&Method::GET, ["orgs", name]) => state
            .account(name)
            .filter(|account| account.organization)
            .map(|account| {
                let body = to_value(payload::organization(&state.site, account));
                reply(StatusCode::OK, &body)
            })
            .ok_or(Refusal::NotFound),
        (&Method::POST, ["orgs"]) => create_organization(state, request, now),
        (&Method::POST, ["users", login, "tokens"]) => create_token(state, request, token, login),
        (&Method::GET, ["repos", owner, name]) => {
            id_of(state, owner, name).map(|repository| shown(state, repository))
        }
        (&Method::GET, ["repositories", number]) => by_number(state, number),
        (&Method::GET, ["repos", owner, name, "commits", sha, "status"]) => {
            id_of(state, owner, name).map(|repository| combined(state, request, repository, sha))
        }
        (_, ["repos", owner, name, "statuses", sha]) => id_of(state, owner, name)
            .and_then(|repository| statuses(state, request, repository, sha, now)),
        _ => return None,
    })
}

fn create_organization(state: &mut State, request: &Request<'_>, now: i64) -> Answer {
    let body = request.json()?;
    let login = name(&body, "username")?;
    if state.account(login).is_some() {
        let message = format!("user already exists [name: {login}]");
        return Err(Refusal::Unprocessable(message));
    }
    let id = state.add_account(login, true, now);
    let account = &state.accounts[&id];
    Ok(created(&to_value(payload::organization(
        &state.site,
        account,
    ))))
}

/// A token of the administrator's with fewer rights: `read:…` scopes only read.
fn create_token(state: &mut State, request: &Request<'_>, token: &Token, login: &str) -> Answer {
    let body = request.json()?;
    let account = state.account(login).ok_or(Refusal::NotFound)?.id;
    if !token.password {
        return Err(Refusal::NoPassword);
    }
    if account != token.account {
        return Err(Refusal::Forbidden("tokens are made by their owner"));
    }
    let name = text(&body, "name").to_owned();
    if !state.token_names.insert((account, name)) {
        let message = "access token name has been used already".to_owned();
        return Err(Refusal::Bad(message));
    }
    let scopes = strings(&body["scopes"]);
    let admin = scopes
        .iter()
        .any(|scope| scope == "all" || scope == "write:admin");
    let write = admin || scopes.iter().any(|scope| scope.starts_with("write:"));
    let secret = random_hex(20);
    let number = i64::try_from(state.tokens.len()).unwrap_or(i64::MAX);
    state.tokens.insert(
        secret.clone(),
        Token {
            account,
            admin,
            write,
            only: None,
            password: false,
        },
    );
    Ok(created(&json!({
        "id": number + 1,
        "name": text(&body, "name"),
        "sha1": secret,
        "token_last_eight": &secret[secret.len() - 8..],
        "scopes": scopes,
    })))
}

fn id_of(state: &State, owner: &str, name: &str) -> Result<i64, Refusal> {
    let found = state.repository(owner, name);
    found.map(|found| found.id).ok_or(Refusal::NotFound)
}

fn shown(state: &State, repository: i64) -> Response {
    let body = to_value(payload::repository(state.hosted(repository)));
    reply(StatusCode::OK, &body)
}

fn by_number(state: &State, number: &str) -> Answer {
    let id = id(number)?;
    if !state.repositories.contains_key(&id) {
        return Err(Refusal::Missing("not found".to_owned()));
    }
    Ok(shown(state, id))
}

/// The latest status of each context. Pages begin with the newest; one page is sorted otherwise.
fn combined(state: &State, request: &Request<'_>, repository: i64, sha: &str) -> Response {
    let mut latest: BTreeMap<&str, &CommitStatus> = BTreeMap::new();
    let of_it = |status: &&CommitStatus| status.repository == repository && status.sha == sha;
    for status in state.statuses.iter().filter(of_it) {
        latest.insert(&status.context, status);
    }
    let mut latest: Vec<&CommitStatus> = latest.into_values().collect();
    latest.sort_by_key(|status| std::cmp::Reverse(status.id));
    let all: Vec<Value> = latest.into_iter().map(to_value).collect();
    // Gitea answered so once, and whether a Forgejo still does was not measured.
    if all.is_empty() && state.version.kind() == ForgeKind::Forgejo {
        return reply(StatusCode::OK, &Value::Null);
    }
    let mut page = request.cut(&all).to_vec();
    page.sort_by_key(|status| status["id"].as_i64());
    let is_done = |status: &Value| status["status"] == "success" || status["status"] == "skipped";
    let body = json!({
        "state": if !page.is_empty() && page.iter().all(is_done) { "success" } else { "pending" },
        "sha": sha,
        "total_count": page.len(),
        "statuses": (!page.is_empty()).then_some(&page),
        "repository": to_value(payload::repository(state.hosted(repository))),
    });
    with_total(reply(StatusCode::OK, &body), all.len())
}

/// What asks of a commit finds it or nothing; for a status of none the forge fails rather than refuses
/// (read in its source).
pub(super) async fn check_commit(
    shared: &Shared,
    method: &Method,
    (owner, name): (&str, &str),
    sha: &str,
) -> Result<(), Refusal> {
    shared.with(|state, _| id_of(state, owner, name))?;
    if git::has_commit(&git::folder(&shared.data, owner, name), sha).await {
        return Ok(());
    }
    Err(no_commit(method, sha))
}

/// The same where there is no repository on disk: the commits are those of runs.
pub(super) fn check_run_commit(
    state: &State,
    method: &Method,
    (owner, name): (&str, &str),
    sha: &str,
) -> Result<(), Refusal> {
    let id = id_of(state, owner, name)?;
    let mut runs = state.runs.values();
    if runs.any(|run| run.repository == id && run.sha == sha) {
        return Ok(());
    }
    Err(no_commit(method, sha))
}

fn no_commit(method: &Method, sha: &str) -> Refusal {
    if method == Method::POST {
        Refusal::Failed(format!(
            "GetCommit[{sha}]: object does not exist [id: {sha}, rel_path: ]"
        ))
    } else {
        Refusal::Missing("not found".to_owned())
    }
}

/// The bytes of a file at `ref`, which may be any name of a commit. Where there is no such ref it is
/// passed over: the default branch's file is given (measured on 1.26).
pub(super) async fn raw(
    shared: &Shared,
    request: &Request<'_>,
    owner: &str,
    name: &str,
    path: &str,
) -> Answer {
    let known = shared.with(|state, _| state.repository(owner, name).is_some());
    let folder = git::folder(&shared.data, owner, name);
    let reference = match request.values("ref").next() {
        Some(name) => objects::tip(&folder, name).await,
        None => None,
    };
    let file = git::file(&folder, reference.as_deref().unwrap_or("HEAD"), path).await;
    match file.filter(|_| known) {
        Some(text) => Ok(words(StatusCode::OK, text)),
        None => Err(Refusal::NotFound),
    }
}

fn statuses(
    state: &mut State,
    request: &Request<'_>,
    repository: i64,
    sha: &str,
    now: i64,
) -> Answer {
    match *request.method {
        Method::GET => {
            let found: Vec<Value> = state
                .statuses
                .iter()
                .rev()
                .filter(|status| status.repository == repository && status.sha == sha)
                .map(to_value)
                .collect();
            Ok(request.list(&found))
        }
        Method::POST => {
            let body = request.json()?;
            let word = text(&body, "state");
            if !["pending", "success", "error", "failure", "warning"].contains(&word) {
                return Err(Refusal::Unprocessable(format!("[State]: {word:?}")));
            }
            let status = CommitStatus {
                id: state.number(Kind::Status),
                repository,
                sha: sha.to_owned(),
                status: word.to_owned(),
                target_url: text(&body, "target_url").to_owned(),
                description: text(&body, "description").to_owned(),
                context: text(&body, "context").to_owned(),
                created_at: time(now),
            };
            let answer = created(&to_value(&status));
            state.statuses.push(status);
            Ok(answer)
        }
        _ => Err(Refusal::NotFound),
    }
}

pub(super) fn make_hook(
    state: &mut State,
    request: &Request<'_>,
    scope: Scope,
    now: i64,
) -> Answer {
    if request.method != Method::POST {
        return Err(Refusal::NotFound);
    }
    let hook = new_hook(state, scope, &request.json()?, now)?;
    let answer = created(&actions::hook(&hook));
    state.hooks.insert(hook.id, hook);
    Ok(answer)
}

/// Events default to `push`, and a hook is off unless it says otherwise, as in the forge.
fn new_hook(state: &mut State, scope: Scope, body: &Value, now: i64) -> Result<Hook, Refusal> {
    let config = &body["config"];
    let url = text(config, "url");
    let full_names = match (text(body, "type"), state.version.kind()) {
        ("gitea", _) => Some(false),
        ("forgejo", ForgeKind::Forgejo) => Some(true),
        _ => None,
    };
    let full_names = full_names.filter(|_| text(config, "content_type") == "json");
    let Some(full_names) = full_names else {
        return Err(Refusal::Unprocessable(
            "the stand-in has hooks of its own type with content_type json only".to_owned(),
        ));
    };
    if !url.starts_with("http://") {
        return Err(Refusal::Unprocessable(format!(
            "the stand-in delivers to http:// addresses only, not to {url:?}"
        )));
    }
    let mut events = strings(&body["events"]);
    if events.is_empty() {
        events.push("push".to_owned());
    }
    Ok(Hook {
        id: state.number(Kind::Hook),
        full_names,
        scope,
        url: url.to_owned(),
        secret: text(config, "secret").to_owned(),
        authorization: text(body, "authorization_header").to_owned(),
        events,
        active: body["active"] == json!(true),
        created: now,
    })
}
