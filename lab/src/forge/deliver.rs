//! Deliveries: signed, sent one after the other, never repeated, as on a small real server.
//!
//! Invariant: one worker for the whole forge. A slow endpoint holds every other hook until its
//! time-out; nothing is sent twice.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
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
/// Deliveries that may wait for the worker: what one push of 256 jobs to four hooks needs, tenfold.
pub(crate) const QUEUE_MAX: usize = 10_240;

/// A delivery as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub url: String,
    /// What happened, in the forge's word.
    pub event: &'static str,
    /// All of them, in their order.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

/// One event on its way to one hook.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    version: Version,
    id: String,
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
            url: hook.url.clone(),
            secret: hook.secret.clone(),
            authorization: hook.authorization.clone(),
            target,
            event,
            body,
        }
    }

    /// All that is sent, for who sends it himself.
    pub(crate) fn outgoing(self) -> Outgoing {
        let headers = self.headers(split(&self.url).0);
        Outgoing {
            url: self.url,
            event: self.event,
            headers,
            body: self.body,
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

/// The one worker: ends when every sender is gone.
pub(crate) async fn work(mut queue: mpsc::Receiver<Delivery>) {
    while let Some(delivery) = queue.recv().await {
        let (event, url) = (delivery.event, delivery.url.as_str());
        match tokio::time::timeout(DELIVER_TIMEOUT, send(&delivery)).await {
            Ok(Ok(())) => tracing::debug!(event, url, "delivered"),
            Ok(Err(error)) => tracing::info!(event, url, %error, "not delivered"),
            Err(_) => tracing::info!(event, url, "not answered in time"),
        }
    }
}

/// Host with port, and path, of an address.
fn split(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    }
}

/// One request written by hand: a client library would send its own order and case of headers. Its
/// answer is waited for, and nobody reads it.
async fn send(delivery: &Delivery) -> std::io::Result<()> {
    let (host, path) = split(&delivery.url);
    let address = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut stream = TcpStream::connect(address).await?;
    let mut request = format!("POST {path} HTTP/1.1\r\n");
    for (name, value) in delivery.headers(host) {
        request.extend([name, ": ", &value, "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.write_all(&delivery.body).await?;
    stream.read_u8().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
