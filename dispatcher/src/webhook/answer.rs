//! What a forge is answered: what became of its delivery. It shows in the forge's delivery log.

use serde::Serialize;
use serde_json::{Value, json};

use crate::aws::WriteResult;
use crate::http_response::HttpResponse;
use crate::model::job::Job;
use crate::webhook::delivery::BadDelivery;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Decision {
    Recorded,
    Duplicate,
    Ignored,
    Refused,
}

pub(crate) fn recorded_or_duplicate(moved: WriteResult, reason: &str, job: &Job) -> HttpResponse {
    match moved {
        WriteResult::Written => decided(Decision::Recorded, reason, Some(job), None),
        WriteResult::Refused => decided(
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
) -> HttpResponse {
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
        repository = job.map(|job| job.key.repository.as_str()),
        pool,
        "delivery answered"
    );
    HttpResponse::json(
        202,
        &json!({ "decision": decision, "reason": reason, "jobs": jobs }),
    )
}

/// Nothing was recorded, and the forge's delivery log shows it: somebody can press *replay*.
pub(crate) fn broken(error: &dyn std::fmt::Display) -> HttpResponse {
    tracing::error!(%error, "delivery not recorded");
    HttpResponse::json(
        503,
        &json!({ "error": "not-recorded", "reason": error.to_string() }),
    )
}

/// The delivery is refused before anything of it is read.
pub(crate) fn not_taken(error: &BadDelivery) -> HttpResponse {
    let (status, kind) = match error {
        BadDelivery::TooLarge(_) => (413, "too-large"),
        BadDelivery::NoSecret | BadDelivery::NotSigned | BadDelivery::BadSignature => {
            (401, "bad-signature")
        }
        BadDelivery::Unreadable(_) => (400, "unreadable"),
    };
    HttpResponse::json(
        status,
        &json!({ "error": kind, "reason": error.to_string() }),
    )
}
