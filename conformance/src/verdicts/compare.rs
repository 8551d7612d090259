//! The jobs that a server made beside those that the rules give.

use std::fmt;

use serde::Serialize;

use super::job::{Class, Job};
use super::known::Known;
use super::recorded::Case;

/// A job of ours.
pub(super) enum Planned {
    /// One that is known.
    Known(Job),
    /// One that can't be known yet: workflow, event and id.
    Unknown([String; 3]),
}

/// Where both differ on one event.
#[derive(Debug, Default, Serialize)]
pub(super) struct Differences {
    /// Jobs of the server alone: they would wait for ever.
    missed: Vec<Job>,
    /// Jobs of the rules alone: machines would wait for them.
    foreign: Vec<Job>,
    /// Jobs of both with other labels or needs: first the server's, then ours.
    labels: Vec<[Job; 2]>,
    /// Jobs that the rules leave to the forge, and which it did not make or has waiting.
    unknown: Vec<[String; 3]>,
}

impl Differences {
    pub(super) fn between(case: &Case, ours: Vec<Planned>) -> Self {
        let mut missed = case.queued();
        let (mut foreign, mut unknown, mut open) = (Vec::new(), Vec::new(), Vec::new());
        for planned in ours {
            match planned {
                Planned::Known(job) => match missed.iter().position(|other| *other == job) {
                    Some(at) => drop(missed.remove(at)),
                    None => foreign.push(job),
                },
                Planned::Unknown(job) => open.push(job),
            }
        }
        for job in open {
            let made = missed.extract_if(.., |other| other.is(&job));
            // One that waits for others need not be known before those have ended.
            let is_asked_later =
                made.fold(None, |all, job| Some(all.unwrap_or(true) && !job.waits));
            if is_asked_later != Some(true) {
                unknown.push(job);
            }
        }
        let mut labels = Vec::new();
        foreign.retain(|job| {
            let same = missed.iter().position(|other| other.is_about(job));
            labels.extend(same.map(|at| [missed.remove(at), job.clone()]));
            same.is_none()
        });
        Self {
            missed,
            foreign,
            labels,
            unknown,
        }
    }

    /// Takes out what is known of `repo`: how many jobs.
    pub(super) fn forgive(&mut self, repo: &str, known: &mut Known) -> usize {
        let before = self.len();
        let mut is_new = |workflow: &str, class| !known.meet(repo, workflow, class);
        self.missed
            .retain(|job| is_new(&job.workflow, Class::Missed));
        self.foreign
            .retain(|job| is_new(&job.workflow, Class::Foreign));
        self.labels
            .retain(|[job, _]| is_new(&job.workflow, Class::Labels));
        self.unknown
            .retain(|[workflow, ..]| is_new(workflow, Class::Unknown));
        before - self.len()
    }

    fn len(&self) -> usize {
        self.missed.len() + self.foreign.len() + self.labels.len() + self.unknown.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.are_unknown_alone() && self.unknown.is_empty()
    }

    pub(super) fn are_unknown_alone(&self) -> bool {
        self.missed.is_empty() && self.foreign.is_empty() && self.labels.is_empty()
    }
}

/// How much was compared, and how many differences of each class there are.
#[derive(Debug, Default)]
pub(super) struct Counts {
    events: usize,
    jobs: usize,
    missed: usize,
    foreign: usize,
    labels: usize,
    unknown: usize,
    known: usize,
}

impl Counts {
    /// Counts the `differences` on an event, and so many more that are known.
    pub(super) fn add(&mut self, case: &Case, differences: &Differences, known: usize) {
        self.events += 1;
        self.jobs += case.queued().len();
        self.missed += differences.missed.len();
        self.foreign += differences.foreign.len();
        self.labels += differences.labels.len();
        self.unknown += differences.unknown.len();
        self.known += known;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            jobs,
            missed,
            foreign,
            labels,
            unknown,
            known,
        } = self;
        write!(
            f,
            "{events} events, {jobs} jobs: {missed} missed, {foreign} foreign, {labels} with other labels or needs, {unknown} unknown"
        )?;
        if *known > 0 {
            write!(f, "; {known} more differ as known")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_by_who_has_the_job() {
        let case: Case = serde_json::from_value(serde_json::json!({
            "n": 1, "step": "s", "event": "push", "body": {},
            "expected": [
                {"workflow": "w", "trigger": "push", "job": "a", "job_id": "a", "runs_on": ["x"], "needs": [], "status": "waiting"},
                {"workflow": "w", "trigger": "push", "job": "b", "job_id": "b", "runs_on": ["x"], "needs": ["a"], "status": "blocked"},
                {"workflow": "w", "trigger": "push", "job": "c", "job_id": "c", "runs_on": ["x"], "needs": [], "status": "waiting"},
                {"workflow": "w", "trigger": "push", "job": "e", "job_id": "e", "runs_on": [], "needs": [], "status": "failure", "error": {}},
                {"workflow": "w", "trigger": "push", "job": "f", "job_id": "f", "runs_on": ["x"], "needs": [], "status": "waiting"},
            ],
        }))
        .unwrap();
        let known = |id: &str, label: &str| {
            Planned::Known(Job {
                workflow: "w".to_owned(),
                trigger: "push".to_owned(),
                id: id.to_owned(),
                name: id.to_owned(),
                labels: vec![label.to_owned()],
                needs: Vec::new(),
                waits: true,
            })
        };
        let unknown = |id: &str| Planned::Unknown(["w", "push", id].map(str::to_owned));
        let ours = vec![
            known("a", "x"),
            unknown("b"),
            known("c", "y"),
            known("d", "x"),
            unknown("f"),
            unknown("g"),
        ];
        let found = Differences::between(&case, ours);
        let ids = |jobs: &[Job]| jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found.missed), [""; 0]);
        assert_eq!(ids(&found.foreign), ["d"]);
        assert_eq!(ids(found.labels.as_flattened()), ["c", "c"]);
        let unknown: Vec<&str> = found.unknown.iter().map(|[.., id]| id.as_str()).collect();
        assert_eq!(unknown, ["f", "g"]);
        let mut counts = Counts::default();
        counts.add(&case, &found, 2);
        assert_eq!(
            counts.to_string(),
            "1 events, 4 jobs: 0 missed, 1 foreign, 1 with other labels or needs, 2 unknown; 2 more differ as known"
        );
        assert!(Differences::between(&case, Vec::new()).missed.len() == 4);
    }
}
