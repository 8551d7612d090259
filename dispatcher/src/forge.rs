//! The forge: the few calls that the dispatcher makes to it, and the only place that knows its API.

mod answer;
mod changes;
mod commit;
mod files;
mod forgejo;
pub(crate) mod job_json;
mod known;
mod path;
mod register;
mod seen;
mod source;
mod tree;
mod upkeep;
mod variables;
mod workflow;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use stacks::pool::{ForgeKind, Scope};

use self::answer::{ApiResponse, QueueState};
use crate::aws::https::Https;
use crate::model::job::{AttemptNumbers, JobKey};
use crate::model::secret::Secret;
use crate::model::world::ForgeJobState;

pub use commit::{CheckState, Commit, CommitState};
pub use forgejo::ListedJob;
pub use job_json::{KEY_TEXT_MAX_BYTES, LABELS_MAX, SeenState, TEXT_MAX_BYTES};
pub use known::Known;
pub(crate) use path::is_object;
pub use register::Registration;
pub use seen::SeenJob;
pub use upkeep::{CommitStatus, RegisteredRunner};

/// Longest time for one call, in seconds: a runner asks again, a tick comes again.
const CALL_TIMEOUT_S: u64 = 8;
/// Largest answer that is read, in bytes, unless more is to be expected.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;
/// How long a whole list is, of which an answer has one page.
const TOTAL_HEADER: &str = "x-total-count";

/// One forge.
#[derive(Debug)]
pub struct Forge {
    config: ForgeConfig,
    host: String,
    scope_tokens: Mutex<BTreeMap<String, Secret>>,
    known: Arc<Known>,
    client: Https,
}

