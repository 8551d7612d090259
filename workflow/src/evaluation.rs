//! All of it for one event: which workflows it starts and which jobs they have, with what each rule
//! said.
//!
//! The order is the forge's own (Gitea 1.26, `notify`): what starts nothing at all, words that skip,
//! then every file and every event in it, and of those that match the jobs.

mod checks;
mod github_event;
mod summary;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::budget::Budget;
use crate::document::Workflow;
use crate::document::on::OnEvent;
use crate::event::{Event, EventKind, PullRequest, Reads};
use crate::expression::Resolved;
use crate::gather::Facts;
use crate::jobs::concurrency::{self, Group, RunFacts};
use crate::jobs::contexts::{Contexts, GithubFacts, github_of, no_github};
use crate::jobs::reusable::Caller;
use crate::jobs::workflow_set::{ReadFile, WorkflowSet, crash_at};
use crate::jobs::{ExpandedJob, Start};
use crate::server::{Capability, ForgeKind, Server};
use crate::trigger::{self, Judgement, Outcome, TriggerInputs};
use crate::yaml::{By, Refused};

pub use summary::SUMMARY_MAX_BYTES;

/// Which workflows and jobs an event starts, and why.
#[derive(Debug)]
pub struct Evaluation {
    /// Why no workflow was even looked at, if that is so.
    pub nothing: Option<String>,
    /// Nothing was evaluated because one of our limits was hit.
    pub is_over_limit: bool,
    /// Every file that was looked at.
    pub workflows: Vec<WorkflowEvaluation>,
}

/// What became of one workflow file.
#[derive(Debug)]
pub struct WorkflowEvaluation {
    /// Its path.
    pub path: String,
    /// The forge's name of it.
    pub name: String,
    /// Why the forge skips it, if it does.
    pub refused: Option<Refused>,
    /// Its events that this one could be, each with what its rules said.
    pub events: Vec<EventEvaluation>,
}

/// What became of one event in the `on` of a file.
#[derive(Debug)]
pub struct EventEvaluation {
    /// The event's name in the file.
    pub on: String,
    /// What its rules said.
    pub judgement: Judgement,
    /// The run that it starts, if it does; or why the forge makes none all the same.
    pub run: Option<Result<Run, Refused>>,
}

/// A run.
#[derive(Debug)]
pub struct Run {
    /// The event's name in the file.
    pub event: String,
    /// Its group, if it has one.
    pub group: Resolved<Option<Group>>,
    /// Its jobs.
    pub jobs: Vec<PlannedJob>,
}

/// A job of a run.
#[derive(Debug)]
pub struct PlannedJob {
    /// The job.
    pub job: ExpandedJob,
    /// Whether it can start at once.
    pub start: Start,
    /// Under which words the forge puts its state on the commit; `None` for events that leave none.
    pub context: Option<String>,
}

/// The event that runs the workflows of the branch that a pull request goes to, not its own.
const PULL_REQUEST_TARGET: &str = "pull_request_target";

impl Facts {
    /// What the forge makes of `event`.
    #[must_use]
    pub fn evaluate(&self, event: &Event) -> Evaluation {
        if let Some(why) = self.starts_nothing(event) {
            return Evaluation {
                is_over_limit: self.files.refused.is_some(),
                nothing: Some(why),
                workflows: Vec::new(),
            };
        }
        let evaluator = Evaluator {
            facts: self,
            event,
            payload: event.payload(),
            budget: Arc::default(),
        };
        let of_head = (self.files.files.iter())
            .map(|file| evaluator.file((&self.files, file), |on| on != PULL_REQUEST_TARGET));
        let of_base = (self.base.iter())
            .flat_map(|base| base.files.iter().map(move |file| (base, file)))
            .map(|file| evaluator.file(file, |on| on == PULL_REQUEST_TARGET))
            .filter(|file| !file.events.is_empty() || file.is_over_limit());
        // In the order in which the forge makes their runs.
        let mut workflows: Vec<WorkflowEvaluation> = match self.server.kind {
            ForgeKind::Gitea => of_head.chain(of_base).collect(),
            ForgeKind::Forgejo => of_base.chain(of_head).collect(),
        };
        let crash = workflows.iter().find_map(WorkflowEvaluation::crash);
        if crash.is_some() {
            workflows.clear();
        }
        lose_after_crash(&mut workflows);
        Evaluation {
            nothing: crash,
            is_over_limit: false,
            workflows,
        }
    }

