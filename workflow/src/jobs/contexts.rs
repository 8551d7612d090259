//! What a run's expressions can refer to (Gitea 1.26, `services/actions/context.go` and
//! `jobparser.NewInterpeter`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::budget::Budget;
use crate::document::{Job, Strategy, Workflow};
use crate::event::EventKind;
use crate::expression::{History, JobState, RecordKind, Scope, Value};
use crate::server::{Capability, ForgeKind, Server};

/// What is known of a run.
#[derive(Debug, Clone)]
pub struct Contexts {
    /// `github`: [`github`] makes it of facts.
    pub github: Value,
    /// The repository's variables, if they were fetched.
    pub vars: Option<BTreeMap<String, String>>,
    /// The inputs of a run that was started by hand or called; [`Value::Map`] of `None` for others.
    pub inputs: Value,
    /// Outputs of jobs that have ended.
    pub job_outputs: BTreeMap<String, BTreeMap<String, String>>,
    /// What every job of the workflow needs, instead of what its own `needs` say: a workflow that was
    /// taken apart does not have the needed jobs any more (Forgejo).
    pub workflow_needs: Option<Vec<String>>,
    /// How much work is left for its expressions.
    pub budget: Arc<Budget>,
}

impl Default for Contexts {
    fn default() -> Self {
        Self {
            github: github(&BTreeMap::new()),
            vars: None,
            inputs: Value::Map(None),
            job_outputs: BTreeMap::new(),
            workflow_needs: None,
            budget: Arc::default(),
        }
    }
}

/// The fields of `github` in the order that JSON has them. Fields of other forges are empty texts.
const GITHUB_FIELDS: [&str; 30] = [
    "event",
    "event_path",
    "workflow",
    "run_id",
    "run_number",
    "actor",
    "repository",
    "event_name",
    "sha",
    "ref",
    "ref_name",
    "ref_type",
    "head_ref",
    "base_ref",
    "token",
    "workspace",
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "job",
    "job_name",
    "repository_owner",
    "retention_days",
    "runner_perflog",
    "runner_tracking_id",
    "server_url",
    "api_url",
    "graphql_url",
    "run_attempt",
];

/// The `github` of expressions that the forge evaluates without one: a pointer to nothing, whose fields are
/// null and not empty texts.
pub(crate) fn no_github() -> Value {
    Value::record(RecordKind::Github, Vec::new())
}

/// What the context `github` is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GithubFacts<'a> {
    pub kind: EventKind,
    /// The name in `on` that it matched.
    pub event_name: &'a str,
    /// The delivery's body.
    pub event: &'a serde_json::Value,
    /// `refs/heads/…`, `refs/tags/…` or `refs/pull/…/head`.
    pub reference: &'a str,
    pub sha: &'a str,
    /// Who did it: their user name.
    pub actor: &'a str,
    /// Owner and name of the repository.
    pub repository: (&'a str, &'a str),
    pub workflow: &'a str,
    /// The forge's address with a `/` at its end.
    pub server_url: &'a str,
}

/// A `github` of the fields that are given; others are empty, `event` is an empty map.
#[must_use]
pub fn github(known: &BTreeMap<&str, Value>) -> Value {
    let field = |name: &'static str| {
        let empty = || match name {
            "event" => Value::Map(None),
            _ => Value::text(""),
        };
        (name, known.get(name).cloned().unwrap_or_else(empty))
    };
    let fields = GITHUB_FIELDS.into_iter().map(field);
    Value::record(RecordKind::Github, fields.collect())
}

