//! What can wake the function, parsed once into a closed enum.

use base64::Engine;
use serde_json::Value;
use stacks::names::{
    ACTION_CLEANUP, ACTION_DRAIN, ACTION_PAUSE, ACTION_REHEARSE, ACTION_RESUME, ACTION_RETIRE,
    ACTION_SMOKE_TEST, ACTION_WAITING, ROUTE_DISPATCH, ROUTE_RUNNER,
};
use stacks::smoke_test::{SmokeTest, is_smoke_id};

use crate::model::world::Pause;

/// Longest text of an unknown event in an error, in characters.
const WORDS_MAX_CHARS: usize = 70;

/// Longest name or reason of a pause, in bytes: a commit status shows some two hundred characters.
const PAUSE_WORD_MAX_BYTES: usize = 300;

/// Everything that the function is woken by.
#[derive(Debug)]
pub enum Invocation {
    /// A delivery of the forge.
    Delivery(HttpRequest),
    /// A request of a runner, its identity checked by API Gateway.
    Runner {
        /// Who asks.
        caller: Caller,
        /// What it sends.
        request: HttpRequest,
    },
    /// The scheduled event, or an empty one.
    Tick,
    /// The nudge that follows a recorded job.
    Nudge,
    /// The deployment is about to be taken down.
    Retire,
    /// Somebody asks which calls it may make.
    Rehearse,
    /// Somebody tries a machine: one step of it.
    SmokeTest(SmokeTest),
    /// Somebody has jobs recorded and not launched for.
    Pause(Pause),
    /// Somebody ends that.
    Resume(Pause),
    /// Somebody asks what waited at the forge before the deployment was there.
    Waiting {
        /// Whether machines are to be launched for it.
        include: bool,
    },
    /// EC2 says that an instance changed its state.
    InstanceState {
        /// Its id.
        instance: String,
        /// The new state.
        state: String,
    },
    /// EC2 is about to take a Spot instance back.
    SpotInterruption {
        /// Its id.
        instance: String,
    },
}

/// An HTTP request as API Gateway hands it on.
#[derive(Debug)]
pub struct HttpRequest {
    /// Header values by lower-case name.
    headers: Vec<(String, String)>,
    /// The raw body.
    pub body: Vec<u8>,
}

/// An instance that calls with its own credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The role of its instance profile.
    pub role: String,
    /// Its session name, which for an instance is its id.
    pub instance: String,
}

/// An event that we don't know.
#[derive(Debug, thiserror::Error)]
pub enum BadInvocation {
    /// None of our sources sends such a thing.
    #[error(
        "unknown event ({0}): expected an API call, {{\"action\":\"cleanup\"}}, or an EC2 event"
    )]
    Unknown(String),
    /// An API call without a readable body.
    #[error("the body is marked as base64 but is not")]
    Body,
    /// A call to the runner route by nobody we can name.
    #[error("the caller is not an instance with an assumed role")]
    Caller,
}

impl HttpRequest {
    /// The value of the header called `name`, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Invocation {
    /// Reads `payload` as Lambda hands it over.
    pub fn parse(payload: &Value) -> Result<Self, BadInvocation> {
        if is_empty(payload) {
            return Ok(Self::Tick);
        }
        if let Some(action) = payload.get("action").and_then(Value::as_str) {
            return match action {
                ACTION_CLEANUP => Ok(Self::Tick),
                ACTION_DRAIN => Ok(Self::Nudge),
                ACTION_RETIRE => Ok(Self::Retire),
                ACTION_REHEARSE => Ok(Self::Rehearse),
                ACTION_SMOKE_TEST => smoke_test(payload).map(Self::SmokeTest),
                ACTION_PAUSE => pause(payload).map(Self::Pause),
                ACTION_RESUME => pause(payload).map(Self::Resume),
                ACTION_WAITING => Ok(Self::Waiting {
                    include: payload["include"].as_bool() == Some(true),
                }),
                other => Err(unknown(&format!("action {other}"))),
            };
        }
        if let Some(route) = payload.get("routeKey").and_then(Value::as_str) {
            return match route {
                ROUTE_DISPATCH => Ok(Self::Delivery(http_request(payload)?)),
                ROUTE_RUNNER => Ok(Self::Runner {
                    caller: caller(payload)?,
                    request: http_request(payload)?,
                }),
                other => Err(unknown(&format!("route {other}"))),
            };
        }
        if let Some(kind) = payload.get("detail-type").and_then(Value::as_str) {
            let detail = |name: &str| match payload["detail"][name].as_str() {
                Some(detail) => Ok(detail.to_owned()),
                None => Err(unknown(&format!("no {name} in {kind}"))),
            };
            return match kind {
                "EC2 Instance State-change Notification" => Ok(Self::InstanceState {
                    instance: detail("instance-id")?,
                    state: detail("state")?,
                }),
                "EC2 Spot Instance Interruption Warning" => Ok(Self::SpotInterruption {
                    instance: detail("instance-id")?,
                }),
                other => Err(unknown(other)),
            };
        }
        Err(unknown("no action, route or detail-type"))
    }
}