/// What a forge is made of.
#[derive(Debug)]
pub struct ForgeConfig {
    /// Which one it is, as the environment says: machines start the runner of that kind.
    pub kind: ForgeKind,
    /// Every label that some pool serves; a Forgejo lists jobs by their labels.
    pub labels: Vec<String>,
    /// Its address, without a slash at its end.
    pub url: String,
    /// Where to connect instead of `url`, for a forge whose name resolves elsewhere.
    pub endpoint: Option<String>,
    /// Its own CA as PEM; then no other is trusted.
    pub ca: Option<String>,
    /// The API token.
    pub token: Option<Secret>,
    /// The registration token of the global scope.
    pub registration_token: Option<Secret>,
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
    /// It sends us elsewhere.
    #[error(
        "the forge sends {call} on to {to}, and its tokens go nowhere but to the configured \
         address: correct the url below [forge] in the environment file and run `cargo xtask up`"
    )]
    Moved {
        /// Which call.
        call: &'static str,
        /// Where to.
        to: String,
    },
    /// It answered what no forge answers.
    #[error(
        "the answer to {call} ({status}) is not a forge's: is there a proxy, a login page or \
         another server at its address?"
    )]
    BadAnswer {
        /// Which call.
        call: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// A list that is longer than we read.
    #[error("the forge's answer to {0} has more pages than are read")]
    TooMuch(&'static str),
    /// It is not what the environment says.
    #[error(
        "the forge is no Forgejo: correct the kind below [forge] in the environment file and run \
         `cargo xtask up`"
    )]
    OtherKind,
    /// Its kind can't do that.
    #[error("this forge has no {0}")]
    Lacks(&'static str),
    /// A secret is missing.
    #[error("no {0} is set: run `cargo xtask secret set {0}`")]
    NoToken(&'static str),
}

impl ForgeError {
    /// Whether the forge itself says that there is no such thing.
    pub(crate) fn is_own_404(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Routes that a forge does not have are answered without its words.
    fn is_no_endpoint(&self) -> bool {
        matches!(
            self,
            Self::BadAnswer {
                status: 404 | 405,
                ..
            }
        )
    }
}

impl Forge {
    /// The forge that `config` describes. Connects to nothing yet.
    pub fn new(config: ForgeConfig) -> Result<Self, ForgeError> {
        let uri: Option<Uri> = config.url.parse().ok();
        let authority = uri.as_ref().and_then(Uri::authority);
        let host = authority.ok_or(ForgeError::BadConfig("address"))?;
        Ok(Self {
            host: host.to_string(),
            scope_tokens: Mutex::new(BTreeMap::new()),
            known: Arc::default(),
            client: match &config.ca {
                None => Https::default(),
                Some(ca) => Https::trusting(ca).ok_or(ForgeError::BadConfig("CA"))?,
            },
            config,
        })
    }

    /// The same with what another has learned of it.
    #[must_use]
    pub fn with_known(self, known: Arc<Known>) -> Self {
        Self { known, ..self }
    }

    /// Whether a job still waits for a runner. A rerun that waits is another attempt.
    pub async fn job_state(&self, key: &JobKey) -> ForgeJobState {
        if self.config.token.is_none() {
            return ForgeJobState::Unknown;
        }
        let standing = match self.config.kind {
            ForgeKind::Gitea => self.standing_at_gitea(key).await,
            ForgeKind::Forgejo => self.standing_at_forgejo(key).await,
        };
        match standing {
            Ok(QueueState::Queued(told)) => self.state_of_queued(key, told).await,
            Ok(QueueState::Otherwise) => ForgeJobState::Gone,
            Err(
                ForgeError::Refused { status: 404, .. } | ForgeError::BadAnswer { status: 404, .. },
            ) => self.state_of_404(key).await,
            Err(error) => {
                tracing::warn!(job = %key, repository = key.repository, %error, "the forge can't tell whether the job waits");
                ForgeJobState::Unknown
            }
        }
    }

    /// Whether the job that the forge has waiting, in the attempt that it `told`, is that of `key`.
    async fn state_of_queued(&self, key: &JobKey, told: Option<u64>) -> ForgeJobState {
        let Some(told) = told else {
            return ForgeJobState::Waiting;
        };
        let Ok(numbers) = self.numbers(told > 0).await else {
            return ForgeJobState::Unknown;
        };
        // Where a rerun has another id, one that waits under its old number was queued by an older version.
        let is_rerun_of_before = numbers == AttemptNumbers::FromOne && told == key.attempt;
        if numbers.before(told, false) == key.attempt || is_rerun_of_before {
            ForgeJobState::Waiting
        } else {
            ForgeJobState::Gone
        }
    }

    async fn standing_at_gitea(&self, key: &JobKey) -> Result<QueueState, ForgeError> {
        let path = format!("/api/v1/repos/{}/actions/jobs/{}", key.repository, key.id);
        self.get("GET job", &path).await?.standing()
    }

    /// What it means that a job is not found: servers before 1.25 have no such endpoint. A job is
    /// gone where others can be listed, or where its repository is gone and not only hidden.
    async fn state_of_404(&self, key: &JobKey) -> ForgeJobState {
        const CALL: &str = "GET repository";
        let repository = format!("/api/v1/repos/{}", key.repository);
        let jobs = self
            .get(CALL, &format!("{repository}/actions/jobs?limit=1"))
            .await;
        if jobs.is_ok_and(|answer| answer.is_list_of_jobs()) {
            return ForgeJobState::Gone;
        }
        if self.is_gone(&key.repository).await {
            ForgeJobState::Gone
        } else {
            ForgeJobState::Unknown
        }
    }

    /// Whether `repository` is not there, and not only hidden.
    pub(crate) async fn is_gone(&self, repository: &str) -> bool {
        let shown = self
            .get("GET repository", &format!("/api/v1/repos/{repository}"))
            .await;
        shown.is_err_and(|error| error.is_own_404()) && self.is_shown_all(repository).await
    }

    /// Whether the token's user is shown everything of the owner of `repository`: a forge answers the same of
    /// what it hides from them and of what is not there. These lists are for site administrators, and for owners
    /// of an organization.
    async fn is_shown_all(&self, repository: &str) -> bool {
        let owner = repository.split('/').next().unwrap_or_default();
        let of_owner = format!(
            "/api/v1/orgs/{}/actions/variables?limit=1",
            path::part(owner)
        );
        for list in ["/api/v1/admin/orgs?limit=1", of_owner.as_str()] {
            let shown = self.get("GET rights", list).await;
            if shown.is_ok_and(|answer| answer.is_list()) {
                return true;
            }
        }
        false
    }

    /// Whether `scope` is not there for the token's user, who may only not be shown it.
    async fn may_be_hidden(&self, scope: &Scope) -> bool {
        let (path, repository) = match scope {
            Scope::Global => return false,
            Scope::Organization(name) => (format!("/api/v1/orgs/{}", path::part(name)), name),
            Scope::Repository(name) => (format!("/api/v1/repos/{}", path::path(name)), name),
        };
        let shown = self.get("GET scope", &path).await;
        shown.is_err_and(|error| error.is_own_404()) && !self.is_shown_all(repository).await
    }

    fn token(&self) -> Result<&Secret, ForgeError> {
        let token = self.config.token.as_ref();
        token.ok_or(ForgeError::NoToken("forge-token"))
    }

    fn lock_scope_tokens(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Secret>> {
        self.scope_tokens
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What the forge has at `path`.
    async fn get(&self, call: &'static str, path: &str) -> Result<ApiResponse, ForgeError> {
        self.get_large(call, path, ANSWER_MAX_BYTES).await
    }

    /// The same, where more is to be expected.
    async fn get_large(
        &self,
        call: &'static str,
        path: &str,
        answer_max_bytes: usize,
    ) -> Result<ApiResponse, ForgeError> {
        let token = Some(self.token()?);
        self.exchange(call, Method::GET, path, token, None, answer_max_bytes)
            .await
    }

    async fn call(
        &self,
        call: &'static str,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<&Value>,
    ) -> Result<ApiResponse, ForgeError> {
        self.send(call, method, path, token, body, ANSWER_MAX_BYTES)
            .await?
            .granted(|text| self.redacted(text))
    }

    /// One call, and where the forge says that its repository was renamed, once more by the new name. Not for what
    /// registers runners: a pool is for those whom it names.
    async fn exchange(
        &self,
        call: &'static str,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<&Value>,
        answer_max_bytes: usize,
    ) -> Result<ApiResponse, ForgeError> {
        let mut answer = self
            .send(call, method.clone(), path, token, body, answer_max_bytes)
            .await?;
        let to = answer.location.as_deref();
        let to = to.filter(|_| answer.status.is_redirection());
        if let Some(renamed) = to.and_then(|to| path::renamed(path, to, &self.config.url)) {
            answer = self
                .send(call, method, &renamed, token, body, answer_max_bytes)
                .await?;
        }
        answer.granted(|text| self.redacted(text))
    }

    /// One request. Redirects are not followed: a token goes to the configured address alone.
    async fn send(
        &self,
        call: &'static str,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<&Value>,
        answer_max_bytes: usize,
    ) -> Result<ApiResponse, ForgeError> {
        let unreachable = |message: String| ForgeError::Unreachable {
            url: self.config.url.clone(),
            call,
            message,
        };
        let endpoint = self.config.endpoint.as_ref().unwrap_or(&self.config.url);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{endpoint}{path}"))
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
            .body(body)
            .map_err(|_| ForgeError::BadConfig("token or address"))?;
        let exchange = async {
            let answer = self
                .client
                .request(request)
                .await
                .map_err(|error| unreachable(chain(error.as_ref())))?;
            let status = answer.status();
            let location = answer.headers().get(header::LOCATION);
            let location = location.and_then(|to| Some(to.to_str().ok()?.to_owned()));
            let total = answer.headers().get(TOTAL_HEADER);
            let total = total.and_then(|total| total.to_str().ok()?.parse().ok());
            let body = Limited::new(answer.into_body(), answer_max_bytes)
                .collect()
                .await
                .map_err(|_| ForgeError::BadAnswer {
                    call,
                    status: status.as_u16(),
                })?
                .to_bytes();
            Ok(ApiResponse {
                call,
                status,
                location,
                total,
                body,
            })
        };
        tokio::time::timeout(Duration::from_secs(CALL_TIMEOUT_S), exchange)
            .await
            .map_err(|_| unreachable(format!("no answer within {CALL_TIMEOUT_S} s")))?
    }

    /// `text` of the forge without the secrets that it was sent: what echoes a request must not
    /// bring them into the log.
    fn redacted(&self, text: &str) -> String {
        let scoped = self.lock_scope_tokens();
        [&self.config.token, &self.config.registration_token]
            .into_iter()
            .flatten()
            .chain(scoped.values())
            .fold(text.to_owned(), |text, secret| {
                text.replace(secret.reveal(), "***")
            })
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

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
