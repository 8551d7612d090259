//! The lab's forge as its users have it: repositories, webhooks, pushes, reruns, cancellations. And
//! what front door and EC2 note meanwhile.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use lab::http::{HttpError, json as call, send, shaped};
use lab::{Entry, ForgeProgram, InstanceReport, Lab, LabFile};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::output::say;

/// Who pushes: the lab's administrator.
const USER: &str = "labadmin";
/// Jobs a page, the most that the forge gives.
const PAGE_SIZE: usize = 50;
/// Most pages that are read: a thousand jobs of one repository.
const PAGES_MAX: usize = 20;

/// What could not be done at the forge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It refused, or did not answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Its web page refused.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// A job without a log.
    #[error("the forge gives no log of job {0}: status {1}")]
    Log(u64, u16),
    /// git.
    #[error("git failed: {0}")]
    Git(String),
    /// A file of the checkout.
    #[error("a file to be pushed can't be written: {0}")]
    File(#[from] std::io::Error),
}

/// The lab's forge, as its administrator sees it.
#[derive(Debug, Clone)]
pub struct Forge {
    lab: Lab,
    /// The same, as any of its users does.
    pub site: Site,
}

/// A forge as somebody with a token uses it.
#[derive(Clone)]
pub struct Site {
    /// Its address.
    pub url: String,
    /// Whose calls and pushes these are.
    pub token: String,
}

/// The token is in no log.
impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A job as the forge's API shows it.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct ForgeJob {
    /// Its id.
    pub id: u64,
    /// The run that it belongs to.
    pub run_id: u64,
    /// Which attempt it is; forges count differently.
    #[serde(default)]
    pub run_attempt: u64,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: String,
    /// How it ended.
    #[serde(default)]
    pub conclusion: Option<String>,
}

/// A clone that pushes.
#[derive(Debug)]
pub struct Checkout {
    folder: TempDir,
    remote: String,
    authorization: String,
}

impl Forge {
    /// The forge of `lab`.
    #[must_use]
    pub fn of(lab: &Lab) -> Self {
        let file = lab.file();
        Self {
            lab: lab.clone(),
            site: Site {
                url: file.forge.clone(),
                token: file.forge_token.clone(),
            },
        }
    }

    /// How the lab is reached.
    #[must_use]
    pub fn lab(&self) -> &LabFile {
        self.lab.file()
    }

