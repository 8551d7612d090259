//! What a `workflow_job` body says.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::delivery::{BadDelivery, Delivery, shortened};
use crate::forge::job_json::{TEXT_MAX_BYTES, WorkflowJob, within};
use crate::model::job::{AttemptNumbers, JobSource};
use crate::simulation::{Fault, breaks};

#[derive(Deserialize)]
struct Body {
    action: String,
    workflow_job: WorkflowJob,
    repository: Repository,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    /// This one and the next came with Gitea 1.27, as its other way to number attempts did. So a delivery
    /// says by itself how it counts: the forge may have been updated a second ago.
    allow_merge_update: Option<IgnoredAny>,
    mirror_last_sync_at: Option<IgnoredAny>,
}

impl Repository {
    fn numbers(&self) -> AttemptNumbers {
        if breaks(Fault::AttemptsCountedWrongly) {
            return AttemptNumbers::FromZero;
        }
        if self.allow_merge_update.is_some() || self.mirror_last_sync_at.is_some() {
            AttemptNumbers::FromOne
        } else {
            AttemptNumbers::FromZero
        }
    }
}

pub(super) fn read(document: &[u8]) -> Result<Delivery, BadDelivery> {
    let body: Body = serde_json::from_slice(document)
        .map_err(|error| BadDelivery::Unreadable(error.to_string()))?;
    let mut job = body.workflow_job;
    let conclusion = job.conclusion.take().unwrap_or_default();
    within(TEXT_MAX_BYTES, [conclusion.as_str()])?;
    let numbers = body.repository.numbers();
    let (job, runner) = job.in_bounds(body.repository.full_name, JobSource::Delivery, numbers)?;
    match (body.action.as_str(), runner) {
        ("queued", _) => Ok(Delivery::Queued(job)),
        ("in_progress", Some(runner)) => Ok(Delivery::Started { job, runner }),
        ("completed", runner) => Ok(Delivery::Ended {
            job,
            conclusion,
            runner,
        }),
        ("waiting", _) => Ok(Delivery::Ignored(
            "the job waits for other jobs or an approval; its queued event follows".to_owned(),
        )),
        (other, _) => Ok(Delivery::Ignored(format!(
            "workflow_job {:?} asks for no runner",
            shortened(other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_forge_leaves_out_or_sends_as_null_is_not_missed() {
        let body = r#"{"action":"queued","repository":{"full_name":"acme/app"},"workflow_job":
            {"id":7,"run_id":3,"name":"build","labels":null,"steps":null,"conclusion":null,
             "runner_id":null,"runner_name":null,"created_at":null}}"#;
        let Ok(Delivery::Queued(job)) = read(body.as_bytes()) else {
            panic!("not read");
        };
        assert_eq!((job.key.id, job.key.attempt, job.created_ms), (7, 0, None));
        assert!(job.labels.is_empty());
    }
}
