//! Jobs that call another workflow (`uses:` of a job).
//!
//! Up to Gitea 1.26 a calling job is like any other: it is sent to a runner, which reads the called
//! workflow itself. From 1.27 on (`services/actions/reusable_workflow.go`) the server puts the called
//! workflow's jobs in its place once the caller is ready, and it needs no runner: they keep their own
//! names; their `github` says `workflow_call`. Of a call that can't be made there is no run, or no job if
//! the caller has to wait. Forgejo does so from 14 on for a caller without `runs-on`, from 15 on in other
//! repositories too, all of it when the run is made (measured on 15.0.3): each called job waits for what
//! the caller waits for, inputs are taken as they are given, and a call that can't be made fails the run.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::Workflow;
use crate::expression::{Resolved, Scope, Value};
use crate::jobs::called::{Call, defaults};
use crate::jobs::concurrency;
use crate::jobs::contexts::{Contexts, Shared};
use crate::jobs::matrix::JOBS_MAX;
use crate::jobs::uses::Uses;
use crate::jobs::workflow_set::WorkflowSet;
use crate::jobs::{ExpandedJob, expand};
use crate::server::{Capability, ForgeKind, Server};
use crate::yaml::{self, By, Node, Refused};

/// How many calls may stand behind each other (Gitea 1.27: nine below the first).
pub const CALLS_MAX: usize = 10;
/// In Forgejo (runner 12, `jobparser`).
const FORGEJO_CALLS_MAX: usize = 5;

/// A workflow of which jobs are made, and what it is given.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The workflow.
    pub workflow: &'a Workflow,
    /// What its expressions look at.
    pub contexts: &'a Contexts,
    /// Which forge.
    pub server: Server,
    /// The files that calls lead to.
    pub files: &'a WorkflowSet,
}

impl<'a> Caller<'a> {
    /// The jobs that a runner is asked for: those that the workflow has, and those of called workflows
    /// in the place of their callers. Where it is not known what a call leads to the caller stands for
    /// them, with labels that nobody knows: the forge will tell.
    pub fn jobs(self) -> Result<Vec<ExpandedJob>, Refused> {
        self.jobs_below(&[], &Cell::new(JOBS_MAX))
    }

    /// `calls` led here. `calls_left` bounds the work where called workflows have no jobs but calls.
    fn jobs_below(
        self,
        calls: &[&str],
        calls_left: &Cell<usize>,
    ) -> Result<Vec<ExpandedJob>, Refused> {
        let shared = self.contexts.shared(self.workflow, self.server);
        let expanded = expand(self.workflow, self.contexts, self.server)?;
        self.check_needs(&expanded)?;
        let mut written = self.workflow.jobs.iter();
        if let Some(refused) = written.find_map(|(_, job)| job.unstorable.clone()) {
            return Err(refused);
        }
        let mut jobs = Vec::new();
        for job in expanded {
            let is_bare = job.labels == Resolved::Known(Vec::new());
            let uses = match Uses::expanded(&job.uses, is_bare, self.server) {
                // What it becomes is not known yet.
                Some(_) if job.incomplete_matrix.is_some() => None,
                uses => uses,
            };
            match uses {
                None => jobs.push(job),
                Some(uses) => match self.called(&job, uses, &shared, (calls, calls_left))? {
                    Resolved::Known(called) => jobs.extend(called),
                    Resolved::Unknown(because) => jobs.push(ExpandedJob {
                        labels: Resolved::Unknown(because),
                        ..job
                    }),
                },
            }
            if jobs.len() > JOBS_MAX {
                let reason =
                    format!("with what it calls it makes more than {JOBS_MAX} jobs; split it");
                return Err(Refused::limit(None, reason));
            }
        }
        Ok(jobs)
    }

    /// Forgejo fails a run with a job that needs one of which there is none (measured on 15.0.3).
    fn check_needs(&self, jobs: &[ExpandedJob]) -> Result<(), Refused> {
        if !self.server.has(Capability::ChecksRuns) {
            return Ok(());
        }
        let ids: BTreeSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
        for job in jobs {
            if let Some(need) = job.needs.iter().find(|need| !ids.contains(need.as_str())) {
                let reason = format!("`{}` needs `{need}`, and there is no such job", job.id);
                return Err(Refused::new(job.line, reason));
            }
        }
        Ok(())
    }