    fn starts_nothing(&self, event: &Event) -> Option<String> {
        if let Some(why) = event.starts_nothing() {
            return Some(why.to_owned());
        }
        let pull = event.body.pull_request.as_ref();
        let title = pull.map_or("", |pull| &pull.title);
        let skip = trigger::skip_string(event.kind, &self.message)
            .or_else(|| trigger::skip_string(event.kind, title));
        if let Some(words) = skip {
            return Some(format!("the commit or the pull request says {words}"));
        }
        if let Some(why) = &self.files.refused {
            return Some(why.clone());
        }
        let readings = std::iter::once(&self.files).chain(&self.base);
        let mut files = readings.flat_map(|reading| &reading.files);
        if let Some(why) = files.find_map(ReadFile::crash) {
            return Some(why);
        }
        let base = self.base.as_ref();
        let is_empty = self.files.files.is_empty() && base.is_none_or(|base| base.files.is_empty());
        is_empty.then(|| match &self.files.folder {
            None => "the repository has no folder of workflows there".to_owned(),
            Some(folder) => format!("{folder} has no .yml or .yaml file"),
        })
    }
}

/// The forge makes run after run: where its code fails on one, those after it are lost.
fn lose_after_crash(workflows: &mut [WorkflowEvaluation]) {
    let mut crash: Option<String> = None;
    for WorkflowEvaluation { path, events, .. } in workflows {
        for run in events.iter_mut().filter_map(|event| event.run.as_mut()) {
            if let Some(reason) = &crash {
                *run = Err(Refused::new(None, reason.as_str()));
            } else if let Err(Refused { by: By::Panic, .. }) = run {
                crash = Some(format!("the forge's own code fails on {path}, before it"));
            }
        }
    }
}

/// Goes through the files for one event.
struct Evaluator<'a> {
    facts: &'a Facts,
    event: &'a Event,
    payload: serde_json::Value,
    budget: Arc<Budget>,
}

