//! What the API answers: to a forge what became of its delivery, to a runner a few plain lines.

use serde::Serialize;
use serde_json::{Value, json};

use crate::delivery::BadDelivery;
use crate::job::Job;
use crate::shell::Outcome;

/// An HTTP answer. Its body may be a credential, so it has no `Debug`.
pub struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Decision {
    Recorded,
    Duplicate,
    Ignored,
    Refused,
}

pub(crate) fn recorded_or_duplicate(moved: &Outcome, reason: &str, job: &Job) -> Answer {
    match moved {
        Outcome::Written => decided(Decision::Recorded, reason, Some(job), None),
        Outcome::Refused(_) => decided(
            Decision::Duplicate,
            "the job's end or start was recorded before",
            Some(job),
            None,
        ),
    }
}

pub(crate) fn decided(
    decision: Decision,
    reason: &str,
    job: Option<&Job>,
    pool: Option<&str>,
) -> Answer {
    let jobs: Vec<Value> = job
        .into_iter()
        .map(|job| {
            json!({
                "repository": job.key.repository,
                "id": job.key.id,
                "attempt": job.key.attempt,
                "name": job.name,
                "labels": job.labels,
                "pool": pool,
            })
        })
        .collect();
    tracing::info!(
        ?decision,
        reason,
        job = job.map(|job| job.key.to_string()),
        "delivery"
    );
    Answer::json(
        202,
        &json!({ "decision": decision, "reason": reason, "jobs": jobs }),
    )
}

/// Nothing was recorded, and the forge's delivery log shows it: somebody can press *replay*.
pub(crate) fn broken(error: &dyn std::fmt::Display) -> Answer {
    tracing::error!(%error, "delivery not recorded");
    Answer::json(
        503,
        &json!({ "error": "not-recorded", "reason": error.to_string() }),
    )
}

impl Answer {
    /// A plain text answer.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        Self {
            status,
            content_type: "text/plain",
            body: format!("{text}\n"),
        }
    }

    /// An answer whose body is not for any log.
    #[must_use]
    pub fn secret(body: String) -> Self {
        Self {
            status: 200,
            content_type: "text/plain",
            body,
        }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.to_string(),
        }
    }

    pub(crate) fn not_taken(error: &BadDelivery) -> Self {
        let (status, kind) = match error {
            BadDelivery::TooLarge(_) => (413, "too-large"),
            BadDelivery::NoSecret | BadDelivery::NotSigned | BadDelivery::BadSignature => {
                (401, "bad-signature")
            }
            BadDelivery::Unreadable(_) => (400, "unreadable"),
        };
        Self::json(
            status,
            &json!({ "error": kind, "reason": error.to_string() }),
        )
    }

    pub(crate) fn into_value(self) -> Value {
        json!({
            "statusCode": self.status,
            "headers": { "content-type": self.content_type },
            "body": self.body,
            "isBase64Encoded": false,
        })
    }
}