    /// The same forge and data, once other programs have taken over.
    pub async fn updated(&self, to: &ForgeProgram) -> Result<Self, Error> {
        let progress = |step: &str| say(&format!("lab: {step}"));
        Ok(Self::of(&self.lab.update_forge(to, progress).await?))
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value, HttpError> {
        self.site.call(method, path, body).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<(), Error> {
        self.call(Method::POST, path, body).await?;
        Ok(())
    }

    /// Lets the host of the next machine fail while that machine boots.
    pub async fn break_one_boot(&self) -> Result<(), Error> {
        let url = format!("{}/_lab/faults", self.lab.file().ec2_endpoint);
        call(Method::POST, &url, None, &json!({ "crash_boots": 1 })).await?;
        Ok(())
    }

    /// Makes an organization.
    pub async fn make_organization(&self, name: &str) -> Result<(), Error> {
        self.post("/orgs", json!({ "username": name })).await
    }

    /// Makes a webhook that sends `events` of all repositories of `organization` to `url`.
    pub async fn make_hook(
        &self,
        organization: &str,
        url: &str,
        events: &[&str],
    ) -> Result<(), Error> {
        let secret = &self.lab.file().webhook_secret;
        let hook = json!({
            "type": "gitea",
            "active": true,
            "events": events,
            "config": { "url": url, "content_type": "json", "secret": secret },
        });
        let path = format!("/orgs/{organization}/hooks");
        self.post(&path, hook).await
    }

    /// Makes `organization/name`, empty.
    pub async fn make_repository(&self, organization: &str, name: &str) -> Result<(), Error> {
        let body = json!({ "name": name, "default_branch": "main" });
        let path = format!("/orgs/{organization}/repos");
        self.post(&path, body).await
    }

    /// All jobs of `repository`, oldest first.
    pub async fn jobs(&self, repository: &str) -> Result<Vec<ForgeJob>, Error> {
        self.site.jobs(repository).await
    }

    /// What a job wrote to its log.
    pub async fn log(&self, repository: &str, job: &ForgeJob) -> Result<String, Error> {
        self.site.log(repository, job).await
    }

    /// The contexts of the statuses that call the newest commit of `repository` erroneous.
    pub async fn errors(&self, repository: &str) -> Result<Vec<String>, Error> {
        let path = format!("/repos/{repository}/commits/main/statuses?limit={PAGE_SIZE}");
        let statuses = self.call(Method::GET, &path, Value::Null).await?;
        let statuses = statuses.as_array().map_or(&[][..], Vec::as_slice).iter();
        let errors = statuses.filter(|status| status["status"] == "error");
        let contexts = errors.filter_map(|status| status["context"].as_str());
        Ok(contexts.map(str::to_owned).collect())
    }

    /// How many runners are registered anywhere.
    pub async fn runners(&self) -> Result<u64, Error> {
        let path = "/admin/actions/runners";
        let answer = self.call(Method::GET, path, Value::Null).await?;
        Ok(shaped(path, answer["total_count"].clone())?)
    }

    /// Every delivery since then.
    pub async fn deliveries(&self, since_ms: u64) -> Result<Vec<Entry>, Error> {
        let front_door = &self.lab.file().front_door;
        let url = format!("{front_door}/_lab/deliveries?since={since_ms}");
        let entries = call(Method::GET, &url, None, &Value::Null).await?;
        Ok(shaped(&url, entries)?)
    }

    /// Every machine that there is or was.
    pub async fn machines(&self) -> Result<Vec<InstanceReport>, Error> {
        let url = format!("{}/_lab/instances", self.lab.file().ec2_endpoint);
        let machines = call(Method::GET, &url, None, &Value::Null).await?;
        Ok(shaped(&url, machines)?)
    }

    /// The machine on which the newest job of `repository` that was told of runs or ran.
    pub async fn machine_of(&self, repository: &str) -> Result<Option<String>, Error> {
        let entries = self.deliveries(0).await?;
        let mut bodies = entries.iter().rev().filter_map(|entry| {
            let body: Value = serde_json::from_str(&entry.body).ok()?;
            (body["repository"]["full_name"] == repository).then_some(body)
        });
        Ok(bodies.find_map(|body| {
            let runner = body["workflow_job"]["runner_name"].as_str();
            let runner = runner.filter(|name| !name.is_empty());
            runner.map(str::to_owned)
        }))
    }

    /// EC2 takes `instance` back, `notice_s` after its warning.
    pub async fn interrupt(&self, instance: &str, notice_s: u64) -> Result<(), Error> {
        let ec2 = &self.lab.file().ec2_endpoint;
        let url = format!("{ec2}/_lab/instances/{instance}/interrupt");
        let body = json!({ "notice_s": notice_s });
        call(Method::POST, &url, None, &body).await?;
        Ok(())
    }

    /// What the dispatcher answered to the deliveries about `repository`.
    pub async fn answers(&self, repository: &str) -> Result<Vec<Value>, Error> {
        let entries = self.deliveries(0).await?;
        Ok(entries
            .iter()
            .filter(|entry| {
                let body: Value = serde_json::from_str(&entry.body).unwrap_or_default();
                body["repository"]["full_name"] == repository
            })
            .map(|entry| serde_json::from_str(&entry.answer).unwrap_or_default())
            .collect())
    }

    /// Runs one job again.
    pub async fn rerun_job(&self, repository: &str, job: &ForgeJob) -> Result<(), Error> {
        let ForgeJob { run_id, id, .. } = job;
        let path = format!("/repos/{repository}/actions/runs/{run_id}/jobs/{id}/rerun");
        self.post(&path, Value::Null).await
    }

    /// Runs a whole run again.
    pub async fn rerun_run(&self, repository: &str, run: u64) -> Result<(), Error> {
        let path = format!("/repos/{repository}/actions/runs/{run}/rerun");
        self.post(&path, Value::Null).await
    }

    /// Runs the failed jobs of a run again.
    pub async fn rerun_failed(&self, repository: &str, run: u64) -> Result<(), Error> {
        let path = format!("/repos/{repository}/actions/runs/{run}/rerun-failed-jobs");
        self.post(&path, Value::Null).await
    }

    /// Cancels a run.
    pub async fn cancel_run(&self, repository: &str, run: u64) -> Result<(), Error> {
        Ok(self.lab.cancel_run(repository, run).await?)
    }

    /// A new clone of the empty `repository`.
    pub async fn checkout(&self, repository: &str) -> Result<Checkout, Error> {
        self.site.checkout(repository).await
    }
}

impl Site {
    async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value, HttpError> {
        let url = format!("{}/api/v1{path}", self.url);
        call(method, &url, Some(&self.token), &body).await
    }

    /// All jobs of `repository`, oldest first.
    pub async fn jobs(&self, repository: &str) -> Result<Vec<ForgeJob>, Error> {
        let mut jobs = Vec::new();
        for page in 1..=PAGES_MAX {
            let path = format!("/repos/{repository}/actions/jobs?limit={PAGE_SIZE}&page={page}");
            let answer = self.call(Method::GET, &path, Value::Null).await?;
            let some: Vec<ForgeJob> = shaped(&path, answer["jobs"].clone())?;
            let last = some.len() < PAGE_SIZE;
            jobs.extend(some);
            if last {
                break;
            }
        }
        Ok(jobs)
    }

    /// What a job wrote to its log.
    pub async fn log(&self, repository: &str, job: &ForgeJob) -> Result<String, Error> {
        let id = job.id;
        let url = format!(
            "{}/api/v1/repos/{repository}/actions/jobs/{id}/logs",
            self.url
        );
        let headers = [("authorization".to_owned(), format!("token {}", self.token))];
        let (status, body) = send(Method::GET, &url, &headers, Bytes::new()).await?;
        if status.is_success() {
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
        Err(Error::Log(id, status.as_u16()))
    }

    /// A new, empty history, to be pushed to `repository`.
    pub async fn checkout(&self, repository: &str) -> Result<Checkout, Error> {
        let user = format!("{USER}:{}", self.token);
        let checkout = Checkout {
            folder: tempfile::tempdir()?,
            remote: format!("{}/{repository}.git", self.url),
            authorization: format!("Authorization: Basic {}", STANDARD.encode(user)),
        };
        let init = ["init", "--quiet", "--initial-branch=main"];
        checkout.git(&init).await?;
        Ok(checkout)
    }
}

impl Checkout {
    /// Writes `files`, path and text each, commits and pushes them.
    pub async fn push(&self, message: &str, files: &[(&str, &str)]) -> Result<(), Error> {
        self.push_as("main", message, files).await
    }

    /// The same to the branch `to`, over whatever is there.
    pub async fn push_over(
        &self,
        to: &str,
        message: &str,
        files: &[(&str, &str)],
    ) -> Result<(), Error> {
        self.push_as(&format!("+main:refs/heads/{to}"), message, files)
            .await
    }

    async fn push_as(
        &self,
        refspec: &str,
        message: &str,
        files: &[(&str, &str)],
    ) -> Result<(), Error> {
        for (path, text) in files {
            let path = self.folder.path().join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&path, text)?;
        }
        self.git(&["add", "."]).await?;
        self.git(&["commit", "--quiet", "-m", message]).await?;
        self.git(&["push", "--quiet", &self.remote, refspec]).await
    }

    /// Runs git without the user's settings; the token travels in the environment.
    async fn git(&self, args: &[&str]) -> Result<(), Error> {
        let output = Command::new("git")
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", USER)
            .env("GIT_AUTHOR_EMAIL", "labadmin@forge.lab")
            .env("GIT_COMMITTER_NAME", USER)
            .env("GIT_COMMITTER_EMAIL", "labadmin@forge.lab")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", &self.authorization)
            .kill_on_drop(true)
            .output()
            .await?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Git(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}
