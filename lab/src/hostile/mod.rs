//! A hostile account: an account as one may find it. What stands before the emulator and before EC2 in
//! a lab that was started so, and answers as AWS does where an account is full of other things and
//! everybody calls at once: lists come one thing a page, with empty pages between, a list of parameters
//! goes through those of others first, and calls are refused because there are too many.
//!
//! It changes answers alone; what was asked reaches the services as it came. Those who prepare and look
//! (the token of a witness) meet nothing of it.

mod call;
mod pages;
mod refusal;
mod xml;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use self::call::Call;
use self::pages::Pages;
use crate::recording::{FUNCTION_TOKEN, WITNESS_TOKEN};

/// Largest request and answer, in bytes: a function's code with its symbols.
const BODY_MAX_BYTES: usize = 512 * 1024 * 1024;

/// How the account behaves: `POST /_lab/account` at the lab's EC2. The document replaces the one before;
/// `{}` ends all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostileAccount {
    /// Every list comes one thing a page, the first page is empty, and so is one more of them.
    pub short_pages: bool,
    /// So many parameters of others lie before ours: ten of them are an empty page of a list by path.
    pub foreign_parameters: u32,
    /// So many of the first calls of each kind and caller are refused: there are too many.
    pub refusals: u32,
    /// Calls that are refused whenever they are made, as `service:Action`.
    pub refused: Vec<String>,
}

/// What the account did: `GET /_lab/account`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostileReport {
    /// Calls that were let through, as `caller service:Action`.
    pub served: BTreeMap<String, u64>,
    /// Calls that were refused.
    pub refused: BTreeMap<String, u64>,
    /// Pages of lists, as `service:Action`.
    pub pages: BTreeMap<String, u64>,
    /// Those of them that were empty and not the last.
    pub empty_pages: BTreeMap<String, u64>,
}

/// The account, for all that stand before a service.
#[derive(Clone, Default)]
pub(crate) struct Hostile(Arc<Mutex<Account>>);

#[derive(Default)]
struct Account {
    conduct: HostileAccount,
    report: HostileReport,
    pages: Pages,
}

/// `router` as the account has it.
pub(crate) fn as_account(hostile: Option<&Hostile>, router: Router) -> Router {
    match hostile {
        Some(hostile) => hostile.before(router),
        None => router,
    }
}

impl Hostile {
    /// `router` as this account has it, and a route where it is told how to behave and tells what it did.
    pub(crate) fn before(&self, router: Router) -> Router {
        let own = Router::new()
            .route("/_lab/account", get(report).post(conduct))
            .with_state(self.clone());
        let router = router.layer(from_fn_with_state(self.clone(), serve));
        router.merge(own)
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn report(State(hostile): State<Hostile>) -> Json<HostileReport> {
    Json(hostile.account().report.clone())
}

async fn conduct(
    State(hostile): State<Hostile>,
    Json(conduct): Json<HostileAccount>,
) -> StatusCode {
    let mut account = hostile.account();
    account.conduct = conduct;
    account.report = HostileReport::default();
    StatusCode::NO_CONTENT
}

async fn serve(State(hostile): State<Hostile>, request: Request, next: Next) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX_BYTES).await else {
        return empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let token = parts.headers.get("x-amz-security-token");
    let caller = match token.map(http::HeaderValue::as_bytes) {
        Some(token) if token == WITNESS_TOKEN.as_bytes() => None,
        Some(token) if token.starts_with(FUNCTION_TOKEN.as_bytes()) => Some("function"),
        Some(_) | None => Some("operator"),
    };
    let call = caller.and_then(|_| Call::of(&parts, &body));
    let (Some(caller), Some(call)) = (caller, call) else {
        return next.run(Request::from_parts(parts, Body::from(body))).await;
    };
    if let Some(answer) = hostile.account().before(caller, &call, &body) {
        return answer.map(Body::from);
    }
    let asked = body.clone();
    let request = Request::from_parts(parts, Body::from(body));
    let (parts, answer) = next.run(request).await.into_parts();
    let Ok(answer) = axum::body::to_bytes(answer, BODY_MAX_BYTES).await else {
        return empty(StatusCode::BAD_GATEWAY);
    };
    let answer = Response::from_parts(parts, answer);
    hostile
        .account()
        .after(&call, &asked, answer)
        .map(Body::from)
}

impl Account {
    /// The answer to a call that goes no further: a refusal, or a page of what was listed before.
    fn before(&mut self, caller: &str, call: &Call, body: &Bytes) -> Option<Response<Bytes>> {
        let name = format!("{caller} {}", call.name());
        let before = self.report.refused.get(&name).copied().unwrap_or_default();
        let is_early = before < u64::from(self.conduct.refusals);
        if is_early || self.conduct.refused.contains(&call.name()) {
            self.report.refused.insert(name, before + 1);
            return Some(refusal::too_many(call, body));
        }
        *self.report.served.entry(name).or_default() += 1;
        let (page, is_empty) = self.pages.page(call)?;
        self.note_page(call, is_empty);
        Some(page)
    }

    /// The answer of a service as this account gives it.
    fn after(&mut self, call: &Call, body: &Bytes, answer: Response<Bytes>) -> Response<Bytes> {
        if !self.conduct.short_pages || !answer.status().is_success() {
            return answer;
        }
        let empty_before = match call.action.as_str() {
            "GetParametersByPath" if !call.goes_on(body) => self.conduct.foreign_parameters / 10,
            _ => 0,
        };
        let (answer, is_empty) = self.pages.cut(call, answer, empty_before);
        if let Some(is_empty) = is_empty {
            self.note_page(call, is_empty);
        }
        answer
    }

    fn note_page(&mut self, call: &Call, is_empty: bool) {
        let counted = [
            (true, &mut self.report.pages),
            (is_empty, &mut self.report.empty_pages),
        ];
        for (counts, pages) in counted {
            if counts {
                *pages.entry(call.name()).or_default() += 1;
            }
        }
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}
