//! The jobs of an evaluation, as deliveries would describe them.

use workflow::Evaluation;
use workflow::expression::Resolved;
use workflow::jobs::Start;

use crate::forge::{LABELS_MAX, TEXT_MAX_BYTES};
use crate::ledger::{Expected, ExpectedState, PendingEvent};
use crate::model::job::{AttemptNumbers, Job, JobKey, JobSource, digest};

/// The jobs of `verdict`. What can't be known is named in the log.
pub(super) fn due_jobs(pending: &PendingEvent, verdict: &Evaluation) -> Vec<Expected> {
    let mut due = Vec::new();
    for (number, (workflow, run)) in verdict.runs().enumerate() {
        for (index, planned) in run.jobs.iter().enumerate() {
            let job = &planned.job;
            let (name, labels) = match (&job.name, &job.labels, &job.incomplete_matrix) {
                (Resolved::Known(name), Resolved::Known(labels), None) => (name, labels),
                (_, _, Some(because))
                | (Resolved::Unknown(because), _, None)
                | (_, Resolved::Unknown(because), None) => {
                    tracing::warn!(
                        repository = pending.repository,
                        workflow,
                        job = job.id,
                        because,
                        "job can't be foretold: it gets a machine when the forge tells of it"
                    );
                    continue;
                }
            };
            if labels.len() > LABELS_MAX || labels.iter().any(|one| one.len() > TEXT_MAX_BYTES) {
                tracing::warn!(
                    repository = pending.repository,
                    workflow,
                    job = job.id,
                    "job asks for more labels than a runner has"
                );
                continue;
            }
            let index = index.to_string();
            let own = digest([pending.id.as_str(), workflow, &run.event, &job.id, &index]);
            due.push(Expected {
                id: JobKey::expected(&pending.repository, own).id,
                attempt: 0,
                run: number,
                job: job.id.clone(),
                name: name.clone(),
                labels: labels.clone(),
                needs: job.needs.clone(),
                condition: job.condition.clone(),
                context: planned.context.clone().unwrap_or_default(),
                state: match planned.start {
                    Start::Waiting => ExpectedState::Listed,
                    Start::AfterNeeds | Start::AfterApproval => ExpectedState::Blocked,
                },
            });
        }
    }
    due
}

/// An expected job as a delivery would describe it.
pub(super) fn job_of(pending: &PendingEvent, expected: &Expected) -> Job {
    Job {
        key: JobKey {
            repository: pending.repository.clone(),
            id: expected.id,
            attempt: expected.attempt,
        },
        run_id: 0,
        name: expected.name.clone(),
        labels: expected.labels.clone(),
        head_sha: pending.at.clone(),
        html_url: String::new(),
        created_ms: None,
        source: JobSource::Expectation,
        numbers: AttemptNumbers::FromZero,
    }
}
