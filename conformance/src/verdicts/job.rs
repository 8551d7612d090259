//! A job of either side, and how it may differ.

use serde::{Deserialize, Serialize};

/// A job that a runner is needed for, now or later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Job {
    /// The workflow's path below its folder.
    pub(super) workflow: String,
    /// The event's name in the workflow.
    pub(super) trigger: String,
    /// Its key, below that of who calls it.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
    /// What it asks of a runner.
    pub(super) labels: Vec<String>,
    /// What it waits for.
    pub(super) needs: Vec<String>,
    /// Whether a runner may take it at once.
    pub(super) waits: bool,
}

impl Job {
    pub(super) fn is(&self, [workflow, trigger, id]: &[String; 3]) -> bool {
        [&self.workflow, &self.trigger, &self.id] == [workflow, trigger, id]
    }

    /// Whether both are the same job, whatever is said of it.
    pub(super) fn is_about(&self, other: &Self) -> bool {
        let said = |job: &Self| [job.workflow.clone(), job.trigger.clone(), job.id.clone()];
        self.is(&said(other)) && self.name == other.name
    }
}

/// How a job differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Class {
    /// The server alone has it.
    Missed,
    /// The rules alone have it.
    Foreign,
    /// It has other labels or needs.
    Labels,
    /// The rules leave it to the forge.
    Unknown,
}
