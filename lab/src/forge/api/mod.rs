//! The API's part that we use, with the forge's shapes and codes.

use axum::http::{Method, StatusCode};
use serde_json::json;

use self::request::{Answer, Refusal, Request};
use super::model::{Scope, Token};
use super::reply::{Response, reply};
use super::shared::Shared;
use super::state::State;
use workflow::ForgeKind;

mod actions;
mod code;
mod forgejo;
mod repositories;
pub(super) mod request;
mod variables;
mod workflows;

pub(super) async fn answer(shared: &Shared, request: &Request<'_>) -> Response {
    let answer = match from_code(shared, request).await {
        Some(answer) => answer,
        None => shared.with(|state, now| from_state(state, request, now)),
    };
    answer.unwrap_or_else(|refusal| {
        let root = shared.with(|state, _| state.site.root.clone());
        refusal.response(&root)
    })
}

/// The same of a forge whose repositories hold nothing: there is no file, tree or branch. Its commits are
/// those that runs are of.
pub(super) fn answer_without_code(state: &mut State, request: &Request<'_>, now: i64) -> Response {
    let checked = match (request.method, request.segments) {
        _ if admitted(request).is_err() || moved(state, request).is_some() => Ok(()),
        (
            _,
            [
                "repos",
                _,
                _,
                "raw" | "git" | "branches" | "tags" | "contents" | "file-contents",
                ..,
            ]
            | ["repos", _, _, "actions", "workflows", ..],
        ) => Err(Refusal::NotFound),
        (&Method::POST, ["repos", owner, name, "statuses", sha])
        | (&Method::GET, ["repos", owner, name, "commits", sha, "status"]) => {
            repositories::check_run_commit(state, request.method, (owner, name), sha)
        }
        _ => Ok(()),
    };
    let answer = checked.and_then(|()| from_state(state, request, now));
    answer.unwrap_or_else(|refusal| refusal.response(&state.site.root))
}

/// Who asks, if they may ask such things at all.
fn admitted<'a>(request: &'a Request<'_>) -> Result<&'a Token, Refusal> {
    let token = request.token.as_ref().ok_or(Refusal::NoToken)?;
    if token.only.is_some() {
        return Err(Refusal::Forbidden(
            "a job's token reaches only its repository, by git",
        ));
    }
    if !token.write && request.method != Method::GET {
        return Err(Refusal::Forbidden(
            "token does not have at least one of required scope(s)",
        ));
    }
    Ok(token)
}

/// The answer, if the request is for what a repository holds, or is refused for that.
async fn from_code(shared: &Shared, request: &Request<'_>) -> Option<Answer> {
    let token = admitted(request).ok()?;
    let method = request.method;
    match (method, request.segments) {
        (&Method::POST, ["orgs", _, "repos"] | ["user", "repos"]) => {
            return Some(repositories::create_repository(shared, request, token).await);
        }
        (&Method::GET, ["repos", owner, name, "raw", path @ ..]) => {
            return Some(repositories::raw(shared, request, owner, name, &path.join("/")).await);
        }
        (&Method::POST, ["repos", owner, name, "statuses", sha])
        | (&Method::GET, ["repos", owner, name, "commits", sha, "status"]) => {
            let checked = repositories::check_commit(shared, method, (owner, name), sha).await;
            return checked.err().map(Err);
        }
        _ => {}
    }
    let ["repos", owner, name, rest @ ..] = request.segments else {
        return None;
    };
    if let Some(answer) = workflows::answer(shared, request, (owner, name), rest).await {
        return Some(answer);
    }
    code::answer(shared, request, owner, name, rest).await
}

/// The answer to everything else.
fn from_state(state: &mut State, request: &Request<'_>, now: i64) -> Answer {
    if let (&Method::GET, ["version"]) = (request.method, request.segments) {
        let version = state.version.told();
        return Ok(reply(StatusCode::OK, &json!({ "version": version })));
    }
    let token = admitted(request)?;
    if let Some(to) = moved(state, request) {
        return Ok(request::redirect(&to));
    }
    if let Some(answer) = repositories::answer(state, request, token, now) {
        return answer;
    }
    let (scope, rest) = scope(state, token, request.segments)?;
    match rest {
        ["hooks"] => repositories::make_hook(state, request, scope, now),
        ["actions", "variables", rest @ ..] => variables::answer(state, request, scope, rest),
        rest if state.version.kind() == ForgeKind::Forgejo => {
            forgejo::answer(state, request, scope, rest, now)
        }
        ["actions", rest @ ..] => actions::answer(state, request, scope, rest, now),
        ["runners", "registration-token"] => actions::old_token(state, request, scope),
        _ => Err(Refusal::NoRoute),
    }
}

/// Where that is which a repository had under its old name.
fn moved(state: &State, request: &Request<'_>) -> Option<String> {
    let ["repos", owner, name, rest @ ..] = request.segments else {
        return None;
    };
    let repository = state.renamed(owner, name)?;
    let mut path = format!("/api/v1/repos/{}", state.hosted(repository).full_name());
    for &segment in rest {
        path.extend(["/", segment]);
    }
    if !request.query.is_empty() {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&request.query);
        path.extend(["?", &query.finish()]);
    }
    Some(path)
}

/// What the first words of a path speak of. Administration needs an administrator.
fn scope<'a>(
    state: &State,
    token: &Token,
    segments: &'a [&'a str],
) -> Result<(Scope, &'a [&'a str]), Refusal> {
    match segments {
        ["repos", owner, name, rest @ ..] => state
            .repository(owner, name)
            .map(|repository| (Scope::Repository(repository.id), rest))
            .ok_or(Refusal::NotFound),
        ["orgs", name, rest @ ..] => state
            .account(name)
            .filter(|account| account.organization)
            .map(|account| (Scope::Owner(account.id), rest))
            .ok_or(Refusal::NotFound),
        ["user", rest @ ..] => Ok((Scope::Owner(token.account), rest)),
        ["admin", rest @ ..] if token.admin => Ok((Scope::Global, rest)),
        ["admin", ..] => Err(Refusal::Forbidden("user should be the site admin")),
        _ => Err(Refusal::NotFound),
    }
}
