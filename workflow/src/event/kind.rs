//! The kinds of events that forges tell of.

use serde::de::IntoDeserializer as _;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};

/// The forge's own name of an event, as the header `X-Gitea-Event-Type` has it: finer than
/// `X-Gitea-Event`, which says `pull_request` of them all (Gitea 1.26, `modules/webhook/type.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A branch or tag was made.
    Create,
    /// A branch or tag was deleted.
    Delete,
    /// The repository was forked.
    Fork,
    /// A branch or tag was pushed, or a tag deleted.
    Push,
    /// An issue was opened, closed, reopened or edited.
    Issues,
    /// An issue was assigned.
    IssueAssign,
    /// An issue's labels changed.
    IssueLabel,
    /// An issue's milestone changed.
    IssueMilestone,
    /// A comment on an issue.
    IssueComment,
    /// A pull request was opened, closed, reopened or edited.
    PullRequest,
    /// A pull request was assigned.
    PullRequestAssign,
    /// A pull request's labels changed.
    PullRequestLabel,
    /// A pull request's milestone changed.
    PullRequestMilestone,
    /// A comment on a pull request.
    PullRequestComment,
    /// A review that approves.
    PullRequestReviewApproved,
    /// A review that asks for changes.
    PullRequestReviewRejected,
    /// A review that comments.
    PullRequestReviewComment,
    /// Commits were pushed to a pull request.
    PullRequestSync,
    /// A review was asked for, or not any more.
    PullRequestReviewRequest,
    /// A wiki page changed.
    Wiki,
    /// A release was published, edited or deleted.
    Release,
    /// A package was published or deleted.
    Package,
    /// The clock (no delivery tells of it).
    Schedule,
    /// Somebody started a workflow by hand.
    WorkflowDispatch,
    /// A run was requested or completed.
    WorkflowRun,
}

impl EventKind {
    /// The forge's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Fork => "fork",
            Self::Push => "push",
            Self::Issues => "issues",
            Self::IssueAssign => "issue_assign",
            Self::IssueLabel => "issue_label",
            Self::IssueMilestone => "issue_milestone",
            Self::IssueComment => "issue_comment",
            Self::PullRequest => "pull_request",
            Self::PullRequestAssign => "pull_request_assign",
            Self::PullRequestLabel => "pull_request_label",
            Self::PullRequestMilestone => "pull_request_milestone",
            Self::PullRequestComment => "pull_request_comment",
            Self::PullRequestReviewApproved => "pull_request_review_approved",
            Self::PullRequestReviewRejected => "pull_request_review_rejected",
            Self::PullRequestReviewComment => "pull_request_review_comment",
            Self::PullRequestSync => "pull_request_sync",
            Self::PullRequestReviewRequest => "pull_request_review_request",
            Self::Wiki => "wiki",
            Self::Release => "release",
            Self::Package => "package",
            Self::Schedule => "schedule",
            Self::WorkflowDispatch => "workflow_dispatch",
            Self::WorkflowRun => "workflow_run",
        }
    }

    /// The event of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word: StrDeserializer<'_, serde::de::value::Error> = word.into_deserializer();
        Self::deserialize(word).ok()
    }

    /// The fields of its delivery (Gitea 1.26 and 1.27, `modules/structs/hook.go`), but for those that are
    /// kept and left out where they are empty: of a pull request `before` and `after`, of a run its pull
    /// request.
    #[must_use]
    pub(crate) const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Push => &[
                "ref",
                "before",
                "after",
                "compare_url",
                "commits",
                "total_commits",
                "head_commit",
                "repository",
                "pusher",
                "sender",
            ],
            Self::Create => &["sha", "ref", "ref_type", "repository", "sender"],
            Self::Delete => &["ref", "ref_type", "pusher_type", "repository", "sender"],
            Self::Fork => &["forkee", "repository", "sender"],
            Self::IssueComment | Self::PullRequestComment => &[
                "action",
                "issue",
                "comment",
                "changes",
                "repository",
                "sender",
                "is_pull",
            ],
            Self::Release => &["action", "release", "repository", "sender"],
            Self::Issues | Self::IssueAssign | Self::IssueLabel | Self::IssueMilestone => &[
                "action",
                "number",
                "changes",
                "issue",
                "repository",
                "sender",
                "commit_id",
            ],
            Self::PullRequest
            | Self::PullRequestAssign
            | Self::PullRequestLabel
            | Self::PullRequestMilestone
            | Self::PullRequestReviewApproved
            | Self::PullRequestReviewRejected
            | Self::PullRequestReviewComment
            | Self::PullRequestSync
            | Self::PullRequestReviewRequest => &[
                "action",
                "number",
                "changes",
                "pull_request",
                "requested_reviewer",
                "repository",
                "sender",
                "commit_id",
                "review",
            ],
            Self::Wiki => &["action", "repository", "sender", "page", "comment"],
            Self::Package => &["action", "repository", "package", "organization", "sender"],
            Self::WorkflowRun => &[
                "action",
                "workflow",
                "workflow_run",
                "organization",
                "repository",
                "sender",
            ],
            Self::Schedule => &["action"],
            Self::WorkflowDispatch => &["workflow", "ref", "inputs", "repository", "sender"],
        }
    }

    /// Whether a branch or tag came or went.
    #[must_use]
    pub const fn is_of_a_reference(self) -> bool {
        matches!(self, Self::Create | Self::Delete)
    }

    /// Whether it is about a pull request as such: what `pull_request` in a workflow means.
    pub(crate) const fn is_of_a_pull_request(self) -> bool {
        matches!(
            self,
            Self::PullRequest
                | Self::PullRequestSync
                | Self::PullRequestAssign
                | Self::PullRequestLabel
                | Self::PullRequestReviewRequest
                | Self::PullRequestMilestone
        )
    }

    /// Whether it is a review of a pull request.
    pub(crate) const fn is_of_a_review(self) -> bool {
        matches!(
            self,
            Self::PullRequestReviewApproved
                | Self::PullRequestReviewRejected
                | Self::PullRequestReviewComment
        )
    }

    /// Whether only workflows of the default branch answer to it (`IsDefaultBranchWorkflow`).
    pub(crate) const fn is_of_default_branch(self) -> bool {
        matches!(
            self,
            Self::Delete
                | Self::Fork
                | Self::Issues
                | Self::IssueAssign
                | Self::IssueLabel
                | Self::IssueMilestone
                | Self::IssueComment
                | Self::PullRequestComment
                | Self::Wiki
                | Self::Schedule
                | Self::WorkflowRun
        )
    }
}
