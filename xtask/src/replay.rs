//! `cargo xtask replay`: how people debug a hook. The answer's JSON goes to standard output alone,
//! the status to standard error.

use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use lab::http::{HttpError, send};
use serde_json::Value;
use sha2::Sha256;
use stacks::names::SecretName;

use crate::error;
use crate::output::say;
use crate::target::{self, Target};

/// What is sent.
#[derive(Debug)]
pub struct Replay {
    /// The raw body.
    pub body: PathBuf,
    /// Recorded headers.
    pub headers: Option<PathBuf>,
    /// A secret to sign with.
    pub secret: Option<String>,
}

/// Why nothing was sent or answered.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file.
    #[error("{path} can't be read: {message}")]
    File {
        /// Which.
        path: String,
        /// Why.
        message: String,
    },
    /// The deployment.
    #[error(transparent)]
    Target(#[from] error::Error),
    /// Nothing is deployed.
    #[error("nothing is deployed there: run `cargo xtask up` first")]
    NotDeployed,
    /// There is nothing to sign with.
    #[error("the deployment has no webhook secret: run `cargo xtask secret set webhook`")]
    NoSecret,
    /// The endpoint.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// Headers that belong to one connection, or that signing makes anew.
const NOT_SENT: [&str; 5] = [
    "host",
    "content-length",
    "accept-encoding",
    "connection",
    "transfer-encoding",
];

/// Sends the delivery and prints the answer. Exit code 0 for a 2xx answer.
pub async fn run(target: &Target, replay: &Replay) -> Result<ExitCode, ReplayError> {
    let body = read(&replay.body)?;
    let mut headers = match &replay.headers {
        Some(path) => recorded(path)?,
        None => unrecorded(&body),
    };
    let secret = match (&replay.secret, &replay.headers) {
        (Some(secret), _) => Some(secret.clone()),
        (None, Some(_)) => None,
        (None, None) => Some(deployed_secret(target).await?),
    };
    if let Some(secret) = secret {
        sign(&mut headers, &body, &secret);
    }
    let url = target::hook_url(target)
        .await?
        .ok_or(ReplayError::NotDeployed)?;
    let (status, answer) = send(http::Method::POST, &url, &headers, Bytes::from(body)).await?;
    eprintln!("{status}");
    say(String::from_utf8_lossy(&answer).trim_end());
    Ok(ExitCode::from(u8::from(!status.is_success())))
}

/// The webhook secret of `target`.
pub async fn deployed_secret(target: &Target) -> Result<String, ReplayError> {
    let secret = provisioner::read_secret(&target.deployment, SecretName::Webhook)
        .await
        .map_err(error::Error::from)?;
    let secret = secret.ok_or(ReplayError::NoSecret)?;
    Ok(secret.reveal().to_owned())
}

fn read(path: &PathBuf) -> Result<Vec<u8>, ReplayError> {
    std::fs::read(path).map_err(|error| ReplayError::File {
        path: path.display().to_string(),
        message: error.to_string(),
    })
}

fn recorded(path: &PathBuf) -> Result<Vec<(String, String)>, ReplayError> {
    let bad = |message: &str| ReplayError::File {
        path: path.display().to_string(),
        message: message.to_owned(),
    };
    let document: Value =
        serde_json::from_slice(&read(path)?).map_err(|error| bad(&error.to_string()))?;
    let pairs = document["headers"]
        .as_array()
        .ok_or_else(|| bad("no list of headers in it"))?;
    pairs
        .iter()
        .filter(|pair| {
            let name = pair[0].as_str().unwrap_or_default().to_ascii_lowercase();
            !NOT_SENT.contains(&name.as_str())
        })
        .map(|pair| match (pair[0].as_str(), pair[1].as_str()) {
            (Some(name), Some(value)) => Ok((name.to_owned(), value.to_owned())),
            _ => Err(bad("a header is not a pair of texts")),
        })
        .collect()
}

/// The headers that matter for a body without recorded ones: its event shows in its fields.
fn unrecorded(body: &[u8]) -> Vec<(String, String)> {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let event = ["workflow_job", "workflow_run", "pull_request", "release"]
        .into_iter()
        .find(|event| document.get(event).is_some())
        .unwrap_or("push");
    vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("X-Gitea-Event".to_owned(), event.to_owned()),
        ("X-Gitea-Event-Type".to_owned(), event.to_owned()),
    ]
}

/// Puts the signatures of `body` under `secret` where Gitea puts them.
pub fn sign(headers: &mut Vec<(String, String)>, body: &[u8], secret: &str) {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(body);
    let signature = hex::encode(mac.finalize().into_bytes());
    headers.retain(|(name, _)| {
        let name = name.to_ascii_lowercase();
        !name.ends_with("-signature") && !name.starts_with("x-hub-signature")
    });
    headers.push(("X-Gitea-Signature".to_owned(), signature.clone()));
    headers.push((
        "X-Hub-Signature-256".to_owned(),
        format!("sha256={signature}"),
    ));
}
