//! The one HTTP door: which part of the forge a request is for, and who sends it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State as Extract};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::net::TcpListener;

use super::door::{self, Call};
use super::model::{Repository, Token};
use super::shared::Shared;
use super::{api, git, pages, push};

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
    let segments = door::segments(&uri);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let call = Call {
        method: &method,
        uri: &uri,
        headers: &headers,
        body: &body,
    };
    match segments.as_slice() {
        ["api", "v1", rest @ ..] => {
            let request = shared.with(|state, _| door::request(state, call, rest));
            api::answer(&shared, &request).await.map(Body::from)
        }
        ["api", rest @ ..] => shared
            .with(|state, now| door::beside_the_api(state, call, rest, now))
            .map(Body::from),
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
        let token = door::identify(state, headers);
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
