//! The forge as the test needs it: repositories with a hook, and what they queued.

use std::collections::BTreeMap;

use http::Method;
use lab::http::json as call;
use serde::Deserialize;
use serde_json::{Value, json};

use super::generator::DEFAULT;
use super::{Error, answered};

/// Jobs and runs a page, the most that the forge gives.
const PAGE_SIZE: usize = 50;
/// Most pages that are read after one push: it would have queued ten thousand jobs.
const PAGES_MAX: usize = 200;
/// What `vars` has. The forge keeps names in capitals.
pub(crate) const VARIABLES: [(&str, &str); 3] = [
    ("LABEL", "from-vars"),
    ("LIST", "[\"x\", \"y\"]"),
    ("SPACE", " "),
];

/// A forge and its administrator.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    url: String,
    token: String,
    user: String,
}

/// Where a job stood when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stands {
    /// For a runner.
    Waiting,
    /// Behind other jobs or an approval.
    Blocked,
    /// A later run of its concurrency group ended it; where it stood before does not show.
    Cancelled,
    /// None of these, which no job can be where there is no runner.
    Otherwise,
}

/// A job as the forge's API shows it, with what its run says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Queued {
    /// The path of its file under the workflows' directory.
    pub(crate) workflow: String,
    pub(crate) event: String,
    pub(crate) reference: String,
    pub(crate) commit: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) stands: Stands,
}

/// How far a repository's jobs were read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    runs: BTreeMap<u64, Run>,
}

#[derive(Debug, Deserialize)]
struct Run {
    id: u64,
    event: String,
    path: String,
    head_sha: String,
}

#[derive(Debug, Deserialize)]
struct Job {
    run_id: u64,
    name: String,
    labels: Option<Vec<String>>,
    status: String,
    conclusion: Option<String>,
}

impl Site {
    pub(crate) fn new(url: String, user: &str, token: &str) -> Self {
        Self {
            url,
            token: token.to_owned(),
            user: user.to_owned(),
        }
    }

    /// Where `name` is pushed to.
    pub(crate) fn remote(&self, name: &str) -> String {
        format!("{}/{}/{name}.git", self.url, self.user)
    }

    /// Makes an empty repository whose only hook sends `events` to `hook`: the hook's number.
    pub(crate) async fn make_repository(
        &self,
        name: &str,
        hook: &str,
        events: &[&str],
    ) -> Result<u64, Error> {
        let body = json!({ "name": name, "default_branch": DEFAULT });
        self.call(Method::POST, "/user/repos", body).await?;
        let hook = json!({
            "type": "gitea",
            "active": true,
            "events": events,
            "config": { "url": hook, "content_type": "json", "secret": "s" },
        });
        let repository = self.repository(name);
        let hook = self
            .call(Method::POST, &format!("{repository}/hooks"), hook)
            .await?;
        for (variable, value) in VARIABLES {
            let path = format!("{repository}/actions/variables/{variable}");
            self.call(Method::POST, &path, json!({ "value": value }))
                .await?;
        }
        hook["id"]
            .as_u64()
            .ok_or_else(|| answered("the hook has no number"))
    }

    /// Disables or enables a workflow; says whether the forge did: it must be on the default branch.
    pub(crate) async fn switch(&self, name: &str, workflow: &str, off: bool) -> bool {
        let word = if off { "disable" } else { "enable" };
        let workflow = workflow.replace('/', "%2F");
        let path = format!(
            "{}/actions/workflows/{workflow}/{word}",
            self.repository(name)
        );
        self.call(Method::PUT, &path, json!({})).await.is_ok()
    }

    /// Opens a pull request, if the forge finds that there is something to pull.
    pub(crate) async fn open_pull(&self, name: &str, branch: &str) -> bool {
        let body = json!({ "head": branch, "base": DEFAULT, "title": format!("pull {branch}") });
        let path = format!("{}/pulls", self.repository(name));
        self.call(Method::POST, &path, body).await.is_ok()
    }

    /// The jobs of `name` that came since the last reading, and how many runs they are of.
    pub(crate) async fn new_jobs(
        &self,
        name: &str,
        read: &mut Read,
    ) -> Result<(Vec<Queued>, usize), Error> {
        let last = read.runs.keys().next_back().copied().unwrap_or_default();
        let runs = self.runs_since(name, last).await?;
        // Run by run: the list of all jobs has no order, so that new ones stand anywhere in it.
        let mut jobs = Vec::new();
        for run in runs.keys() {
            jobs.extend(self.jobs_of(name, *run).await?);
        }
        let count = runs.len();
        read.runs.extend(runs);
        let queued = jobs
            .into_iter()
            .map(|job| queued(job, &read.runs))
            .collect::<Result<_, _>>()?;
        Ok((queued, count))
    }

    async fn jobs_of(&self, name: &str, run: u64) -> Result<Vec<Job>, Error> {
        let path = format!("{}/actions/runs/{run}/jobs", self.repository(name));
        self.pages(&path, "jobs", |_| true).await
    }

    /// Newest first is how the forge lists them.
    async fn runs_since(&self, name: &str, last: u64) -> Result<BTreeMap<u64, Run>, Error> {
        let path = format!("{}/actions/runs", self.repository(name));
        let is_new = |run: &Run| run.id > last;
        let runs = self.pages(&path, "workflow_runs", is_new).await?;
        let runs = runs.into_iter().filter(is_new);
        Ok(runs.map(|run| (run.id, run)).collect())
    }

    /// What pages list under `key`, up to the end or to something that is not `wanted`.
    async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        for page in 1..=PAGES_MAX {
            let path = format!("{path}?limit={PAGE_SIZE}&page={page}");
            let mut answer = self.call(Method::GET, &path, Value::Null).await?;
            let some: Vec<T> = serde_json::from_value(answer[key].take()).map_err(answered)?;
            let is_last = some.len() < PAGE_SIZE || !some.iter().all(&wanted);
            all.extend(some);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// The address of `name` within the API.
    pub(crate) fn repository(&self, name: &str) -> String {
        format!("/repos/{}/{name}", self.user)
    }

    /// One call, as the administrator.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Value, Error> {
        let url = format!("{}/api/v1{path}", self.url);
        Ok(call(method, &url, Some(&self.token), &body).await?)
    }
}

fn queued(job: Job, runs: &BTreeMap<u64, Run>) -> Result<Queued, Error> {
    let run = runs.get(&job.run_id).ok_or_else(|| {
        answered(format_args!(
            "job {} is of run {}, which is in no list",
            job.name, job.run_id
        ))
    })?;
    // Reviews and merges have a commit where others have a reference.
    let at = run.path.rfind("@refs/");
    let at = at.or_else(|| run.path.rfind(&format!("@{}", run.head_sha)));
    let (workflow, reference) = run.path.split_at(at.unwrap_or(run.path.len()));
    let stands = match (job.status.as_str(), job.conclusion.as_deref()) {
        ("queued", _) => Stands::Waiting,
        ("waiting", _) => Stands::Blocked,
        ("completed", Some("cancelled")) => Stands::Cancelled,
        (_, _) => Stands::Otherwise,
    };
    Ok(Queued {
        workflow: workflow.to_owned(),
        event: run.event.clone(),
        reference: reference.trim_start_matches('@').to_owned(),
        commit: run.head_sha.clone(),
        name: job.name,
        labels: job.labels.unwrap_or_default(),
        stands,
    })
}
