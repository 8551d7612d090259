//! The API's part that we use, with the forge's shapes and codes.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use self::request::{Answer, Refusal, Request};
use super::model::{Scope, Token};
use super::reply::reply;
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
    let answer = dispatch(shared, request).await;
    answer.unwrap_or_else(|refusal| {
        let root = shared.with(|state, _| state.site.root.clone());
        refusal.response(&root)
    })
}

async fn dispatch(shared: &Shared, request: &Request<'_>) -> Answer {
    if let (&Method::GET, ["version"]) = (request.method, request.segments) {
        let version = shared.with(|state, _| state.version.told());
        return Ok(reply(StatusCode::OK, &json!({ "version": version })));
    }
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
    if let (&Method::POST, ["orgs", _, "repos"] | ["user", "repos"]) =
        (request.method, request.segments)
    {
        return repositories::create_repository(shared, request, token).await;
    }
    if let (&Method::GET, ["repos", owner, name, "raw", path @ ..]) =
        (request.method, request.segments)
    {
        return repositories::raw(shared, request, owner, name, &path.join("/")).await;
    }
    if let ["repos", owner, name, rest @ ..] = request.segments
        && let Some(answer) = workflows::answer(shared, request, (owner, name), rest).await
    {
        return answer;
    }
    if let ["repos", owner, name, rest @ ..] = request.segments
        && let Some(answer) = code::answer(shared, request, owner, name, rest).await
    {
        return answer;
    }
    if let (&Method::POST, ["repos", owner, name, "statuses", sha])
    | (&Method::GET, ["repos", owner, name, "commits", sha, "status"]) =
        (request.method, request.segments)
    {
        repositories::check_commit(shared, request.method, (owner, name), sha).await?;
    }
    shared.with(|state, now| {
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
    })
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
