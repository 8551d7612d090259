//! Requests that must be refused: nobody who can reach the public address may do anything there.

use bytes::Bytes;
use lab::http::send;

use crate::error::Error;
use crate::replay::sign;
use crate::target::{self, Target};

/// A delivery that would launch a machine if it were believed.
const QUEUED: &[u8] =
    br#"{"action":"queued","workflow_job":{"id":1},"repository":{"full_name":"a/b"}}"#;
/// What a machine asks for its credential with.
const ASK: &[u8] = br#"{"ask":"credential"}"#;

/// Sends each, and gives what came of it: whether all were refused as they should be, and a line for each.
pub async fn requests(target: &Target) -> Result<(bool, Vec<String>), Error> {
    let hook = target::hook_url(target).await?;
    let hook = hook.ok_or_else(|| Error::NoAnswer("nothing is deployed".to_owned()))?;
    let runner = hook.replace("/dispatch", "/runner");
    let mut forged = Vec::new();
    sign(&mut forged, QUEUED, "not the secret of this deployment");
    let mut all = true;
    let mut lines = Vec::new();
    for (what, url, headers, body, refused) in [
        (
            "a delivery without a signature",
            &hook,
            Vec::new(),
            QUEUED,
            401,
        ),
        (
            "a delivery signed with another secret",
            &hook,
            forged,
            QUEUED,
            401,
        ),
        (
            "a machine's request without a signature",
            &runner,
            Vec::new(),
            ASK,
            403,
        ),
    ] {
        let mut headers = headers;
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        headers.push(("X-Gitea-Event".to_owned(), "workflow_job".to_owned()));
        let sent = send(http::Method::POST, url, &headers, Bytes::from_static(body)).await;
        let status = match sent {
            Ok((status, _)) => status.as_u16(),
            Err(error) => return Err(Error::NoAnswer(error.to_string())),
        };
        all &= status == refused;
        lines.push(format!("{what}: {status}, as it should be: {refused}"));
    }
    Ok((all, lines))
}
