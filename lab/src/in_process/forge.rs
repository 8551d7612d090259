//! The stand-in forge: its API, the runner protocol and its deliveries. Its repositories hold nothing: what
//! asks for files, trees, branches or diffs gets a 404.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Response};
use workflow::discovery::{FoundFiles, workflow_dirs};

use crate::forge::deliver::{Delivery, Outgoing};
use crate::forge::door::{self, Call};
use crate::forge::model::{ADMIN, Hook, Job, Scope, Status};
use crate::forge::payload::push::{Commit, Person, Pushed, ZERO};
use crate::forge::payload::time;
use crate::forge::state::{Kind, State};
use crate::forge::{Version, push};
use crate::ids::random_hex;

/// The workflow file of every run.
const FILE: &str = "ci.yml";
/// The branch that repositories begin with.
const DEFAULT_BRANCH: &str = "main";

/// Where a hook hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookScope {
    /// The whole forge.
    Global,
    /// An organization or a user, by name.
    Owner(String),
    /// A repository, by its number.
    Repository(i64),
}

/// A job, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView<'a> {
    /// Its number.
    pub id: i64,
    /// Its run's number.
    pub run: i64,
    /// Its repository's number.
    pub repository: i64,
    /// Name of the repository's owner.
    pub owner: &'a str,
    /// Name of the repository.
    pub repository_name: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What `runs-on` says.
    pub labels: &'a [String],
    /// `queued`, `waiting` (for others), `in_progress`, `completed`.
    pub status: &'static str,
    /// `success`, `failure`, `cancelled` or `skipped`, once it has ended.
    pub conclusion: Option<&'static str>,
    /// Which attempt, as this forge numbers them.
    pub attempt: i64,
    /// Number and name of the runner that has or had it.
    pub runner: Option<(i64, &'a str)>,
    /// When it was made.
    pub created_ms: u64,
    /// Since when it waits, in its newest round.
    pub queued_ms: u64,
    /// When a runner took it.
    pub started_ms: Option<u64>,
    /// When it ended.
    pub stopped_ms: Option<u64>,
}

/// A runner that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerView<'a> {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: &'a str,
    /// What it serves.
    pub labels: &'a [String],
    /// Whether it is for one job.
    pub ephemeral: bool,
    /// Whether it gets no more jobs.
    pub disabled: bool,
    /// Whether it has a job now.
    pub busy: bool,
}

/// A word on a commit, the forge's own or somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusView<'a> {
    /// The repository's number.
    pub repository: i64,
    /// The commit.
    pub sha: &'a str,
    /// What it is about.
    pub context: &'a str,
    /// `pending`, `success`, …
    pub state: &'a str,
    /// In words.
    pub description: &'a str,
    /// Where to read on.
    pub target_url: &'a str,
}

/// A forge in process, which calls itself [`FORGE_URL`](crate::FORGE_URL).
pub struct Forge {
    state: State,
    /// What each branch of each repository points at.
    tips: BTreeMap<(i64, String), String>,
}

impl Forge {
    /// An empty forge with its administrator, whose token this is. The other one registers runners for the
    /// whole forge.
    #[must_use]
    pub fn new(version: Version, admin_token: &str, registration_token: &str, now_ms: u64) -> Self {
        Self {
            state: State::new(version, admin_token, registration_token, seconds(now_ms)),
            tips: BTreeMap::new(),
        }
    }

    /// The answer to a request to the API or of a runner, by its path and query.
    pub fn answer(&mut self, request: &Request<Bytes>, now_ms: u64) -> Response<Bytes> {
        let call = Call {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            body: request.body(),
        };
        door::answer(&mut self.state, call, seconds(now_ms))
    }

    /// What is to be delivered since the last question, in order. The forge sends each once, one after the
    /// other, and waits at most five seconds for an answer.
    pub fn deliveries(&mut self) -> Vec<Outgoing> {
        let waiting = self.state.outbox.drain(..);
        waiting.map(Delivery::outgoing).collect()
    }

