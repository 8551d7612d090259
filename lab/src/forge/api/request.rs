//! One request to the API and its answer: shapes, pages and refusals that all its parts share.

use axum::http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::super::model::Token;
use super::super::reply::{Response, bare, reply, words};

/// Entries of one page: the forge's default, and the most that it gives.
const PAGE_DEFAULT: usize = 30;
const PAGE_MAX: usize = 50;

/// One request, below `/api/v1`.
#[derive(Debug)]
pub(in super::super) struct Request<'a> {
    pub(in super::super) method: &'a Method,
    pub(in super::super) segments: &'a [&'a str],
    pub(in super::super) query: Vec<(String, String)>,
    /// Who asks, once known.
    pub(in super::super) token: Option<Token>,
    pub(in super::super) body: &'a [u8],
}

/// Why a request is not answered as asked.
#[derive(Debug)]
pub(super) enum Refusal {
    NoToken,
    /// Tokens are made with the password only.
    NoPassword,
    /// The token's rights do not suffice.
    Forbidden(&'static str),
    NotFound,
    /// The same in words about what was asked for.
    Missing(String),
    /// There is no such path: the router answers, not the API.
    NoRoute,
    /// There is such a path, for another method.
    NoMethod,
    Conflict(String),
    /// The request cannot be read, or asks for what cannot be done now.
    Bad(String),
    /// It can be read, but not accepted.
    Unprocessable(String),
    Failed(String),
}

impl Refusal {
    pub(super) fn response(&self, root: &str) -> Response {
        let (status, message) = match self {
            Self::NoRoute => {
                return words(StatusCode::NOT_FOUND, "404 page not found\n");
            }
            Self::NoMethod => return bare(StatusCode::METHOD_NOT_ALLOWED),
            Self::Missing(message) => (StatusCode::NOT_FOUND, message.as_str()),
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

pub(super) type Answer = Result<Response, Refusal>;

impl Request<'_> {
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(self.body)
            .map_err(|error| Refusal::Unprocessable(format!("the body is not JSON: {error}")))
    }

    /// Every value of a query's key.
    pub(super) fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, key: &str) -> Option<usize> {
        self.values(key).next().and_then(|value| value.parse().ok())
    }

    /// One page of `entries` under `key`, with the number of all.
    pub(super) fn page(&self, key: &str, entries: &[Value]) -> Response {
        let total = entries.len();
        let body = json!({key: self.cut(entries), "total_count": total});
        with_total(reply(StatusCode::OK, &body), total)
    }

    /// One page as a plain list.
    pub(super) fn list(&self, entries: &[Value]) -> Response {
        let body = json!(self.cut(entries));
        with_total(reply(StatusCode::OK, &body), entries.len())
    }

    pub(super) fn cut<'a>(&self, entries: &'a [Value]) -> &'a [Value] {
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

pub(super) fn with_total(mut response: Response, total: usize) -> Response {
    response.headers_mut().insert("x-total-count", total.into());
    response
}

/// It is elsewhere.
pub(super) fn redirect(path: &str) -> Response {
    let mut response = bare(StatusCode::TEMPORARY_REDIRECT);
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    response
}

pub(super) fn created(body: &Value) -> Response {
    reply(StatusCode::CREATED, body)
}

/// The path's number, or no such thing.
pub(super) fn id(text: &str) -> Result<i64, Refusal> {
    text.parse().map_err(|_| Refusal::NotFound)
}

/// A text or a list of them.
pub(super) fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(list) => list
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}
