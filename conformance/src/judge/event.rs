//! Events of every kind, with the fields of their deliveries that any rule looks at.

use fastrand::Rng;
use serde_json::{Value, json};
use workflow::EventKind;

use super::case::{ACTOR, COMMIT, FORGE, REPOSITORY};
use crate::live::generator::{BRANCHES, TAGS, pick};

/// The kinds that are asked for, pushes several times. The clock and people's clicks start workflows
/// without a delivery.
const KINDS: [EventKind; 32] = [
    EventKind::Push,
    EventKind::Push,
    EventKind::Push,
    EventKind::Push,
    EventKind::Push,
    EventKind::Push,
    EventKind::Push,
    EventKind::Push,
    EventKind::Push,
    EventKind::Push,
    EventKind::PullRequest,
    EventKind::PullRequest,
    EventKind::PullRequest,
    EventKind::PullRequestSync,
    EventKind::PullRequestAssign,
    EventKind::PullRequestLabel,
    EventKind::PullRequestMilestone,
    EventKind::PullRequestComment,
    EventKind::PullRequestReviewApproved,
    EventKind::PullRequestReviewComment,
    EventKind::PullRequestReviewRejected,
    EventKind::PullRequestReviewRequest,
    EventKind::Create,
    EventKind::Delete,
    EventKind::Issues,
    EventKind::IssueLabel,
    EventKind::IssueComment,
    EventKind::Release,
    EventKind::Package,
    EventKind::WorkflowRun,
    EventKind::Wiki,
    EventKind::Fork,
];

/// Any kind.
pub(super) fn kind(rng: &mut Rng) -> EventKind {
    KINDS[rng.usize(..KINDS.len())]
}

/// Most kinds that a file of the corpus is asked about.
const NAMED_MAX: usize = 4;

/// Kinds of events that a file names somewhere; pushes always.
pub(super) fn named_in(file: &[u8]) -> Vec<EventKind> {
    let text = String::from_utf8_lossy(file);
    let is_named = |kind: &EventKind| names(*kind).iter().any(|name| text.contains(name));
    let mut others: Vec<EventKind> = KINDS.into_iter().filter(is_named).collect();
    others.retain(|kind| *kind != EventKind::Push);
    others.dedup();
    std::iter::once(EventKind::Push)
        .chain(others)
        .take(NAMED_MAX)
        .collect()
}

/// The event's names in `on`, the likeliest first.
pub(super) fn names(kind: EventKind) -> &'static [&'static str] {
    use EventKind as E;
    match kind {
        E::Push => &["push"],
        E::Create => &["create"],
        E::Delete => &["delete"],
        E::Fork => &["fork"],
        E::Wiki => &["gollum"],
        E::Release => &["release"],
        E::Package => &["registry_package"],
        E::WorkflowRun => &["workflow_run"],
        E::Schedule => &["schedule"],
        E::WorkflowDispatch => &["workflow_dispatch"],
        E::IssueComment | E::PullRequestComment => &["issue_comment", "pull_request_comment"],
        E::Issues | E::IssueAssign | E::IssueLabel | E::IssueMilestone => &["issues"],
        E::PullRequestReviewApproved
        | E::PullRequestReviewRejected
        | E::PullRequestReviewComment => &["pull_request_review", "pull_request_review_comment"],
        E::PullRequest
        | E::PullRequestSync
        | E::PullRequestAssign
        | E::PullRequestLabel
        | E::PullRequestMilestone
        | E::PullRequestReviewRequest => &["pull_request", "pull_request_target"],
    }
}

/// What is done where an event has several kinds, in the forge's words.
pub(super) fn actions(kind: EventKind) -> &'static [&'static str] {
    use EventKind as E;
    match kind {
        E::Issues | E::PullRequest => &["opened", "closed", "reopened", "edited"],
        E::IssueAssign | E::PullRequestAssign => &["assigned", "unassigned"],
        E::IssueLabel | E::PullRequestLabel => &["label_updated"],
        E::IssueMilestone | E::PullRequestMilestone => &["milestoned", "demilestoned"],
        E::IssueComment | E::PullRequestComment | E::Wiki => &["created", "edited", "deleted"],
        E::PullRequestReviewApproved
        | E::PullRequestReviewRejected
        | E::PullRequestReviewComment => &["reviewed"],
        E::PullRequestSync => &["synchronized"],
        E::PullRequestReviewRequest => &["review_requested", "review_request_removed"],
        E::Release => &["published", "updated"],
        E::Package => &["created", "deleted"],
        E::WorkflowRun => &["requested", "in_progress", "completed"],
        E::Create | E::Delete | E::Fork | E::Push | E::Schedule | E::WorkflowDispatch => &[],
    }
}

