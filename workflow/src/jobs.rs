//! From a workflow to the jobs that the forge makes of it.
//!
//! Every job gives one for each combination of its matrix, in the order of the file; each has a name,
//! labels and what it waits for. A job's `if` is not looked at here: a runner is needed all the same,
//! unless it has `needs` ([`needs`]).

mod called;
pub mod concurrency;
pub mod contexts;
pub mod labels;
pub mod matrix;
pub mod name;
pub mod needs;
pub mod reusable;
pub mod uses;
pub mod workflow_set;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::budget;
use crate::document::{Concurrency, Job, Workflow};
use crate::expression::{Resolved, Scope, Value, has_expression};
use crate::server::{Capability, ForgeKind, Server};
use crate::yaml::{self, Refused};
use contexts::{Contexts, NOT_NEEDED, Shared};
use matrix::{Combination, JOBS_MAX};

/// One job of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpandedJob {
    /// Its key in `jobs`.
    pub id: String,
    /// How the forge calls it.
    pub name: Resolved<String>,
    /// The ids of the jobs that must end first.
    pub needs: Vec<String>,
    /// The labels that its runner must have.
    pub labels: Resolved<Vec<String>>,
    /// Its combination of the matrix.
    pub combination: Combination,
    /// Why its matrix is not known yet: the job stands for all that will come of it.
    pub incomplete_matrix: Option<String>,
    /// What its `if` says.
    pub condition: Option<String>,
    /// `continue-on-error`, whether its failure is taken for success: evaluated by Gitea from 1.27 on.
    pub continue_on_error: Option<Resolved<yaml::Value>>,
    /// Its `concurrency`, not evaluated.
    pub concurrency: Option<Concurrency>,
    /// The workflow that it calls; empty if it has steps.
    pub uses: String,
    /// What it gives to that workflow.
    pub with: BTreeMap<String, yaml::Value>,
    /// The secrets that it gives.
    pub secrets: Option<yaml::Node>,
    /// It has `services:`.
    pub services: bool,
    /// It has a `container:`.
    pub container: bool,
    /// Its line in the file.
    pub line: usize,
}

impl ExpandedJob {
    /// Why it is not known yet which runner it needs.
    #[must_use]
    pub fn unknown(&self) -> Option<&str> {
        let matrix = self.incomplete_matrix.as_deref();
        matrix.or(self.labels.why_unknown())
    }
}

/// Whether a job can start when its run is made (Gitea 1.26, `services/actions/run.go`). What holds it
/// because of its concurrency group is not known from one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A runner may take it.
    Waiting,
    /// Other jobs must end first.
    AfterNeeds,
    /// Somebody must approve the run first.
    AfterApproval,
}

/// The jobs of a workflow, in the order in which the forge makes them. `Err` means that there are none:
/// the forge refuses the workflow, or panics at it.
pub fn expand(
    workflow: &Workflow,
    contexts: &Contexts,
    server: Server,
) -> Result<Vec<ExpandedJob>, Refused> {
    if let Some(crash) = &workflow.crash {
        return Err(crash.clone());
    }
    title(workflow, contexts, server)?;
    let shared = contexts.shared(workflow, server);
    let mut expanded = Vec::new();
    for (id, job) in &workflow.jobs {
        let one = Expansion {
            shared: &shared,
            server,
            id,
            job,
        };
        expanded.extend(one.jobs()?);
        if expanded.len() > JOBS_MAX {
            let reason = format!("it makes more than {JOBS_MAX} jobs; split it");
            return Err(Refused::limit(job.line, reason));
        }
    }
    Ok(expanded)
}

/// The run's own name (Gitea from 1.26 on). It is of no interest, but the forge may stumble over it.
fn title(workflow: &Workflow, contexts: &Contexts, server: Server) -> Result<(), Refused> {
    if !server.has(Capability::EvaluatesRunName) {
        return Ok(());
    }
    let scope = Scope {
        contexts: contexts.common(server),
        by_parts: server.has(Capability::EvaluatesParts),
        budget: Arc::clone(&contexts.budget),
        ..Scope::default()
    };
    let title = scope.interpolate(&workflow.run_name);
    title.map_or_else(|stop| Err(stop.refused(None, "run-name")), |_| Ok(()))
}

struct Expansion<'a> {
    shared: &'a Shared<'a>,
    server: Server,
    id: &'a str,
    job: &'a Job,
}