    /// An empty repository; its owner is an organization, which is made when there is none of that name. The
    /// repository's number.
    pub fn add_repository(&mut self, owner: &str, name: &str, now_ms: u64) -> i64 {
        let now = seconds(now_ms);
        let known = self.state.account(owner).map(|account| account.id);
        let owner = known.unwrap_or_else(|| self.state.add_account(owner, true, now));
        self.state.add_repository(owner, name, DEFAULT_BRANCH, now)
    }

    /// An active hook for these events. Whether there is such a place for it.
    pub fn add_hook(
        &mut self,
        scope: &HookScope,
        url: &str,
        secret: &str,
        events: &[&str],
        now_ms: u64,
    ) -> bool {
        let Some(scope) = self.scope(scope) else {
            return false;
        };
        let id = self.state.number(Kind::Hook);
        let hook = Hook {
            id,
            scope,
            url: url.to_owned(),
            secret: secret.to_owned(),
            authorization: String::new(),
            events: events.iter().map(|&event| event.to_owned()).collect(),
            active: true,
            created: seconds(now_ms),
            full_names: false,
        };
        self.state.hooks.insert(id, hook);
        true
    }

    /// What a push to `branch` does whose one workflow file is `workflow`: hooks hear of it, and a run starts,
    /// whose number this is; else the reason why none does.
    pub fn start_run(
        &mut self,
        repository: i64,
        branch: &str,
        workflow: &str,
        now_ms: u64,
    ) -> Result<i64, String> {
        let now = seconds(now_ms);
        if !self.state.repositories.contains_key(&repository) {
            return Err(format!("there is no repository {repository}"));
        }
        let mut dirs = workflow_dirs(self.state.version.server()).into_iter();
        let dir = dirs.next().unwrap_or_default();
        let pushed = self.pushed(repository, branch, format!("{dir}/{FILE}"), now);
        let files = FoundFiles::of(&dir, [(FILE.to_owned(), workflow.as_bytes().to_vec())]);
        let actor = self.state.account(ADMIN).map_or(0, |account| account.id);
        let (runs, refused) =
            push::settle(&mut self.state, (repository, actor), pushed, files, now);
        let none = || match refused.as_slice() {
            [] => "no push to this branch starts it".to_owned(),
            refused => refused.join("; "),
        };
        runs.first().copied().ok_or_else(none)
    }

    /// Ends every job of the run that has not ended. A runner at work learns of it at its next call.
    pub fn cancel_run(&mut self, run: i64, now_ms: u64) {
        self.state.cancel(run, seconds(now_ms));
    }

