//! The jobs that have not ended, as the forge lists them: what heals a delivery that was lost, and
//! finds what no delivery told of.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use stacks::pool::Scope;

use super::forgejo::ListedJob;
use super::job_json::{LABELS_MAX, Labels, SeenState, WorkflowJob};
use super::tree::Calls;
use super::{Forge, ForgeError, scope_path};
use crate::model::job::{AttemptNumbers, ForgeRunner, Job, JobSource};
use workflow::{Capability, ForgeKind};

/// Entries of one page: the most that Gitea gives.
const PAGE: usize = 50;
/// Most pages that are read: as many jobs as a deployment can have had running and waiting.
const PAGES_MAX: usize = 40;
/// Largest page, in bytes: each job brings its steps, and a job has some dozens at most.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most repositories that are asked for their names in one reading: names are kept, so the next one
/// goes on where this one ends.
const NAMES_ASKED_MAX: usize = 20;

/// A job that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenJob {
    /// The job, as a delivery would describe it. Forgejo leaves out run, commit and page, and before
    /// 15 the attempt: 0 and empty texts stand for them.
    pub job: Job,
    /// Where it stands.
    pub state: SeenState,
    /// The runner that has it, where the forge says so.
    pub runner: Option<ForgeRunner>,
}

#[derive(Deserialize)]
struct GiteaList {
    jobs: Vec<Value>,
    total_count: usize,
}

#[derive(Deserialize)]
struct GiteaJob {
    #[serde(flatten)]
    job: WorkflowJob,
    url: String,
    status: String,
}

impl Forge {
    /// The jobs of `scope` that have not ended; `None` where this server can't list them. Forgejo
    /// lists only those that a runner with our pools' labels could have.
    ///
    /// Where the list has several pages, jobs can move between them while it is read (Gitea has no
    /// order for it: measured), so that a job is missing is no proof that it has ended.
    pub async fn unfinished(&self, scope: &Scope) -> Result<Option<Vec<SeenJob>>, ForgeError> {
        let server = self.server().await?;
        if !server.has(Capability::ListsJobs) {
            return Ok(None);
        }
        match server.kind {
            ForgeKind::Gitea => self.unfinished_of_gitea(scope).await.map(Some),
            ForgeKind::Forgejo => {
                let list = self.listed_jobs(scope, &self.config.labels).await?;
                self.named(scope, list).await.map(Some)
            }
        }
    }

    async fn unfinished_of_gitea(&self, scope: &Scope) -> Result<Vec<SeenJob>, ForgeError> {
        let states = "status=queued&status=waiting&status=in_progress";
        let entries = self.entries_of_gitea(scope, states).await?;
        let numbers = self.numbers(entries.iter().any(has_waited_before)).await?;
        let seen = entries.into_iter();
        let seen = seen.filter_map(|entry| of_gitea(entry, numbers));
        let mut last = BTreeMap::new();
        last.extend(seen.map(|seen| ((seen.job.key.repository.clone(), seen.job.key.id), seen)));
        Ok(last.into_values().collect())
    }

    /// The jobs in certain `states`. One that ends moves those after it to earlier pages, so the last page
    /// is read first and none is missed. What moved is told twice, and the last word on it counts.
    pub(super) async fn entries_of_gitea(
        &self,
        scope: &Scope,
        states: &str,
    ) -> Result<Vec<Value>, ForgeError> {
        let first = self.page_of_gitea(scope, states, 1).await?;
        let pages = first.total_count.div_ceil(first.jobs.len().max(1));
        if pages > PAGES_MAX {
            return Err(ForgeError::TooMuch("GET jobs"));
        }
        if pages <= 1 {
            return Ok(first.jobs);
        }
        let mut entries = Vec::new();
        for number in (1..=pages).rev() {
            entries.extend(self.page_of_gitea(scope, states, number).await?.jobs);
        }
        Ok(entries)
    }

    async fn page_of_gitea(
        &self,
        scope: &Scope,
        states: &str,
        number: usize,
    ) -> Result<GiteaList, ForgeError> {
        let path = format!(
            "/api/v1/{}/actions/jobs?{states}&limit={PAGE}&page={number}",
            scope_path(scope)
        );
        let answer = self.get_large("GET jobs", &path, ANSWER_MAX_BYTES).await?;
        answer.json()
    }

