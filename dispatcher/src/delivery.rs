//! A forge's delivery: verified, then read. Nothing inside handles an unverified byte.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use crate::event::HttpRequest;
use crate::job::{Job, JobKey};
use crate::secret::Secret;

/// Largest body that is read. Lambda's own limit of 6 MB counts the escaped event; a forge's
/// largest deliveries (pushes) stay far below.
pub const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most labels of a job.
const LABELS_MAX: usize = 32;
/// Longest text that is kept of a delivery, in bytes: names of jobs and branches fit.
const TEXT_MAX_BYTES: usize = 1024;

/// Headers that name the event: each forge sends its own and its ancestors'.
const EVENT_HEADERS: [&str; 4] = [
    "x-gitea-event",
    "x-forgejo-event",
    "x-gogs-event",
    "x-github-event",
];
/// Headers that carry the HMAC in bare hex, and the one that has a prefix.
const SIGNATURE_HEADERS: [&str; 3] = [
    "x-gitea-signature",
    "x-forgejo-signature",
    "x-gogs-signature",
];
const SIGNATURE_HEADER_PREFIXED: (&str, &str) = ("x-hub-signature-256", "sha256=");

/// A verified and parsed delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A job needs a runner.
    Queued(Job),
    /// A runner took a job.
    Started {
        /// The job.
        job: Job,
        /// The runner's name: for ours, the instance.
        runner: String,
    },
    /// A job ended.
    Ended {
        /// The job.
        job: Job,
        /// The forge's word for how.
        conclusion: String,
        /// The runner that had it, if one had.
        runner: Option<String>,
    },
    /// It asks nothing of us; the reason says why.
    Ignored(String),
}

/// A delivery that is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadDelivery {
    /// Larger than we read.
    #[error("the body has {0} bytes, the limit is {BODY_MAX_BYTES}")]
    TooLarge(usize),
    /// The deployment has no secret yet.
    #[error("this deployment has no webhook secret yet: run `cargo xtask secret set webhook`")]
    NoSecret,
    /// No signature, or an empty one.
    #[error("the delivery is not signed: enter the deployment's secret in the webhook's settings")]
    NotSigned,
    /// Signed with another secret, or changed on the way.
    #[error(
        "the signature does not match: the webhook needs this deployment's secret and the content \
         type application/json"
    )]
    BadSignature,
    /// Not JSON, or not what the event should hold.
    #[error("the body can't be read: {0}")]
    Unreadable(String),
}

#[derive(Deserialize)]
struct Body {
    action: String,
    workflow_job: WorkflowJob,
    repository: Repository,
}

