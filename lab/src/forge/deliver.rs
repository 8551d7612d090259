//! Deliveries: signed, sent one after the other, never repeated, as on a small real server.
//!
//! Invariant: one worker for the whole forge. A slow endpoint holds every other hook until its
//! time-out; nothing is sent twice.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha1::Sha1;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::model::Hook;
use super::version::Version;
use workflow::ForgeKind;

/// The forge's default `DELIVER_TIMEOUT`, for the whole exchange.
const DELIVER_TIMEOUT: Duration = Duration::from_secs(5);
/// As much of an answer as the forge reads.
const ANSWER_MAX_BYTES: usize = 1 << 20;
/// Deliveries that are remembered; a mass test sends some thousands.
const RECORDS_MAX: usize = 5_000;
/// Deliveries that may wait for the worker: what one push of 256 jobs to four hooks needs, tenfold.
pub(crate) const QUEUE_MAX: usize = 10_240;

/// One event on its way to one hook.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    version: Version,
    id: String,
    hook: i64,
    url: String,
    secret: String,
    authorization: String,
    target: &'static str,
    event: &'static str,
    body: Vec<u8>,
}

impl Delivery {
    pub(crate) fn new(
        version: Version,
        hook: &Hook,
        target: &'static str,
        event: &'static str,
        body: Vec<u8>,
    ) -> Self {
        Self {
            version,
            id: crate::ids::uuid(),
            hook: hook.id,
            url: hook.url.clone(),
            secret: hook.secret.clone(),
            authorization: hook.authorization.clone(),
            target,
            event,
            body,
        }
    }

    #[cfg(test)]
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Every header in the order in which the forge sends them. Without a secret the signatures are
    /// sent all the same, empty (measured).
    fn headers(&self, host: &str) -> Vec<(&'static str, String)> {
        let (sha1, sha256) = if self.secret.is_empty() {
            (String::new(), String::new())
        } else {
            (self.sign_sha1(), self.sign_sha256())
        };
        let mut headers = vec![
            ("Host", host.to_owned()),
            ("User-Agent", "Go-http-client/1.1".to_owned()),
            ("Content-Length", self.body.len().to_string()),
        ];
        if !self.authorization.is_empty() {
            headers.push(("Authorization", self.authorization.clone()));
        }
        headers.push(("Content-Type", "application/json".to_owned()));
        if self.version.kind() == ForgeKind::Forgejo {
            headers.extend([
                ("X-Forgejo-Delivery", self.id.clone()),
                ("X-Forgejo-Event", self.event.to_owned()),
                ("X-Forgejo-Event-Type", self.event.to_owned()),
                ("X-Forgejo-Signature", sha256.clone()),
            ]);
        }
        headers.extend([
            ("X-GitHub-Delivery", self.id.clone()),
            ("X-GitHub-Event", self.event.to_owned()),
            ("X-GitHub-Event-Type", self.event.to_owned()),
        ]);
        headers.extend(self.target_header("X-GitHub-Hook-Installation-Target-Type"));
        headers.extend([
            ("X-Gitea-Delivery", self.id.clone()),
            ("X-Gitea-Event", self.event.to_owned()),
            ("X-Gitea-Event-Type", self.event.to_owned()),
        ]);
        headers.extend(self.target_header("X-Gitea-Hook-Installation-Target-Type"));
        headers.extend([
            ("X-Gitea-Signature", sha256.clone()),
            ("X-Gogs-Delivery", self.id.clone()),
            ("X-Gogs-Event", self.event.to_owned()),
            ("X-Gogs-Event-Type", self.event.to_owned()),
            ("X-Gogs-Signature", sha256.clone()),
            ("X-Hub-Signature", format!("sha1={sha1}")),
            ("X-Hub-Signature-256", format!("sha256={sha256}")),
            ("Accept-Encoding", "gzip".to_owned()),
        ]);
        headers
    }

    /// Where its hook hangs: Gitea says so since it tells of jobs, Forgejo never.
    fn target_header(&self, name: &'static str) -> Option<(&'static str, String)> {
        self.version
            .is_gitea_since(Version::Gitea1_24)
            .then(|| (name, self.target.to_owned()))
    }

    fn sign_sha1(&self) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.secret.as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(&self.body);
        hex::encode(mac.finalize().into_bytes())
    }

    fn sign_sha256(&self) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(&self.body);
        hex::encode(mac.finalize().into_bytes())
    }
}

/// What became of one delivery. The secret is not in it, its signature is, as it was sent.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Record {
    id: String,
    hook: i64,
    event: &'static str,
    url: String,
    /// As sent, in order.
    headers: Vec<(&'static str, String)>,
    body: String,
    /// RFC 3339, with milliseconds.
    sent_at: String,
    took_ms: u64,
    /// HTTP status of the answer.
    status: Option<u16>,
    answer: String,
    error: Option<String>,
}

/// The last deliveries, oldest first.
pub(crate) type Records = Arc<Mutex<VecDeque<Record>>>;

/// The one worker: ends when every sender is gone.
pub(crate) async fn work(mut queue: mpsc::Receiver<Delivery>, records: Records) {
    while let Some(delivery) = queue.recv().await {
        let record = send(&delivery).await;
        tracing::debug!(event = record.event, url = record.url, status = ?record.status, "delivered");
        let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == RECORDS_MAX {
            records.pop_front();
        }
        records.push_back(record);
    }
}

