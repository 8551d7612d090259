//! `concurrency`: runs and jobs that don't run at the same time.
//!
//! Gitea from 1.26 on (`services/actions/concurrency.go`, `clear_tasks.go`; measured): a run or job of
//! a group is blocked while another of it runs, and cancels those of it that wait; with
//! `cancel-in-progress` it cancels the running one too, and is not blocked. A run's group that can't be
//! evaluated means that there is no run; a job's that there is none either, or that it stays blocked if
//! it has `needs`. Before, nothing is read: a push, and a push to a pull request, cancel earlier runs of
//! the same reference, workflow and event. Forgejo does that up to 13; from 14 on a workflow may have
//! its own group, which is one whatever the case, and jobs may not.

use std::sync::Arc;

use crate::document::{Concurrency, Workflow};
use crate::event::EventKind;
use crate::expression::{History, JobState, Resolved, Scope, Value};
use crate::jobs::ExpandedJob;
use crate::jobs::contexts::{Contexts, Shared, cancelled, strategy_of};
use crate::server::{Capability, ForgeKind, Server};
use crate::yaml::blocks::breaks_as_block;
use crate::yaml::{Decoded, Kind, Node, Refused, Shape};

/// A group that a run or a job belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What a new member does.
    pub effect: Effect,
}

/// What a new member of a group does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It cancels those that wait, and is blocked while one runs (Gitea).
    WaitsForRunning,
    /// It cancels all others.
    CancelsOthers,
    /// It waits until all earlier ones have ended (Forgejo).
    WaitsForAll,
}

/// What a run's group depends on where its workflow does not name one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunFacts<'a> {
    pub kind: EventKind,
    /// The name in `on` that it matched.
    pub event_name: &'a str,
    pub reference: &'a str,
    pub workflow: &'a str,
}

impl RunFacts<'_> {
    /// The group of a workflow that names none (Forgejo's `SetDefaultConcurrencyGroup`; Gitea compares the parts).
    fn group(self) -> String {
        let Self {
            event_name,
            reference,
            workflow,
            ..
        } = self;
        format!("{reference}_{workflow}_{event_name}__auto").to_lowercase()
    }

    /// Whether it cancels earlier ones where the workflow does not say.
    fn cancels(self) -> bool {
        matches!(self.kind, EventKind::Push | EventKind::PullRequestSync)
    }
}

/// The group of a run. `None`: it has none. `Err`: the forge makes no run.
pub(crate) fn of_run(
    workflow: &Workflow,
    contexts: &Contexts,
    run: RunFacts<'_>,
    server: Server,
) -> Result<Resolved<Option<Group>>, Refused> {
    let node = workflow.concurrency.as_ref();
    let node = node.filter(|_| server.has(Capability::RunConcurrency));
    let written = match node {
        Some(node) => evaluate(node, &run_scope(contexts, server))?,
        None => Resolved::Known(Written::default()),
    };
    if server.kind == ForgeKind::Gitea && server.has(Capability::RunConcurrency) {
        return Ok(written.map(Written::group));
    }
    Ok(written.map(|written| written.forgejo(run)))
}

fn run_scope(contexts: &Contexts, server: Server) -> Scope {
    let mut names = contexts.common(server);
    let github = bare(&contexts.github, &[]);
    for name in ["github", "gitea", "forge", "forgejo"] {
        names.entry(name).and_modify(|own| *own = github.clone());
    }
    for name in ["strategy", "matrix", "needs"] {
        names.insert(name, Value::map([].into()));
    }
    Scope {
        contexts: names,
        history: Some(History {
            job: String::new(),
            jobs: Arc::new([(String::new(), JobState::open(Vec::new()))].into()),
        }),
        cancelled: cancelled(server),
        by_parts: server.has(Capability::EvaluatesParts),
        budget: Arc::clone(&contexts.budget),
    }
}

