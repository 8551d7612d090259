//! The event `push`.

use serde::Serialize;

use super::super::model::Account;
use super::{Email, HostedRepository, RepositoryBody, UserBody, user};

/// The object id that stands for "no such ref".
pub(crate) const ZERO: &str = "0000000000000000000000000000000000000000";

/// A commit as git tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) message: String,
    pub(crate) author: Person,
    pub(crate) committer: Person,
    /// Already in the forge's format, with the committer's own offset.
    pub(crate) timestamp: String,
    /// Seconds of the same moment.
    pub(crate) committed: i64,
    pub(crate) added: Vec<String>,
    pub(crate) removed: Vec<String>,
    pub(crate) modified: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
    /// The account with that address, or empty.
    pub(crate) username: String,
}

/// One ref that a push changed, with what git knows about it.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    pub(crate) reference: String,
    pub(crate) before: String,
    pub(crate) after: String,
    /// What the compare link starts from: `before`, or the default branch for a new one.
    pub(crate) base: String,
    /// Newest first, as many as the forge tells.
    pub(crate) commits: Vec<Commit>,
    pub(crate) total: usize,
    pub(crate) head: Option<Commit>,
    /// Files that differ between `before` and `after`.
    pub(crate) files: Vec<String>,
}

#[derive(Debug, Serialize)]
struct CommitBody {
    id: String,
    message: String,
    url: String,
    author: Person,
    committer: Person,
    verification: Option<()>,
    timestamp: String,
    added: Vec<String>,
    removed: Vec<String>,
    modified: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PushEvent {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    compare_url: String,
    commits: Vec<CommitBody>,
    total_commits: usize,
    head_commit: Option<CommitBody>,
    repository: RepositoryBody,
    pusher: UserBody,
    sender: UserBody,
}

pub(crate) fn push_event(
    hosted: HostedRepository<'_>,
    actor: &Account,
    pushed: &Pushed,
) -> PushEvent {
    let commit = |commit: &Commit| CommitBody {
        id: commit.id.clone(),
        message: commit.message.clone(),
        url: format!("{}/commit/{}", hosted.page(), commit.id),
        author: commit.author.clone(),
        committer: commit.committer.clone(),
        verification: None,
        timestamp: commit.timestamp.clone(),
        added: commit.added.clone(),
        removed: commit.removed.clone(),
        modified: commit.modified.clone(),
    };
    let compare_url = if pushed.after == ZERO {
        format!("{}/", hosted.site.root)
    } else {
        format!(
            "{}/compare/{}...{}",
            hosted.page(),
            pushed.base,
            pushed.after
        )
    };
    PushEvent {
        reference: pushed.reference.clone(),
        before: pushed.before.clone(),
        after: pushed.after.clone(),
        compare_url,
        commits: pushed.commits.iter().map(commit).collect(),
        total_commits: pushed.total,
        head_commit: pushed.head.as_ref().map(commit),
        repository: super::repository(hosted),
        pusher: user(hosted.site, actor, Email::NoReply),
        sender: user(hosted.site, actor, Email::NoReply),
    }
}

/// The events `create` and `delete`.
#[derive(Debug, Serialize)]
pub(crate) struct ReferenceEvent {
    #[serde(skip_serializing_if = "Option::is_none")]
    sha: Option<String>,
    #[serde(rename = "ref")]
    reference: String,
    ref_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pusher_type: Option<&'static str>,
    repository: RepositoryBody,
    sender: UserBody,
}

/// That the pushed reference came or went, by its short name or its full one.
pub(crate) fn reference_event(
    hosted: HostedRepository<'_>,
    actor: &Account,
    pushed: &Pushed,
    is_full: bool,
) -> ReferenceEvent {
    let full = pushed.reference.as_str();
    let (ref_type, short) = match full.strip_prefix("refs/tags/") {
        Some(tag) => ("tag", tag),
        None => ("branch", full.strip_prefix("refs/heads/").unwrap_or(full)),
    };
    let is_gone = pushed.after == ZERO;
    ReferenceEvent {
        sha: (!is_gone).then(|| pushed.after.clone()),
        reference: if is_full { full } else { short }.to_owned(),
        ref_type,
        pusher_type: is_gone.then_some("user"),
        repository: super::repository(hosted),
        sender: user(hosted.site, actor, Email::NoReply),
    }
}