/// The `github` that names and labels are made with. In Gitea up to 1.26 and in Forgejo the run has no
/// number at that time, and expressions get `0`, and an empty id.
pub(crate) fn github_of(facts: GithubFacts<'_>, server: Server) -> Value {
    let at = |path: &str| {
        facts
            .event
            .pointer(path)
            .and_then(serde_json::Value::as_str)
    };
    let (mut reference, mut sha) = (facts.reference.to_owned(), facts.sha);
    let (mut base, mut head) = ("", "");
    // Reviews too: their payload is the same.
    let is_of_pull = facts.kind.is_of_a_pull_request() || facts.kind.is_of_a_review();
    if is_of_pull && facts.event.pointer("/pull_request/base").is_some() {
        base = at("/pull_request/base/ref").unwrap_or_default();
        head = at("/pull_request/head/ref").unwrap_or_default();
        if facts.event_name == "pull_request_target" {
            let field = if server.has(Capability::TakesBaseBranch) {
                "/pull_request/base/ref"
            } else {
                "/pull_request/base/label"
            };
            reference = format!("refs/heads/{}", at(field).unwrap_or_default());
            sha = at("/pull_request/base/sha").unwrap_or_default();
        }
    }
    let (owner, name) = facts.repository;
    let (run_id, run_number) = if server.has(Capability::NumbersRunsFirst) {
        let unknown = || Value::unknown("the forge numbers its runs");
        (unknown(), unknown())
    } else {
        (Value::text(""), Value::text("0"))
    };
    github(&BTreeMap::from([
        ("event", Value::json(facts.event)),
        ("workflow", Value::text(facts.workflow)),
        ("run_id", run_id),
        ("run_number", run_number),
        ("actor", Value::text(facts.actor)),
        ("repository", Value::text(format!("{owner}/{name}"))),
        ("repository_owner", Value::text(owner)),
        ("event_name", Value::text(facts.event_name)),
        ("sha", Value::text(sha)),
        ("ref", Value::text(reference.as_str())),
        ("ref_name", Value::text(short(&reference))),
        ("ref_type", Value::text(reference_type(&reference))),
        ("head_ref", Value::text(head)),
        ("base_ref", Value::text(base)),
        ("server_url", Value::text(facts.server_url)),
        (
            "api_url",
            Value::text(format!("{}api/v1", facts.server_url)),
        ),
    ]))
}

/// The name of a reference (Gitea 1.26, `git.RefName.ShortName`): of a pull request its number.
fn short(reference: &str) -> &str {
    for prefix in ["refs/heads/", "refs/tags/", "refs/remotes/"] {
        if let Some(name) = reference.strip_prefix(prefix) {
            return name;
        }
    }
    let pull = reference.strip_prefix("refs/pull/");
    if let Some((number, _)) = pull.and_then(|rest| rest.rsplit_once('/')) {
        return number;
    }
    reference.strip_prefix("refs/for/").unwrap_or(reference)
}

/// Shortest text that is taken for a commit (Gitea 1.26, `RefName.RefType`).
const COMMIT_MIN_CHARS: usize = 6;

fn reference_type(reference: &str) -> &'static str {
    if reference.starts_with("refs/heads/") {
        "branch"
    } else if reference.starts_with("refs/tags/") {
        "tag"
    } else if reference.len() >= COMMIT_MIN_CHARS
        && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        "commit"
    } else {
        ""
    }
}

/// What the expressions of all jobs of one workflow can refer to. It is made once: a workflow may have a
/// thousand jobs, and each may need all others.
#[derive(Debug, Clone)]
pub struct Shared<'a> {
    /// What is known of the run.
    pub contexts: &'a Contexts,
    /// Which forge.
    pub server: Server,
    common: BTreeMap<&'static str, Value>,
    jobs: Arc<BTreeMap<String, JobState>>,
}

impl Shared<'_> {
    /// What a job's expressions can refer to.
    #[must_use]
    pub fn scope(&self, (id, job): (&str, &Job), matrix: Value) -> Scope {
        let needs = self.contexts.workflow_needs.as_ref().unwrap_or(&job.needs);
        let needed = needs.iter().filter(|need| self.jobs.contains_key(*need));
        let needed = needed.map(|need| (need.clone(), self.contexts.need(need, self.server)));
        let needed = needed.collect();
        let mut contexts = self.common.clone();
        contexts.extend([
            ("strategy", strategy(job.strategy.as_ref())),
            ("matrix", matrix),
            (
                "needs",
                match self.server.kind {
                    ForgeKind::Gitea => Value::map(needed),
                    ForgeKind::Forgejo => Value::Part(Arc::new(needed), NOT_NEEDED.into()),
                },
            ),
        ]);
        Scope {
            contexts,
            history: Some(History {
                job: id.to_owned(),
                jobs: Arc::clone(&self.jobs),
            }),
            cancelled: cancelled(self.server),
            by_parts: self.server.has(Capability::EvaluatesParts),
            budget: Arc::clone(&self.contexts.budget),
        }
    }
}

