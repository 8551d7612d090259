//! The HTTP client of the lab and of all commands: bounded in time and size, follows no redirect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest time for one exchange of [`send`] and [`json`]: API Gateway gives a function 30 s.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(35);
/// Largest answer that is read, in bytes: the lab's journal of a whole demo fits.
const ANSWER_MAX_BYTES: usize = 32 * 1024 * 1024;
/// As much of an unexpected answer as an error shows.
const SHOWN_MAX_CHARS: usize = 200;

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

impl HttpError {
    fn unexpected(url: &str, status: StatusCode, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        Self::Unexpected {
            url: url.to_owned(),
            status: status.as_u16(),
            body: body.chars().take(SHOWN_MAX_CHARS).collect(),
        }
    }
}

/// A client that keeps its connections. It belongs to the runtime that it was first used in.
#[derive(Debug, Clone)]
pub struct HttpClient(Connections);

#[derive(Debug, Clone)]
enum Connections {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl HttpClient {
    /// A client for `http:` alone, which is all that the lab's own parts speak.
    #[must_use]
    pub fn plain() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self(Connections::Plain(client))
    }

    /// A client for `https:` too. It trusts whom the machine trusts.
    pub fn with_tls() -> Result<Self, HttpError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(|error| HttpError::Bad(error.to_string()))?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self(Connections::Tls(client)))
    }

    /// Sends `request` and reads the whole answer within `limit`.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        limit: Duration,
    ) -> Result<Response<Bytes>, HttpError> {
        let url = request.uri().to_string();
        let unreachable =
            |source: Box<dyn std::error::Error + Send + Sync>| HttpError::Unreachable {
                url: url.clone(),
                source,
            };
        let request = request.map(Full::new);
        let exchange = async {
            let answer = match &self.0 {
                Connections::Plain(client) => client.request(request).await,
                Connections::Tls(client) => client.request(request).await,
            };
            let (parts, body) = answer
                .map_err(|error| unreachable(error.into()))?
                .into_parts();
            let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
            let body = body.map_err(&unreachable)?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| unreachable(format!("no answer within {} s", limit.as_secs()).into()))?
    }

    /// A GET that must be answered with success, and JSON of this shape.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        url: &str,
        limit: Duration,
    ) -> Result<T, HttpError> {
        let request = Request::get(url)
            .body(Bytes::new())
            .map_err(|_| HttpError::Bad(url.to_owned()))?;
        let answer = self.send(request, limit).await?;
        if !answer.status().is_success() {
            return Err(HttpError::unexpected(url, answer.status(), answer.body()));
        }
        serde_json::from_slice(answer.body())
            .map_err(|_| HttpError::unexpected(url, answer.status(), answer.body()))
    }
}

/// Sends one request over a connection of its own and reads the whole answer.
pub async fn send(
    method: Method,
    url: &str,
    headers: &[(String, String)],
    body: Bytes,
) -> Result<(StatusCode, Bytes), HttpError> {
    let bad = || HttpError::Bad(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let client = match uri.scheme_str() {
        Some("http") => HttpClient::plain(),
        Some(_) | None => HttpClient::with_tls()?,
    };
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(body).map_err(|_| bad())?;
    let answer = client.send(request, EXCHANGE_LIMIT).await?;
    Ok((answer.status(), answer.into_body()))
}

/// Sends one request with a JSON body (`Null`: none) and reads a JSON answer.
pub async fn json(
    method: Method,
    url: &str,
    token: Option<&str>,
    body: &Value,
) -> Result<Value, HttpError> {
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
    if !status.is_success() {
        return Err(HttpError::unexpected(url, status, &answer));
    }
    if answer.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer).map_err(|_| HttpError::unexpected(url, status, &answer))
}

/// What an answer from `url` holds, if it is of the shape that is expected: one that is not counts as
/// no answer, and never as nothing.
pub fn shaped<T: DeserializeOwned>(url: &str, answer: Value) -> Result<T, HttpError> {
    let text = answer.to_string();
    serde_json::from_value(answer)
        .map_err(|_| HttpError::unexpected(url, StatusCode::OK, text.as_bytes()))
}
