//! What the evaluation of one event rests on beside its delivery.

use std::collections::{BTreeMap, BTreeSet};

use crate::discovery::FoundFiles;
use crate::jobs::workflow_set::WorkflowSet;
use crate::server::Server;
use crate::trigger::Changed;

/// What is known of one event beside its delivery. [`gather`](crate::gather()) collects it.
#[derive(Debug)]
pub struct Facts {
    /// Which forge it is.
    pub server: Server,
    /// The commit that the workflows were read at.
    pub sha: String,
    /// Its message.
    pub message: String,
    /// The workflow files there.
    pub files: WorkflowSet,
    /// The workflow files of the branch that a pull request goes to.
    pub base: Option<WorkflowSet>,
    /// Which files changed, if a rule looks at them.
    pub changed: Changed,
    /// The variables, if an expression looks at them and they can be read.
    pub variables: Option<BTreeMap<String, String>>,
    /// The workflows that are disabled at the forge, if any would start.
    pub disabled: BTreeSet<String>,
}

impl Facts {
    /// Where there is no commit, and so nothing to read.
    pub(crate) fn of_nothing(server: Server) -> Self {
        Self::of(WorkflowSet::of(FoundFiles::default(), server), server)
    }

    /// The workflow files of a commit, and nothing else.
    #[must_use]
    pub fn of(files: WorkflowSet, server: Server) -> Self {
        Self {
            server,
            sha: String::new(),
            message: String::new(),
            files,
            base: None,
            changed: Changed::NotFetched,
            variables: None,
            disabled: BTreeSet::new(),
        }
    }
}
