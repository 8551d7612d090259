//! EC2's HTTP endpoint: checks the signature, takes the action apart, answers in XML.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State as Extract};
use axum::routing::post;
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use crate::cloud::{Cloud, Stop};
use crate::ec2::api_error::{ApiError, CallError, answer};
use crate::ec2::instance::{InstanceState, Reason};
use crate::ec2::params::Params;
use crate::ec2::state::Call;
use crate::ec2::xml::Xml;
use crate::ec2::{about, console, describe, describe_images, image_calls, lab_routes, run};
use crate::error::chain;
use crate::ids::uuid;
use crate::recording::Recording;
use crate::rights::Rights;
use crate::sigv4::{Claim, Key, Refusal};

/// Largest request: user-data of 16 KB in base64 and its form encoding, with room.
const BODY_MAX_BYTES: usize = 256 * 1024;
/// The API version that every SDK sends.
const VERSION: &str = "2016-11-15";
/// What the emulator answers for us.
const READ_THROUGH: [&str; 4] = [
    "DescribeLaunchTemplates",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeVpcs",
];

/// What handlers share.
#[derive(Clone)]
struct Endpoint {
    cloud: Arc<Cloud>,
    key: Key,
    recording: Recording,
    rights: Rights,
}

/// The endpoint with EC2 at `/` and the lab's own routes under `/_lab`.
pub(crate) fn router(cloud: Arc<Cloud>, key: Key, recording: Recording, rights: Rights) -> Router {
    Router::new()
        .route("/", post(handle))
        .with_state(Endpoint {
            cloud: Arc::clone(&cloud),
            key,
            recording,
            rights,
        })
        .merge(lab_routes::router(cloud))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
}

async fn handle(
    Extract(endpoint): Extract<Endpoint>,
    request: Request,
) -> http::Response<axum::body::Body> {
    let (parts, body) = request.into_parts();
    let request_id = uuid();
    let outcome = match axum::body::to_bytes(body, BODY_MAX_BYTES).await {
        Ok(body) => endpoint.serve(&parts, body, &request_id).await,
        Err(_) => {
            Err(ApiError::client("RequestEntityTooLarge", "The request is too large.").into())
        }
    };
    let latency = endpoint.cloud.state().faults.latency();
    tokio::time::sleep(latency).await;
    let answer = outcome.unwrap_or_else(|error| match error {
        CallError::Api(error) => {
            tracing::info!(
                code = error.code,
                message = error.message,
                "EC2 request refused"
            );
            error.answer(&request_id)
        }
        CallError::Internal(error) => {
            tracing::error!(error = chain(&error), "EC2 request failed");
            ApiError::server("InternalError", "An internal error has occurred").answer(&request_id)
        }
    });
    answer.map(axum::body::Body::from)
}

