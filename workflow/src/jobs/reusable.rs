//! Jobs that call another workflow (`uses:` of a job).
//!
//! Up to Gitea 1.26 a calling job is like any other: it is sent to a runner, which reads the called
//! workflow itself. From 1.27 on (`services/actions/reusable_workflow.go`) the server puts the called
//! workflow's jobs in its place, and it needs no runner: they keep their own names and are blocked until
//! the caller is ready; their `github` says `workflow_call`. Forgejo does so from 14 on for a caller
//! without `runs-on`, in files of the same repository. Secrets that a call must give are not looked at.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::Workflow;
use crate::expression::{Resolved, Value};
use crate::jobs::contexts::{Contexts, Shared};
use crate::jobs::matrix::JOBS_MAX;
use crate::jobs::uses::Uses;
use crate::jobs::workflow_set::WorkflowSet;
use crate::jobs::{ExpandedJob, expand};
use crate::server::Server;
use crate::yaml::{self, Decoded, Kind, Node, Refused, Shape};

/// How deep calls may go: a job that is called through so many others calls nobody (Gitea 1.27).
pub const CALLS_MAX: usize = 9;

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

impl Caller<'_> {
    /// The jobs that a runner is asked for: those that the workflow has, and those of called workflows
    /// in the place of their callers. Where a call can't be followed the caller stands for them, with
    /// labels that nobody knows: the forge will tell.
    pub fn jobs(self) -> Result<Vec<ExpandedJob>, Refused> {
        self.jobs_below(0, &Cell::new(JOBS_MAX))
    }

    /// `calls_left` bounds the work where called workflows have no jobs but calls.
    fn jobs_below(
        self,
        depth: usize,
        calls_left: &Cell<usize>,
    ) -> Result<Vec<ExpandedJob>, Refused> {
        let shared = self.contexts.shared(self.workflow, self.server);
        let mut jobs = Vec::new();
        for job in expand(self.workflow, self.contexts, self.server)? {
            let is_bare = job.labels == Resolved::Known(Vec::new());
            match Uses::expanded(&job.uses, is_bare, self.server) {
                None => jobs.push(job),
                Some(uses) => match self.called(&job, uses, &shared, (depth, calls_left))? {
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

    fn called(
        self,
        caller: &ExpandedJob,
        uses: Result<Uses, Refused>,
        shared: &Shared<'_>,
        (depth, calls_left): (usize, &Cell<usize>),
    ) -> Result<Resolved<Vec<ExpandedJob>>, Refused> {
        let unknown = |because: &dyn std::fmt::Display| {
            let uses = &caller.uses;
            Ok(Resolved::Unknown(format!("it calls {uses}: {because}")))
        };
        if depth == CALLS_MAX {
            return unknown(&format!("calls go no deeper than {CALLS_MAX}"));
        }
        let Some(left) = calls_left.get().checked_sub(1) else {
            let reason = format!("it calls workflows more than {JOBS_MAX} times; split it");
            return Err(Refused::limit(None, reason));
        };
        calls_left.set(left);
        let target = match uses.map(|uses| self.files.called(&uses)) {
            Ok(Ok(target)) => target,
            Ok(Err(reason)) => return unknown(&reason),
            Err(refused) => return unknown(&refused),
        };
        let contexts = match self.contexts_of_call(caller, shared, target) {
            Ok(Resolved::Known(contexts)) => contexts,
            Ok(Resolved::Unknown(because)) => return unknown(&because),
            Err(refused) => return unknown(&refused),
        };
        let target = Caller {
            workflow: target,
            contexts: &contexts,
            server: self.server,
            files: self.files,
        };
        let jobs = target.jobs_below(depth + 1, calls_left)?.into_iter();
        Ok(Resolved::Known(
            jobs.map(|job| below(caller, job)).collect(),
        ))
    }

    /// What the expressions of a called workflow look at. `Err`: the forge refuses the call.
    fn contexts_of_call(
        self,
        caller: &ExpandedJob,
        shared: &Shared<'_>,
        target: &Workflow,
    ) -> Result<Resolved<Contexts>, Refused> {
        let declared = declared(&target.on)?;
        let given = match given(caller, self.workflow, shared)? {
            Resolved::Known(given) => given,
            Resolved::Unknown(because) => return Ok(Resolved::Unknown(because)),
        };
        let inputs = Value::map(inputs(&declared, given)?);
        Ok(Resolved::Known(Contexts {
            github: of_call(&self.contexts.github, &inputs),
            vars: self.contexts.vars.clone(),
            inputs,
            budget: Arc::clone(&self.contexts.budget),
            ..Contexts::default()
        }))
    }
}

/// A called job as one of the calling workflow: its name is its own, what it waits for is said by ids
/// below the caller's, and the first ones wait for what the caller waits for.
fn below(caller: &ExpandedJob, job: ExpandedJob) -> ExpandedJob {
    let id = |own: &str| format!("{}/{own}", caller.id);
    let needs = if job.needs.is_empty() {
        caller.needs.clone()
    } else {
        job.needs.iter().map(|need| id(need)).collect()
    };
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

/// An input that a workflow declares.
struct Declared {
    kind: Type,
    is_required: bool,
    default: Option<yaml::Value>,
}

#[derive(Clone, Copy)]
enum Type {
    Text,
    Flag,
    Number,
}

const DECLARED: Shape = Shape::Record(&[
    ("type", Shape::Text),
    ("required", Shape::Flag),
    ("default", Shape::Raw),
]);

/// The inputs of `on.workflow_call`. It must be there, if only as a word.
fn declared(on: &Node) -> Result<BTreeMap<String, Declared>, Refused> {
    let is_call = |node: &Node| node.is("workflow_call");
    let call = match &on.kind {
        Kind::Scalar(_) if is_call(on) => return Ok(BTreeMap::new()),
        Kind::Sequence(items) if items.iter().any(is_call) => return Ok(BTreeMap::new()),
        Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_) | Kind::Alias(_) => {
            on.get("workflow_call")
        }
    };
    let call = call.ok_or_else(|| {
        let reason = "the called workflow can't be called; give it `on: workflow_call`";
        Refused::new(on.line, reason)
    })?;
    let Some(Kind::Mapping(inputs)) = call.get("inputs").map(|inputs| &inputs.kind) else {
        return Ok(BTreeMap::new());
    };
    inputs.iter().map(input).collect()
}

fn input((key, node): &(Node, Node)) -> Result<(String, Declared), Refused> {
    let name = key.text()?;
    let mut fields = node.decode(&DECLARED)?.fields();
    let kind = match fields.remove("type").map(Decoded::text).as_deref() {
        Some("string") => Type::Text,
        Some("boolean") => Type::Flag,
        Some("number") => Type::Number,
        Some(_) | None => {
            let reason = format!("input `{name}`: its type must be string, boolean or number");
            return Err(Refused::new(node.line, reason));
        }
    };
    let required = fields.remove("required").map(Decoded::value);
    let default = fields.remove("default").and_then(Decoded::raw);
    let declared = Declared {
        kind,
        is_required: required == Some(yaml::Value::Bool(true)),
        default: default.map(Node::value).transpose()?,
    };
    Ok((name, declared))
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
    let mut given = BTreeMap::new();
    for (name, value) in &caller.with {
        let value = match value.as_text() {
            None => value.clone(),
            Some(text) => match scope.evaluate_node(&Node::quoted(text, caller.line)) {
                Ok(node) => node.value()?,
                Err(stop) => return stop.about(caller.line, format!("with `{name}`")),
            },
        };
        given.insert(name.clone(), value);
    }
    Ok(Resolved::Known(given))
}

/// The context `inputs`: what is given, of the types that are declared, and defaults for the rest. What
/// is not declared is left out.
fn inputs(
    declared: &BTreeMap<String, Declared>,
    mut given: BTreeMap<String, yaml::Value>,
) -> Result<BTreeMap<String, Value>, Refused> {
    let mut inputs = BTreeMap::new();
    for (name, declared) in declared {
        match given.remove(name).or_else(|| declared.default.clone()) {
            Some(value) => {
                inputs.insert(name.clone(), typed(name, declared.kind, &value)?);
            }
            None if declared.is_required => {
                let reason = format!("the called workflow requires the input `{name}`; give it");
                return Err(Refused::new(None, reason));
            }
            None => {}
        }
    }
    Ok(inputs)
}

fn typed(name: &str, kind: Type, value: &yaml::Value) -> Result<Value, Refused> {
    let refuse = |what| {
        Err(Refused::new(
            None,
            format!("the input `{name}` must be {what}"),
        ))
    };
    match (kind, value) {
        (Type::Text, value) => Ok(match Value::yaml(value).printed() {
            Ok(text) => Value::Text(text),
            Err(because) => Value::Unknown(because),
        }),
        (Type::Flag, yaml::Value::Bool(value)) => Ok(Value::Bool(*value)),
        (Type::Flag, _) => refuse("true or false"),
        (Type::Number, yaml::Value::Int(value)) => Ok(Value::Float(yaml::as_float(*value))),
        (Type::Number, yaml::Value::Float(value)) => Ok(Value::Float(*value)),
        (Type::Number, _) => refuse("a number"),
    }
}