/// One step of a smoke test. Its id becomes a row, a token and a tag.
fn smoke_test(payload: &Value) -> Result<SmokeTest, BadInvocation> {
    let asked = serde_json::from_value(payload.clone());
    let asked = asked
        .ok()
        .filter(|asked: &SmokeTest| is_smoke_id(&asked.id));
    asked.ok_or_else(|| unknown("a smoke test that can't be read"))
}

/// What is paused. A word that is too long is refused: it would make the row too large.
fn pause(payload: &Value) -> Result<Pause, BadInvocation> {
    let pause: Pause = serde_json::from_value(payload.clone())
        .map_err(|_| unknown("a pause that can't be read"))?;
    let words = [
        pause.pool.as_deref(),
        pause.repository.as_deref(),
        Some(pause.reason.as_str()),
    ];
    if words
        .iter()
        .flatten()
        .any(|word| word.len() > PAUSE_WORD_MAX_BYTES)
    {
        return Err(unknown("a pause with too long a word"));
    }
    Ok(pause)
}

fn is_empty(payload: &Value) -> bool {
    payload.is_null()
        || payload.as_str().is_some_and(str::is_empty)
        || payload.as_object().is_some_and(serde_json::Map::is_empty)
}

fn http_request(payload: &Value) -> Result<HttpRequest, BadInvocation> {
    let body = payload["body"].as_str().unwrap_or_default();
    let body = if payload["isBase64Encoded"].as_bool() == Some(true) {
        base64::engine::general_purpose::STANDARD
            .decode(body)
            .map_err(|_| BadInvocation::Body)?
    } else {
        body.as_bytes().to_vec()
    };
    let headers = payload["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase(), value.as_str()?.to_owned())))
        .collect();
    Ok(HttpRequest { headers, body })
}

/// The caller as API Gateway's IAM authorizer names it:
/// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
fn caller(payload: &Value) -> Result<Caller, BadInvocation> {
    let arn = payload["requestContext"]["authorizer"]["iam"]["userArn"]
        .as_str()
        .ok_or(BadInvocation::Caller)?;
    let mut parts = arn.split(':');
    let service = parts.nth(2);
    let resource = parts.nth(2).unwrap_or_default();
    let mut path = resource.split('/');
    match (service, path.next(), path.next(), path.next(), path.next()) {
        (Some("sts"), Some("assumed-role"), Some(role), Some(session), None)
            if session.starts_with("i-") =>
        {
            Ok(Caller {
                role: role.to_owned(),
                instance: session.to_owned(),
            })
        }
        _ => Err(BadInvocation::Caller),
    }
}

/// An event that is none of ours: enough of it to recognise it, never a flood.
fn unknown(what: &str) -> BadInvocation {
    BadInvocation::Unknown(what.chars().take(WORDS_MAX_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_empty_event_is_the_tick_as_in_the_reference() {
        for payload in [
            json!(null),
            json!({}),
            json!(""),
            json!({"action":"cleanup"}),
        ] {
            assert!(
                matches!(Invocation::parse(&payload), Ok(Invocation::Tick)),
                "{payload}"
            );
        }
    }

    #[test]
    fn unknown_events_are_refused_by_name() {
        for (payload, part) in [
            (json!({"action":"delete"}), "delete"),
            (json!({"routeKey":"GET /"}), "GET /"),
            (json!({"detail-type":"Weather"}), "Weather"),
            (json!([1]), "no action"),
        ] {
            let error = Invocation::parse(&payload).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn only_an_assumed_role_with_an_instance_as_session_is_a_caller() {
        let of =
            |arn: &str| caller(&json!({"requestContext":{"authorizer":{"iam":{"userArn":arn}}}}));
        assert_eq!(
            of("arn:aws:sts::1:assumed-role/ci-runner/i-0a").unwrap(),
            Caller {
                role: "ci-runner".to_owned(),
                instance: "i-0a".to_owned()
            }
        );
        for arn in [
            "arn:aws:iam::1:user/ci-runner/i-0a",
            "arn:aws:sts::1:assumed-role/ci-runner/mallory",
            "arn:aws:sts::1:assumed-role/ci-runner/i-0a/x",
            "",
        ] {
            assert!(of(arn).is_err(), "{arn}");
        }
    }
}
