//! The lab's own routes beside EC2: what runs, and what shall go wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;

use crate::cloud::{Cloud, InstanceReport};
use crate::ec2::calls::Calls;
use crate::ec2::injection::FaultInjection;
use crate::ec2::instance::{Reason, Stop};
use crate::ec2::world::World as _;

/// EC2's notice before it takes a Spot instance back.
const NOTICE_S: u64 = 120;

/// The routes, all under `/_lab`.
pub(super) fn router(cloud: Arc<Cloud>) -> Router {
    Router::new()
        .route("/_lab/instances", get(instances))
        .route("/_lab/calls", get(calls))
        .route("/_lab/faults", get(faults).post(set_faults))
        .route("/_lab/instances/{id}/crash", post(crash))
        .route("/_lab/instances/{id}/interrupt", post(interrupt))
        .with_state(cloud)
}

/// `GET /_lab/instances`.
async fn instances(State(cloud): State<Arc<Cloud>>) -> Json<Vec<InstanceReport>> {
    Json(cloud.report())
}

/// `GET /_lab/calls`.
async fn calls(State(cloud): State<Arc<Cloud>>) -> Json<Calls> {
    Json(cloud.state().calls.clone())
}

/// `GET /_lab/faults`: those in force, for who changes one of them.
async fn faults(State(cloud): State<Arc<Cloud>>) -> Json<FaultInjection> {
    Json(cloud.state().faults.clone())
}

/// `POST /_lab/faults`: replaces the faults in force.
async fn set_faults(
    State(cloud): State<Arc<Cloud>>,
    Json(faults): Json<FaultInjection>,
) -> StatusCode {
    cloud.state().faults = faults;
    StatusCode::NO_CONTENT
}

/// `POST /_lab/instances/{id}/crash`: its host fails.
async fn crash(State(cloud): State<Arc<Cloud>>, Path(id): Path<String>) -> StatusCode {
    match cloud.end(&id, Reason::Host, Stop::Outright) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

/// Body of [`interrupt`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Interrupt {
    notice_s: Option<u64>,
}

/// `POST /_lab/instances/{id}/interrupt`: EC2 takes it back, `notice_s` (120) after its warning.
async fn interrupt(
    State(cloud): State<Arc<Cloud>>,
    Path(id): Path<String>,
    Json(body): Json<Interrupt>,
) -> StatusCode {
    let notice = Duration::from_secs(body.notice_s.unwrap_or(NOTICE_S).min(NOTICE_S));
    if cloud.interrupt(&id, notice) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}
