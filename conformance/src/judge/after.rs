//! What becomes of jobs when those that they need have ended.

use std::collections::BTreeMap;

use workflow::evaluation::{Evaluation, PlannedJob, Run};
use workflow::expression::{Resolved, Value};
use workflow::jobs::contexts::Contexts;
use workflow::jobs::needs::{JobNode, Next, Status, resolve};
use workflow::{Server, yaml};

use super::case::variables;
use super::process::{Answer, JobAnswer};
use super::verdict::{Class, Compared};

/// The ends that a judge is asked about.
const ENDS: [Status; 4] = [
    Status::Success,
    Status::Failure,
    Status::Cancelled,
    Status::Skipped,
];

/// Adds to `compared` where both have a job, and let it become something else.
pub(super) fn compare(
    compared: &mut Compared,
    answer: &Answer,
    evaluation: &Evaluation,
    server: Server,
) {
    let contexts = Contexts {
        vars: Some(variables()),
        inputs: Value::map(BTreeMap::new()),
        ..Contexts::default()
    };
    for (file, run) in evaluation.runs() {
        let files = answer.files.iter().filter(|other| other.name == file);
        let mut runs = files.flat_map(|file| &file.runs);
        let Some(theirs) = runs.find(|other| other.on == run.event) else {
            continue;
        };
        for (place, planned) in run.jobs.iter().enumerate() {
            let is_it = |other: &&JobAnswer| {
                let name = Resolved::Known(other.name.clone());
                other.id == planned.job.id && name == planned.job.name
            };
            let Some(theirs) = theirs.jobs.iter().find(is_it) else {
                continue;
            };
            let condition = planned.job.condition.as_deref().unwrap_or_default();
            if theirs.after.is_empty() || rests_on_event(condition) {
                continue;
            }
            for end in ENDS {
                let expected = theirs.after.get(end.word()).map(String::as_str);
                let ours = becomes(run, (place, end), &contexts, server);
                let words = format!(
                    "{file} {}: {} after {}, if {condition:?}: forge {expected:?}, ours {ours:?}",
                    run.event,
                    planned.job.id,
                    end.word(),
                );
                match (ours, expected) {
                    (Some(Next::Waiting), Some("waiting"))
                    | (Some(Next::Skipped), Some("skipped"))
                    | (Some(Next::Stuck(_)), Some("stuck")) => {}
                    // Nobody tells them.
                    (Some(Next::Unknown(_)), _)
                        if condition.to_ascii_lowercase().contains("outputs") => {}
                    (Some(Next::Unknown(why)), _) => compared.add(Class::Unknown, &why, words),
                    (Some(_) | None, other) => {
                        let kind = format!("after {}: {}", end.word(), other.unwrap_or("nothing"));
                        compared.add(Class::After, &kind, words);
                    }
                }
            }
        }
    }
}

/// What becomes of one job when those that it needs have ended.
fn becomes(
    run: &Run,
    (place, end): (usize, Status),
    contexts: &Contexts,
    server: Server,
) -> Option<Next> {
    let needs = &run.jobs[place].job.needs;
    let nodes: Vec<JobNode> = run
        .jobs
        .iter()
        .enumerate()
        .map(|(at, planned)| {
            let status = match &planned.job.id {
                _ if at == place => Status::Blocked,
                id if needs.contains(id) => end,
                _ => Status::Running,
            };
            node(planned, status)
        })
        .collect();
    resolve(&nodes, contexts, server).remove(&place)
}

fn node(planned: &PlannedJob, status: Status) -> JobNode {
    let job = &planned.job;
    JobNode {
        id: job.id.clone(),
        status,
        needs: job.needs.clone(),
        condition: job.condition.clone(),
        continue_on_error: matches!(
            job.continue_on_error,
            Some(Resolved::Known(yaml::Value::Bool(true)))
        ),
        matrix: job.combination.context(),
    }
}

/// Whether a condition looks at the event, of which nothing is kept when jobs end.
fn rests_on_event(condition: &str) -> bool {
    let condition = condition.to_ascii_lowercase();
    condition.contains("github") || condition.contains("gitea")
}