impl Endpoint {
    async fn serve(
        &self,
        parts: &Parts,
        body: Bytes,
        request_id: &str,
    ) -> Result<Response<Bytes>, CallError> {
        self.authenticate(parts, &body)?;
        let mut params = Params::parse(&body)?;
        let action = params.require("Action")?;
        let about = if self.recording.is_on() || self.rights.is_on() {
            about::resources(&self.cloud, &action, params.clone()).await?
        } else {
            Value::Null
        };
        let outcome = match self.admit_role(parts, &body, &about).await {
            Ok(()) => self.act(&action, params, body.clone(), request_id).await,
            Err(error) => Err(error),
        };
        self.cloud.state().calls.note(&action, &outcome);
        let status = match &outcome {
            Ok(answer) => answer.status(),
            Err(CallError::Api(error)) => error.status,
            Err(CallError::Internal(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        self.recording
            .note((&self.key.id, None), parts, &body, status, &about);
        outcome
    }

    async fn act(
        &self,
        action: &str,
        mut params: Params,
        body: Bytes,
        request_id: &str,
    ) -> Result<Response<Bytes>, CallError> {
        if params.require("Version")? != VERSION {
            return Err(ApiError::client(
                "NoSuchVersion",
                format!("The lab speaks version {VERSION} only."),
            )
            .into());
        }
        if READ_THROUGH.contains(&action) {
            return Ok(self.cloud.emulator.forward_ec2(body).await?);
        }
        let xml = match action {
            "RunInstances" => self.run_instances(params, request_id).await?,
            "TerminateInstances" => self.terminate_instances(params, request_id)?,
            "StopInstances" => self.stop_instances(params, request_id)?,
            "DescribeInstances" => {
                self.admit(Call::Describe)?;
                describe::instances(&self.cloud.state(), params, Timestamp::now(), request_id)?
            }
            "DescribeImages" => {
                self.admit(Call::Describe)?;
                let state = self.cloud.state();
                describe_images::images(&state.images, params, Timestamp::now(), request_id)?
            }
            "DescribeSnapshots" => {
                self.admit(Call::Describe)?;
                let state = self.cloud.state();
                describe_images::snapshots(&state.images, params, Timestamp::now(), request_id)?
            }
            "GetConsoleOutput" => {
                self.admit(Call::Describe)?;
                console::output(&self.cloud, params, request_id)?
            }
            "CreateImage" => image_calls::create(&self.cloud, params, request_id)?,
            "DeregisterImage" => image_calls::deregister(&self.cloud, params, request_id)?,
            "DeleteSnapshot" => image_calls::delete_snapshot(&self.cloud, params, request_id)?,
            "CreateTags" => image_calls::tag(&self.cloud, params, request_id)?,
            "GetEbsEncryptionByDefault" | "GetEbsDefaultKmsKeyId" => {
                params.finish()?;
                let key = self.cloud.state().faults.volume_key.clone();
                describe::volume_key(action, key.as_deref(), request_id)
            }
            other => {
                return Err(ApiError::client(
                    "InvalidAction",
                    format!("The action {other} is not valid for this web service."),
                )
                .into());
            }
        };
        Ok(answer(StatusCode::OK, xml))
    }

    /// Whether the request is signed with the lab's key, for its EC2.
    fn authenticate(&self, parts: &Parts, body: &[u8]) -> Result<(), ApiError> {
        let verified = Claim::of(parts).and_then(|claim| {
            if claim.key_id != self.key.id || !claim.is_for("ec2") {
                return Err(Refusal::UnknownKey);
            }
            claim.verify(parts, body, &self.key, Timestamp::now())
        });
        verified.map_err(|refusal| {
            let code = match refusal {
                Refusal::Unsigned => "MissingAuthenticationToken",
                Refusal::Malformed | Refusal::HeaderNotSigned => "IncompleteSignature",
                Refusal::Expired => "RequestExpired",
                Refusal::UnknownKey | Refusal::WrongToken | Refusal::Mismatch => "AuthFailure",
            };
            ApiError::with(
                StatusCode::UNAUTHORIZED,
                code,
                format!("AWS was not able to validate the provided access credentials: {refusal}"),
            )
        })
    }

    /// Whether the policies of whoever sent this allow it.
    async fn admit_role(&self, parts: &Parts, body: &[u8], about: &Value) -> Result<(), CallError> {
        let emulator = &self.cloud.emulator;
        let denial = self
            .rights
            .refusal_of_function(emulator, parts, body, about);
        match denial.await? {
            None => Ok(()),
            Some(denial) => {
                let words = denial.of_ec2();
                let denied = ApiError::with(StatusCode::FORBIDDEN, "UnauthorizedOperation", words);
                Err(denied.into())
            }
        }
    }

    fn admit(&self, call: Call) -> Result<(), ApiError> {
        self.cloud.state().admit(call, Timestamp::now())
    }

    async fn run_instances(&self, mut params: Params, request_id: &str) -> Result<Xml, CallError> {
        self.admit(Call::Run)?;
        let is_rehearsed = params.flag("DryRun")?;
        let request = run::Request::parse(params)?;
        let plan = request.resolve(&self.cloud).await?;
        if is_rehearsed {
            let injected = self.cloud.state().faults.next_run_error();
            return Err(injected.unwrap_or_else(ApiError::dry_run).into());
        }
        let launched = self.cloud.launch(&plan)?;
        let mut state = self.cloud.state();
        if state.faults.loses_answer() {
            return Err(ApiError::server("InternalError", "An internal error has occurred").into());
        }
        Ok(describe::reservation(&state, &launched, request_id))
    }

    fn terminate_instances(&self, mut params: Params, request_id: &str) -> Result<Xml, ApiError> {
        self.admit(Call::Terminate)?;
        let is_rehearsed = params.flag("DryRun")?;
        let ids = params.list("InstanceId");
        let stop = if params.flag("SkipOsShutdown")? {
            Stop::Outright
        } else {
            Stop::Graceful
        };
        params.finish()?;
        if let Some(error) = self.cloud.state().faults.next_end_error() {
            return Err(error);
        }
        if ids.is_empty() {
            return Err(ApiError::missing("InstanceId"));
        }
        let forgets = self.cloud.state().faults.forgets();
        describe::check_known(&self.cloud.state(), &ids, |_| !forgets)?;
        if self.cloud.state().denies_end_of(&ids) {
            let words = "You are not authorized to perform this operation.";
            return Err(ApiError::client("UnauthorizedOperation", words));
        }
        if is_rehearsed {
            return Err(ApiError::dry_run());
        }
        let changes = changed(ids, |id| self.cloud.end(id, Reason::User, stop));
        Ok(describe::ending("TerminateInstances", &changes, request_id))
    }

    fn stop_instances(&self, mut params: Params, request_id: &str) -> Result<Xml, ApiError> {
        let ids = params.list("InstanceId");
        let how = if params.flag("Force")? {
            Stop::Outright
        } else {
            Stop::Graceful
        };
        params.finish()?;
        if ids.is_empty() {
            return Err(ApiError::missing("InstanceId"));
        }
        let now = Timestamp::now();
        describe::check_known(&self.cloud.state(), &ids, |one| one.visible <= now)?;
        for id in &ids {
            self.cloud.state().check_stoppable(id)?;
        }
        let changes = changed(ids, |id| self.cloud.stop(id, Reason::User, how));
        Ok(describe::ending("StopInstances", &changes, request_id))
    }
}

/// Each instance with its state before and after `change`.
fn changed(
    ids: Vec<String>,
    change: impl Fn(&str) -> Option<(InstanceState, InstanceState)>,
) -> Vec<(String, InstanceState, InstanceState)> {
    let changes = ids.into_iter().filter_map(|id| {
        let (before, after) = change(&id)?;
        Some((id, before, after))
    });
    changes.collect()
}
