//! The two web pages that people need and the API does not have: signing in, and cancelling a run.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::model::ADMIN;
use super::reply::reply;
use super::shared::Shared;
use super::state::State;

/// The cookie of a signed-in browser.
const COOKIE: &str = "i_like_gitea";

/// `POST /user/login` with a form: the administrator's browser is sent on, with a session.
pub(super) fn sign_in(shared: &Shared, method: &Method, form: &[u8]) -> Response {
    if method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let field = |name: &str| {
        form_urlencoded::parse(form)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let is_admin = field("user_name").eq_ignore_ascii_case(ADMIN)
        && shared.with(|state, _| state.admin_password == field("password"));
    if !is_admin {
        // The page again, with an error on it.
        return (StatusCode::OK, "Username or password is incorrect.").into_response();
    }
    let session = crate::ids::random_hex(8);
    let cookie = format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax");
    shared.with(|state, _| state.sessions.insert(session));
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response();
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// `POST /OWNER/NAME/actions/runs/ID/cancel` by a signed-in browser.
pub(super) fn cancel(
    shared: &Shared,
    headers: &HeaderMap,
    (owner, name, run): (&str, &str, &str),
) -> Response {
    shared.with(|state, now| {
        if !is_signed_in(state, headers) {
            return (StatusCode::SEE_OTHER, [(header::LOCATION, "/user/login")]).into_response();
        }
        let repository = state.repository(owner, name).map(|found| found.id);
        let run = run.parse().ok().filter(|id| {
            let found: Option<&super::model::Run> = state.runs.get(id);
            found.is_some_and(|found| Some(found.repository) == repository)
        });
        match run {
            Some(run) => {
                state.cancel(run, now);
                reply(StatusCode::OK, &json!({"ok": true})).map(Body::from)
            }
            None => StatusCode::NOT_FOUND.into_response(),
        }
    })
}

fn is_signed_in(state: &State, headers: &HeaderMap) -> bool {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .any(|(name, session)| name == COOKIE && state.sessions.contains(session))
}