/// The delivery's body.
pub(super) fn payload(rng: &mut Rng, kind: EventKind) -> Value {
    let mut body = json!({"repository": repository(), "sender": {"login": ACTOR}});
    let actions = actions(kind);
    if !actions.is_empty() {
        body["action"] = json!(pick(rng, actions));
    }
    let own = match kind {
        EventKind::Push => push(rng),
        EventKind::Create | EventKind::Delete => reference(rng, kind),
        EventKind::Release => json!({"release": {"tag_name": pick(rng, &TAGS), "name": "one"}}),
        EventKind::Package => json!({"package": {"name": "p", "repository": repository()}}),
        EventKind::WorkflowRun => run(rng),
        EventKind::Fork => json!({"forkee": repository()}),
        EventKind::Wiki => json!({"page": "Home", "comment": ""}),
        EventKind::Issues
        | EventKind::IssueAssign
        | EventKind::IssueLabel
        | EventKind::IssueMilestone => {
            with_labels(rng, json!({"number": 5, "issue": {"number": 5}}))
        }
        EventKind::IssueComment => json!({"issue": {"number": 5}, "is_pull": false}),
        EventKind::PullRequestComment => {
            let pull = pull_request(rng);
            json!({"issue": {"number": 7}, "is_pull": true, "pull_request": pull})
        }
        EventKind::PullRequest
        | EventKind::PullRequestAssign
        | EventKind::PullRequestLabel
        | EventKind::PullRequestMilestone
        | EventKind::PullRequestReviewApproved
        | EventKind::PullRequestReviewRejected
        | EventKind::PullRequestReviewComment
        | EventKind::PullRequestSync
        | EventKind::PullRequestReviewRequest => {
            let pull = pull_request(rng);
            with_labels(rng, json!({"number": 7, "pull_request": pull}))
        }
        EventKind::Schedule | EventKind::WorkflowDispatch => json!({}),
    };
    if let (Value::Object(body), Value::Object(own)) = (&mut body, own) {
        body.extend(own);
    }
    body
}

fn repository() -> Value {
    let (owner, name) = REPOSITORY;
    json!({
        "id": 1,
        "name": name,
        "full_name": format!("{owner}/{name}"),
        "owner": {"login": owner},
        "html_url": format!("{FORGE}{owner}/{name}"),
        "default_branch": "main",
        "has_actions": true,
    })
}

/// Of a branch or tag that was there.
fn push(rng: &mut Rng) -> Value {
    let name = if rng.u8(..4) == 0 {
        format!("refs/tags/{}", pick(rng, &TAGS))
    } else {
        format!("refs/heads/{}", pick(rng, &BRANCHES))
    };
    json!({
        "ref": name,
        "before": "1111111111111111111111111111111111111111",
        "after": COMMIT,
        "pusher": {"login": ACTOR},
        "head_commit": {"id": COMMIT, "message": "message"},
    })
}

fn reference(rng: &mut Rng, kind: EventKind) -> Value {
    let (kind_of_it, name) = if rng.bool() {
        ("tag", pick(rng, &TAGS))
    } else {
        ("branch", pick(rng, &BRANCHES))
    };
    let sha = if kind == EventKind::Create {
        COMMIT
    } else {
        ""
    };
    json!({"ref": name, "ref_type": kind_of_it, "sha": sha})
}

fn run(rng: &mut Rng) -> Value {
    json!({
        "workflow": {"name": pick(rng, &["build", "the tests", "a/b", "a.yml"])},
        "workflow_run": {"head_branch": pick(rng, &BRANCHES), "event": "push"},
    })
}

fn pull_request(rng: &mut Rng) -> Value {
    let side =
        |name: &str, sha: &str| json!({"ref": name, "label": name, "sha": sha, "repo_id": 1});
    json!({
        "number": 7,
        "title": "title",
        "merge_base": "1111111111111111111111111111111111111111",
        "base": side(pick(rng, &BRANCHES), "3333333333333333333333333333333333333333"),
        "head": side(pick(rng, &BRANCHES), COMMIT),
    })
}

/// Labels are put on, taken off, or both.
fn with_labels(rng: &mut Rng, mut body: Value) -> Value {
    let labels = || json!([{"name": "bug"}]);
    let (added, removed) = *rng
        .choice(&[(true, false), (false, true), (true, true)])
        .expect("not empty");
    let of = |there: bool| if there { labels() } else { json!([]) };
    body["changes"] = json!({"added_labels": of(added), "removed_labels": of(removed)});
    body
}
