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

use crate::cloud::Cloud;
use crate::ec2::api_error::{ApiError, CallError, answer};
use crate::ec2::calls::Calls;
use crate::ec2::named::Named;
use crate::ec2::params::Params;
use crate::ec2::state::Call;
use crate::ec2::xml::Xml;
use crate::ec2::{about, actions, console, image_calls, lab_routes};
use crate::error::chain;
use crate::ids::uuid;
use crate::recording::Recording;
use crate::rights::Rights;
use crate::sigv4::{Claim, Key, Refusal};

/// Largest request: user-data of 16 KB in base64 and its form encoding, with room.
const BODY_MAX_BYTES: usize = 256 * 1024;
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
        let word = outcome
            .as_ref()
            .map_or_else(CallError::code, |_| Calls::SERVED);
        self.cloud.state().calls.note(&action, word);
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
        actions::check_version(&mut params)?;
        if READ_THROUGH.contains(&action) {
            return Ok(self.cloud.emulator.forward_ec2(body).await?);
        }
        let xml = match action {
            "RunInstances" => self.run_instances(params, request_id).await?,
            "GetConsoleOutput" => {
                self.cloud.state().admit(Call::Describe, Timestamp::now())?;
                console::output(&self.cloud, params, request_id)?
            }
            "CreateImage" => image_calls::create(&self.cloud, params, request_id)?,
            "DeregisterImage" => image_calls::deregister(&self.cloud, params, request_id)?,
            "DeleteSnapshot" => image_calls::delete_snapshot(&self.cloud, params, request_id)?,
            "CreateTags" => image_calls::tag(&self.cloud, params, request_id)?,
            action => actions::answer(&self.cloud, action, params, request_id)?,
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

    async fn run_instances(&self, params: Params, request_id: &str) -> Result<Xml, CallError> {
        let request = actions::launch_request(&self.cloud, params)?;
        let emulator = &self.cloud.emulator;
        let template = match request.template() {
            Some((id, version)) => emulator.template(id, version).await?,
            None => None,
        };
        let wanted = request.wanted(template)?;
        let named = Named::of(emulator, &wanted, request.subnet()).await?;
        let about = (wanted, named);
        Ok(actions::run_instances(
            &self.cloud,
            request,
            about,
            request_id,
        )?)
    }
}
