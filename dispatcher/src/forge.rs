//! The forge's seam: the few calls that the dispatcher makes, and the only place that knows how a
//! forge spells them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use stacks::pool::{Pool, Scope};

use crate::https::Https;
use crate::job::JobKey;
use crate::secret::Secret;
use crate::world::Verdict;

/// Longest time for one call, in seconds: a runner asks again, a tick comes again.
const CALL_TIMEOUT_S: u64 = 8;
/// Largest answer that is read, in bytes.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// One forge.
#[derive(Debug)]
pub struct Forge {
    url: String,
    /// Where to connect instead of `url`, for a forge whose name resolves elsewhere.
    endpoint: String,
    host: String,
    token: Option<Secret>,
    registration_token: Option<Secret>,
    scope_tokens: Mutex<BTreeMap<String, Secret>>,
    client: Https,
}

/// What a forge is made of.
#[derive(Debug)]
pub struct ForgeConfig {
    /// Its address, without a slash at its end.
    pub url: String,
    /// Where to connect instead of `url`.
    pub endpoint: Option<String>,
    /// Its own CA as PEM; then no other is trusted.
    pub ca: Option<String>,
    /// The API token.
    pub token: Option<Secret>,
    /// The registration token of the global scope.
    pub registration_token: Option<Secret>,
}

/// A runner that is registered for one job.
#[derive(Debug)]
pub struct Registration {
    /// The forge's id of it.
    pub id: u64,
    /// The `.runner` document, on one line.
    pub document: Secret,
}

