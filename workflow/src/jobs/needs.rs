//! What becomes of jobs that wait for others, when those have ended: no event of the forge tells it.
//!
//! Gitea up to 1.26 (`services/actions/job_emitter.go`): a job whose needs have all ended well is free
//! to start. If one did not, a job with an `if` is free all the same (its runner evaluates it), and one
//! without is skipped. From 1.27 on the server evaluates the `if` itself, and a failure that
//! `continue-on-error` allows counts as success. Forgejo does the former, from 15 on the latter.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::expression::{History, JobState, RecordKind, Resolved, Scope, Stop, Value};
use crate::jobs::contexts::{Contexts, cancelled};
use crate::server::{Capability, ForgeKind, Server};

/// The status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for something else than a runner.
    Blocked,
    /// It waits for a runner.
    Waiting,
    /// A runner has it.
    Running,
    /// It ended well.
    Success,
    /// It ended badly.
    Failure,
    /// It was cancelled.
    Cancelled,
    /// It did not run.
    Skipped,
}

impl Status {
    /// The forge's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    /// Whether the job has ended.
    #[must_use]
    pub const fn is_done(self) -> bool {
        match self {
            Self::Success | Self::Failure | Self::Cancelled | Self::Skipped => true,
            Self::Blocked | Self::Waiting | Self::Running => false,
        }
    }

    /// The status of a job from those of its combinations (Gitea 1.26, `AggregateJobStatus`).
    pub(crate) fn of_all(all: &[Self]) -> Self {
        let has = |status| all.contains(&status);
        let well = |status: &Self| matches!(status, Self::Success | Self::Skipped);
        if all.iter().all(|status| *status == Self::Skipped) {
            Self::Skipped
        } else if all.iter().all(well) {
            Self::Success
        } else if has(Self::Cancelled) {
            Self::Cancelled
        } else if has(Self::Running) {
            Self::Running
        } else if has(Self::Waiting) {
            Self::Waiting
        } else if has(Self::Failure) {
            Self::Failure
        } else {
            Self::Blocked
        }
    }
}

/// A job of a run: one combination of a matrix is one.
#[derive(Debug, Clone)]
pub struct JobNode {
    /// Its key in `jobs`.
    pub id: String,
    /// Its status.
    pub status: Status,
    /// The ids of the jobs that it needs.
    pub needs: Vec<String>,
    /// What its `if` says.
    pub condition: Option<String>,
    /// Its failure does not count.
    pub continue_on_error: bool,
    /// The context `matrix`.
    pub matrix: Value,
}

/// What becomes of a blocked job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It waits for a runner now, unless its concurrency group is taken.
    Waiting,
    /// It is skipped.
    Skipped,
    /// It stays blocked for good: the forge can't evaluate its `if`.
    Stuck(String),
    /// That can't be known from outside.
    Unknown(String),
}

/// What becomes of the blocked jobs of a run, by their places. Jobs that stay blocked because something
/// has not ended are not in it.
#[must_use]
pub fn resolve(jobs: &[JobNode], contexts: &Contexts, server: Server) -> BTreeMap<usize, Next> {
    let mut run = Run::new(jobs, contexts, server);
    let mut next = BTreeMap::new();
    let mut free: VecDeque<usize> = (0..jobs.len())
        .filter(|place| run.is_free(*place))
        .collect();
    while let Some(place) = free.pop_front() {
        let becomes = run.decide(place);
        if becomes == Next::Skipped {
            free.extend(run.skip(place));
        }
        next.insert(place, becomes);
    }
    next
}