/// The group of a job whose needs have ended, or that has none. `None`: it has none. `Err`: the forge
/// makes no run, or leaves the job blocked if it has `needs`.
pub(crate) fn of_job(
    job: &ExpandedJob,
    workflow: &Workflow,
    shared: &Shared<'_>,
) -> Result<Resolved<Option<Group>>, Refused> {
    let server = shared.server;
    let is_read = server.has(Capability::JobConcurrency);
    let Some(node) = job.concurrency.as_ref().filter(|_| is_read) else {
        return Ok(Resolved::Known(None));
    };
    let Some((_, origin)) = workflow.jobs.iter().find(|(id, _)| *id == job.id) else {
        return Ok(Resolved::Known(None));
    };
    if origin.is_lost {
        let reason = "its `concurrency` can't be evaluated, because a text of several lines in its steps \
                      begins with a blank; begin it otherwise";
        return Err(Refused::new(job.line, reason));
    }
    let mut scope = shared.scope((&job.id, origin), job.combination.context());
    // Where groups are evaluated a job without a strategy has one with nothing in it.
    if origin.strategy.is_none() {
        scope.contexts.insert("strategy", strategy_of("", ""));
    }
    let unknown = || Value::unknown("the forge numbers its runs");
    let github = bare(
        &shared.contexts.github,
        &[
            ("job", Value::text(job.id.as_str())),
            ("run_id", unknown()),
            ("run_number", unknown()),
        ],
    );
    scope
        .contexts
        .extend([("github", github.clone()), ("gitea", github)]);
    Ok(evaluate(node, &scope)?.map(Written::group))
}

/// What `concurrency` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Written {
    name: String,
    /// `cancel-in-progress`; empty if it is not there.
    cancel: String,
}

impl Written {
    fn group(self) -> Option<Group> {
        let effect = if self.cancel == "true" {
            Effect::CancelsOthers
        } else {
            Effect::WaitsForRunning
        };
        let name = self.name;
        (!name.is_empty()).then_some(Group { name, effect })
    }

    /// Without a name, or without a word on cancelling, it is as if nothing was written.
    fn forgejo(self, run: RunFacts<'_>) -> Option<Group> {
        let effect = match self.cancel.as_str() {
            "" => run.cancels().then_some(Effect::CancelsOthers),
            "true" => Some(Effect::CancelsOthers),
            _ => (!self.name.is_empty()).then_some(Effect::WaitsForAll),
        };
        let name = match self.name.as_str() {
            "" => run.group(),
            name => name.to_lowercase(),
        };
        effect.map(|effect| Group { name, effect })
    }
}

/// Fields of `github` that are not there when groups are evaluated.
const NOT_THERE: [&str; 3] = ["server_url", "api_url", "graphql_url"];

/// `github` as groups see it.
pub(super) fn bare(github: &Value, changed: &[(&str, Value)]) -> Value {
    github.with_fields(|name, _| {
        let change = changed.iter().find(|(changed, _)| *changed == name);
        let is_absent = NOT_THERE.contains(&name);
        let value = change.map(|(_, value)| value.clone());
        value.or_else(|| is_absent.then(|| Value::text("")))
    })
}

/// A group that is written as a map.
const GROUP: Shape = Shape::Record(&[("group", Shape::Text), ("cancel-in-progress", Shape::Text)]);

fn evaluate(written: &Concurrency, scope: &Scope) -> Result<Resolved<Written>, Refused> {
    let texts = [
        &written.expression,
        &written.group,
        &written.cancel_in_progress,
    ];
    if texts.into_iter().any(|text| breaks_as_block(text)) {
        let reason = "concurrency: a text of several lines begins with a tab; begin it otherwise";
        return Err(Refused::new(None, reason));
    }
    let evaluated = match scope.evaluate_node(&node_of(written)) {
        Ok(evaluated) => evaluated,
        Err(stop) => return stop.about(None, "concurrency"),
    };
    let (name, cancel) = read(&evaluated)?;
    Ok(Resolved::Known(Written { name, cancel }))
}

/// The node that the forge evaluates: it reads the group, and writes it again without what is empty.
fn node_of(written: &Concurrency) -> Node {
    let text = |text: &str| Node::quoted(text, 1);
    if !written.expression.is_empty() {
        return text(&written.expression);
    }
    let fields = [
        ("group", &written.group),
        ("cancel-in-progress", &written.cancel_in_progress),
    ];
    let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let pairs = fields.map(|(key, value)| (text(key), text(value)));
    Node {
        kind: Kind::Mapping(pairs.collect()),
        ..text("")
    }
}

/// The name of the group, and what `cancel-in-progress` says.
fn read(node: &Node) -> Result<(String, String), Refused> {
    if let Ok(name) = node.text() {
        return Ok((name, String::new()));
    }
    let mut fields = node.decode(&GROUP)?.fields();
    let mut field = |name: &str| fields.remove(name).map(Decoded::text);
    let (name, cancel) = (field("group"), field("cancel-in-progress"));
    Ok((name.unwrap_or_default(), cancel.unwrap_or_default()))
}