/// A call to the forge that failed.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// The address or the CA of the environment can't be used.
    #[error("the forge's {0} can't be used: correct the environment file and run `cargo xtask up`")]
    BadConfig(&'static str),
    /// No answer.
    #[error("the forge at {url} does not answer {call}: {message}")]
    Unreachable {
        /// Its address.
        url: String,
        /// Which call.
        call: &'static str,
        /// What happened.
        message: String,
    },
    /// It said no.
    #[error("the forge refused {call}: {status}: {message}")]
    Refused {
        /// Which call.
        call: &'static str,
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// It answered something else.
    #[error("the forge's answer to {0} can't be read: is there a proxy or login page before it?")]
    BadAnswer(&'static str),
    /// A secret is missing.
    #[error("no {0} is set: run `cargo xtask secret set {0}`")]
    NoToken(&'static str),
}

#[derive(Deserialize)]
struct Registered {
    runner: RegisteredRunner,
}

#[derive(Deserialize)]
struct RegisteredRunner {
    /// An int64 in the JSON form of protocol buffers is a string.
    id: String,
    uuid: String,
    token: String,
    name: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
}

#[derive(Deserialize)]
struct JobAnswer {
    status: String,
    #[serde(default)]
    run_attempt: Option<u64>,
}

impl Forge {
    /// The forge that `config` describes. Connects to nothing yet.
    pub fn new(config: ForgeConfig) -> Result<Self, ForgeError> {
        let uri: Uri = config
            .url
            .parse()
            .map_err(|_| ForgeError::BadConfig("address"))?;
        let host = uri
            .authority()
            .ok_or(ForgeError::BadConfig("address"))?
            .to_string();
        Ok(Self {
            endpoint: config.endpoint.unwrap_or_else(|| config.url.clone()),
            url: config.url,
            host,
            token: config.token,
            registration_token: config.registration_token,
            scope_tokens: Mutex::new(BTreeMap::new()),
            client: Https::new(config.ca.as_deref()).map_err(|_| ForgeError::BadConfig("CA"))?,
        })
    }

    /// Registers a runner of `pool` called `name` for one job, by the public RPC that the runner's
    /// own `register` command uses. The reusable registration token stays here.
    pub async fn register(&self, pool: &Pool, name: &str) -> Result<Registration, ForgeError> {
        const CALL: &str = "Register";
        let token = self.registration_token(&pool.scope).await?;
        let labels: Vec<&str> = pool.labels.iter().map(|l| l.name.as_str()).collect();
        let body = json!({
            "name": name,
            "token": token.reveal(),
            "version": concat!("tinqs-ci ", env!("CARGO_PKG_VERSION")),
            "labels": labels,
            "ephemeral": true,
        });
        let answer = self
            .call(
                CALL,
                Method::POST,
                "/api/actions/runner.v1.RunnerService/Register",
                None,
                Some(&body),
            )
            .await
            .inspect_err(|_| self.forget_scope_token(&pool.scope))?;
        let Registered { runner } =
            serde_json::from_slice(&answer).map_err(|_| ForgeError::BadAnswer(CALL))?;
        let id: u64 = runner.id.parse().map_err(|_| ForgeError::BadAnswer(CALL))?;
        let labels: Vec<String> = pool
            .labels
            .iter()
            .map(|label| format!("{}:{}", label.name, label.serve))
            .collect();
        let document = json!({
            "id": id,
            "uuid": runner.uuid,
            "name": runner.name,
            "token": runner.token,
            "address": self.url,
            "labels": labels,
            "ephemeral": true,
        });
        Ok(Registration {
            id,
            document: Secret::new(document.to_string()).expect("an object is not blank"),
        })
    }

    /// Deletes a registration; one that is gone already counts as deleted.
    pub async fn delete_runner(&self, scope: &Scope, id: u64) -> Result<(), ForgeError> {
        let path = format!("/api/v1/{}/actions/runners/{id}", scope_path(scope));
        let deleted = self
            .call(
                "DELETE runner",
                Method::DELETE,
                &path,
                Some(self.token()?),
                None,
            )
            .await;
        match deleted {
            Err(ForgeError::Refused { status: 404, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Whether a job still waits for a runner. A rerun that waits is another attempt.
    pub async fn verdict(&self, key: &JobKey) -> Verdict {
        let Ok(token) = self.token() else {
            return Verdict::Unknown;
        };
        let path = format!("/api/v1/repos/{}/actions/jobs/{}", key.repository, key.id);
        match self
            .call("GET job", Method::GET, &path, Some(token), None)
            .await
        {
            Ok(answer) => match serde_json::from_slice::<JobAnswer>(&answer) {
                Ok(job)
                    if job.status == "queued"
                        && job.run_attempt.is_none_or(|attempt| attempt == key.attempt) =>
                {
                    Verdict::Waiting
                }
                Ok(_) => Verdict::Gone,
                Err(_) => Verdict::Unknown,
            },
            Err(ForgeError::Refused { status: 404, .. }) => self.verdict_of_404(key, token).await,
            Err(error) => {
                tracing::warn!(job = %key, %error, "the forge can't tell whether the job waits");
                Verdict::Unknown
            }
        }
    }

    /// What it means that a job is not found: servers before 1.25 have no such endpoint. A job is
    /// gone where others can be listed, or where its repository is gone.
    async fn verdict_of_404(&self, key: &JobKey, token: &Secret) -> Verdict {
        let repository = format!("/api/v1/repos/{}", key.repository);
        let jobs = format!("{repository}/actions/jobs?limit=1");
        let get = async |path: &str| {
            self.call("GET repository", Method::GET, path, Some(token), None)
                .await
        };
        if get(&jobs).await.is_ok() {
            return Verdict::Gone;
        }
        match get(&repository).await {
            Err(ForgeError::Refused { status: 404, .. }) => Verdict::Gone,
            Ok(_) | Err(_) => Verdict::Unknown,
        }
    }

    fn token(&self) -> Result<&Secret, ForgeError> {
        self.token
            .as_ref()
            .ok_or(ForgeError::NoToken("forge-token"))
    }

    /// A token that registers at `scope`: a registration token is good for the scope that it was
    /// issued for, so only the global one can be configured.
    async fn registration_token(&self, scope: &Scope) -> Result<Secret, ForgeError> {
        const CALL: &str = "POST registration-token";
        if let (Scope::Global, Some(token)) = (scope, &self.registration_token) {
            return Ok(token.clone());
        }
        if self.token.is_none() && *scope == Scope::Global {
            return Err(ForgeError::NoToken("registration-token"));
        }
        let key = scope_path(scope);
        if let Some(token) = self.lock_scope_tokens().get(&key) {
            return Ok(token.clone());
        }
        let path = format!("/api/v1/{key}/actions/runners/registration-token");
        let answer = self
            .call(CALL, Method::POST, &path, Some(self.token()?), None)
            .await?;
        let TokenAnswer { token } =
            serde_json::from_slice(&answer).map_err(|_| ForgeError::BadAnswer(CALL))?;
        let token = Secret::new(token).ok_or(ForgeError::BadAnswer(CALL))?;
        self.lock_scope_tokens().insert(key, token.clone());
        Ok(token)
    }

    fn forget_scope_token(&self, scope: &Scope) {
        self.lock_scope_tokens().remove(&scope_path(scope));
    }

    fn lock_scope_tokens(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Secret>> {
        self.scope_tokens
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// One call. Redirects are not followed: a token goes to the configured address alone.
    async fn call(
        &self,
        call: &'static str,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<&Value>,
    ) -> Result<Bytes, ForgeError> {
        let unreachable = |message: String| ForgeError::Unreachable {
            url: self.url.clone(),
            call,
            message,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint))
            .header(header::HOST, &self.host)
            .header(header::ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("token {}", token.reveal()));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request
            .body(SdkBody::from(body))
            .map_err(|_| ForgeError::BadConfig("token or address"))?;
        let exchange = async {
            let answer = self
                .client
                .request(request)
                .await
                .map_err(|error| unreachable(chain(&error)))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES)
                .collect()
                .await
                .map_err(|_| ForgeError::BadAnswer(call))?
                .to_bytes();
            Ok((status, body))
        };
        let (status, body) = tokio::time::timeout(Duration::from_secs(CALL_TIMEOUT_S), exchange)
            .await
            .map_err(|_| unreachable(format!("no answer within {CALL_TIMEOUT_S} s")))??;
        if status.is_success() {
            Ok(body)
        } else {
            Err(refusal(call, status, &body))
        }
    }
}

/// Where a scope's runners live in the API.
fn scope_path(scope: &Scope) -> String {
    match scope {
        Scope::Global => "admin".to_owned(),
        Scope::Organization(name) => format!("orgs/{name}"),
        Scope::Repository(name) => format!("repos/{name}"),
    }
}

/// The forge's own message where it sent one: statuses alone mislead (a wrong registration token is
/// a 500, measured).
fn refusal(call: &'static str, status: StatusCode, body: &[u8]) -> ForgeError {
    let message = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|value| value["message"].as_str().map(str::to_owned))
        .unwrap_or_default();
    ForgeError::Refused {
        call,
        status: status.as_u16(),
        message: message.chars().take(200).collect(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
