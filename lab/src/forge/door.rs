//! What is answered from the state alone: no repository on disk, no clock, no waiting.

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::api;
use super::api::request::Request;
use super::model::{ADMIN, Token};
use super::reply::{Response, bare, reply};
use super::rpc;
use super::state::State;
use workflow::ForgeKind;

/// One request as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// The API and the runner protocol, of a forge whose repositories hold nothing.
pub(crate) fn answer(state: &mut State, call: Call<'_>, now: i64) -> Response {
    let segments = segments(call.uri);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["api", "v1", rest @ ..] => {
            let request = request(state, call, rest);
            api::answer_without_code(state, &request, now)
        }
        ["api", rest @ ..] => beside_the_api(state, call, rest, now),
        _ => bare(StatusCode::NOT_FOUND),
    }
}

/// What stands below `api` beside the API: health, the runner protocol, and which Forgejo it is.
pub(super) fn beside_the_api(
    state: &mut State,
    call: Call<'_>,
    segments: &[&str],
    now: i64,
) -> Response {
    match segments {
        ["healthz"] => bare(StatusCode::OK),
        ["actions", "runner.v1.RunnerService", name] => {
            let (status, body) = rpc::call(state, name, call.method, call.headers, call.body, now);
            body.map_or_else(|| bare(status), |body| reply(status, &body))
        }
        ["forgejo", "v1", "version"]
            if call.method == Method::GET && state.version.kind() == ForgeKind::Forgejo =>
        {
            reply(StatusCode::OK, &json!({"version": state.version.told()}))
        }
        _ => bare(StatusCode::NOT_FOUND),
    }
}

/// The request to the API that `call` is, with the path's `segments` below it.
pub(super) fn request<'a>(state: &State, call: Call<'a>, segments: &'a [&'a str]) -> Request<'a> {
    Request {
        method: call.method,
        segments,
        query: query(call.uri),
        token: identify(state, call.headers),
        body: call.body,
    }
}

pub(super) fn segments(uri: &Uri) -> Vec<String> {
    let segments = uri.path().split('/').filter(|segment| !segment.is_empty());
    segments.map(decode).collect()
}

fn decode(segment: &str) -> String {
    // A query's decoder, told that `+` is a letter here.
    let escaped = segment.replace('+', "%2B");
    form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map(|(key, _)| key.into_owned())
        .unwrap_or_default()
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect()
}

/// Who calls: by `token T`, `Bearer T`, a token as user or password of basic authentication, or the
/// password itself.
pub(super) fn identify(state: &State, headers: &HeaderMap) -> Option<Token> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let find = |token: &str| state.tokens.get(token).cloned();
    match scheme.to_ascii_lowercase().as_str() {
        "token" | "bearer" => find(rest.trim()),
        "basic" => {
            let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
            let (user, password) = decoded.split_once(':')?;
            let task = |token: &str| {
                let task = state
                    .tasks
                    .values()
                    .find(|task| task.running && task.token == token)?;
                let job = &state.jobs[&task.job];
                Some(Token {
                    account: state.runs[&job.run].actor,
                    admin: false,
                    write: false,
                    only: Some(job.repository),
                    password: false,
                })
            };
            by_password(state, user, password).or_else(|| {
                [password, user]
                    .into_iter()
                    .filter(|token| !token.is_empty())
                    .find_map(|token| find(token).or_else(|| task(token)))
            })
        }
        _ => None,
    }
}

fn by_password(state: &State, user: &str, password: &str) -> Option<Token> {
    let account = state.account(user)?;
    let right = !password.is_empty() && password == state.admin_password;
    (right && account.login == ADMIN).then_some(Token {
        account: account.id,
        admin: true,
        write: true,
        only: None,
        password: true,
    })
}
