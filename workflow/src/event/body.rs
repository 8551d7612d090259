//! The fields of a delivery that rules look at. All else is not kept.

use serde::{Deserialize, Serialize};

/// The fields of a delivery that rules look at, under the forge's own names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Body {
    /// Push: the full name; create and delete: the short one.
    #[serde(rename = "ref", skip_serializing_if = "String::is_empty")]
    pub git_ref: String,
    /// Create and delete: `branch` or `tag`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ref_type: String,
    /// Create: the commit, or the tag's object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha: String,
    /// Push: what the reference was, zeros if it is new.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// Push: what it is, zeros if it was deleted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// What was done, where an event has several kinds.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// Number of the issue or pull request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Push: the commit that the reference leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_commit: Option<HeadCommit>,
    /// The pull request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
    /// The labels that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// The release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// The workflow whose run this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Named>,
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_run: Option<WorkflowRun>,
    /// Where; of a package [`Body::package`] has it.
    #[serde(deserialize_with = "null_as_default")]
    pub repository: Repository,
    /// The package, whose repository then becomes [`Body::repository`].
    #[serde(skip_serializing)]
    pub package: Option<Package>,
    /// Fork: the repository that was forked; [`Body::repository`] is then the new one.
    #[serde(skip_serializing)]
    pub forkee: Option<Repository>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<User>,
}

/// The commit at a reference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeadCommit {
    /// Its id.
    pub id: String,
    /// Its whole message.
    pub message: String,
}

/// A pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Where the two sides parted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_base: Option<String>,
    /// Whether it was merged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
    /// What it was merged as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_commit_sha: Option<String>,
    /// Where it goes.
    pub base: Side,
    /// Where it comes from.
    pub head: Side,
}

/// One side of a pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Side {
    /// The branch.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// What people call it: the branch, with its owner if it is another repository's.
    pub label: String,
    /// The commit.
    pub sha: String,
    /// The repository's id.
    pub repo_id: i64,
}

/// Labels that were put on and taken off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Put on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_labels: Option<Vec<Named>>,
    /// Taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_labels: Option<Vec<Named>>,
}

/// Something with a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Named {
    /// The name.
    pub name: String,
}

/// A release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Release {
    /// Its tag.
    pub tag_name: String,
}

/// A package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Package {
    /// The repository that it is of, if it is of one.
    pub repository: Option<Repository>,
}

/// A run of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkflowRun {
    /// The branch that it ran on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_branch: Option<String>,
    /// What started it.
    pub event: String,
}

/// A repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Repository {
    /// `owner/name`.
    pub full_name: String,
    /// Its default branch.
    pub default_branch: String,
    /// Its page.
    pub html_url: String,
    /// Whether it has no commit.
    pub empty: bool,
    /// Whether it is read-only.
    pub archived: bool,
    /// Whether Actions are on; servers before 1.20 don't say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_actions: Option<bool>,
}

/// Somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// Login name.
    pub login: String,
}

/// Webhooks of packages say `null` for the repository (Gitea 1.26, `services/webhook/notifier.go`).
fn null_as_default<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Repository, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}
