//! What stands before the emulator where calls are written down or judged: functions and commands have its
//! address instead of the emulator's. It passes everything on as it came, but what a role may not do.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::Error;
use crate::emulator::Emulator;
use crate::error::chain;
use crate::hostile::{Hostile, as_account};
use crate::http::HttpClient;
use crate::recording::Recording;
use crate::rights::Rights;

/// Largest request: the function's code, built for debugging.
const BODY_MAX_BYTES: usize = 512 * 1024 * 1024;
/// Longest call: a function may run for 15 minutes.
const CALL_LIMIT: Duration = Duration::from_mins(15);

/// An address that is known before the emulator runs.
pub(crate) struct Edge {
    listener: TcpListener,
    url: String,
    recording: Recording,
    rights: Rights,
    hostile: Option<Hostile>,
}

impl Edge {
    /// One if calls are recorded or judged, or the account is a `hostile` one.
    pub(crate) async fn of(
        recording: &Recording,
        rights: &Rights,
        hostile: Option<&Hostile>,
    ) -> io::Result<Option<Self>> {
        if !recording.is_on() && !rights.is_on() && hostile.is_none() {
            return Ok(None);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Some(Self {
            listener,
            url,
            recording: recording.clone(),
            rights: rights.clone(),
            hostile: hostile.cloned(),
        }))
    }

    /// Where it is reached.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Serves from now on, before `emulator` at `upstream`.
    pub(crate) fn open(self, emulator: Emulator, upstream: String) -> String {
        let router = router(self.recording, self.rights, emulator, upstream);
        let router = as_account(self.hostile.as_ref(), router);
        tokio::spawn(async move { axum::serve(self.listener, router).await });
        self.url
    }
}

fn router(recording: Recording, rights: Rights, emulator: Emulator, upstream: String) -> Router {
    let client = HttpClient::plain();
    Router::new().fallback(async move |request: Request| {
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, BODY_MAX_BYTES).await else {
            return failure(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let answer = match refused(&rights, &emulator, &parts, &body).await {
            Ok(Some(answer)) => Ok(answer.map(Body::from)),
            Ok(None) => pass(&client, &upstream, &parts, body.clone()).await,
            Err(error) => Err(error),
        };
        let answer = answer.unwrap_or_else(|error| {
            tracing::error!(error = chain(&error), "a call to AWS fails in the lab");
            failure(StatusCode::BAD_GATEWAY)
        });
        if is_of_a_service(&parts) {
            let account = emulator.account();
            recording.note(
                (account, None),
                &parts,
                &body,
                answer.status(),
                &Value::Null,
            );
        }
        answer
    })
}

/// The answer to a call that does not get through: its sender may not make it, or only the edge can serve it.
async fn refused(
    rights: &Rights,
    emulator: &Emulator,
    parts: &Parts,
    body: &[u8],
) -> Result<Option<Response<Bytes>>, Error> {
    if !is_of_a_service(parts) {
        return Ok(None);
    }
    let denial = rights.refusal_of_function(emulator, parts, body, &Value::Null);
    match denial.await? {
        Some(denial) => {
            tracing::info!(?denial, "a role may not");
            Ok(Some(denial.answer(parts)))
        }
        None => Ok(rights.decoded(parts, body)),
    }
}

/// Other paths are the emulator's own.
fn is_of_a_service(parts: &Parts) -> bool {
    !parts.uri.path().starts_with("/_")
}

async fn pass(
    client: &HttpClient,
    upstream: &str,
    parts: &Parts,
    body: Bytes,
) -> Result<Response<Body>, Error> {
    let mut request = http::Request::builder()
        .method(parts.method.clone())
        .uri(format!("{upstream}{}", parts.uri))
        .body(body)
        .map_err(|error| Error::bug(&error))?;
    // The host stays the one that was signed.
    *request.headers_mut() = parts.headers.clone();
    Ok(client.send(request, CALL_LIMIT).await?.map(Body::from))
}

fn failure(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sigv4::Key;

    #[tokio::test]
    async fn everything_is_passed_on_as_it_came_and_written_down() {
        let upstream = Router::new().fallback(async |request: Request| {
            let host = request.headers()["host"].to_str().unwrap().to_owned();
            (StatusCode::IM_A_TEAPOT, format!("{} {host}", request.uri()))
        });
        let serve = async |router: Router| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, router).await });
            format!("http://{address}")
        };
        let upstream = serve(upstream).await;
        let folder = tempfile::tempdir().unwrap();
        let recording = Recording::in_folder(folder.path()).unwrap();
        let key = Key {
            id: "1".to_owned(),
            secret: "s".to_owned(),
            token: None,
        };
        let emulator = Emulator::new(upstream.clone(), key);
        let edge = serve(router(recording, Rights::default(), emulator, upstream)).await;
        let url = format!("{edge}/a%2Fb?c=d");
        let sent = http::Request::put(url)
            .header("host", "signed")
            .body(Bytes::from_static(b"x"));
        let answer = HttpClient::plain()
            .send(sent.unwrap(), Duration::from_secs(10))
            .await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);
        assert_eq!(answer.body(), "/a%2Fb?c=d signed");
        let lines = crate::recording::lines(folder.path());
        assert_eq!(lines.len(), 1);
        assert_eq!(
            (&lines[0]["method"], &lines[0]["status"]),
            (&json!("PUT"), &json!(418))
        );
        assert_eq!(lines[0]["headers"]["host"], "signed");
    }
}
