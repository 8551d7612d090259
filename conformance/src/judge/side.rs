//! The jobs of a case as one side tells them.

use std::collections::BTreeMap;
use std::fmt;

use workflow::evaluation::{Evaluation, EventEvaluation, PlannedJob, WorkflowEvaluation};
use workflow::expression::Resolved;
use workflow::trigger::Outcome;
use workflow::yaml::{By, Refused};

use super::process::{Answer, FileAnswer};

/// The event that runs the workflows of the branch that a pull request goes to.
const TARGET: &str = "pull_request_target";

/// A job, by what the dispatcher goes by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Job {
    pub(super) place: Place,
    pub(super) id: String,
    pub(super) needs: Vec<String>,
    pub(super) labels: Vec<String>,
    pub(super) name: String,
}

/// A file and one of its events. Those of a base are told by the event.
pub(super) type Place = (String, String);

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place: (file, on),
            id,
            needs,
            labels,
            name,
        } = self;
        write!(
            f,
            "{file} {on}: {id} {name:?} on {labels:?} after {needs:?}"
        )
    }
}

/// The jobs of one side, and why it has no others.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) jobs: Vec<Job>,
    /// Jobs of which not all is known.
    pub(super) untold: Vec<(Place, String, String)>,
    /// Jobs that call other repositories, of which neither side is told.
    pub(super) elsewhere: Vec<(Place, String)>,
    /// Files, or all of them, that may start more.
    pub(super) open: BTreeMap<Option<String>, String>,
    /// What is said of a file, that of a base told from the other.
    reasons: BTreeMap<(String, bool), String>,
    /// What is said of all.
    reason: Option<String>,
}

impl Side {
    pub(super) fn why(&self, (file, on): &Place) -> String {
        let file = (file.clone(), on == TARGET);
        let own = self.reasons.get(&file).filter(|_| self.reason.is_none());
        let why = own.or(self.reason.as_ref());
        why.map_or("it is not of this event", String::as_str)
            .to_owned()
    }
}

pub(super) fn theirs(answer: &Answer) -> Side {
    let mut side = Side::default();
    let panicked =
        |file: &FileAnswer| (!file.panic.is_empty()).then(|| format!("panics: {}", file.panic));
    side.reason = answer
        .died
        .clone()
        .or_else(|| answer.files.iter().find_map(panicked));
    if side.reason.is_some() {
        return side;
    }
    let mut has_panicked = false;
    for file in &answer.files {
        let key = (file.name.clone(), file.base);
        if !file.invalid.is_empty() {
            side.reasons.insert(key.clone(), file.invalid.clone());
        }
        for run in &file.runs {
            has_panicked |= !run.panic.is_empty();
            if has_panicked || !run.error.is_empty() {
                let why = format!("{}{}", run.error, run.panic);
                side.reasons.insert(key.clone(), format!("no run: {why}"));
                continue;
            }
            let place = (file.name.clone(), run.on.clone());
            for job in &run.jobs {
                if job.elsewhere {
                    side.elsewhere.push((place.clone(), job.id.clone()));
                    continue;
                }
                side.jobs.push(Job {
                    place: place.clone(),
                    id: job.id.clone(),
                    needs: job.needs.clone(),
                    labels: job.runs_on.clone(),
                    name: job.name.clone(),
                });
            }
        }
    }
    side
}

pub(super) fn ours(evaluation: &Evaluation) -> Side {
    let mut side = Side {
        reason: evaluation.nothing.clone(),
        ..Side::default()
    };
    if evaluation.is_over_limit {
        side.open.insert(None, evaluation.summary());
    }
    for workflow in &evaluation.workflows {
        side.add_workflow(workflow);
    }
    side
}

impl Side {
    fn add_workflow(&mut self, workflow: &WorkflowEvaluation) {
        if let Some(refused) = &workflow.refused {
            self.refuse((workflow.name.clone(), false), refused);
        }
        for event in &workflow.events {
            self.add_event(&workflow.name, event);
        }
    }

    fn refuse(&mut self, key: (String, bool), refused: &Refused) {
        match refused.by {
            By::Limit => {
                self.open.insert(Some(key.0), refused.reason.clone());
            }
            By::Forge | By::Panic => {
                self.reasons.insert(key, refused.reason.clone());
            }
        }
    }

    fn add_event(&mut self, file: &str, event: &EventEvaluation) {
        let key = (file.to_owned(), event.on == TARGET);
        match event.judgement.outcome {
            Outcome::Unknown => {
                let steps = event.judgement.steps.iter();
                let whys: Vec<&str> = steps
                    .filter(|step| step.holds.is_none())
                    .map(|step| step.why.as_str())
                    .collect();
                self.open.insert(Some(file.to_owned()), whys.join("; "));
            }
            Outcome::FilteredOut | Outcome::NotApplicable | Outcome::Crashes => {
                let steps = event.judgement.steps.iter();
                let broken = steps
                    .clone()
                    .find(|step| step.holds == Some(false))
                    .or(steps.clone().next());
                let why = broken.map_or("", |step| step.why.as_str()).to_owned();
                self.reasons.entry(key.clone()).or_insert(why);
            }
            Outcome::Matched => {}
        }
        let place = (file.to_owned(), event.on.clone());
        match &event.run {
            Some(Ok(run)) => {
                for job in &run.jobs {
                    self.add_job(&place, job);
                }
            }
            Some(Err(refused)) => self.refuse(key, refused),
            None => {}
        }
    }

    fn add_job(&mut self, place: &Place, planned: &PlannedJob) {
        let job = &planned.job;
        let why = match (&job.name, &job.labels, &job.incomplete_matrix) {
            (Resolved::Known(name), Resolved::Known(labels), None) => {
                self.jobs.push(Job {
                    place: place.clone(),
                    id: job.id.clone(),
                    needs: job.needs.clone(),
                    labels: labels.clone(),
                    name: name.clone(),
                });
                return;
            }
            (_, _, Some(why)) | (_, Resolved::Unknown(why), _) | (Resolved::Unknown(why), _, _) => {
                why
            }
        };
        self.untold
            .push((place.clone(), job.id.clone(), why.clone()));
    }
}