    /// Every job of the run once more, or one with all that need it; else the reason why not.
    pub fn rerun(&mut self, run: i64, job: Option<i64>, now_ms: u64) -> Result<(), &'static str> {
        if !self.state.runs.contains_key(&run) {
            return Err("there is no such run");
        }
        self.state.rerun(run, job, seconds(now_ms))
    }

    /// Another name for a repository, within its owner's. Its old one redirects, as long as no other has it.
    pub fn rename_repository(&mut self, repository: i64, name: &str) {
        self.state.rename(repository, name);
    }

    /// Deletes a repository with its runs, jobs, hooks, runners and statuses, and tells nobody of a job.
    pub fn delete_repository(&mut self, repository: i64) {
        self.state.delete(repository);
        self.tips.retain(|(of, _), _| *of != repository);
    }

    /// Fails the jobs whose runners have been silent for longer than that: ten minutes
    /// ([`ZOMBIE_AFTER`](crate::forge::ZOMBIE_AFTER)) unless somebody set another limit. The forge looks for
    /// them every five minutes.
    pub fn fail_zombies(&mut self, silent_s: i64, now_ms: u64) {
        self.state.fail_zombies(silent_s, seconds(now_ms));
    }

    /// Every job that there is, by number: also those of older attempts, where attempts have jobs of their own.
    pub fn jobs(&self) -> impl Iterator<Item = JobView<'_>> {
        let all = self.state.jobs.values();
        all.map(move |job| self.job_view(job))
    }

    /// Every runner that is registered, by number.
    pub fn runners(&self) -> impl Iterator<Item = RunnerView<'_>> {
        let all = self.state.runners.values();
        all.map(move |runner| RunnerView {
            id: runner.id,
            name: &runner.name,
            labels: &runner.labels,
            ephemeral: runner.ephemeral,
            disabled: runner.disabled,
            busy: self.state.is_busy(runner.id),
        })
    }

    /// Every word on a commit, the oldest first.
    pub fn statuses(&self) -> impl Iterator<Item = StatusView<'_>> {
        let all = self.state.statuses.iter();
        all.map(|status| StatusView {
            repository: status.repository,
            sha: &status.sha,
            context: &status.context,
            state: &status.status,
            description: &status.description,
            target_url: &status.target_url,
        })
    }

    fn job_view<'a>(&'a self, job: &'a Job) -> JobView<'a> {
        let repository = &self.state.repositories[&job.repository];
        let task = job.task.and_then(|task| self.state.tasks.get(&task));
        JobView {
            id: job.id,
            run: job.run,
            repository: job.repository,
            owner: &self.state.accounts[&repository.owner].login,
            repository_name: &repository.name,
            name: &job.name,
            labels: &job.labels,
            status: job.status.word(),
            conclusion: job.status.conclusion(),
            attempt: self.attempt(job),
            runner: task.map(|task| (task.runner, task.runner_name.as_str())),
            created_ms: milliseconds(job.created),
            queued_ms: milliseconds(job.queued),
            started_ms: (job.started > 0).then(|| milliseconds(job.started)),
            stopped_ms: (job.stopped > 0).then(|| milliseconds(job.stopped)),
        }
    }

    /// A Forgejo counts an attempt that waits already.
    fn attempt(&self, job: &Job) -> i64 {
        let waits = self.state.version.kind() == workflow::ForgeKind::Forgejo
            && job.status == Status::Waiting;
        job.attempt + i64::from(waits)
    }

    fn scope(&self, scope: &HookScope) -> Option<Scope> {
        Some(match scope {
            HookScope::Global => Scope::Global,
            HookScope::Owner(name) => Scope::Owner(self.state.account(name)?.id),
            HookScope::Repository(id) => Scope::Repository(self.state.repositories.get(id)?.id),
        })
    }

    /// One new commit on a branch, which changes the file at `path`.
    fn pushed(&mut self, repository: i64, branch: &str, path: String, now: i64) -> Pushed {
        let reference = format!("refs/heads/{branch}");
        let after = random_hex(20);
        let tip = self
            .tips
            .insert((repository, branch.to_owned()), after.clone());
        let before = tip.unwrap_or_else(|| ZERO.to_owned());
        let default = self.tips.get(&(repository, DEFAULT_BRANCH.to_owned()));
        let base = if before == ZERO { default } else { None };
        let base = base.unwrap_or(&before).clone();
        let branches = self.tips.keys().filter(|(of, _)| *of == repository).count();
        if let Some(known) = self.state.repositories.get_mut(&repository) {
            (known.branches, known.updated) = (branches, now);
        }
        let person = Person {
            name: ADMIN.to_owned(),
            email: format!("{ADMIN}@forge.lab"),
            username: String::new(),
        };
        let head = Commit {
            id: after.clone(),
            message: "a commit".to_owned(),
            author: person.clone(),
            committer: person,
            timestamp: time(now),
            committed: now,
            added: Vec::new(),
            removed: Vec::new(),
            modified: vec![path.clone()],
        };
        Pushed {
            reference,
            before,
            after,
            base,
            commits: vec![head.clone()],
            total: 1,
            head: Some(head),
            files: vec![path],
        }
    }
}

/// The forge's times are seconds.
fn seconds(now_ms: u64) -> i64 {
    i64::try_from(now_ms / 1000).unwrap_or(i64::MAX)
}

fn milliseconds(seconds: i64) -> u64 {
    u64::try_from(seconds)
        .unwrap_or_default()
        .saturating_mul(1000)
}
