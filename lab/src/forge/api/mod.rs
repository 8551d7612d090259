//! The API's part that we use, with the forge's shapes and codes.

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Shared;
use super::model::{Scope, Token};
use super::serve::reply;
use super::state::State;
use super::version::Flavour;

mod actions;
mod code;
mod forgejo;
mod places;
mod variables;
mod workflows;

/// Entries of one page: the forge's default, and the most that it gives.
const PAGE_DEFAULT: usize = 30;
const PAGE_MAX: usize = 50;

/// One request, below `/api/v1`.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a Method,
    pub(super) segments: &'a [&'a str],
    pub(super) query: Vec<(String, String)>,
    /// Who asks, once known.
    pub(super) token: Option<Token>,
    pub(super) body: &'a [u8],
}

/// Why a request is not answered as asked.
#[derive(Debug)]
enum Refusal {
    NoToken,
    /// Tokens are made with the password only.
    NoPassword,
    /// The token's rights do not suffice.
    Forbidden(&'static str),
    NotFound,
    /// The same in words about what was asked for.
    Missing(String),
    /// A Forgejo's words for a runner that is not there.
    NoSuchRunner(String),
    /// There is no such path: the router answers, not the API.
    NoRoute,
    Conflict(String),
    /// The request cannot be read, or asks for what cannot be done now.
    Bad(String),
    /// It can be read, but not accepted.
    Unprocessable(String),
    Failed(String),
}

impl Refusal {
    fn response(&self, root: &str) -> Response {
        let (status, message) = match self {
            Self::NoRoute => {
                return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
            }
            Self::Missing(message) | Self::NoSuchRunner(message) => {
                (StatusCode::NOT_FOUND, message.as_str())
            }
            Self::NoToken => (StatusCode::UNAUTHORIZED, "token is required"),
            Self::NoPassword => (StatusCode::UNAUTHORIZED, "auth required"),
            Self::Forbidden(message) => (StatusCode::FORBIDDEN, *message),
            Self::NotFound => (StatusCode::NOT_FOUND, "The target couldn't be found."),
            Self::Conflict(message) => (StatusCode::CONFLICT, message.as_str()),
            Self::Bad(message) => (StatusCode::BAD_REQUEST, message.as_str()),
            Self::Unprocessable(message) => (StatusCode::UNPROCESSABLE_ENTITY, message.as_str()),
            Self::Failed(message) => (StatusCode::INTERNAL_SERVER_ERROR, message.as_str()),
        };
        let body = json!({"message": message, "url": format!("{root}/api/swagger")});
        reply(status, &body)
    }
}

type Answer = Result<Response, Refusal>;

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
        return places::create_repository(shared, request, token).await;
    }
    if let (&Method::GET, ["repos", owner, name, "raw", path @ ..]) =
        (request.method, request.segments)
    {
        return places::raw(shared, request, owner, name, &path.join("/")).await;
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
    if let (&Method::POST, ["repos", owner, name, "statuses", sha]) =
        (request.method, request.segments)
    {
        places::check_commit(shared, owner, name, sha).await?;
    }
    if let (&Method::GET, ["repos", owner, name, "commits", sha, "status"]) =
        (request.method, request.segments)
    {
        places::find_commit(shared, owner, name, sha).await?;
    }
    shared.with(|state, now| {
        if let Some(answer) = places::answer(state, request, token, now) {
            return answer;
        }
        let (scope, rest) = scope(state, token, request.segments)?;
        match rest {
            ["hooks", rest @ ..] => places::hooks(state, request, scope, rest, now),
            ["actions", "variables", rest @ ..] => variables::answer(state, request, scope, rest),
            rest if state.version.flavour() == Flavour::Forgejo => {
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

/// The lab's own question, for tests: what was delivered.
pub(super) fn lab(shared: &Shared, method: &Method, segments: &[&str]) -> Response {
    match (method, segments) {
        (&Method::GET, ["deliveries"]) => {
            let records = shared
                .records
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let body = serde_json::to_value(&*records).unwrap_or_default();
            reply(StatusCode::OK, &body)
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Request<'_> {
    fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(self.body)
            .map_err(|error| Refusal::Unprocessable(format!("the body is not JSON: {error}")))
    }

    /// Every value of a query's key.
    fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str) -> Option<usize> {
        self.values(key).next().and_then(|value| value.parse().ok())
    }

    /// One page of `entries` under `key`, with the number of all.
    fn page(&self, key: &str, entries: &[Value]) -> Response {
        let total = entries.len();
        let body = json!({key: self.cut(entries), "total_count": total});
        with_total(reply(StatusCode::OK, &body), total)
    }

    /// One page as a plain list.
    fn list(&self, entries: &[Value]) -> Response {
        let body = json!(self.cut(entries));
        with_total(reply(StatusCode::OK, &body), entries.len())
    }

    fn cut<'a>(&self, entries: &'a [Value]) -> &'a [Value] {
        let limit = match self.number("limit") {
            None | Some(0) => PAGE_DEFAULT,
            Some(limit) => limit.min(PAGE_MAX),
        };
        let page = self.number("page").unwrap_or(1).max(1);
        let start = (page - 1).saturating_mul(limit).min(entries.len());
        let end = start.saturating_add(limit).min(entries.len());
        &entries[start..end]
    }
}

fn with_total(mut response: Response, total: usize) -> Response {
    response.headers_mut().insert("x-total-count", total.into());
    response
}

fn created(body: &Value) -> Response {
    reply(StatusCode::CREATED, body)
}

/// The path's number, or no such thing.
fn id(text: &str) -> Result<i64, Refusal> {
    text.parse().map_err(|_| Refusal::NotFound)
}
