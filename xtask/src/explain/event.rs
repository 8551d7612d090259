//! The event that is explained, from the body of a delivery.

use std::io::Read as _;
use std::path::Path;

use dispatcher::webhook::delivery::{BadDelivery, Delivery};
use serde_json::Value;
use workflow::event::Event;
use workflow::event::EventKind;

/// Largest body that is read, in bytes: more than the function takes.
const BODY_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Why the event can't be read.
#[derive(Debug, thiserror::Error)]
pub enum BadEvent {
    /// The file.
    #[error("{path} can't be read: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no delivery.
    #[error("the event is no JSON ({0}): give the body of a delivery as the forge shows it")]
    NoJson(serde_json::Error),
    /// It does not show what it is.
    #[error("the body does not show which event it is: say --kind, such as push or pull_request")]
    Unknown,
    /// No such event.
    #[error(
        "{0:?} is no event that starts workflows; the forge's own words are meant, such as push, create or pull_request_sync"
    )]
    NoSuch(String),
    /// Its body.
    #[error(transparent)]
    Body(#[from] BadDelivery),
    /// It starts nothing.
    #[error("nothing is to be found out: {0}")]
    Nothing(String),
}

/// Reads the event in `path`; `-` is standard input.
pub fn read(path: &Path, kind: Option<&str>) -> Result<Event, BadEvent> {
    let file = |source| BadEvent::File {
        path: path.display().to_string(),
        source,
    };
    let mut body = Vec::new();
    let mut input: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(file)?)
    };
    input
        .by_ref()
        .take(BODY_MAX_BYTES)
        .read_to_end(&mut body)
        .map_err(file)?;
    let value: Value = serde_json::from_slice(&body).map_err(BadEvent::NoJson)?;
    if value.get("workflow_job").is_some() {
        let reason =
            "a workflow_job delivery tells of its job by itself: see its labels and action";
        return Err(BadEvent::Nothing(reason.to_owned()));
    }
    let event = match kind {
        Some(word) => EventKind::parse(word).ok_or_else(|| BadEvent::NoSuch(word.to_owned()))?,
        None => shown(&value).ok_or(BadEvent::Unknown)?,
    };
    match Delivery::of_event(event, &body)? {
        Delivery::Event { event, .. } => Ok(*event),
        Delivery::Ignored(reason) => Err(BadEvent::Nothing(reason)),
        Delivery::Queued(_) | Delivery::Started { .. } | Delivery::Ended { .. } => {
            Err(BadEvent::Unknown)
        }
    }
}

/// The event that a body without its headers is of, as its fields show it.
fn shown(body: &Value) -> Option<EventKind> {
    let has = |field: &str| body.get(field).is_some();
    let action = body["action"].as_str().unwrap_or_default();
    let event = if has("head_commit") || has("after") {
        EventKind::Push
    } else if has("ref_type") {
        if has("pusher_type") {
            EventKind::Delete
        } else {
            EventKind::Create
        }
    } else if has("forkee") {
        EventKind::Fork
    } else if has("release") {
        EventKind::Release
    } else if has("comment") {
        if body["is_pull"] == true {
            EventKind::PullRequestComment
        } else {
            EventKind::IssueComment
        }
    } else if has("pull_request") {
        match action {
            "synchronized" => EventKind::PullRequestSync,
            "label_updated" | "label_cleared" => EventKind::PullRequestLabel,
            "assigned" | "unassigned" => EventKind::PullRequestAssign,
            "milestoned" | "demilestoned" => EventKind::PullRequestMilestone,
            "review_requested" | "review_request_removed" => EventKind::PullRequestReviewRequest,
            _ => EventKind::PullRequest,
        }
    } else if has("issue") {
        match action {
            "label_updated" | "label_cleared" => EventKind::IssueLabel,
            "assigned" | "unassigned" => EventKind::IssueAssign,
            "milestoned" | "demilestoned" => EventKind::IssueMilestone,
            _ => EventKind::Issues,
        }
    } else if has("package") {
        EventKind::Package
    } else if has("page") {
        EventKind::Wiki
    } else {
        return None;
    };
    Some(event)
}
