//! Who sent a delivery: the HMAC over its raw bytes, compared in constant time, says.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use workflow::event::EventKind;

use super::delivery::{BODY_MAX_BYTES, BadDelivery, Delivery, shortened};
use super::{job_event, trigger_event};
use crate::invocation::HttpRequest;
use crate::model::secret::Secret;

/// Headers that name the event: each forge sends its own and its ancestors'.
const EVENT_HEADERS: [&str; 4] = [
    "x-gitea-event",
    "x-forgejo-event",
    "x-gogs-event",
    "x-github-event",
];
/// Headers that name it more finely: a pull request that was labelled, not only that it was one.
const EVENT_TYPE_HEADERS: [&str; 4] = [
    "x-gitea-event-type",
    "x-forgejo-event-type",
    "x-gogs-event-type",
    "x-github-event-type",
];
/// Headers that carry the HMAC in bare hex, and the one that has a prefix.
const SIGNATURE_HEADERS: [&str; 3] = [
    "x-gitea-signature",
    "x-forgejo-signature",
    "x-gogs-signature",
];
const SIGNATURE_HEADER_PREFIXED: (&str, &str) = ("x-hub-signature-256", "sha256=");
/// The forges' other content type, and the only field of such a body.
const FORM_TYPE: &str = "application/x-www-form-urlencoded";
const FORM_FIELD: &str = "payload";

impl Delivery {
    /// Reads what `document`, a delivery of `event` that somebody vouches for, says.
    pub fn of_event(event: EventKind, document: &[u8]) -> Result<Self, BadDelivery> {
        if document.len() > BODY_MAX_BYTES {
            return Err(BadDelivery::TooLarge(document.len()));
        }
        trigger_event::read(event, document)
    }

    /// Checks the signature of `request` with `secret` and reads it.
    pub fn verify(request: &HttpRequest, secret: Option<&Secret>) -> Result<Self, BadDelivery> {
        if request.body.len() > BODY_MAX_BYTES {
            return Err(BadDelivery::TooLarge(request.body.len()));
        }
        let secret = secret.ok_or(BadDelivery::NoSecret)?;
        let document = document(request);
        check_signature(request, &document, secret)?;
        let named = |headers: &[&str]| headers.iter().find_map(|name| request.header(name));
        let event = named(&EVENT_HEADERS).unwrap_or_default();
        if event == "workflow_job" {
            return job_event::read(&document);
        }
        let finer = named(&EVENT_TYPE_HEADERS).unwrap_or(event);
        if let Some(event) = EventKind::parse(finer) {
            return trigger_event::read(event, &document);
        }
        check_json(&document)?;
        Ok(Self::Ignored(format!(
            "{:?} asks for no runner",
            shortened(event)
        )))
    }
}

/// The JSON document that a delivery brings, which is what forges sign: it is the body itself, or
/// the only field of a form. A form of any other shape is left as it is and has no signature.
fn document(request: &HttpRequest) -> Cow<'_, [u8]> {
    let is_form = request
        .header("content-type")
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM_TYPE));
    if !is_form {
        return Cow::Borrowed(&request.body);
    }
    let mut fields = form_urlencoded::parse(&request.body);
    match (fields.next(), fields.next()) {
        (Some((name, value)), None) if name == FORM_FIELD => match value {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
        _ => Cow::Borrowed(&request.body),
    }
}

fn check_signature(
    request: &HttpRequest,
    document: &[u8],
    secret: &Secret,
) -> Result<(), BadDelivery> {
    let bare = SIGNATURE_HEADERS
        .iter()
        .find_map(|name| request.header(name));
    let (name, prefix) = SIGNATURE_HEADER_PREFIXED;
    let prefixed = request
        .header(name)
        .and_then(|value| value.strip_prefix(prefix));
    let signature = bare
        .into_iter()
        .chain(prefixed)
        .map(str::trim)
        .find(|value| !value.is_empty())
        .ok_or(BadDelivery::NotSigned)?;
    // A header that came twice is joined by a comma and is no hex: whose is it?
    let signature = hex::decode(signature).map_err(|_| BadDelivery::BadSignature)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(document);
    mac.verify_slice(&signature)
        .map_err(|_| BadDelivery::BadSignature)
}