    /// What comes of a call. `Err`: the forge makes no run.
    fn called(
        self,
        caller: &ExpandedJob,
        uses: Result<Uses, Refused>,
        shared: &Shared<'_>,
        (calls, calls_left): (&[&str], &Cell<usize>),
    ) -> Result<Resolved<Vec<ExpandedJob>>, Refused> {
        let Some(left) = calls_left.get().checked_sub(1) else {
            let reason = format!("it calls workflows more than {JOBS_MAX} times; split it");
            return Err(Refused::limit(None, reason));
        };
        calls_left.set(left);
        let because =
            |because: &dyn std::fmt::Display| format!("it calls {}: {because}", caller.uses);
        // Gitea calls once the caller is ready, when the run is there.
        let is_later =
            self.server.kind == ForgeKind::Gitea && !(calls.is_empty() && caller.needs.is_empty());
        let refused = |refused: Refused| match refused.by {
            By::Limit if is_later => Ok(Resolved::Unknown(because(&refused))),
            By::Forge | By::Panic if is_later => Ok(Resolved::Known(Vec::new())),
            // Whether there is a run rests on it.
            By::Limit | By::Forge | By::Panic => Err(Refused {
                reason: because(&refused),
                line: caller.line.into(),
                by: refused.by,
            }),
        };
        match self.is_held(caller, shared) {
            Ok(Resolved::Known(false)) => {}
            Ok(Resolved::Known(true)) => return Ok(Resolved::Known(Vec::new())),
            Ok(Resolved::Unknown(reason)) => {
                let target = self.target(caller, uses, calls);
                let fails = target.and_then(|target| self.contexts_of_call(caller, shared, target));
                // Whether there is a run rests on it.
                return match fails {
                    Err(refused) if refused.by != By::Limit && !is_later => {
                        let reason =
                            format!("{}, unless its `if` is false: {reason}", because(&refused));
                        Err(Refused::limit(caller.line, reason))
                    }
                    Ok(_) | Err(_) => Ok(Resolved::Unknown(because(&reason))),
                };
            }
            Err(reason) => return refused(reason),
        }
        let target = match self.target(caller, uses, calls) {
            Ok(target) => target,
            Err(reason) => return refused(reason),
        };
        let contexts = match self.contexts_of_call(caller, shared, target) {
            Ok(Resolved::Known(contexts)) => contexts,
            Ok(Resolved::Unknown(reason)) => return Ok(Resolved::Unknown(because(&reason))),
            Err(reason) => return refused(reason),
        };
        let target = Caller {
            workflow: target,
            contexts: &contexts,
            server: self.server,
            files: self.files,
        };
        let calls: Vec<&str> = calls.iter().copied().chain([&*caller.uses]).collect();
        match target.jobs_below(&calls, calls_left) {
            Err(limit) if limit.by == By::Limit => Err(limit),
            Err(reason) => refused(reason),
            Ok(jobs) => {
                let jobs = jobs.into_iter().map(|job| below(caller, job, self.server));
                Ok(Resolved::Known(jobs.collect()))
            }
        }
    }

    /// Whether the `if` of a caller keeps it from calling. Gitea asks it first; with `needs` it can't be
    /// known before they have ended. Forgejo calls in any case.
    fn is_held(self, caller: &ExpandedJob, shared: &Shared<'_>) -> Result<Resolved<bool>, Refused> {
        let origin = self.workflow.jobs.iter().find(|(id, _)| *id == caller.id);
        let (Some(condition), Some((_, origin)), ForgeKind::Gitea, []) = (
            &caller.condition,
            origin,
            self.server.kind,
            &caller.needs[..],
        ) else {
            return Ok(Resolved::Known(false));
        };
        let mut scope = shared.scope((&caller.id, origin), caller.combination.context());
        let job = ("job", Value::text(caller.id.as_str()));
        let github = concurrency::bare(&shared.contexts.github, &[job]);
        scope
            .contexts
            .extend([("github", github.clone()), ("gitea", github)]);
        match scope.condition(condition) {
            Ok(holds) => Ok(holds.map(|holds| !holds)),
            Err(stop) => stop.about(caller.line, "if"),
        }
    }

