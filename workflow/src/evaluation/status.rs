//! Under which name the forge shows a job among the statuses of its commit.

use crate::event::EventKind;

/// The words in brackets under which the forge marks the commit of a run; `None` for events of which
/// it marks none (Gitea 1.26, `getCommitStatusEventNameAndCommitID`).
pub(super) fn status_event(event: EventKind, on: &str) -> Option<&str> {
    match event {
        EventKind::Push => Some("push"),
        EventKind::Release => Some("release"),
        EventKind::PullRequest
        | EventKind::PullRequestAssign
        | EventKind::PullRequestLabel
        | EventKind::PullRequestMilestone
        | EventKind::PullRequestSync
        | EventKind::PullRequestReviewRequest
        | EventKind::PullRequestReviewApproved
        | EventKind::PullRequestReviewRejected
        | EventKind::PullRequestReviewComment => Some(on),
        EventKind::Create
        | EventKind::Delete
        | EventKind::Fork
        | EventKind::Issues
        | EventKind::IssueAssign
        | EventKind::IssueLabel
        | EventKind::IssueMilestone
        | EventKind::IssueComment
        | EventKind::PullRequestComment
        | EventKind::Wiki
        | EventKind::Package
        | EventKind::Schedule
        | EventKind::WorkflowDispatch
        | EventKind::WorkflowRun => None,
    }
}

/// How the forge calls a job on its commit.
pub(super) fn context_of(workflow: &str, job: &str, event: &str) -> String {
    format!("{workflow} / {job} ({event})").trim().to_owned()
}
