//! Jobs that call another workflow (`uses:` of a job).
//!
//! Up to Gitea 1.26 a calling job is like any other: it is sent to a runner, which reads the called
//! workflow itself. From 1.27 on (`services/actions/reusable_workflow.go`) the server puts the called
//! workflow's jobs in its place, and it needs no runner: they keep their own names and are blocked until
//! the caller is ready; their `github` says `workflow_call`. Forgejo does so for a caller without
//! `runs-on`, in files of the same repository. The called file is read by whoever asks here; secrets
//! that a call must give are not looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::workflow::contexts::Contexts;
use crate::workflow::document::Workflow;
use crate::workflow::expression::{NodeStop, Outcome, Record, Value};
use crate::workflow::jobs::{ExpandedJob, expand};
use crate::workflow::server::{Kind as ForgeKind, Server};
use crate::workflow::yaml::{self, Got, Kind, Node, Refused, Shape};

/// How deep calls may go: a job that is called through so many others calls nobody (Gitea 1.27).
pub const CALLS_MAX: usize = 9;

/// Where a called workflow is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uses {
    /// `./path`: in the same repository, at the commit of the run.
    Here {
        /// Its path.
        path: String,
    },
    /// `owner/repository/path@reference`: in another repository of the forge.
    There {
        /// The owner of the repository.
        owner: String,
        /// Its name.
        repository: String,
        /// The path in it.
        path: String,
        /// A branch, tag or commit.
        reference: String,
    },
}

