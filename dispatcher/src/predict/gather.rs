//! The facts that a verdict rests on, from the forge: in as few requests as it allows, and only
//! those that some workflow asks for.

use std::collections::{BTreeMap, BTreeSet};

use crate::forge::{Forge, ForgeError};
use workflow::Server;
use workflow::discovery::{self, FoundFiles};
use workflow::evaluation::{Evaluation, Question, evaluate};
use workflow::event::Event;
use workflow::event::EventKind;
use workflow::jobs::reusable::CALLS_MAX;
use workflow::jobs::workflow_set::WorkflowSet;
use workflow::trigger::Changed;

/// Why the changed files of a pull request can't be known.
pub const NO_MERGE_BASE: &str = "the delivery does not tell where the two sides parted";

/// What is known of one event beside its delivery.
#[derive(Debug)]
pub struct Facts {
    /// Which forge it is.
    pub server: Server,
    /// The commit that the workflows were read at.
    pub sha: String,
    /// Its message, if a rule looks at it.
    pub message: String,
    /// The workflow files there.
    pub files: WorkflowSet,
    /// The workflow files of the branch that a pull request goes to.
    pub base: Option<WorkflowSet>,
    /// Which files changed, if a rule looks at them.
    pub changed: Changed,
    /// The variables, if an expression looks at them and the forge lets us read them.
    pub variables: Option<BTreeMap<String, String>>,
    /// The workflows that are disabled at the forge, if any would start.
    pub disabled: BTreeSet<String>,
}

impl Facts {
    /// Where there is no commit, and so nothing to read.
    fn of_nothing(server: Server) -> Self {
        Self {
            server,
            sha: String::new(),
            message: String::new(),
            files: WorkflowSet::of(FoundFiles::default(), server),
            base: None,
            changed: Changed::NotFetched,
            variables: None,
            disabled: BTreeSet::new(),
        }
    }

    /// The forge's verdict on `happened`.
    #[must_use]
    pub fn verdict(&self, happened: &Event) -> Evaluation {
        evaluate(&Question {
            server: self.server,
            event: happened,
            sha: &self.sha,
            message: &self.message,
            files: &self.files,
            base: self.base.as_ref(),
            changed: &self.changed,
            variables: self.variables.as_ref(),
            disabled: &self.disabled,
        })
    }
}

/// Asks the forge for what a verdict on `happened` rests on.
pub async fn gather(forge: &Forge, happened: &Event) -> Result<Facts, ForgeError> {
    let server = forge.server().await?;
    let repository = &happened.body.repository.full_name;
    let at = happened.reads().at;
    let (sha, message) = match &happened.body.head_commit {
        Some(head) if happened.kind == EventKind::Push => (at.clone(), head.message.clone()),
        _ => {
            let sha = match forge.resolved(repository, &at).await {
                // A draft has none, and one that is deleted has lost it: Gitea finds no commit either.
                Err(error) if at.starts_with("refs/tags/") && error.is_own_404() => {
                    return Ok(Facts::of_nothing(server));
                }
                other => other?,
            };
            // Of an annotated tag the delivery tells the tag's own object.
            let commit = forge.commit(repository, &sha).await?;
            (commit.sha, commit.message)
        }
    };
    let files = read(forge, repository, &sha, server).await?;
    let pull = happened.body.pull_request.as_ref();
    let base = match pull {
        Some(pull) if !happened.kind.is_of_a_review() => {
            let sha = match forge.resolved(repository, &pull.base.git_ref).await {
                // Gitea 1.26 starts nothing then (`notify`).
                Err(error) if error.is_own_404() => return Ok(Facts::of_nothing(server)),
                other => other?,
            };
            Some(read(forge, repository, &sha, server).await?)
        }
        Some(_) | None => None,
    };
    let readings = || std::iter::once(&files).chain(&base);
    let changed = if readings().any(|reading| reading.asks_for_paths(happened.kind)) {
        match happened.compared_with(server) {
            Some(before) => {
                let before = forge.resolved(repository, before).await?;
                forge.changed_files(repository, &before, &sha).await?
            }
            None => Changed::Unknown(NO_MERGE_BASE.to_owned()),
        }
    } else {
        Changed::NotFetched
    };
    let variables = if readings().any(WorkflowSet::asks_for_variables) {
        forge.variables(repository).await?
    } else {
        None
    };
    let mut facts = Facts {
        server,
        sha,
        message,
        files,
        base,
        changed,
        variables,
        disabled: BTreeSet::new(),
    };
    if facts.verdict(happened).runs().next().is_some() {
        facts.disabled = forge.disabled_workflows(repository).await?;
    }
    Ok(facts)
}

/// The workflow files of `repository` at `at`.
async fn read(
    forge: &Forge,
    repository: &str,
    at: &str,
    server: Server,
) -> Result<WorkflowSet, ForgeError> {
    let dirs = discovery::workflow_dirs(server);
    let found = forge.workflow_files(repository, at, &dirs).await?;
    let mut reading = WorkflowSet::of(found, server);
    for _ in 0..CALLS_MAX {
        let calls = reading.open_calls(server);
        if calls.is_empty() {
            break;
        }
        for uses in calls {
            let bytes = forge.called_file(repository, at, &uses).await?;
            reading.add_called(uses, bytes, server);
        }
    }
    Ok(reading)
}