struct Run<'a> {
    jobs: &'a [JobNode],
    contexts: &'a Contexts,
    server: Server,
    statuses: Vec<Status>,
    /// The places of the jobs of an id.
    places: BTreeMap<&'a str, Vec<usize>>,
    /// How many needed jobs of each job have not ended, and the jobs that need an id.
    left: Vec<usize>,
    dependants: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Run<'a> {
    fn new(jobs: &'a [JobNode], contexts: &'a Contexts, server: Server) -> Self {
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, job) in jobs.iter().enumerate() {
            places.entry(&job.id).or_default().push(place);
        }
        let mut dependants: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut left = vec![0; jobs.len()];
        for (place, job) in jobs.iter().enumerate() {
            let needs: BTreeSet<&str> = job.needs.iter().map(String::as_str).collect();
            for need in needs {
                let Some(needed) = places.get(need) else {
                    left[place] += usize::from(server.has(Capability::ChecksRuns));
                    continue;
                };
                dependants.entry(need).or_default().push(place);
                left[place] += needed
                    .iter()
                    .filter(|needed| !jobs[**needed].status.is_done())
                    .count();
            }
        }
        Self {
            jobs,
            contexts,
            server,
            statuses: jobs.iter().map(|job| job.status).collect(),
            places,
            left,
            dependants,
        }
    }

    fn is_free(&self, place: usize) -> bool {
        self.statuses[place] == Status::Blocked && self.left[place] == 0
    }

    /// Skips a job; the jobs that can start now because of it.
    fn skip(&mut self, place: usize) -> Vec<usize> {
        self.statuses[place] = Status::Skipped;
        let dependants = self.dependants.get(self.jobs[place].id.as_str());
        let mut free = Vec::new();
        for dependant in dependants.into_iter().flatten() {
            self.left[*dependant] -= 1;
            if self.is_free(*dependant) {
                free.push(*dependant);
            }
        }
        free
    }

    fn decide(&self, place: usize) -> Next {
        let job = &self.jobs[place];
        let condition = job.condition.as_deref().unwrap_or_default();
        if self.server.has(Capability::EvaluatesIf) && !condition.is_empty() {
            return self.evaluate(job, condition);
        }
        let needed = job
            .needs
            .iter()
            .filter_map(|need| self.places.get(need.as_str()));
        let mut needed = needed.flatten().map(|place| self.result(*place));
        if needed.all(|status| status == Status::Success) || !condition.is_empty() {
            Next::Waiting
        } else {
            Next::Skipped
        }
    }

    fn evaluate(&self, job: &JobNode, condition: &str) -> Next {
        match self.scope(job).condition(condition) {
            Ok(Resolved::Known(true)) => Next::Waiting,
            Ok(Resolved::Known(false)) => Next::Skipped,
            Ok(Resolved::Unknown(because)) => Next::Unknown(because),
            Err(Stop::Fails(reason) | Stop::Crashes(reason)) => Next::Stuck(reason),
            Err(Stop::Unknown(reason)) => Next::Unknown(reason),
        }
    }

    /// How a job counts for those that need it.
    fn result(&self, place: usize) -> Status {
        let allowed =
            self.jobs[place].continue_on_error && self.server.has(Capability::EvaluatesIf);
        let status = self.statuses[place];
        if allowed && status == Status::Failure {
            return Status::Success;
        }
        status
    }

    fn scope(&self, job: &JobNode) -> Scope {
        let (mut states, mut needs) = (BTreeMap::new(), BTreeMap::new());
        for need in &job.needs {
            let Some(places) = self.places.get(need.as_str()) else {
                continue;
            };
            let all: Vec<Status> = places.iter().map(|place| self.result(*place)).collect();
            let result = Value::text(Status::of_all(&all).word());
            needs.insert(need.clone(), self.need(need, result.clone()));
            let state = JobState {
                needs: Vec::new(),
                result,
            };
            states.insert(need.clone(), state);
        }
        // The forge's code fails on one that is not there.
        let own = JobState::open(job.needs.clone());
        states.insert(job.id.clone(), own);
        let mut contexts = self.contexts.common(self.server);
        contexts.insert("matrix", job.matrix.clone());
        contexts.insert("needs", Value::map(needs));
        Scope {
            contexts,
            history: Some(History {
                job: job.id.clone(),
                jobs: Arc::new(states),
            }),
            cancelled: match self.server.kind {
                ForgeKind::Gitea => cancelled(self.server),
                ForgeKind::Forgejo => Some(Value::unknown("whether the run was cancelled")),
            },
            by_parts: self.server.has(Capability::EvaluatesParts),
            budget: Arc::clone(&self.contexts.budget),
        }
    }

    /// Outputs are known if they were fetched.
    fn need(&self, id: &str, result: Value) -> Value {
        let outputs = match self.contexts.job_outputs.get(id) {
            Some(outputs) => Value::texts(outputs),
            None => Value::unknown("the outputs of a job are not told by the forge"),
        };
        Value::record(
            RecordKind::Need,
            vec![("outputs", outputs), ("result", result)],
        )
    }
}