impl Uses {
    /// Reads what stands in `uses` (Gitea from 1.27 on, `jobparser.ParseUses`). An address of the forge
    /// itself is to be given without what is before the owner.
    pub fn parse(uses: &str) -> Result<Self, Refused> {
        let uses = uses.trim();
        let refuse = || {
            let form = "`./<dir>/<file>.yml` or `<owner>/<repository>/<dir>/<file>.yml@<ref>`";
            Refused::new(
                None,
                format!("`uses: {uses}` calls no workflow; write {form}"),
            )
        };
        if let Some(path) = uses.strip_prefix("./") {
            return is_workflow(path)
                .then(|| Self::Here {
                    path: path.to_owned(),
                })
                .ok_or_else(refuse);
        }
        let (place, reference) = uses.split_once('@').ok_or_else(refuse)?;
        let mut parts = place.splitn(3, '/');
        let (Some(owner), Some(repository), Some(path)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        let is_fit = is_name(owner) && is_name(repository) && is_workflow(path);
        if !is_fit || reference.is_empty() {
            return Err(refuse());
        }
        Ok(Self::There {
            owner: owner.to_owned(),
            repository: repository.to_owned(),
            path: path.to_owned(),
            reference: reference.to_owned(),
        })
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !text.is_empty() && text.chars().all(is_part)
}

/// A path of a YAML file that goes no detours.
fn is_workflow(path: &str) -> bool {
    let name = path
        .strip_suffix(".yml")
        .or_else(|| path.strip_suffix(".yaml"));
    let relative = path.strip_prefix('/').unwrap_or(path);
    let is_direct = relative
        .split('/')
        .all(|part| !matches!(part, "" | "." | ".."));
    name.is_some_and(|name| !name.is_empty()) && is_direct && !path.contains('@')
}

impl ExpandedJob {
    /// Whether a runner will ever be asked to take it: not if the server puts other jobs in its place.
    #[must_use]
    pub fn needs_runner(&self, server: Server) -> bool {
        if self.uses.is_empty() {
            return true;
        }
        match server.kind {
            ForgeKind::Gitea => server.version < (1, 27),
            ForgeKind::Forgejo => self.labels != Outcome::Known(Vec::new()),
        }
    }
}

/// The jobs that a caller of a workflow stands for. `Err`: the forge refuses the call.
pub fn call(
    caller: &ExpandedJob,
    (workflow, contexts): (&Workflow, &Contexts),
    target: &Workflow,
    server: Server,
) -> Result<Outcome<Vec<ExpandedJob>>, Refused> {
    let declared = declared(&target.on)?;
    let given = match given(caller, workflow, contexts, server)? {
        Outcome::Known(given) => given,
        Outcome::Unknown(because) => return Ok(Outcome::Unknown(because)),
    };
    let inputs = Value::map(inputs(&declared, given)?);
    let contexts = Contexts {
        github: of_call(&contexts.github, &inputs),
        vars: contexts.vars.clone(),
        inputs,
        ..Contexts::default()
    };
    expand(target, &contexts, server).map(Outcome::Known)
}

/// `github` of the called jobs.
fn of_call(github: &Value, inputs: &Value) -> Value {
    let Value::Record(record) = github else {
        return github.clone();
    };
    let field = |(name, value): &(&'static str, Value)| {
        let value = match (*name, value) {
            ("event_name", _) => Value::text("workflow_call"),
            ("event", Value::Map(event)) => {
                let mut event = event.as_deref().cloned().unwrap_or_default();
                event.insert("inputs".to_owned(), inputs.clone());
                Value::map(event)
            }
            (_, value) => value.clone(),
        };
        (*name, value)
    };
    Value::Record(Arc::new(Record {
        kind: record.kind,
        fields: record.fields.iter().map(field).collect(),
    }))
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
    let absent = || {
        let reason = "the called workflow can't be called; give it `on: workflow_call`";
        Refused::new(on.line, reason)
    };
    let is_call =
        |node: &Node| matches!(&node.kind, Kind::Scalar(it) if it.text == "workflow_call");
    let pairs = match &on.kind {
        Kind::Scalar(_) if is_call(on) => return Ok(BTreeMap::new()),
        Kind::Sequence(items) if items.iter().any(is_call) => return Ok(BTreeMap::new()),
        Kind::Mapping(pairs) => pairs,
        Kind::Scalar(_) | Kind::Sequence(_) | Kind::Alias(_) => return Err(absent()),
    };
    let call = pairs.iter().find(|(key, _)| is_call(key));
    let (_, call) = call.ok_or_else(absent)?;
    let Some(Kind::Mapping(inputs)) = field(call, "inputs").map(|inputs| &inputs.kind) else {
        return Ok(BTreeMap::new());
    };
    inputs.iter().map(input).collect()
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Kind::Mapping(pairs) = &node.kind else {
        return None;
    };
    let is_it = |node: &Node| matches!(&node.kind, Kind::Scalar(it) if it.text == name);
    pairs
        .iter()
        .find(|(key, _)| is_it(key))
        .map(|(_, value)| value)
}

fn input((key, node): &(Node, Node)) -> Result<(String, Declared), Refused> {
    let name = key.text()?;
    let mut fields = node.decode(&DECLARED)?.fields();
    let kind = match fields.remove("type").map(Got::text).as_deref() {
        Some("string") => Type::Text,
        Some("boolean") => Type::Flag,
        Some("number") => Type::Number,
        Some(_) | None => {
            let reason = format!("input `{name}`: its type must be string, boolean or number");
            return Err(Refused::new(node.line, reason));
        }
    };
    let required = fields.remove("required").map(Got::value);
    let default = fields.remove("default").and_then(Got::raw);
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
    contexts: &Contexts,
    server: Server,
) -> Result<Outcome<BTreeMap<String, yaml::Value>>, Refused> {
    let origin = workflow.jobs.iter().find(|(id, _)| *id == caller.id);
    let Some((_, origin)) = origin else {
        return Ok(Outcome::Known(BTreeMap::new()));
    };
    let job = (caller.id.as_str(), origin);
    let scope = contexts.scope(job, workflow, caller.combination.context(), server);
    let mut given = BTreeMap::new();
    for (name, value) in &caller.with {
        let value = match value.as_text() {
            None => value.clone(),
            Some(text) => match scope.evaluate_node(&Node::quoted(text, caller.line)) {
                Ok(node) => node.value()?,
                Err(NodeStop::Unknown(because)) => return Ok(Outcome::Unknown(because)),
                Err(NodeStop::Fails(reason)) => {
                    let reason = format!("with `{name}`: {reason}");
                    return Err(Refused::new(caller.line, reason));
                }
                Err(NodeStop::Crashes(reason)) => return Err(Refused::crash(caller.line, reason)),
            },
        };
        given.insert(name.clone(), value);
    }
    Ok(Outcome::Known(given))
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
        #[expect(
            clippy::cast_precision_loss,
            reason = "Go's float64(int) loses the same"
        )]
        (Type::Number, yaml::Value::Int(value)) => Ok(Value::Float(*value as f64)),
        (Type::Number, yaml::Value::Float(value)) => Ok(Value::Float(*value)),
        (Type::Number, _) => refuse("a number"),
    }
}