    /// Forgejo tells its number for a repository; its name must be asked for. Jobs of repositories
    /// that the token may not see are left out, and so are those beyond [`NAMES_ASKED_MAX`].
    async fn named(&self, scope: &Scope, list: Vec<ListedJob>) -> Result<Vec<SeenJob>, ForgeError> {
        let mut calls = Calls(NAMES_ASKED_MAX);
        let mut hidden = BTreeSet::new();
        let mut seen = Vec::new();
        for job in list {
            let name = match scope {
                Scope::Repository(name) => Some(name.clone()),
                Scope::Global | Scope::Organization(_) => {
                    self.name_of(job.repo_id, &mut hidden, &mut calls).await?
                }
            };
            let of_job = job.id;
            let job = name.and_then(|name| of_forgejo(job, name));
            if job.is_none() {
                tracing::warn!(
                    forge_job_id = of_job,
                    "listed job left out: its repository is not readable, or it is out of bounds"
                );
            }
            seen.extend(job);
        }
        Ok(seen)
    }

    async fn name_of(
        &self,
        repository: u64,
        hidden: &mut BTreeSet<u64>,
        calls: &mut Calls,
    ) -> Result<Option<String>, ForgeError> {
        if let Some(name) = self.known_name(repository) {
            return Ok(Some(name));
        }
        if hidden.contains(&repository) || !calls.take() {
            return Ok(None);
        }
        let name = self.ask_name(repository).await?;
        if name.is_none() {
            hidden.insert(repository);
        }
        Ok(name)
    }
}

/// Whether an entry is of a job without a runner whose number is not 0: the only ones whose number means
/// another attempt where attempts are numbered otherwise.
fn has_waited_before(entry: &Value) -> bool {
    entry["status"] != "in_progress" && entry["run_attempt"].as_u64().is_some_and(|told| told > 0)
}

/// The job of one entry. One that can't be kept, or is none, does not hide the others.
fn of_gitea(entry: Value, numbers: AttemptNumbers) -> Option<SeenJob> {
    let listed: GiteaJob = serde_json::from_value(entry)
        .inspect_err(|error| tracing::warn!(%error, "listed job left out: it can't be read"))
        .ok()?;
    let state = SeenState::of_gitea(&listed.status)?;
    let repository = repository_in(&listed.url, listed.job.id)?;
    let (job, runner) = listed
        .job
        .in_bounds(repository, JobSource::List, numbers)
        .inspect_err(|error| tracing::warn!(%error, "listed job left out: it is out of bounds"))
        .ok()?;
    Some(SeenJob { job, state, runner })
}

fn of_forgejo(listed: ListedJob, repository: String) -> Option<SeenJob> {
    let state = listed.status;
    let labels = listed.runs_on.unwrap_or_default();
    if labels.len() > LABELS_MAX {
        return None;
    }
    let job = WorkflowJob {
        id: listed.id,
        run_attempt: listed.attempt.unwrap_or_default(),
        name: listed.name,
        labels: Some(Labels(labels)),
        ..WorkflowJob::default()
    };
    let numbers = AttemptNumbers::FromOne;
    let (job, runner) = job.in_bounds(repository, JobSource::List, numbers).ok()?;
    Some(SeenJob { job, state, runner })
}

/// `owner/name` in the address of a job, `…/repos/OWNER/NAME/actions/jobs/ID`: lists of the whole
/// forge have it nowhere else.
fn repository_in(url: &str, id: u64) -> Option<String> {
    let repository = url.strip_suffix(&format!("/actions/jobs/{id}"))?;
    let mut parts = repository.rsplitn(4, '/');
    let (name, owner, repos) = (parts.next()?, parts.next()?, parts.next()?);
    (repos == "repos").then(|| format!("{owner}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_address_tells_its_repository_wherever_the_forge_lives() {
        let found = |url| repository_in(url, 7);
        let acme = Some("acme/app".to_owned());
        for (url, expected) in [
            (
                "http://git/api/v1/repos/acme/app/actions/jobs/7",
                acme.clone(),
            ),
            (
                "https://x/repos/git/api/v1/repos/acme/app/actions/jobs/7",
                acme,
            ),
            ("http://git/api/v1/repos/acme/app/actions/jobs/17", None),
            ("http://git/api/v1/orgs/acme/app/actions/jobs/7", None),
            ("/actions/jobs/7", None),
            ("", None),
        ] {
            assert_eq!(found(url), expected, "{url}");
        }
    }
}
