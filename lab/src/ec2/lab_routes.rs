//! The lab's own routes beside EC2: what runs, and what shall go wrong.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;

use crate::cloud::{InstanceReport, Stop};
use crate::ec2::{Calls, Endpoint, Faults, Reason};

/// EC2's notice before it takes a Spot instance back.
const NOTICE_S: u64 = 120;

/// `GET /_lab/instances`.
pub(super) async fn instances(State(endpoint): State<Endpoint>) -> Json<Vec<InstanceReport>> {
    Json(endpoint.cloud.report())
}

/// `GET /_lab/calls`.
pub(super) async fn calls(State(endpoint): State<Endpoint>) -> Json<Calls> {
    Json(endpoint.cloud.world().calls.clone())
}

/// `GET /_lab/faults`.
pub(super) async fn faults(State(endpoint): State<Endpoint>) -> Json<Faults> {
    Json(endpoint.cloud.world().faults.clone())
}

/// `POST /_lab/faults`: replaces the faults in force.
pub(super) async fn set_faults(
    State(endpoint): State<Endpoint>,
    Json(faults): Json<Faults>,
) -> StatusCode {
    endpoint.cloud.world().faults = faults;
    StatusCode::NO_CONTENT
}

/// `POST /_lab/instances/{id}/crash`: its host fails.
pub(super) async fn crash(State(endpoint): State<Endpoint>, Path(id): Path<String>) -> StatusCode {
    match endpoint.cloud.end(&id, Reason::Host, Stop::Outright) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

/// Body of [`interrupt`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interrupt {
    notice_s: Option<u64>,
}

/// `POST /_lab/instances/{id}/interrupt`: EC2 takes it back, `notice_s` (120) after its warning.
pub(super) async fn interrupt(
    State(endpoint): State<Endpoint>,
    Path(id): Path<String>,
    Json(body): Json<Interrupt>,
) -> StatusCode {
    let notice = Duration::from_secs(body.notice_s.unwrap_or(NOTICE_S).min(NOTICE_S));
    if endpoint.cloud.interrupt(&id, notice) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}
