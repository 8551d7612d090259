//! EC2's HTTP endpoint: checks the signature, takes the action apart, answers in XML.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State as Extract};
use axum::routing::post;
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use jiff::Timestamp;

use crate::cloud::{Cloud, Stop};
use crate::ec2::api_error::{ApiError, CallError, answer};
use crate::ec2::params::Params;
use crate::ec2::state::{Call, InstanceState, Launched, Reason};
use crate::ec2::xml::Xml;
use crate::ec2::{describe, lab_routes, run};
use crate::error::chain;
use crate::ids::uuid;
use crate::sigv4::{Claim, Key, Refusal};

/// Largest request: user-data of 16 KB in base64 and its form encoding, with room.
const BODY_MAX_BYTES: usize = 256 * 1024;
/// The API version that every SDK sends.
const VERSION: &str = "2016-11-15";
/// What the emulator answers for us.
const READ_THROUGH: [&str; 6] = [
    "DescribeLaunchTemplates",
    "DescribeLaunchTemplateVersions",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeVpcs",
    "DescribeAvailabilityZones",
];

/// What handlers share.
#[derive(Clone)]
struct Endpoint {
    cloud: Arc<Cloud>,
    key: Key,
}

/// The endpoint with EC2 at `/` and the lab's own routes under `/_lab`.
pub(crate) fn router(cloud: Arc<Cloud>, key: Key) -> Router {
    Router::new()
        .route("/", post(handle))
        .with_state(Endpoint {
            cloud: Arc::clone(&cloud),
            key,
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
        let region = self.authenticate(parts, &body)?;
        let mut params = Params::parse(&body)?;
        let action = params.require("Action")?;
        let outcome = self.act(&action, params, &region, body, request_id).await;
        self.cloud.state().calls.note(&action, &outcome);
        outcome
    }

    async fn act(
        &self,
        action: &str,
        mut params: Params,
        region: &str,
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
            return Ok(self.cloud.emulator.forward_ec2(region, body).await?);
        }
        let xml = match action {
            "RunInstances" => self.run_instances(params, region, request_id).await?,
            "TerminateInstances" => self.terminate_instances(params, region, request_id)?,
            "DescribeInstances" => {
                self.admit(Call::Describe)?;
                describe::instances(&self.cloud.state(), params, region, Timestamp::now())?
                    .xml(request_id)
            }
            "DescribeSpotPriceHistory" => {
                self.admit(Call::Describe)?;
                describe::spot_prices(params, region, Timestamp::now(), request_id)?
            }
            "DescribeInstanceTypeOfferings" => {
                self.admit(Call::Describe)?;
                describe::offerings(params, region, request_id)?
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

    /// The region of the signature, once it is believed.
    fn authenticate(&self, parts: &Parts, body: &[u8]) -> Result<String, ApiError> {
        let verified = Claim::of(parts).and_then(|claim| {
            if claim.key_id != self.key.id || claim.service != "ec2" {
                return Err(Refusal::UnknownKey);
            }
            claim.verify(parts, body, &self.key, Timestamp::now())?;
            Ok(claim.region)
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

    fn admit(&self, call: Call) -> Result<(), ApiError> {
        self.cloud.state().admit(call, Timestamp::now())
    }

    async fn run_instances(
        &self,
        params: Params,
        region: &str,
        request_id: &str,
    ) -> Result<Xml, CallError> {
        self.admit(Call::Run)?;
        let request = run::Request::parse(params)?;
        let launched = if let Some(launched) = self.made_before(&request, region).await? {
            launched
        } else {
            let dry_run = request.dry_run;
            let plan = request.resolve(&self.cloud.emulator, region).await?;
            if dry_run {
                return Err(dry_run_succeeds().into());
            }
            self.cloud.launch(&plan)?
        };
        let mut state = self.cloud.state();
        if state.faults.loses_answer() {
            return Err(ApiError::server("InternalError", "An internal error has occurred").into());
        }
        let account = self.cloud.emulator.account();
        Ok(describe::reservation(
            &state, &launched, account, request_id,
        ))
    }

    async fn made_before(
        &self,
        request: &run::Request,
        region: &str,
    ) -> Result<Option<Launched>, CallError> {
        if request.token().is_none() {
            return Ok(None);
        }
        let token_scope = match request.subnet() {
            None => region.to_owned(),
            Some(subnet) => match self.cloud.emulator.subnet(region, subnet).await? {
                Some(found) => found.zone,
                None => return Ok(None),
            },
        };
        let state = self.cloud.state();
        Ok(state.replay(request.token(), &token_scope, request.fingerprint())?)
    }

    fn terminate_instances(
        &self,
        mut params: Params,
        region: &str,
        request_id: &str,
    ) -> Result<Xml, ApiError> {
        self.admit(Call::Terminate)?;
        let ids = params.list("InstanceId");
        let stop = if params.flag("SkipOsShutdown")? {
            Stop::Outright
        } else {
            Stop::Graceful
        };
        let forced = params.flag("Force")?;
        let dry_run = params.flag("DryRun")?;
        params.finish()?;
        if ids.is_empty() {
            return Err(ApiError::missing("InstanceId"));
        }
        if dry_run {
            return Err(dry_run_succeeds());
        }
        describe::check_known(&self.cloud.state(), &ids, region)?;
        let stop = if forced { Stop::Outright } else { stop };
        let changes: Vec<(String, InstanceState, InstanceState)> = ids
            .into_iter()
            .filter_map(|id| {
                let (before, after) = self.cloud.end(&id, Reason::User, stop)?;
                Some((id, before, after))
            })
            .collect();
        Ok(describe::terminating(&changes, request_id))
    }
}

fn dry_run_succeeds() -> ApiError {
    ApiError::with(
        StatusCode::PRECONDITION_FAILED,
        "DryRunOperation",
        "Request would have succeeded, but DryRun flag is set.",
    )
}
