//! The one HTTP door: which part of the forge a request is for, and who sends it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State as Extract};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use tokio::net::TcpListener;

use super::api::request::Request;
use super::model::{ADMIN, Repository, Token};
use super::reply::reply;
use super::shared::Shared;
use super::state::State;
use super::{api, git, pages, push, rpc};
use workflow::ForgeKind;

/// The largest request: a push of anything that a demo holds.
const BODY_MAX_BYTES: usize = 64 << 20;

pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let app = Router::new()
        .fallback(serve)
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .with_state(shared);
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "the forge stopped");
    }
}

async fn serve(
    Extract(shared): Extract<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let segments: Vec<String> = uri
        .path()
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(decode)
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["api", "healthz"] => StatusCode::OK.into_response(),
        ["api", "actions", "runner.v1.RunnerService", name] => {
            let (status, body) =
                shared.with(|state, now| rpc::call(state, name, &method, &headers, &body, now));
            match body {
                Some(body) => reply(status, &body),
                None => status.into_response(),
            }
        }
        ["api", "forgejo", "v1", "version"] if method == Method::GET => {
            let version = shared.with(|state, _| state.version);
            match version.kind() {
                ForgeKind::Forgejo => reply(StatusCode::OK, &json!({"version": version.told()})),
                ForgeKind::Gitea => StatusCode::NOT_FOUND.into_response(),
            }
        }
        ["api", "v1", rest @ ..] => {
            let request = Request {
                method: &method,
                segments: rest,
                query: query(&uri),
                token: shared.with(|state, _| identify(state, &headers)),
                body: &body,
            };
            api::answer(&shared, &request).await
        }
        ["user", "login"] => pages::sign_in(&shared, &method, &body),
        [owner, name, "actions", "runs", run, "cancel"] if method == Method::POST => {
            pages::cancel(&shared, &headers, (owner, name, run))
        }
        [owner, name, service @ ..] => {
            smart_http(
                &shared,
                (&method, &uri, &headers, body),
                owner,
                name,
                service,
            )
            .await
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
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
fn identify(state: &State, headers: &HeaderMap) -> Option<Token> {
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

/// What somebody may do to a repository by git.
fn may(token: Option<&Token>, repository: &Repository, write: bool) -> bool {
    match token {
        None => !write && !repository.private,
        Some(token) => {
            let reaches = token.only.is_none_or(|only| only == repository.id);
            (reaches || !repository.private) && (!write || (token.write && token.only.is_none()))
        }
    }
}

async fn smart_http(
    shared: &Shared,
    (method, uri, headers, body): (&Method, &Uri, &HeaderMap, Bytes),
    owner: &str,
    name: &str,
    service: &[&str],
) -> Response {
    let service = service.join("/");
    let query = uri.query().unwrap_or_default();
    let write = service == "git-receive-pack" || query.contains("service=git-receive-pack");
    if !["info/refs", "git-upload-pack", "git-receive-pack"].contains(&service.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let name = name.strip_suffix(".git").unwrap_or(name);
    let found = shared.with(|state, _| {
        let token = identify(state, headers);
        let repository = state.repository(owner, name)?.clone();
        let allowed = may(token.as_ref(), &repository, write);
        let user = token.as_ref().map(|token| {
            let account = &state.accounts[&token.account];
            (account.id, account.login.clone())
        });
        Some((repository, allowed, user))
    });
    // A private repository and one that is not there look the same to a stranger.
    let Some((repository, true, user)) = found else {
        let anonymous = !headers.contains_key(header::AUTHORIZATION);
        if anonymous {
            let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"Gitea\"")];
            return (StatusCode::UNAUTHORIZED, ask, "Unauthorized\n").into_response();
        }
        return match found {
            Some(_) => StatusCode::FORBIDDEN.into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        };
    };
    let folder = git::folder(&shared.data, owner, name);
    let request = git::HttpRequest {
        method: method.as_str(),
        service: &service,
        query,
        headers,
        user: user
            .as_ref()
            .filter(|_| write)
            .map(|(_, login)| login.as_str()),
        body,
    };
    let answer = match &user {
        Some((actor, _)) if service == "git-receive-pack" => {
            push::receive(shared, &folder, request, repository.id, *actor).await
        }
        Some(_) | None => git::http(&folder, request).await,
    };
    match answer {
        Ok((status, headers, body)) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (
                    header::HeaderName::try_from(name),
                    HeaderValue::try_from(value),
                ) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        Err(error) => {
            tracing::error!(%error, "git");
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}