    /// The workflow that is called.
    fn target(
        self,
        caller: &ExpandedJob,
        uses: Result<Uses, Refused>,
        calls: &[&str],
    ) -> Result<&'a Workflow, Refused> {
        let calls_max = match self.server.kind {
            ForgeKind::Gitea => CALLS_MAX,
            ForgeKind::Forgejo => FORGEJO_CALLS_MAX,
        };
        if calls.len() >= calls_max {
            let reason = format!("calls go no deeper than {calls_max}");
            return Err(Refused::new(None, reason));
        }
        if self.server.kind == ForgeKind::Gitea && calls.contains(&&*caller.uses) {
            return Err(Refused::new(None, "it calls itself"));
        }
        let target = self.files.called(&uses?.in_folders(self.server)?)?;
        if self.server.kind == ForgeKind::Gitea && target.jobs.is_empty() {
            return Err(Refused::new(None, "the called workflow has no job"));
        }
        Ok(target)
    }

    /// What the expressions of a called workflow look at. `Err`: the forge refuses the call.
    fn contexts_of_call(
        self,
        caller: &ExpandedJob,
        shared: &Shared<'_>,
        target: &Workflow,
    ) -> Result<Resolved<Contexts>, Refused> {
        let call = match self.server.kind {
            ForgeKind::Gitea => Call::of(&target.on)?,
            ForgeKind::Forgejo => Call::default(),
        };
        let given = match self.server.kind {
            // What declares nothing is given nothing, and nobody looks at it.
            ForgeKind::Gitea if !call.has_inputs() => Resolved::Known(BTreeMap::new()),
            ForgeKind::Gitea | ForgeKind::Forgejo => given(caller, self.workflow, shared)?,
        };
        let given = match given {
            Resolved::Known(given) => given,
            Resolved::Unknown(because) => return Ok(Resolved::Unknown(because)),
        };
        let of_run = self.contexts;
        let (inputs, github) = match self.server.kind {
            ForgeKind::Gitea => {
                call.check_secrets(caller.secrets.as_ref())?;
                let inputs = Value::map(call.inputs(given)?);
                let github = of_call(&of_run.github, &inputs);
                (inputs, github)
            }
            ForgeKind::Forgejo => {
                let scope = Scope {
                    contexts: Contexts {
                        inputs: Value::Map(None),
                        ..of_run.clone()
                    }
                    .common(self.server),
                    budget: Arc::clone(&of_run.budget),
                    ..Scope::default()
                };
                let mut inputs = match evaluated(&defaults(&target.on), &scope, None)? {
                    Resolved::Known(defaults) => defaults,
                    Resolved::Unknown(because) => return Ok(Resolved::Unknown(because)),
                };
                for (name, value) in given {
                    if value != yaml::Value::Null {
                        inputs.entry(name).and_modify(|own| *own = value);
                    }
                }
                let inputs = inputs.iter();
                let inputs = inputs.map(|(name, value)| (name.clone(), Value::yaml(value)));
                (Value::map(inputs.collect()), of_run.github.clone())
            }
        };
        Ok(Resolved::Known(Contexts {
            github,
            vars: of_run.vars.clone(),
            inputs,
            budget: Arc::clone(&of_run.budget),
            ..Contexts::default()
        }))
    }
}

/// A called job as one of the calling workflow: its name is its own, and what it waits for is said by ids
/// below the caller's. Of Gitea's the first ones wait for what the caller waits for, of Forgejo's all.
fn below(caller: &ExpandedJob, job: ExpandedJob, server: Server) -> ExpandedJob {
    let between = match server.kind {
        ForgeKind::Gitea => '/',
        ForgeKind::Forgejo => '.',
    };
    let id = |own: &str| format!("{}{between}{own}", caller.id);
    let mut needs: Vec<String> = job.needs.iter().map(|need| id(need)).collect();
    if needs.is_empty() || server.kind == ForgeKind::Forgejo {
        needs.extend(caller.needs.iter().cloned());
    }
    ExpandedJob {
        id: id(&job.id),
        needs,
        ..job
    }
}

/// `github` of the called jobs.
fn of_call(github: &Value, inputs: &Value) -> Value {
    github.with_fields(|name, value| match (name, value) {
        ("event_name", _) => Some(Value::text("workflow_call")),
        ("event", Value::Map(event)) => {
            let mut event = event.as_deref().cloned().unwrap_or_default();
            event.insert("inputs".to_owned(), inputs.clone());
            Some(Value::map(event))
        }
        _ => None,
    })
}

/// What the caller gives in `with`; texts are evaluated.
fn given(
    caller: &ExpandedJob,
    workflow: &Workflow,
    shared: &Shared<'_>,
) -> Result<Resolved<BTreeMap<String, yaml::Value>>, Refused> {
    let origin = workflow.jobs.iter().find(|(id, _)| *id == caller.id);
    let Some((_, origin)) = origin else {
        return Ok(Resolved::Known(BTreeMap::new()));
    };
    let job = (caller.id.as_str(), origin);
    let scope = shared.scope(job, caller.combination.context());
    evaluated(&caller.with, &scope, Some(caller.line))
}

/// The values with the expressions in their texts evaluated.
fn evaluated(
    values: &BTreeMap<String, yaml::Value>,
    scope: &Scope,
    line: Option<usize>,
) -> Result<Resolved<BTreeMap<String, yaml::Value>>, Refused> {
    let mut evaluated = BTreeMap::new();
    for (name, value) in values {
        let value = match value.as_text() {
            None => value.clone(),
            Some(text) => match scope.evaluate_node(&Node::quoted(text, line.unwrap_or(1))) {
                Ok(node) => node.value()?,
                Err(stop) => return stop.about(line, format!("with `{name}`")),
            },
        };
        evaluated.insert(name.clone(), value);
    }
    Ok(Resolved::Known(evaluated))
}
