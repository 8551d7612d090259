//! The metadata service of one instance, as strict as `IMDSv2`, and the keys that it issues. The
//! front door believes these keys and no others, and only while their instance lives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use http::{HeaderMap, Method, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::ec2::Instance;
use crate::folder::REGION;
use crate::ids::{hex_id, secret};
use crate::recording::key_secret;
use crate::sigv4::Key;

/// Longest token life.
const TOKEN_MAX_S: u32 = 21_600;
/// Tokens of one instance at a time: a loop that asks for more loses its oldest.
const TOKENS_MAX: usize = 1000;
/// How long role credentials say that they live. AWS: about six hours.
const CREDENTIALS: SignedDuration = SignedDuration::from_hours(6);

/// What an instance's keys stand for.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) key: Key,
    pub(crate) instance: String,
    pub(crate) role: String,
    pub(crate) role_id: String,
    since: Timestamp,
}

/// Keys by instance.
#[derive(Clone, Default)]
pub(crate) struct Keys(Arc<Mutex<HashMap<String, Issued>>>);

impl Keys {
    /// The holder of the key with this id.
    pub(crate) fn holder(&self, key_id: &str) -> Option<Issued> {
        let issued = self.issued();
        let mut all = issued.values();
        all.find(|issued| issued.key.id == key_id).cloned()
    }

    /// The keys of an instance are worth nothing from now on.
    pub(crate) fn revoke(&self, instance: &str) {
        self.issued().remove(instance);
    }

    /// The instance's keys, made when they are first needed.
    fn issue(&self, instance: &Instance, now: Timestamp) -> Option<Issued> {
        let profile = instance.blueprint.profile.as_ref()?;
        let issued = self
            .issued()
            .entry(instance.id.clone())
            .or_insert_with(|| Issued {
                key: Key {
                    id: format!("ASIA{}", &hex_id().to_uppercase()[1..17]),
                    secret: key_secret(),
                    token: Some(format!("lab{}{}", secret(), secret())),
                },
                instance: instance.id.clone(),
                role: profile.role.clone(),
                role_id: profile.role_id.clone(),
                since: now,
            })
            .clone();
        Some(issued)
    }

    fn issued(&self) -> MutexGuard<'_, HashMap<String, Issued>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When EC2 takes which instance back, from its warning on.
#[derive(Clone, Default)]
pub(crate) struct Notices(Arc<Mutex<HashMap<String, Timestamp>>>);

impl Notices {
    /// EC2 takes `instance` back at `at`.
    pub(crate) fn announce(&self, instance: &str, at: Timestamp) {
        self.all().insert(instance.to_owned(), at);
    }

    fn of(&self, instance: &str) -> Option<Timestamp> {
        self.all().get(instance).copied()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Service {
    instance: Instance,
    keys: Keys,
    notices: Notices,
    tokens: Mutex<Vec<(String, Timestamp)>>,
}

/// The service of `instance`.
pub(crate) fn router(instance: &Instance, keys: &Keys, notices: &Notices) -> Router {
    // Issued with the instance, so that they are there before anyone can be late for them.
    keys.issue(instance, Timestamp::now());
    let service = Arc::new(Service {
        instance: instance.clone(),
        keys: keys.clone(),
        notices: notices.clone(),
        tokens: Mutex::default(),
    });
    Router::new()
        .fallback(
            async |State(service): State<Arc<Service>>, request: Request| {
                service.answer(
                    request.method(),
                    request.uri().path(),
                    request.headers(),
                    Timestamp::now(),
                )
            },
        )
        .with_state(service)
}

impl Service {
    fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Response<String> {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        if header("x-forwarded-for").is_some() {
            return plain(StatusCode::FORBIDDEN, "");
        }
        if path == "/latest/api/token" {
            let seconds = header("x-aws-ec2-metadata-token-ttl-seconds")
                .and_then(|text| text.parse::<u32>().ok())
                .filter(|seconds| (1..=TOKEN_MAX_S).contains(seconds));
            return match (method, seconds) {
                (&Method::PUT, Some(seconds)) => plain(StatusCode::OK, &self.token(seconds, now)),
                (&Method::PUT, None) => plain(StatusCode::BAD_REQUEST, "Bad Request"),
                (_, _) => plain(StatusCode::METHOD_NOT_ALLOWED, ""),
            };
        }
        if method != Method::GET && method != Method::HEAD {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "");
        }
        if !header("x-aws-ec2-metadata-token").is_some_and(|token| self.knows(token, now)) {
            return plain(StatusCode::UNAUTHORIZED, "Unauthorized");
        }
        match self.value(path, now) {
            Some(value) => plain(StatusCode::OK, &value),
            None => plain(StatusCode::NOT_FOUND, "404 - Not Found"),
        }
    }

    /// What boot files ask for, and a little more.
    fn value(&self, path: &str, now: Timestamp) -> Option<String> {
        let Instance { id, blueprint, .. } = &self.instance;
        if path == "/latest/user-data" {
            let data = String::from_utf8_lossy(&blueprint.user_data);
            return (!data.is_empty()).then(|| data.into_owned());
        }
        let value = match path.strip_prefix("/latest/meta-data/")? {
            "instance-id" => id.clone(),
            "ami-id" => blueprint.image.id.clone(),
            "instance-type" => blueprint.instance_type.clone(),
            "placement/region" => REGION.to_owned(),
            "placement/availability-zone" => blueprint.zone.clone(),
            "spot/instance-action" => {
                let at = time(self.notices.of(id)?);
                json!({"action": "terminate", "time": at}).to_string()
            }
            "iam/security-credentials/" => blueprint.profile.as_ref()?.role.clone(),
            other => {
                let role = other.strip_prefix("iam/security-credentials/")?;
                return self.credentials(role, now);
            }
        };
        Some(value)
    }

    fn credentials(&self, role: &str, now: Timestamp) -> Option<String> {
        let issued = self.keys.issue(&self.instance, now)?;
        if issued.role != role {
            return None;
        }
        let document = json!({
            "Code": "Success",
            "LastUpdated": time(issued.since),
            "Type": "AWS-HMAC",
            "AccessKeyId": issued.key.id,
            "SecretAccessKey": issued.key.secret,
            "Token": issued.key.token,
            "Expiration": time(issued.since + CREDENTIALS),
        });
        serde_json::to_string_pretty(&document).ok()
    }

    fn token(&self, seconds: u32, now: Timestamp) -> String {
        let token = format!("{}==", secret());
        let mut tokens = self.tokens();
        tokens.retain(|(_, end)| *end > now);
        if tokens.len() >= TOKENS_MAX {
            tokens.remove(0);
        }
        let end = now + SignedDuration::from_secs(i64::from(seconds));
        tokens.push((token.clone(), end));
        token
    }

    fn knows(&self, token: &str, now: Timestamp) -> bool {
        self.tokens()
            .iter()
            .any(|(own, end)| own == token && *end > now)
    }

    fn tokens(&self) -> MutexGuard<'_, Vec<(String, Timestamp)>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    let mut answer = Response::new(text.to_owned());
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain"),
    );
    answer
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