impl Expansion<'_> {
    fn jobs(&self) -> Result<Vec<ExpandedJob>, Refused> {
        let jobs = match self.combinations()? {
            Resolved::Known(combinations) => combinations
                .into_iter()
                .map(|combination| self.one(combination, None))
                .collect::<Result<_, _>>()?,
            Resolved::Unknown(because)
                if because == NOT_NEEDED && self.server.has(Capability::ChecksRuns) =>
            {
                return Err(self.hopeless(&format!("matrix: {because}")));
            }
            Resolved::Unknown(because) => vec![self.one(Combination::default(), Some(because))?],
        };
        // After all else: the forge may have failed on something before it writes.
        self.job.unwritable.clone().map_or(Ok(jobs), Err)
    }

    /// Forgejo (runner 12) and Gitea from 1.28 on evaluate the matrix; others take it as it stands.
    fn combinations(&self) -> Result<Resolved<Vec<Combination>>, Refused> {
        let strategy = self.job.strategy.as_ref();
        let written = strategy.and_then(|strategy| strategy.matrix.as_ref());
        let evaluated = match written {
            Some(node) if self.server.has(Capability::EvaluatesMatrix) => {
                match self.scope(Value::Map(None)).evaluate_node(node) {
                    Ok(node) => Some(node),
                    Err(stop) => return stop.about(node.line, format!("matrix of `{}`", self.id)),
                }
            }
            _ => None,
        };
        matrix::combinations(evaluated.as_ref().or(written), self.server).map(Resolved::Known)
    }

    fn scope(&self, matrix: Value) -> Scope {
        self.shared.scope((self.id, self.job), matrix)
    }

    fn one(
        &self,
        combination: Combination,
        incomplete_matrix: Option<String>,
    ) -> Result<ExpandedJob, Refused> {
        let job = self.job;
        let budget = &self.shared.contexts.budget;
        budget
            .take(budget::JOB)
            .map_err(|spent| Refused::limit(job.line, spent.to_string()))?;
        let scope = self.scope(combination.context());
        let labels = self.labels(&combination, incomplete_matrix.as_deref())?;
        Ok(ExpandedJob {
            id: self.id.to_owned(),
            name: self.name(&scope, &combination, incomplete_matrix.is_some())?,
            needs: job.needs.clone(),
            labels,
            combination,
            incomplete_matrix,
            condition: job.condition.clone(),
            continue_on_error: self.continue_on_error(&scope)?,
            concurrency: job.concurrency.clone(),
            uses: job.uses.clone(),
            with: job.with.clone(),
            secrets: job.secrets.clone(),
            services: job.services,
            container: job.container,
            line: job.line,
        })
    }

    fn labels(
        &self,
        combination: &Combination,
        incomplete_matrix: Option<&str>,
    ) -> Result<Resolved<Vec<String>>, Refused> {
        let Some(runs_on) = &self.job.runs_on else {
            return Ok(Resolved::Known(Vec::new()));
        };
        let matrix = match (incomplete_matrix, self.server.kind, combination.context()) {
            (Some(because), _, _) => Value::unknown(because),
            // To its labels a key that the matrix does not have is not null: it can't be known yet.
            (None, ForgeKind::Forgejo, Value::Map(Some(map))) => {
                Value::Part(map, NO_SUCH_KEY.into())
            }
            (None, ForgeKind::Gitea | ForgeKind::Forgejo, matrix) => matrix,
        };
        let labels = labels::evaluate(runs_on, &self.scope(matrix), self.server)?;
        if labels.why_unknown() == Some(NO_SUCH_KEY) && self.server.has(Capability::ChecksRuns) {
            return Err(self.hopeless(&format!("runs-on: {NO_SUCH_KEY}")));
        }
        Ok(labels)
    }

    /// A job that can never start: the forge fails its run at once.
    fn hopeless(&self, because: &str) -> Refused {
        Refused::new(self.job.line, format!("`{}`: {because}", self.id))
    }

    /// Gitea (1.26, `nameWithMatrix`): without a matrix the name is not evaluated at all; with one, a
    /// name without expressions gets the combination behind it. Forgejo (runner 12): only the id gets
    /// it, a name is always evaluated.
    fn name(
        &self,
        scope: &Scope,
        combination: &Combination,
        is_incomplete: bool,
    ) -> Result<Resolved<String>, Refused> {
        let own = self.job.name.as_str();
        let with = |name: &str| {
            if combination.is_empty() {
                return Resolved::Known(name.to_owned());
            }
            Resolved::Known(format!("{name} {}", combination.name()))
        };
        let evaluated = || {
            let name = scope.interpolate(own);
            name.map_err(|stop| stop.refused(self.job.line, format!("name of `{}`", self.id)))
        };
        let full = match self.server.kind {
            ForgeKind::Gitea if combination.is_empty() => Resolved::Known(own.to_owned()),
            ForgeKind::Gitea if !has_expression(own) => with(own),
            ForgeKind::Forgejo if own == self.id => with(own),
            ForgeKind::Forgejo if !is_incomplete && own.ends_with(INCOMPLETE) => {
                with(own.strip_suffix(INCOMPLETE).unwrap_or(own))
            }
            ForgeKind::Gitea | ForgeKind::Forgejo => evaluated()?,
        };
        let mark = if is_incomplete { INCOMPLETE } else { "" };
        Ok(full.map(|full| name::cut(&format!("{full}{mark}"))))
    }

    fn continue_on_error(&self, scope: &Scope) -> Result<Option<Resolved<yaml::Value>>, Refused> {
        let Some(node) = &self.job.continue_on_error else {
            return Ok(None);
        };
        if !self.server.has(Capability::ContinueOnError) {
            return Ok(None);
        }
        let evaluated = match scope.evaluate_node(node) {
            Ok(node) => Resolved::Known(node.value()?),
            Err(stop) => stop.about(node.line, format!("continue-on-error of `{}`", self.id))?,
        };
        Ok(Some(evaluated))
    }
}

/// Why labels are not known that look at a key of a matrix that is known, and has no such key.
const NO_SUCH_KEY: &str = "the matrix has no such key";

/// Behind the name of a job whose matrix is not known yet.
const INCOMPLETE: &str = " (incomplete matrix)";

#[cfg(test)]
mod tests;
