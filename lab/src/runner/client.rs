//! Calls to the forge, in connect's JSON codec.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use super::config::Registration;
use crate::error::chain;
use crate::http::HttpClient;

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
    http: HttpClient,
    service: String,
    uuid: String,
    token: String,
    timeout: Duration,
}

impl Client {
    /// `timeout` is for one call.
    pub(super) fn new(registration: &Registration, timeout: Duration) -> Self {
        let address = registration.address.trim_end_matches('/');
        Self {
            http: HttpClient::plain(),
            service: format!("{address}/api/actions/runner.v1.RunnerService"),
            uuid: registration.uuid.clone(),
            token: registration.token.clone(),
            timeout,
        }
    }

    pub(super) async fn call(&self, method: &str, body: &Value) -> Result<Value, Error> {
        let request = Request::post(format!("{}/{method}", self.service))
            .header("content-type", "application/json")
            .header("x-runner-uuid", &self.uuid)
            .header("x-runner-token", &self.token)
            .body(Bytes::from(body.to_string()))
            .map_err(|error| Error::Unreachable(error.to_string()))?;
        let answer = self
            .http
            .send(request, self.timeout)
            .await
            .map_err(|error| Error::Unreachable(chain(&error)))?;
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if answer.status().is_success() {
            return Ok(body);
        }
        let message = body["message"].as_str().unwrap_or_default();
        Err(Error::Refused(format!("{}: {message}", answer.status())))
    }
}
