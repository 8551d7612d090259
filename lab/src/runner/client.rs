//! Calls to the forge, in connect's JSON codec.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::config::Registration;

/// For one call, as the real one's `fetch_timeout`.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer: a workflow of a megabyte, in base64, with its context.
const ANSWER_MAX_BYTES: usize = 8 << 20;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The forge answered, and not as wished.
    #[error("{0}")]
    Refused(String),
    /// It could not be asked.
    #[error("unavailable: {0}")]
    Unreachable(String),
}

impl Error {
    /// Whether the forge does not know this runner (any more).
    pub(super) fn is_unregistered(&self) -> bool {
        matches!(self, Self::Refused(message) if message.contains("unregistered runner"))
    }
}

pub(super) struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    service: String,
    uuid: String,
    token: String,
}

impl Client {
    pub(super) fn new(registration: &Registration) -> Self {
        let address = registration.address.trim_end_matches('/');
        Self {
            http: HttpClient::builder(TokioExecutor::new()).build_http(),
            service: format!("{address}/api/actions/runner.v1.RunnerService"),
            uuid: registration.uuid.clone(),
            token: registration.token.clone(),
        }
    }

    pub(super) async fn call(&self, method: &str, body: &Value) -> Result<Value, Error> {
        let unreachable = |error: &dyn std::fmt::Display| Error::Unreachable(error.to_string());
        let request = Request::post(format!("{}/{method}", self.service))
            .header("content-type", "application/json")
            .header("x-runner-uuid", &self.uuid)
            .header("x-runner-token", &self.token)
            .body(Full::from(body.to_string()))
            .map_err(|error| unreachable(&error))?;
        let exchange = async {
            let response = self
                .http
                .request(request)
                .await
                .map_err(|error| unreachable(&error))?;
            let status = response.status();
            let bytes = Limited::new(response.into_body(), ANSWER_MAX_BYTES)
                .collect()
                .await
                .map_err(|error| unreachable(&error))?
                .to_bytes();
            let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if status.is_success() {
                Ok(answer)
            } else {
                let message = answer["message"].as_str().unwrap_or_default();
                Err(Error::Refused(format!("{status}: {message}")))
            }
        };
        tokio::time::timeout(CALL_TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(Error::Unreachable("no answer in time".to_owned())))
    }
}
