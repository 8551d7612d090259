//! What was foretold beside what the forge queued, job by job, in no order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use workflow::expression::Resolved;

use super::site::{Queued, Stands};

/// A job that a delivery foretells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Predicted {
    /// The path of its file under the workflows' directory.
    pub(crate) workflow: String,
    /// Its run's event, as the file calls it.
    pub(crate) event: String,
    pub(crate) reference: String,
    pub(crate) commit: String,
    pub(crate) name: Resolved<String>,
    pub(crate) labels: Resolved<Vec<String>>,
    /// Whether it waits for a runner at once.
    pub(crate) stands: Resolved<Stands>,
}

/// The outcome of one push, or of something else.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Jobs that were foretold as they are.
    pub(crate) equal: usize,
    /// Among them those of which something was not told, by what and why.
    pub(crate) untold: BTreeMap<String, usize>,
    /// Foretold, and not there.
    pub(crate) missing: Vec<Predicted>,
    /// There, and not foretold.
    pub(crate) unforeseen: Vec<Queued>,
    /// Queued jobs that no push delivery can announce, counted by reason.
    pub(crate) beyond: BTreeMap<String, usize>,
}

impl Compared {
    pub(crate) fn is_equal(&self) -> bool {
        self.missing.is_empty() && self.unforeseen.is_empty()
    }
}

/// Whether what is told agrees with what is seen.
fn allows<T: PartialEq>(told: &Resolved<T>, seen: &T) -> bool {
    match told {
        Resolved::Known(told) => told == seen,
        Resolved::Unknown(_) => true,
    }
}

impl Predicted {
    fn allows(&self, seen: &Queued) -> bool {
        self.workflow == seen.workflow
            && self.event == seen.event
            && self.reference == seen.reference
            && self.commit == seen.commit
            && allows(&self.name, &seen.name)
            && allows(&self.labels, &seen.labels)
            && (seen.stands == Stands::Cancelled || allows(&self.stands, &seen.stands))
    }

    /// What is not known of it, and why.
    fn untold(&self) -> Vec<String> {
        let fields = [
            ("name", self.name.why_unknown()),
            ("labels", self.labels.why_unknown()),
            ("waiting or blocked", self.stands.why_unknown()),
        ];
        let untold = fields.into_iter();
        untold
            .filter_map(|(field, why)| Some(format!("{field}: {}", why?)))
            .collect()
    }
}

/// What a push queued without what is by its nature nothing that a push delivery tells, and how much
/// that is, by why; `branch_gone` says that the push deleted a branch.
pub(crate) fn without_beyond(
    queued: Vec<Queued>,
    aside: &Aside,
    branch_gone: bool,
) -> (Vec<Queued>, BTreeMap<String, usize>) {
    set_aside(queued, |job| {
        aside.why(job).or_else(|| beyond(job, branch_gone))
    })
}

/// The same of something else that was done.
pub(crate) fn without_open(
    queued: Vec<Queued>,
    aside: &Aside,
) -> (Vec<Queued>, BTreeMap<String, usize>) {
    set_aside(queued, |job| aside.why(job))
}

/// What verdicts leave to the forge.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Files, events and references of which the delivery does not tell whether they start a run.
    pub(crate) open: BTreeSet<(String, String, String)>,
    /// Files and names of jobs in whose place the forge puts those of a called workflow.
    pub(crate) callers: BTreeSet<(String, String)>,
}

impl Aside {
    /// What another verdict leaves to it as well.
    pub(crate) fn add(&mut self, other: Self) {
        self.open.extend(other.open);
        self.callers.extend(other.callers);
    }

    fn why(&self, job: &Queued) -> Option<String> {
        let event = &job.event;
        let mut open = self.open.iter();
        let is_it = |it: &(String, String, String)| {
            it.0 == job.workflow && it.1 == *event && it.2 == job.reference
        };
        if open.any(is_it) {
            return Some(format!(
                "{event}: the delivery does not tell whether they start"
            ));
        }
        let caller = (job.workflow.clone(), job.name.clone());
        let is_caller = job.stands != Stands::Waiting && self.callers.contains(&caller);
        is_caller.then(|| "calls a workflow: it asks for no runner".to_owned())
    }
}

fn set_aside(
    queued: Vec<Queued>,
    why: impl Fn(&Queued) -> Option<String>,
) -> (Vec<Queued>, BTreeMap<String, usize>) {
    let mut counts = BTreeMap::new();
    let mut left = Vec::new();
    for job in queued {
        match why(&job) {
            Some(why) => *counts.entry(why).or_default() += 1,
            None => left.push(job),
        }
    }
    (left, counts)
}

/// Compares what deliveries foretold with what was queued.
pub(crate) fn compare(
    mut predicted: Vec<Predicted>,
    (mut left, beyond): (Vec<Queued>, BTreeMap<String, usize>),
) -> Compared {
    let mut compared = Compared {
        beyond,
        ..Compared::default()
    };
    // The job of which most is known is matched first, so that one with less does not take its place.
    predicted.sort_by_key(|job| job.untold().len());
    for job in predicted {
        let Some(at) = left.iter().position(|seen| job.allows(seen)) else {
            compared.missing.push(job);
            continue;
        };
        let seen = left.swap_remove(at);
        compared.equal += 1;
        for why in job.untold() {
            *compared.untold.entry(why).or_default() += 1;
        }
        if seen.stands == Stands::Cancelled {
            let why = "waiting or blocked: cancelled meanwhile by its concurrency group".to_owned();
            *compared.untold.entry(why).or_default() += 1;
        }
    }
    compared.unforeseen = left;
    compared
}

fn beyond(job: &Queued, branch_gone: bool) -> Option<String> {
    match job.event.as_str() {
        "delete" if branch_gone => {
            Some("delete of a branch: the forge sends no push for it".to_owned())
        }
        "push" | "create" | "delete" => None,
        event => Some(format!("{event}: another event's delivery tells of it")),
    }
}

impl std::fmt::Display for Predicted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn shown<T: std::fmt::Debug>(told: &Resolved<T>) -> String {
            match told {
                Resolved::Known(it) => format!("{it:?}"),
                Resolved::Unknown(why) => format!("? ({why})"),
            }
        }
        let (name, labels) = (shown(&self.name), shown(&self.labels));
        let stands = shown(&self.stands);
        write!(
            f,
            "{} on {} of {}: {name} {labels} {stands}",
            self.workflow, self.event, self.reference
        )
    }
}

impl std::fmt::Display for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            workflow,
            event,
            reference,
            name,
            labels,
            stands,
            ..
        } = self;
        write!(
            f,
            "{workflow} on {event} of {reference}: {name:?} {labels:?} {stands:?}"
        )
    }
}

/// What of a delivery rules look at, for people.
pub(crate) fn abstract_of(delivery: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    format!(
        "{} {}..{} {:?}",
        text(&delivery["ref"]),
        text(&delivery["before"]),
        text(&delivery["after"]),
        text(&delivery["head_commit"]["message"]),
    )
}
