//! What the forge is asked and told besides registering runners: whether one is idle, to give it no
//! more jobs, and a word for the owner of a job.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use stacks::pool::{ForgeKind, Scope};

use super::{ANSWER_MAX_BYTES, Forge, ForgeError, scope_path};

/// Entries of one page of a list: the most that the forge gives.
const PAGE: usize = 50;
/// Most pages that are read: far more runners than a deployment may have at once.
const PAGES_MAX: usize = 40;
/// Longest description and context of a commit status, in characters. The forge keeps what it gets;
/// its pages and those who were modelled on them show one line.
const STATUS_TEXT_MAX_CHARS: usize = 255;

/// What the forge says of one runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RegisteredRunner {
    /// Whether it has a job.
    pub busy: bool,
    /// Whether it gets no job any more. Servers that can't do that don't say.
    #[serde(default)]
    pub disabled: bool,
}

/// A word on a commit, where its author looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus<'a> {
    /// `owner/name`.
    pub repository: &'a str,
    /// The commit.
    pub sha: &'a str,
    /// `success` or `error`, as the forge has it.
    pub state: &'a str,
    /// Which check it is; a later word of the same replaces it.
    pub context: &'a str,
    /// The word.
    pub description: &'a str,
    /// Where a click leads.
    pub target_url: &'a str,
}

/// Runners as Gitea lists them, and Forgejo before 15; since then Forgejo gives the bare list.
#[derive(Deserialize)]
#[serde(untagged)]
enum RunnerList {
    Counted { runners: Vec<ListedRunner> },
    Bare(Vec<ListedRunner>),
}

#[derive(Deserialize)]
struct ListedRunner {
    id: u64,
    name: String,
}

#[derive(Deserialize)]
struct JobOfRunner {
    runner_id: Option<u64>,
}

impl Forge {
    /// What a runner is doing. The forge's own `busy` only says that it was heard of a job in the last
    /// ten seconds, so a quiet job is looked for as well.
    pub async fn runner(&self, scope: &Scope, id: u64) -> Result<RegisteredRunner, ForgeError> {
        self.must_tell_of_runners()?;
        let path = format!("/api/v1/{}/actions/runners/{id}", scope_path(scope));
        let state: RegisteredRunner = self.get("GET runner", &path).await?.json()?;
        Ok(RegisteredRunner {
            busy: state.busy || self.has_job(scope, id).await?,
            ..state
        })
    }

    /// A Forgejo tells neither which runner has a job nor takes one out: its machines end by their
    /// own idle limit.
    fn must_tell_of_runners(&self) -> Result<(), ForgeError> {
        match self.config.kind {
            ForgeKind::Gitea => Ok(()),
            ForgeKind::Forgejo => Err(ForgeError::Lacks("way to take a runner out")),
        }
    }

    /// Whether a job in progress is on that runner.
    async fn has_job(&self, scope: &Scope, runner: u64) -> Result<bool, ForgeError> {
        const BAD: ForgeError = ForgeError::BadAnswer {
            call: "GET jobs",
            status: 200,
        };
        for job in self.entries_of_gitea(scope, "status=in_progress").await? {
            let job: JobOfRunner = serde_json::from_value(job).map_err(|_| BAD)?;
            if job.runner_id == Some(runner) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives a runner no job any more; one that it has goes on. Gitea 1.26 or newer.
    pub async fn disable_runner(&self, scope: &Scope, id: u64) -> Result<(), ForgeError> {
        const CALL: &str = "PATCH runner";
        self.must_tell_of_runners()?;
        let path = format!("/api/v1/{}/actions/runners/{id}", scope_path(scope));
        let token = Some(self.token()?);
        let body = json!({ "disabled": true });
        let answer = self
            .exchange(
                CALL,
                Method::PATCH,
                &path,
                token,
                Some(&body),
                ANSWER_MAX_BYTES,
            )
            .await?;
        match answer.json()? {
            RegisteredRunner { disabled: true, .. } => Ok(()),
            RegisteredRunner {
                disabled: false, ..
            } => Err(answer.unreadable()),
        }
    }

    /// The runners of `scope` called `name`: each registration makes another.
    pub async fn runners_named(&self, scope: &Scope, name: &str) -> Result<Vec<u64>, ForgeError> {
        const CALL: &str = "GET runners";
        let mut found = Vec::new();
        for page in 1..=PAGES_MAX {
            let path = format!(
                "/api/v1/{}/actions/runners?limit={PAGE}&page={page}",
                scope_path(scope)
            );
            let runners = match self.get(CALL, &path).await?.json()? {
                RunnerList::Counted { runners } | RunnerList::Bare(runners) => runners,
            };
            if runners.is_empty() {
                return Ok(found);
            }
            let named = runners.into_iter().filter(|runner| runner.name == name);
            found.extend(named.map(|runner| runner.id));
        }
        Err(ForgeError::TooMuch(CALL))
    }

    /// Puts a word on a commit.
    pub async fn set_status(&self, status: &CommitStatus<'_>) -> Result<(), ForgeError> {
        let path = format!(
            "/api/v1/repos/{}/statuses/{}",
            status.repository, status.sha
        );
        let cut = |text: &str| text.chars().take(STATUS_TEXT_MAX_CHARS).collect::<String>();
        let body: Value = json!({
            "state": status.state,
            "context": cut(status.context),
            "description": cut(status.description),
            "target_url": status.target_url,
        });
        let (token, body) = (Some(self.token()?), Some(&body));
        self.exchange(
            "POST status",
            Method::POST,
            &path,
            token,
            body,
            ANSWER_MAX_BYTES,
        )
        .await
        .map(drop)
    }
}