impl Contexts {
    /// What all jobs of `workflow` share.
    #[must_use]
    pub fn shared(&self, workflow: &Workflow, server: Server) -> Shared<'_> {
        let jobs = workflow.jobs.iter();
        let jobs = jobs.map(|(id, job)| (id.clone(), JobState::open(job.needs.clone())));
        // A workflow that was taken apart does not have them itself.
        let needed = self.workflow_needs.iter().flatten();
        let needed = needed.map(|need| (need.clone(), JobState::open(Vec::new())));
        Shared {
            contexts: self,
            server,
            common: self.common(server),
            jobs: Arc::new(jobs.chain(needed).collect()),
        }
    }

    /// The contexts that are the same for every job.
    #[must_use]
    pub fn common(&self, server: Server) -> BTreeMap<&'static str, Value> {
        let vars = match &self.vars {
            Some(vars) => Value::texts(vars),
            None => Value::unknown("the repository's variables were not fetched"),
        };
        let mut contexts = BTreeMap::from([
            ("github", self.github.clone()),
            ("gitea", self.github.clone()),
            ("vars", vars),
            ("inputs", self.inputs.clone()),
            ("strategy", Value::Map(None)),
            ("matrix", Value::Map(None)),
            ("needs", Value::Map(None)),
        ]);
        if server.kind == ForgeKind::Forgejo {
            for name in ["forge", "forgejo"] {
                contexts.insert(name, self.github.clone());
            }
        }
        contexts
    }

    /// A job that is needed. Gitea makes names and labels before any job has ended, and its expressions
    /// see jobs without a result or outputs; Forgejo waits for them.
    fn need(&self, id: &str, server: Server) -> Value {
        let outputs = match (self.job_outputs.get(id), server.kind) {
            (Some(outputs), ForgeKind::Gitea) => Value::texts(outputs),
            (None, ForgeKind::Gitea) => Value::Map(None),
            (Some(outputs), ForgeKind::Forgejo) => {
                let text = |(key, text): (&String, &String)| (key.clone(), Value::text(&**text));
                let outputs = outputs.iter().map(text).collect();
                Value::Part(
                    Arc::new(outputs),
                    "a job that is needed gives no such output".into(),
                )
            }
            (None, ForgeKind::Forgejo) => Value::unknown(NOT_ENDED),
        };
        let fields = vec![("outputs", outputs), ("result", Value::text(""))];
        Value::record(RecordKind::Need, fields)
    }
}

const NOT_ENDED: &str = "it needs the outputs of a job that has not ended";

/// Why the outputs of a job are unknown that is not in `needs`: they never become known.
pub(super) const NOT_NEEDED: &str = "it looks at the outputs of a job that it does not need";

/// What `cancelled()` says of a job: the server's code never asks when a run was cancelled.
pub(crate) fn cancelled(server: Server) -> Option<Value> {
    server
        .has(Capability::AnswersCancelled)
        .then_some(Value::Bool(false))
}

/// `strategy`: nothing in it without one.
fn strategy(strategy: Option<&Strategy>) -> Value {
    strategy.map_or_else(
        || Value::map(BTreeMap::new()),
        |strategy| strategy_of(&strategy.fail_fast, &strategy.max_parallel),
    )
}

/// `strategy` of what is written, as the forge takes it; empty texts are not written.
pub(crate) fn strategy_of(fail_fast: &str, max_parallel: &str) -> Value {
    let fail_fast = match fail_fast {
        "" => true,
        text => matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True"),
    };
    let max_parallel = match max_parallel {
        "" => 4,
        text => text.parse::<i128>().map_or(0, |many| {
            i64::try_from(many).unwrap_or(if many < 0 { i64::MIN } else { i64::MAX })
        }),
    };
    Value::map(BTreeMap::from([
        ("fail-fast".to_owned(), Value::Bool(fail_fast)),
        ("max-parallel".to_owned(), Value::Int(max_parallel)),
    ]))
}