async fn send(delivery: &Delivery) -> Record {
    let sent_at = jiff::Timestamp::now();
    let begun = Instant::now();
    let (host, path) = split(&delivery.url);
    let headers = delivery.headers(host);
    let outcome = match tokio::time::timeout(
        DELIVER_TIMEOUT,
        exchange(host, path, &headers, &delivery.body),
    )
    .await
    {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", DELIVER_TIMEOUT.as_secs())),
    };
    let (answer, error) = match outcome {
        Ok(answer) => (Some(answer), None),
        Err(error) => (None, Some(error)),
    };
    Record {
        id: delivery.id.clone(),
        hook: delivery.hook,
        event: delivery.event,
        url: delivery.url.clone(),
        headers,
        body: String::from_utf8_lossy(&delivery.body).into_owned(),
        sent_at: format!("{sent_at:.3}"),
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        status: answer.as_ref().map(|answer| answer.0),
        answer: answer.map(|answer| answer.1).unwrap_or_default(),
        error,
    }
}

/// Host with port, and path, of an `http://` address.
fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    }
}

/// One request written by hand: a client library would send its own order and case of headers.
async fn exchange(
    host: &str,
    path: &str,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> std::io::Result<(u16, String)> {
    let address = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut stream = TcpStream::connect(address).await?;
    let mut request = format!("POST {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        request.push_str(name);
        request.push_str(": ");
        request.push_str(value);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut received = Vec::new();
    let mut part = [0; 8192];
    loop {
        if let Some(answer) = complete(&received) {
            return Ok(answer);
        }
        let count = stream.read(&mut part).await?;
        received.extend_from_slice(&part[..count]);
        if count == 0 || received.len() > ANSWER_MAX_BYTES {
            return head(&received)
                .map(|(status, _, rest)| (status, String::from_utf8_lossy(rest).into_owned()))
                .ok_or_else(|| std::io::Error::other("the answer is not HTTP"));
        }
    }
}

/// Status and body, once all of the body is there.
fn complete(received: &[u8]) -> Option<(u16, String)> {
    let (status, framing, rest) = head(received)?;
    let body = match framing {
        Framing::Length(length) => rest.get(..length)?.to_vec(),
        Framing::Chunked => dechunk(rest)?,
        Framing::UntilClose => return None,
    };
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

fn head(received: &[u8]) -> Option<(u16, Framing, &[u8])> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut framing = if status == 204 {
        Framing::Length(0)
    } else {
        Framing::UntilClose
    };
    for line in lines {
        match line.split_once(':') {
            Some(("content-length", value)) => {
                framing = Framing::Length(value.trim().parse().ok()?);
            }
            Some(("transfer-encoding", value)) if value.contains("chunked") => {
                framing = Framing::Chunked;
            }
            Some(_) | None => {}
        }
    }
    Some((status, framing, &received[end + 4..]))
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_each_framing() {
        for (answer, expected) in [
            (
                "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok",
                Some((202, "ok")),
            ),
            ("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\no", None),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some((204, ""))),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
                Some((200, "ok!")),
            ),
            ("HTTP/1.1 200 OK\r\n", None),
        ] {
            let read = complete(answer.as_bytes());
            let expected = expected.map(|(status, body)| (status, body.to_owned()));
            assert_eq!(read, expected, "{answer:?}");
        }
    }

    #[test]
    fn an_address_splits_into_host_and_path() {
        assert_eq!(split("http://127.0.0.1:9/a/b"), ("127.0.0.1:9", "/a/b"));
        assert_eq!(split("http://host"), ("host", "/"));
    }

    #[test]
    fn headers_stand_as_recorded_and_sign_the_recorded_body() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/deliveries");
        for name in [
            "workflow_job.queued",
            "workflow_job.in_progress",
            "workflow_run.completed_success",
            "push.branch_update",
            "badsig.push.no_secret",
        ] {
            let read = |kind: &str| {
                std::fs::read_to_string(folder.join(format!("{name}.{kind}.json"))).unwrap()
            };
            let recorded: serde_json::Value = serde_json::from_str(&read("headers")).unwrap();
            let recorded: Vec<(String, String)> =
                serde_json::from_value(recorded["headers"].clone()).unwrap();
            let value = |wanted: &str| {
                let found = recorded.iter().find(|(name, _)| name == wanted);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            let delivery = Delivery {
                version: Version::default(),
                id: value("X-Gitea-Delivery"),
                hook: 1,
                url: String::new(),
                secret: if name.starts_with("badsig") {
                    String::new()
                } else {
                    "lab-webhook-secret-0123456789".to_owned()
                },
                authorization: value("Authorization"),
                target: "repository",
                event: name
                    .trim_start_matches("badsig.")
                    .split('.')
                    .next()
                    .unwrap(),
                body: read("body").into_bytes(),
            };
            let ours: Vec<(String, String)> = delivery
                .headers("127.0.0.1:9999")
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            assert_eq!(ours, recorded, "{name}");
        }
    }
}