fn check_json(document: &[u8]) -> Result<(), BadDelivery> {
    serde_json::from_slice::<serde::de::IgnoredAny>(document)
        .map(drop)
        .map_err(|error| BadDelivery::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use workflow::event::Event;

    use super::*;
    use crate::invocation::Invocation;

    /// The secret of every recorded hook.
    const SECRET: &str = "lab-webhook-secret-0123456789";

    fn recordings() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/deliveries")
    }

    /// A recording as API Gateway would hand it over.
    fn recorded(name: &str) -> HttpRequest {
        let folder = recordings();
        let body = std::fs::read_to_string(folder.join(format!("{name}.body.json")))
            .or_else(|_| std::fs::read_to_string(folder.join(format!("{name}.body.form"))))
            .unwrap();
        let headers = std::fs::read_to_string(folder.join(format!("{name}.headers.json"))).unwrap();
        let headers: serde_json::Value = serde_json::from_str(&headers).unwrap();
        let headers: serde_json::Map<_, _> = headers["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].clone()))
            .collect();
        let payload = serde_json::json!({
            "routeKey": "POST /dispatch", "headers": headers, "body": body, "isBase64Encoded": false
        });
        let Invocation::Delivery(request) = Invocation::parse(&payload).unwrap() else {
            panic!("{name} is no delivery");
        };
        request
    }

    fn verify(name: &str) -> Result<Delivery, BadDelivery> {
        Delivery::verify(&recorded(name), Secret::new(SECRET.to_owned()).as_ref())
    }

    /// What happened by a recording, and its digest.
    fn event(name: &str) -> (Box<Event>, String) {
        let Ok(Delivery::Event { event, digest }) = verify(name) else {
            panic!("{name} is no event");
        };
        (event, digest)
    }

    #[test]
    fn every_recording_is_read_and_only_the_unsigned_is_refused() {
        let mut seen = 0;
        for folder in ["", "gitea-1.27.3/", "forgejo-15.0.3/"] {
            for entry in std::fs::read_dir(recordings().join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let Some(name) = name.strip_suffix(".headers.json") else {
                    continue;
                };
                seen += 1;
                let verified = verify(&format!("{folder}{name}"));
                assert_eq!(
                    verified.is_err(),
                    name == "badsig.push.no_secret",
                    "{folder}{name}: {verified:?}"
                );
            }
        }
        assert_eq!(seen, 52 + 26 + 23);
    }

    #[test]
    fn an_attempt_has_one_number_whoever_tells_of_it() {
        let attempt = |name| verify(name).unwrap().job().unwrap().key.attempt;
        for (name, expected) in [
            ("workflow_job.queued", 0),
            ("workflow_job.in_progress", 0),
            ("workflow_job.completed_success", 0),
            ("workflow_job.completed_cancelled_never_run", 0),
            ("workflow_job.queued_rerun_attempt1", 1),
            ("gitea-1.27.3/workflow_job.queued", 0),
        ] {
            assert_eq!(attempt(name), expected, "{name}");
        }
    }

    #[test]
    fn a_started_job_names_its_runner_and_a_waiting_one_asks_for_nothing() {
        let Ok(Delivery::Started { runner, .. }) = verify("workflow_job.in_progress") else {
            panic!("in_progress is not a start");
        };
        assert_eq!(runner.name, "i-0aaa");
        assert!(runner.id.is_some());
        for name in [
            "workflow_job.waiting_matrix_needs",
            "push.hook_test_button",
            "push.skip_ci_message",
            "repository.created",
        ] {
            assert!(matches!(verify(name), Ok(Delivery::Ignored(_))), "{name}");
        }
    }

    #[test]
    fn an_event_is_known_by_its_finer_name_and_the_same_event_by_its_digest() {
        let (push, digest) = event("push.branch_update");
        assert_eq!(push.kind, EventKind::Push);
        assert_eq!(event("push.branch_update").1, digest);
        assert_ne!(event("push.force").1, digest);
        let (synchronized, _) = event("pull_request.synchronized");
        assert_eq!(synchronized.kind, EventKind::PullRequestSync);
    }

    #[test]
    fn a_new_branch_is_one_event_whether_its_push_or_its_creation_tells_of_it() {
        for folder in ["", "gitea-1.27.3/", "forgejo-15.0.3/"] {
            let created = event(&format!("{folder}create.branch")).0.body;
            let (push, _) = event(&format!("{folder}push.new_branch_one_commit"));
            let implied = push.implied().unwrap().body;
            assert_eq!(created.git_ref, implied.git_ref, "{folder}");
            assert_eq!(created.ref_type, implied.ref_type, "{folder}");
            assert_eq!(created.sha, implied.sha, "{folder}");
        }
    }

    #[test]
    fn bad_deliveries_are_refused_each_with_its_reason() {
        let secret = Secret::new(SECRET.to_owned());
        assert_eq!(verify("badsig.push.no_secret"), Err(BadDelivery::NotSigned));
        let request = recorded("workflow_job.queued");
        assert_eq!(Delivery::verify(&request, None), Err(BadDelivery::NoSecret));
        assert_eq!(
            Delivery::verify(&request, Secret::new("other".to_owned()).as_ref()),
            Err(BadDelivery::BadSignature)
        );
        let mut changed = recorded("workflow_job.queued");
        changed.body[100] ^= 1;
        assert_eq!(
            Delivery::verify(&changed, secret.as_ref()),
            Err(BadDelivery::BadSignature)
        );
        let mut large = recorded("workflow_job.queued");
        large.body.resize(BODY_MAX_BYTES + 1, b' ');
        assert_eq!(
            Delivery::verify(&large, secret.as_ref()),
            Err(BadDelivery::TooLarge(BODY_MAX_BYTES + 1))
        );
    }
}