impl Evaluator<'_> {
    fn file(
        &self,
        (reading, file): (&WorkflowSet, &ReadFile),
        is_meant: impl Fn(&str) -> bool,
    ) -> WorkflowEvaluation {
        let (refused, events) = match &file.read {
            Err(refused) => (Some(refused.clone()), Vec::new()),
            Ok(workflow) => {
                // The forge judges all of them, and then takes those that are meant.
                let events = workflow.events.iter().filter_map(|on| {
                    let judgement = self.judge(file, on);
                    let counts = is_meant(&on.name) || judgement.outcome == Outcome::Crashes;
                    counts.then(|| self.event((reading, file), (workflow, on), judgement))
                });
                (None, events.collect())
            }
        };
        WorkflowEvaluation {
            path: file.path.clone(),
            name: file.name.clone(),
            refused,
            events,
        }
    }

    fn judge(&self, file: &ReadFile, on: &OnEvent) -> Judgement {
        let given = TriggerInputs {
            kind: self.event.kind,
            payload: &self.payload,
            changed: &self.facts.changed,
            server: self.facts.server,
            budget: &self.budget,
        };
        let mut judgement = trigger::judge(on, given);
        // Older ones don't look at it for workflows of the branch that a pull request goes to.
        let is_looked_at =
            on.name != PULL_REQUEST_TARGET || self.facts.server.has(Capability::DisablesTargets);
        if is_looked_at && self.facts.disabled.contains(&file.name) {
            judgement.disable();
        }
        judgement
    }

    fn event(
        &self,
        place: (&WorkflowSet, &ReadFile),
        (workflow, on): (&Workflow, &OnEvent),
        judgement: Judgement,
    ) -> EventEvaluation {
        let run = match judgement.outcome {
            Outcome::Matched => Some(self.run(place, workflow, on)),
            Outcome::FilteredOut | Outcome::NotApplicable | Outcome::Unknown | Outcome::Crashes => {
                None
            }
        };
        EventEvaluation {
            on: on.name.clone(),
            judgement,
            run,
        }
    }

    fn run(
        &self,
        (reading, file): (&WorkflowSet, &ReadFile),
        workflow: &Workflow,
        on: &OnEvent,
    ) -> Result<Run, Refused> {
        let server = self.facts.server;
        let contexts = self.contexts(file, on);
        let run = RunFacts {
            kind: self.event.kind,
            event_name: &on.name,
            reference: &self.event.reads().git_ref,
            workflow: &file.name,
        };
        let group = concurrency::of_run(workflow, &contexts, run, server)?;
        let contexts = contexts_of_jobs(contexts, server);
        let status = checks::event_word(self.event.kind, &on.name);
        let awaits_approval = awaits_approval(self.event, &on.name);
        let own = group.clone().known().flatten().map(|group| group.name);
        let mut groups = BTreeSet::new();
        let mut jobs = Vec::new();
        let shared = contexts.shared(workflow, server);
        let caller = Caller {
            workflow,
            contexts: &contexts,
            server,
            files: reading,
        };
        for job in caller.jobs()? {
            // A group that can't be evaluated means that there is no run.
            if job.needs.is_empty()
                && let Resolved::Known(Some(group)) = concurrency::of_job(&job, workflow, &shared)?
            {
                // The second cancels the first, whose run is only being made (measured).
                let cancels = !jobs.is_empty() && own.as_ref() == Some(&group.name);
                let is_shared = !groups.insert(group.name.clone()) || cancels;
                if is_shared && !server.has(Capability::SharesJobGroups) {
                    let reason = format!(
                        "two of its jobs are of the concurrency group {}, and then the forge makes no run",
                        group.name
                    );
                    return Err(Refused::new(job.line, reason));
                }
            }
            let name = match &job.name {
                Resolved::Known(name) => Some(name.as_str()),
                Resolved::Unknown(_) => None,
            };
            let context = status.zip(name);
            jobs.push(PlannedJob {
                start: if !job.needs.is_empty() {
                    Start::AfterNeeds
                } else if awaits_approval {
                    Start::AfterApproval
                } else {
                    Start::Waiting
                },
                context: context
                    .map(|(status, job)| checks::name((file, workflow), job, status, server)),
                job,
            });
        }
        Ok(Run {
            event: on.name.clone(),
            group,
            jobs,
        })
    }

    /// What expressions of the run can look at. Of the delivery only a part was kept, and what is not in it
    /// can't be known.
    fn contexts(&self, file: &ReadFile, on: &OnEvent) -> Contexts {
        let body = &self.event.body;
        let full_name = body.repository.full_name.as_str();
        let Reads { git_ref, .. } = self.event.reads();
        let mut payload = self.payload.clone();
        if self.event.kind.is_of_a_reference() {
            // The forge's own event has the full name where its delivery has the short one.
            payload["ref"] = serde_json::json!(self.event.full_ref());
        }
        if self.event.kind == EventKind::PullRequestComment {
            // Its own event has none, unlike its delivery.
            payload["pull_request"] = serde_json::Value::Null;
        }
        let (owner, name) = full_name.split_once('/').unwrap_or((full_name, ""));
        payload["repository"]["name"] = serde_json::json!(name);
        payload["repository"]["owner"]["login"] = serde_json::json!(owner);
        if self.event.kind == EventKind::Push {
            // The same user.
            payload["pusher"] = payload["sender"].clone();
        }
        let github = github_of(
            GithubFacts {
                kind: self.event.kind,
                event_name: &on.name,
                event: &payload,
                reference: &git_ref,
                sha: &self.facts.sha,
                actor: body.sender.as_ref().map_or("", |user| &user.login),
                repository: (owner, name),
                workflow: &file.name,
                server_url: body.repository.html_url.trim_end_matches(full_name),
            },
            self.facts.server,
        );
        Contexts {
            github: github.with_fields(|name, value| {
                let event = || github_event::of(value, self.event.kind, self.facts.server);
                (name == "event").then(event)
            }),
            vars: self.facts.variables.clone(),
            budget: Arc::clone(&self.budget),
            ..Contexts::default()
        }
    }
}

