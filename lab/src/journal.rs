//! What came to the front door as a delivery and how it was answered: `GET /_lab/deliveries`. The
//! demo and the tests read their times here, whichever forge sent them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Deliveries that are kept, the newest: a demo has some dozens, a test of a burst a thousand.
const ENTRIES_MAX: usize = 2_000;
/// Longest body that is kept; a longer one is kept as its beginning.
const BODY_MAX_BYTES: usize = 64 * 1024;
/// Largest body of a delivery that is only witnessed, in bytes.
const WITNESS_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How such a delivery is answered, and known in the journal.
const WITNESSED: StatusCode = StatusCode::NO_CONTENT;

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it came in, in milliseconds since 1970.
    pub received_ms: u64,
    /// When it was answered.
    pub answered_ms: u64,
    /// The headers as they came.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: String,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer.
    pub answer: String,
}

/// The deliveries of a lab's life.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<VecDeque<Entry>>>);

impl Entry {
    /// A delivery that has just come in.
    pub(crate) fn of(parts: &Parts, body: &Bytes) -> Self {
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_string(), value)
            })
            .collect();
        Self {
            received_ms: now_ms(),
            answered_ms: 0,
            headers,
            body: text(body),
            status: 0,
            answer: String::new(),
        }
    }
}

impl Journal {
    /// Notes how `entry` was answered.
    pub(crate) fn note(&self, mut entry: Entry, answer: &Response<Bytes>) {
        entry.answered_ms = now_ms();
        entry.status = answer.status().as_u16();
        entry.answer = text(answer.body());
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(entry);
    }
}

/// Takes a delivery that the dispatcher is not to see: a hook of the demo's own, which tells it what
/// happens to jobs where the dispatcher's hook tells of pushes alone.
pub(crate) async fn witness(State(journal): State<Journal>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, WITNESS_MAX_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE;
    };
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = WITNESSED;
    journal.note(Entry::of(&parts, &body), &answer);
    WITNESSED
}

/// What of the journal is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    /// Only what came in at this moment or later, in milliseconds since 1970.
    #[serde(default)]
    since: u64,
}

/// `GET /_lab/deliveries?since=MS`, the oldest first.
pub(crate) async fn list(
    State(journal): State<Journal>,
    axum::extract::Query(query): axum::extract::Query<Query>,
) -> Json<Vec<Entry>> {
    let entries = journal.0.lock().unwrap_or_else(PoisonError::into_inner);
    let new = entries
        .iter()
        .filter(|entry| entry.received_ms >= query.since);
    Json(new.cloned().collect())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(BODY_MAX_BYTES)]).into_owned()
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}
