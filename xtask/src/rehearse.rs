//! `cargo xtask rehearse [ENV]`, and what `up` ends with: may the function do what it has to, and does
//! the forge's way reach it?

use std::time::{Duration, Instant};

use bytes::Bytes;
use lab::http::send;
use provisioner::show;
use serde_json::Value;
use stacks::rehearsal::Verdict;

use crate::error::Error;
use crate::output::say;
use crate::replay::{deployed_secret, sign};
use crate::target::{self, Target};
use crate::terminal::{OnStderr, palette};

/// What is sent through the public address: an event that no forge has and nobody acts on.
const PROBE: &[u8] = br#"{"probe":true}"#;
/// How often it is sent, and how long between: a new address is not known everywhere at once.
const TRIES_MAX: u32 = 6;
const WAIT: Duration = Duration::from_secs(5);
/// Longest part of another answer that is shown, in characters.
const WORDS_MAX_CHARS: usize = 300;

/// Has the function of `target` try its calls, sends it a signed delivery, and shows what came of both.
pub async fn run(target: &Target) -> Result<(), Error> {
    let rehearsed = provisioner::rehearse(&target.deployment, &OnStderr::default()).await?;
    say(&show::rehearsal(&rehearsed, palette()));
    let probed = probe(target).await;
    let is_denied = rehearsed
        .iter()
        .filter(|one| one.call.verdict == Verdict::Denied);
    match is_denied.count() {
        0 => probed,
        count => {
            if let Err(error) = probed {
                say(&error.to_string());
            }
            Err(Error::Denied(count))
        }
    }
}

/// Goes the forge's way: name, API, function, secret, signature. It writes nothing.
pub async fn probe(target: &Target) -> Result<(), Error> {
    let failed = |why: String| Error::NoAnswer(why);
    let url = target::hook_url(target).await?;
    let url = url.ok_or_else(|| failed("nothing is deployed".to_owned()))?;
    let secret = deployed_secret(target).await;
    let secret = secret.map_err(|error| failed(error.to_string()))?;
    let mut headers = vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("X-Gitea-Event".to_owned(), "probe".to_owned()),
    ];
    sign(&mut headers, PROBE, &secret);
    let mut tries = 1;
    loop {
        let begun = Instant::now();
        let sent = send(
            http::Method::POST,
            &url,
            &headers,
            Bytes::from_static(PROBE),
        )
        .await;
        let why = match sent {
            Ok((status, answer)) => {
                let answered: Value = serde_json::from_slice(&answer).unwrap_or_default();
                if status.is_success() && answered["decision"] == "ignored" {
                    let took = begun.elapsed().as_millis();
                    say(&format!(
                        "A signed delivery to {url} was answered after {took} ms."
                    ));
                    return Ok(());
                }
                let words = String::from_utf8_lossy(&answer);
                let words: String = words.chars().take(WORDS_MAX_CHARS).collect();
                format!("{url} answered {status}: {words}")
            }
            Err(error) => error.to_string(),
        };
        if tries == TRIES_MAX {
            return Err(failed(why));
        }
        tries += 1;
        tokio::time::sleep(WAIT).await;
    }
}
