//! The lab's HTTP client: plain HTTP to 127.0.0.1, bounded in time and size.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::Error;

/// Largest answer that is read: an API Gateway body may have 10 MB, with room for its escaping.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// A pooled client.
#[derive(Clone)]
pub(crate) struct Web(Client<HttpConnector, Full<Bytes>>);

impl Web {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Sends `request` and reads the whole answer within `limit`.
    pub(crate) async fn send(
        &self,
        request: http::Request<Bytes>,
        limit: Duration,
    ) -> Result<http::Response<Bytes>, Error> {
        let what = format!("{} {}", request.method(), request.uri());
        let exchange = async {
            let answer = self
                .0
                .request(request.map(Full::new))
                .await
                .map_err(|error| Error::request(&*what, crate::error::chain(&error)))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_MAX_BYTES)
                .collect()
                .await
                .map_err(|error| Error::request(&*what, error))?;
            Ok(http::Response::from_parts(parts, body.to_bytes()))
        };
        tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| Error::request(&*what, format!("no answer in {} s", limit.as_secs())))?
    }

    /// A GET whose answer must be JSON with status 200.
    pub(crate) async fn get_json<T: serde::de::DeserializeOwned>(
        &self,
        url: &str,
        limit: Duration,
    ) -> Result<T, Error> {
        let request = http::Request::get(url)
            .body(Bytes::new())
            .map_err(|error| Error::bug(&error))?;
        let answer = self.send(request, limit).await?;
        if !answer.status().is_success() {
            return Err(Error::request(format!("GET {url}"), answer.status()));
        }
        serde_json::from_slice(answer.body())
            .map_err(|error| Error::request(format!("GET {url}"), error))
    }
}
