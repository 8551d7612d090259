//! One small HTTP client for forge, lab and endpoint: bounded in time and size, no redirects.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Longest time for one exchange.
const TIMEOUT: Duration = Duration::from_secs(35);
/// Largest answer that is read, in bytes: the lab's journal of a whole demo fits.
const ANSWER_MAX_BYTES: usize = 32 * 1024 * 1024;

/// An exchange that failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request can't be made.
    #[error("{0} is no usable address, header or CA store")]
    Bad(String),
    /// Nobody answered.
    #[error("{url} does not answer")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not what was expected.
    #[error("{url} answered {status}: {body}")]
    Unexpected {
        /// Where.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
}

/// Sends one request and reads the whole answer.
pub async fn send(
    method: Method,
    url: &str,
    headers: &[(String, String)],
    body: Bytes,
) -> Result<(StatusCode, Bytes), HttpError> {
    let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| HttpError::Unreachable {
        url: url.to_owned(),
        source,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(provider)
        .map_err(|error| HttpError::Bad(error.to_string()))?
        .https_or_http()
        .enable_http1()
        .build();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(body))
        .map_err(|_| HttpError::Bad(url.to_owned()))?;
    let exchange = async {
        let answer = client
            .request(request)
            .await
            .map_err(|error| unreachable(error.into()))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES)
            .collect()
            .await
            .map_err(unreachable)?
            .to_bytes();
        Ok((status, body))
    };
    tokio::time::timeout(TIMEOUT, exchange)
        .await
        .map_err(|_| unreachable(format!("no answer within {} s", TIMEOUT.as_secs()).into()))?
}

/// What an answer from `url` holds, if it is of the shape that is expected: one that is not counts as
/// no answer, and never as nothing.
pub fn shaped<T: serde::de::DeserializeOwned>(
    url: &str,
    answer: serde_json::Value,
) -> Result<T, HttpError> {
    let body = answer.to_string().chars().take(200).collect();
    serde_json::from_value(answer).map_err(|_| HttpError::Unexpected {
        url: url.to_owned(),
        status: StatusCode::OK.as_u16(),
        body,
    })
}

/// Sends one request with a JSON body (`Null`: none) and reads a JSON answer.
pub async fn json(
    method: Method,
    url: &str,
    token: Option<&str>,
    body: &serde_json::Value,
) -> Result<serde_json::Value, HttpError> {
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
    if let Some(token) = token {
        headers.push(("authorization".to_owned(), format!("token {token}")));
    }
    let mut bytes = Bytes::new();
    if !body.is_null() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        bytes = Bytes::from(body.to_string());
    }
    let (status, answer) = send(method, url, &headers, bytes).await?;
    let unexpected = || HttpError::Unexpected {
        url: url.to_owned(),
        status: status.as_u16(),
        body: String::from_utf8_lossy(&answer).chars().take(200).collect(),
    };
    if !status.is_success() {
        return Err(unexpected());
    }
    if answer.is_empty() {
        return Ok(serde_json::Value::Null);
    }
    serde_json::from_slice(&answer).map_err(|_| unexpected())
}
