//! What a push delivery foretells: the dispatcher's own verdict, from the delivery, the repository's
//! content and the variables, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use dispatcher::webhook::delivery::Delivery;
use git::Settings;
use serde_json::Value;
use workflow::evaluation::{Evaluation, EventEvaluation, PlannedJob, Run};
use workflow::event::{Event, EventKind};
use workflow::expression::Resolved;
use workflow::jobs::Start;
use workflow::jobs::uses::Uses;
use workflow::jobs::workflow_set::WorkflowSet;
use workflow::trigger::Outcome as Judged;
use workflow::yaml::By;
use workflow::{Facts, Server, gather};

use super::clone::Clone;
use super::compare::{Aside, Predicted};
use super::site::{Stands, VARIABLES};
use super::{Error, answered};

/// The verdict on one delivery.
#[derive(Debug, Default)]
pub(crate) struct Prediction {
    pub(crate) jobs: Vec<Predicted>,
    /// Each file and what was said of it.
    pub(crate) words: Vec<String>,
    /// What is left to the forge.
    pub(crate) aside: Aside,
}

/// Comes to the verdict of `server` on `delivery`, and on what it implies; `refs` are the forge's, and
/// `disabled` the workflows that start nothing there.
pub(crate) async fn predict(
    delivery: &Value,
    clone: &Clone,
    server: Server,
    refs: &BTreeMap<String, String>,
    disabled: &BTreeSet<String>,
) -> Result<Prediction, Error> {
    let body = serde_json::to_vec(delivery).map_err(answered)?;
    let read = Delivery::of_event(EventKind::Push, &body).map_err(answered)?;
    let mut prediction = Prediction::default();
    let Delivery::Event { event, .. } = read else {
        return Ok(prediction);
    };
    for event in event.implied().into_iter().chain([*event]) {
        if event.starts_nothing().is_none() {
            let at_forge = (server, refs, disabled);
            prediction.add(&event, clone, at_forge).await?;
        }
    }
    Ok(prediction)
}

/// Whether the code of `server` fails on a workflow file of the commit `sha`.
pub(crate) fn crashes(clone: &Clone, sha: &str, server: Server) -> Result<bool, Error> {
    let set = WorkflowSet::of(clone.workflows(sha)?, server);
    let mut files = set.files.iter();
    Ok(files.any(|file| {
        file.read
            .as_ref()
            .is_err_and(|refused| refused.by == By::Panic)
    }))
}

impl Prediction {
    async fn add(
        &mut self,
        event: &Event,
        clone: &Clone,
        (server, refs, disabled): (Server, &BTreeMap<String, String>, &BTreeSet<String>),
    ) -> Result<(), Error> {
        let reads = event.reads();
        let at = refs.get(&format!("refs/heads/{}", reads.at));
        if clone.peeled(at.unwrap_or(&reads.at)).is_none() {
            let why = format!("{}: nothing is at {}", event.kind.word(), reads.at);
            self.words.push(why);
            return Ok(());
        }
        let variables = VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings {
            references: Some(refs),
            variables: Some(variables.into()),
            disabled: disabled.clone(),
            ..Settings::default()
        };
        let facts = gather(&clone.local(settings)?, event, server).await?;
        self.add_verdict(event, &facts);
        Ok(())
    }

    /// Adds what `facts` say of what happened.
    pub(crate) fn add_verdict(&mut self, event: &Event, facts: &Facts) {
        let verdict = facts.evaluate(event);
        self.words.extend(words(event, &verdict));
        let reference = event.reads().git_ref;
        for workflow in &verdict.workflows {
            // Our reader does not follow it to its end.
            let refused = workflow.refused.as_ref();
            if refused.is_some_and(|it| it.by == By::Limit) {
                let word = event.kind.word().to_owned();
                let open = (workflow.name.clone(), word, reference.clone());
                self.aside.open.insert(open);
            }
            for on in workflow.events.iter().filter(|on| is_open(on)) {
                let open = (workflow.name.clone(), on.on.clone(), reference.clone());
                self.aside.open.insert(open);
            }
        }
        let files = facts.files.files.iter();
        for (file, read) in files.filter_map(|file| Some((file, file.read.as_ref().ok()?))) {
            for (id, job) in &read.jobs {
                if Uses::expanded(&job.uses, job.runs_on.is_none(), facts.server).is_some() {
                    let name = if job.name.is_empty() { id } else { &job.name };
                    let caller = (file.name.clone(), name.clone());
                    self.aside.callers.insert(caller);
                }
            }
        }
        for (workflow, run) in verdict.runs() {
            for job in &run.jobs {
                // It stands for jobs that nobody knows.
                let name = job.job.name.clone().known().unwrap_or_default();
                let is_caller = self.aside.callers.contains(&(workflow.to_owned(), name));
                if is_caller && job.job.labels.why_unknown().is_some() {
                    continue;
                }
                self.jobs.push(Predicted {
                    workflow: workflow.to_owned(),
                    event: run.event.clone(),
                    reference: reference.clone(),
                    commit: facts.sha.clone(),
                    name: job.job.name.clone(),
                    labels: job.job.labels.clone(),
                    stands: stands(run, job),
                });
            }
        }
    }
}

/// Whether it is not known whether it starts a run.
fn is_open(on: &EventEvaluation) -> bool {
    let refused = on.run.as_ref().and_then(|run| run.as_ref().err());
    on.judgement.outcome == Judged::Unknown || refused.is_some_and(|it| it.by == By::Limit)
}

/// Whether the job waits for a runner. With a concurrency group that depends on jobs of other runs,
/// which no delivery lists.
fn stands(run: &Run, job: &PlannedJob) -> Resolved<Stands> {
    let of_run = !matches!(run.group, Resolved::Known(None));
    match job.start {
        Start::Waiting if of_run || job.job.concurrency.is_some() => {
            Resolved::Unknown("others may be in its concurrency group".to_owned())
        }
        Start::Waiting => Resolved::Known(Stands::Waiting),
        Start::AfterNeeds => Resolved::Known(Stands::Blocked),
        Start::AfterApproval => {
            Resolved::Unknown("the forge asks for an approval only of strangers".to_owned())
        }
    }
}

fn words(event: &Event, verdict: &Evaluation) -> Vec<String> {
    let event = event.kind.word();
    if let Some(why) = &verdict.nothing {
        return vec![format!("{event}: nothing: {why}")];
    }
    let mut words = Vec::new();
    for workflow in &verdict.workflows {
        if let Some(refused) = &workflow.refused {
            words.push(format!("{event}: {}: skipped: {refused}", workflow.name));
        }
        for on in &workflow.events {
            let run = match &on.run {
                Some(Ok(run)) => format!("{} jobs", run.jobs.len()),
                Some(Err(refused)) => format!("no run: {refused}"),
                None => String::new(),
            };
            let steps: Vec<String> = on
                .judgement
                .steps
                .iter()
                .map(|step| format!("{} {:?} ({})", step.rule, step.holds, step.why))
                .collect();
            words.push(format!(
                "{event}: {}: on {}: {:?} {run} {}",
                workflow.name,
                on.on,
                on.judgement.outcome,
                steps.join("; ")
            ));
        }
    }
    words
}