/// What expressions of jobs can look at: Gitea before 1.25 and Forgejo up to 15 make names, labels and
/// matrices without `github` (`handleWorkflows`; measured on Forgejo 15.0.3), and groups of runs with it.
fn contexts_of_jobs(of_run: Contexts, server: Server) -> Contexts {
    if server.has(Capability::GithubInLabels) {
        return of_run;
    }
    Contexts {
        github: no_github(),
        ..of_run
    }
}

/// Whether somebody with rights must approve a run first: a pull request comes from another
/// repository. The forge asks for it only of strangers (Gitea 1.26, `ifNeedApproval`), which nobody
/// else can know: the run is followed until it is approved or not. Reviews need none, and who merges
/// is no stranger.
fn awaits_approval(event: &Event, on: &str) -> bool {
    let pull = event.body.pull_request.as_ref();
    let is_trusted =
        on == PULL_REQUEST_TARGET || event.kind.is_of_a_review() || event.merge_commit().is_some();
    // AGit's pull requests have no branch: they count as a fork's.
    let is_of_fork = |pull: &PullRequest| {
        let head = &pull.head;
        let is_agit = head.label.is_empty() && head.git_ref.starts_with("refs/pull/");
        is_agit || head.repo_id != pull.base.repo_id
    };
    !is_trusted && pull.is_some_and(is_of_fork)
}

impl WorkflowEvaluation {
    /// Whether it was not read because one of our limits was hit.
    fn is_over_limit(&self) -> bool {
        let refused = self.refused.as_ref();
        refused.is_some_and(|refused| refused.by == By::Limit)
    }

    /// Why no file starts anything, if the forge's code fails on a rule of this one.
    fn crash(&self) -> Option<String> {
        let mut events = self.events.iter();
        let event = events.find(|event| event.judgement.outcome == Outcome::Crashes)?;
        let why = event.judgement.steps.first().map_or("", |step| &step.why);
        Some(crash_at(&self.path, why))
    }
}

impl PlannedJob {
    /// Whether a runner may take it at once.
    #[must_use]
    pub fn waits_for_runner(&self) -> bool {
        self.start == Start::Waiting
    }
}

impl Evaluation {
    /// The runs that are started, each with the name of its workflow.
    pub fn runs(&self) -> impl Iterator<Item = (&str, &Run)> {
        self.workflows.iter().flat_map(|workflow| {
            let runs = workflow.events.iter();
            let runs = runs.filter_map(|event| event.run.as_ref()?.as_ref().ok());
            runs.map(|run| (workflow.name.as_str(), run))
        })
    }

    /// Whether a rule could not be judged, so that there may be more runs than these.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        let is_limit = |refused: &Refused| refused.by == By::Limit;
        let is_unknown = |event: &EventEvaluation| {
            let refused = event.run.as_ref().and_then(|run| run.as_ref().err());
            event.judgement.outcome == Outcome::Unknown || refused.is_some_and(is_limit)
        };
        self.is_over_limit
            || self
                .workflows
                .iter()
                .any(|workflow| workflow.is_over_limit() || workflow.events.iter().any(is_unknown))
    }
}

#[cfg(test)]
mod tests;