#[derive(Deserialize)]
struct WorkflowJob {
    id: u64,
    run_id: u64,
    #[serde(default)]
    run_attempt: u64,
    name: String,
    #[serde(default)]
    labels: Option<Vec<String>>,
    #[serde(default)]
    head_sha: String,
    #[serde(default)]
    html_url: String,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    runner_name: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

impl Delivery {
    /// Checks the signature of `request` with `secret` and reads it.
    pub fn verify(request: &HttpRequest, secret: Option<&Secret>) -> Result<Self, BadDelivery> {
        if request.body.len() > BODY_MAX_BYTES {
            return Err(BadDelivery::TooLarge(request.body.len()));
        }
        let secret = secret.ok_or(BadDelivery::NoSecret)?;
        check_signature(request, secret)?;
        let event = EVENT_HEADERS
            .iter()
            .find_map(|name| request.header(name))
            .unwrap_or_default();
        match event {
            "workflow_job" => read_job(&request.body),
            "push" => {
                check_json(&request.body)?;
                Ok(Self::Ignored(
                    "push: jobs are taken from workflow_job events; tick Workflow Job in the \
                     webhook's settings"
                        .to_owned(),
                ))
            }
            other => {
                check_json(&request.body)?;
                let other: String = other.chars().take(60).collect();
                Ok(Self::Ignored(format!("{other:?} asks for no runner")))
            }
        }
    }
}

fn check_signature(request: &HttpRequest, secret: &Secret) -> Result<(), BadDelivery> {
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
    let signature = hex::decode(signature).map_err(|_| BadDelivery::BadSignature)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(&request.body);
    mac.verify_slice(&signature)
        .map_err(|_| BadDelivery::BadSignature)
}

fn check_json(body: &[u8]) -> Result<(), BadDelivery> {
    serde_json::from_slice::<serde::de::IgnoredAny>(body)
        .map(drop)
        .map_err(|error| BadDelivery::Unreadable(error.to_string()))
}

fn read_job(body: &[u8]) -> Result<Delivery, BadDelivery> {
    let body: Body =
        serde_json::from_slice(body).map_err(|error| BadDelivery::Unreadable(error.to_string()))?;
    let runner = body
        .workflow_job
        .runner_name
        .clone()
        .filter(|name| !name.is_empty());
    let conclusion = body.workflow_job.conclusion.clone().unwrap_or_default();
    let job = job_of(
        body.workflow_job,
        body.repository.full_name,
        runner.is_some(),
    )?;
    match (body.action.as_str(), runner) {
        ("queued", _) => Ok(Delivery::Queued(job)),
        ("in_progress", Some(runner)) => Ok(Delivery::Started { job, runner }),
        ("completed", runner) => Ok(Delivery::Ended {
            job,
            conclusion,
            runner,
        }),
        ("waiting", _) => Ok(Delivery::Ignored(
            "the job waits for other jobs or an approval; its queued event follows".to_owned(),
        )),
        (other, _) => {
            let other: String = other.chars().take(60).collect();
            Ok(Delivery::Ignored(format!(
                "workflow_job {other:?} asks for no runner"
            )))
        }
    }
}

fn job_of(job: WorkflowJob, repository: String, has_runner: bool) -> Result<Job, BadDelivery> {
    let labels = job.labels.unwrap_or_default();
    if labels.len() > LABELS_MAX {
        return Err(BadDelivery::Unreadable(format!(
            "{} labels, at most {LABELS_MAX} are read",
            labels.len()
        )));
    }
    let texts = labels.iter().chain([&repository, &job.name]);
    if texts.into_iter().any(|text| text.len() > TEXT_MAX_BYTES) {
        return Err(BadDelivery::Unreadable(format!(
            "a name of more than {TEXT_MAX_BYTES} bytes"
        )));
    }
    let is_full_name = repository
        .split_once('/')
        .is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'));
    if !is_full_name {
        return Err(BadDelivery::Unreadable(
            "repository.full_name is not owner/name".to_owned(),
        ));
    }
    Ok(Job {
        key: JobKey {
            repository,
            id: job.id,
            // With a runner, events count one more than `queued` did.
            attempt: job.run_attempt.saturating_sub(u64::from(has_runner)),
        },
        run_id: job.run_id,
        name: job.name,
        labels,
        head_sha: job.head_sha,
        html_url: job.html_url,
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::event::Event;

    /// The secret of every recorded hook.
    const SECRET: &str = "lab-webhook-secret-0123456789";

    fn recordings() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/tests/deliveries")
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
        let Event::Delivery(request) = Event::parse(&payload).unwrap() else {
            panic!("{name} is no delivery");
        };
        request
    }

    fn verify(name: &str) -> Result<Delivery, BadDelivery> {
        Delivery::verify(&recorded(name), Secret::new(SECRET.to_owned()).as_ref())
    }

    #[test]
    fn every_recording_is_read_and_only_the_badly_signed_are_refused() {
        let mut seen = 0;
        for entry in std::fs::read_dir(recordings()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(name) = name.strip_suffix(".headers.json") else {
                continue;
            };
            seen += 1;
            let verified = verify(name);
            assert_eq!(
                verified.is_err(),
                name.starts_with("badsig."),
                "{name}: {verified:?}"
            );
        }
        assert_eq!(seen, 52);
    }

    #[test]
    fn an_attempt_is_what_queued_said_whoever_tells_of_it() {
        let attempt = |name| match verify(name).unwrap() {
            Delivery::Queued(job) | Delivery::Started { job, .. } | Delivery::Ended { job, .. } => {
                job.key.attempt
            }
            Delivery::Ignored(reason) => panic!("{reason}"),
        };
        for (name, expected) in [
            ("workflow_job.queued", 0),
            ("workflow_job.in_progress", 0),
            ("workflow_job.completed_success", 0),
            ("workflow_job.completed_cancelled_never_run", 0),
            ("workflow_job.queued_rerun_attempt1", 1),
        ] {
            assert_eq!(attempt(name), expected, "{name}");
        }
    }

    #[test]
    fn a_started_job_names_its_runner_and_a_waiting_one_asks_for_nothing() {
        let Ok(Delivery::Started { runner, .. }) = verify("workflow_job.in_progress") else {
            panic!("in_progress is not a start");
        };
        assert_eq!(runner, "i-0aaa");
        for name in [
            "workflow_job.waiting_matrix_needs",
            "push.branch_update",
            "fork",
        ] {
            assert!(matches!(verify(name), Ok(Delivery::Ignored(_))), "{name}");
        }
    }

    #[test]
    fn bad_deliveries_are_refused_each_with_its_reason() {
        let secret = Secret::new(SECRET.to_owned());
        assert_eq!(verify("badsig.push.no_secret"), Err(BadDelivery::NotSigned));
        assert_eq!(
            verify("badsig.push.form_content_type"),
            Err(BadDelivery::BadSignature)
        );
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
