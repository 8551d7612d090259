//! Answers in the forge's form.

use axum::http::{HeaderValue, StatusCode, header};
use bytes::Bytes;
use serde_json::Value;

pub(crate) type Response = axum::http::Response<Bytes>;

/// A JSON answer.
pub(super) fn reply(status: StatusCode, body: &Value) -> Response {
    typed(status, "application/json;charset=utf-8", body.to_string())
}

/// An answer in plain words.
pub(super) fn words(status: StatusCode, words: impl Into<Bytes>) -> Response {
    typed(status, "text/plain; charset=utf-8", words)
}

/// Nothing but a status.
pub(super) fn bare(status: StatusCode) -> Response {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = bare(status);
    *response.body_mut() = body.into();
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
