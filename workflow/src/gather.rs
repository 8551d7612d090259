//! Which facts an event needs, and in which order they are asked for: only what some rule looks at.
//!
//! A [`Source`] has the facts, a forge's API or a clone. What is fetched of it is decided here alone, so
//! that both come to the same evaluation.

use std::collections::{BTreeMap, BTreeSet};

use crate::discovery::{self, FoundFiles};
use crate::event::{Event, EventKind};
use crate::jobs::reusable::CALLS_MAX;
use crate::jobs::uses::Uses;
use crate::jobs::workflow_set::WorkflowSet;
use crate::server::Server;
use crate::trigger::Changed;
use crate::yaml::Refused;

/// Why the changed files of a pull request can't be known.
const NO_MERGE_BASE: &str = "the delivery does not tell where the two sides parted";

/// Whoever has the content of repositories. A repository is named `owner/name`, a commit by its id.
pub trait Source {
    /// Why something could not be had.
    type Error;

    /// Whether an error means that the forge itself has no such thing, so that it starts nothing either.
    fn is_missing(error: &Self::Error) -> bool;

    /// The id of what `reference` names: an id itself, a branch by its short name, or `refs/tags/…`.
    fn resolve(
        &self,
        repository: &str,
        reference: &str,
    ) -> impl Future<Output = Result<String, Self::Error>> + Send;

    /// The commit `id`; of an annotated tag's own object the commit that it stands for.
    fn commit(
        &self,
        repository: &str,
        id: &str,
    ) -> impl Future<Output = Result<Commit, Self::Error>> + Send;

    /// The workflow files of a commit, in the first of `dirs` that it has.
    fn workflow_files(
        &self,
        repository: &str,
        commit: &str,
        dirs: &[String],
    ) -> impl Future<Output = Result<FoundFiles, Self::Error>> + Send;

    /// The workflow file that a job calls, or why it can't be had: the forge has none there
    /// ([`Refused::new`]), or it is not known what it has ([`Refused::limit`]).
    fn called_file(
        &self,
        repository: &str,
        commit: &str,
        uses: &Uses,
    ) -> impl Future<Output = Result<Result<Vec<u8>, Refused>, Self::Error>> + Send;

    /// The files that differ between `before`, a commit or a branch, and the commit `after`. Zeros for
    /// `before` mean what the commit itself changed.
    fn changed_files(
        &self,
        repository: &str,
        before: &str,
        after: &str,
    ) -> impl Future<Output = Result<Changed, Self::Error>> + Send;

    /// The repository's variables with those of its owner; `None` if they can't be read.
    fn variables(
        &self,
        repository: &str,
    ) -> impl Future<Output = Result<Option<BTreeMap<String, String>>, Self::Error>> + Send;

    /// The workflows that somebody disabled, by their file names.
    fn disabled_workflows(
        &self,
        repository: &str,
    ) -> impl Future<Output = Result<BTreeSet<String>, Self::Error>> + Send;
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub sha: String,
    /// All of its message.
    pub message: String,
}

/// What is known of one event beside its delivery. [`gather`] collects it.
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

/// Asks `source` for what the evaluation of `event` by `server` rests on.
pub async fn gather<S: Source + Sync>(
    source: &S,
    event: &Event,
    server: Server,
) -> Result<Facts, S::Error> {
    let repository = &event.body.repository.full_name;
    let Some(Commit { sha, message }) = commit(source, event).await? else {
        return Ok(Facts::of_nothing(server));
    };
    let files = read(source, repository, &sha, server).await?;
    let pull = event.body.pull_request.as_ref();
    // Reviews don't start `pull_request_target`, the only event that the base branch's workflows answer.
    let base = match pull.filter(|_| !event.kind.is_of_a_review()) {
        Some(pull) => match source.resolve(repository, &pull.base.git_ref).await {
            // Gitea 1.26 starts nothing then (`notify`).
            Err(error) if S::is_missing(&error) => return Ok(Facts::of_nothing(server)),
            sha => Some(read(source, repository, &sha?, server).await?),
        },
        None => None,
    };
    let sets = || std::iter::once(&files).chain(&base);
    let changed = if sets().any(|set| set.asks_for_paths(event.kind)) {
        match event.compared_with(server) {
            Some(before) => source.changed_files(repository, before, &sha).await?,
            None => Changed::Unknown(NO_MERGE_BASE.to_owned()),
        }
    } else {
        Changed::NotFetched
    };
    let variables = if sets().any(WorkflowSet::asks_for_variables) {
        source.variables(repository).await?
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
    if facts.evaluate(event).runs().next().is_some() {
        facts.disabled = source.disabled_workflows(repository).await?;
    }
    Ok(facts)
}

/// The commit whose workflows answer to `event`; `None` if it is gone.
async fn commit<S: Source + Sync>(source: &S, event: &Event) -> Result<Option<Commit>, S::Error> {
    let at = event.reads().at;
    if let (EventKind::Push, Some(head)) = (event.kind, &event.body.head_commit) {
        return Ok(Some(Commit {
            sha: at,
            message: head.message.clone(),
        }));
    }
    let repository = &event.body.repository.full_name;
    let id = match source.resolve(repository, &at).await {
        // The tag of a release that is a draft or was deleted: Gitea finds no commit either.
        Err(error) if at.starts_with("refs/tags/") && S::is_missing(&error) => return Ok(None),
        id => id?,
    };
    // Of an annotated tag the delivery tells the tag's own object.
    source.commit(repository, &id).await.map(Some)
}

/// The workflow files of `repository` at `commit`, with those that their jobs call.
async fn read<S: Source + Sync>(
    source: &S,
    repository: &str,
    commit: &str,
    server: Server,
) -> Result<WorkflowSet, S::Error> {
    let dirs = discovery::workflow_dirs(server);
    let found = source.workflow_files(repository, commit, &dirs).await?;
    let mut set = WorkflowSet::of(found, server);
    for _ in 0..CALLS_MAX {
        let calls = set.open_calls(server);
        if calls.is_empty() {
            break;
        }
        for uses in calls {
            let bytes = source.called_file(repository, commit, &uses).await?;
            set.add_called(uses, bytes, server);
        }
    }
    Ok(set)
}
