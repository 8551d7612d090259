//! What people say about the code: pull requests, reviews, issues, comments.

use http::Method;
use serde_json::{Value, json};
use workflow::event::EventKind;

use super::super::generator::{DEFAULT, pick, some};
use super::history::{History, Pull};
use super::operation::{After, GUEST, Operation};

impl History {
    pub(super) fn open_pull(&mut self) -> Option<Operation> {
        let head = some(&mut self.rng, &self.branches)?;
        let base = some(&mut self.rng, &self.branches)?;
        let body = json!({"head": head, "base": base, "title": self.title()});
        let words = format!("opens a pull request of {head} to {base}");
        (head != base).then(|| {
            Operation::new(words, Method::POST, "pulls", body)
                .telling(&[EventKind::PullRequest])
                .then(After::Pull(head, base, false))
        })
    }

    pub(super) fn open_pull_of_fork(&mut self) -> Option<Operation> {
        let head = some(&mut self.rng, &self.fork_branches)?;
        let title = self.title();
        let body = json!({"head": format!("{GUEST}:{head}"), "base": DEFAULT, "title": title});
        let words = format!("opens a pull request of {head} of the fork");
        let operation = Operation::new(words, Method::POST, "pulls", body).by_guest();
        Some(
            operation
                .telling(&[EventKind::PullRequest])
                .then(After::Pull(head, DEFAULT.to_owned(), true)),
        )
    }

    pub(super) fn edit_pull(&mut self) -> Option<Operation> {
        let Pull {
            number,
            open,
            is_merged,
            ..
        } = some(&mut self.rng, &self.pulls)?;
        let path = format!("pulls/{number}");
        let (body, after) = match self.rng.u8(..4) {
            0 => (json!({"title": self.title()}), After::Same),
            1 => (json!({"body": self.title()}), After::Same),
            2 => {
                let to = some(&mut self.rng, &self.branches)?;
                let body = json!({"base": to});
                let words = format!("turns pull request {number} to {to}");
                // The same one again is no change.
                let operation = Operation::new(words, Method::PATCH, path, body);
                return Some(operation.then(After::PullGoesTo(number, to)));
            }
            _ if is_merged => return None,
            _ => (
                json!({"state": if open { "closed" } else { "open" }}),
                After::PullIsOpen(number, !open),
            ),
        };
        let words = format!("edits pull request {number}: {body}");
        let operation = Operation::new(words, Method::PATCH, path, body);
        Some(operation.telling(&[EventKind::PullRequest]).then(after))
    }

    pub(super) fn merge(&mut self) -> Option<Operation> {
        let (number, open) = self.some_pull()?;
        let way = pick(&mut self.rng, &["merge", "squash", "rebase"]);
        let operation = Operation::new(
            format!("merges pull request {number}: {way}"),
            Method::POST,
            format!("pulls/{number}/merge"),
            json!({"Do": way}),
        );
        let tells = [EventKind::Push, EventKind::PullRequest];
        open.then(|| operation.telling(&tells).then(After::Merged(number)))
    }

    pub(super) fn label(&mut self) -> Option<Operation> {
        let number = self.some_topic()?;
        let label = self.labels[self.rng.usize(..self.labels.len())];
        let path = format!("issues/{number}/labels");
        let (method, path, body) = match self.rng.u8(..5) {
            0 | 1 => (Method::POST, path, json!({"labels": [label]})),
            2 => (Method::PUT, path, json!({"labels": [label]})),
            3 => (Method::DELETE, format!("{path}/{label}"), Value::Null),
            _ => (Method::DELETE, path, Value::Null),
        };
        let words = format!("{method} labels of {number}: {body}");
        Some(Operation::new(words, method, path, body))
    }

    pub(super) fn assign(&mut self) -> Option<Operation> {
        let number = self.some_topic()?;
        let who = if self.rng.bool() {
            vec![self.owner.clone()]
        } else {
            Vec::new()
        };
        let words = format!("assigns {number} to {who:?}");
        let body = json!({"assignees": who});
        let path = format!("issues/{number}");
        Some(Operation::new(words, Method::PATCH, path, body))
    }

    pub(super) fn set_milestone(&mut self) -> Option<Operation> {
        let number = self.some_topic()?;
        let milestone = if self.rng.bool() { self.milestone } else { 0 };
        let words = format!("gives {number} the milestone {milestone}");
        let body = json!({"milestone": milestone});
        let path = format!("issues/{number}");
        Some(Operation::new(words, Method::PATCH, path, body))
    }

    pub(super) fn comment(&mut self) -> Option<Operation> {
        let number = self.some_topic()?;
        let body = json!({"body": self.title()});
        let path = format!("issues/{number}/comments");
        let words = format!("comments on {number}");
        let mut operation = Operation::new(words, Method::POST, path, body);
        operation.by_guest = self.rng.bool();
        let event = if self.issues.contains(&number) {
            EventKind::IssueComment
        } else {
            EventKind::PullRequestComment
        };
        Some(operation.telling(&[event]).then(After::Comment))
    }

    pub(super) fn change_comment(&mut self) -> Option<Operation> {
        let (id, event) = some(&mut self.rng, &self.comments)?;
        let path = format!("issues/comments/{id}");
        let operation = if self.rng.bool() {
            let body = json!({"body": self.title()});
            Operation::new("edits a comment", Method::PATCH, path, body)
        } else {
            let operation = Operation::new("deletes a comment", Method::DELETE, path, Value::Null);
            operation.then(After::CommentGone(id))
        };
        Some(operation.telling(&[event]))
    }

    pub(super) fn review(&mut self) -> Option<Operation> {
        let (number, open) = self.some_pull()?;
        let (verdict, event) = match self.rng.u8(..3) {
            0 => ("APPROVED", EventKind::PullRequestReviewApproved),
            1 => ("REQUEST_CHANGES", EventKind::PullRequestReviewRejected),
            _ => ("COMMENT", EventKind::PullRequestReviewComment),
        };
        let body = json!({"event": verdict, "body": self.title()});
        let words = format!("reviews pull request {number}: {verdict}");
        let path = format!("pulls/{number}/reviews");
        let mut operation = Operation::new(words, Method::POST, path, body);
        operation.by_guest = self.rng.bool();
        open.then(|| operation.telling(&[event]))
    }

    pub(super) fn ask_for_review(&mut self) -> Option<Operation> {
        let (number, _) = self.some_pull()?;
        let method = if self.rng.bool() {
            Method::POST
        } else {
            Method::DELETE
        };
        let who = if self.rng.bool() { GUEST } else { &self.owner };
        let words = format!("{method} {who} as reviewer of pull request {number}");
        let body = json!({"reviewers": [who]});
        let path = format!("pulls/{number}/requested_reviewers");
        Some(Operation::new(words, method, path, body))
    }

    pub(super) fn open_issue(&mut self) -> Operation {
        let mut body = json!({"title": self.title()});
        if self.rng.u8(..3) == 0 {
            body["labels"] = json!([self.labels[0]]);
        }
        let mut operation = Operation::new("opens an issue", Method::POST, "issues", body);
        operation.by_guest = self.rng.u8(..3) == 0;
        operation.telling(&[EventKind::Issues]).then(After::Issue)
    }

    pub(super) fn edit_issue(&mut self) -> Option<Operation> {
        let number = some(&mut self.rng, &self.issues)?;
        if self.rng.u8(..8) == 0 {
            let words = format!("deletes issue {number}");
            let path = format!("issues/{number}");
            let operation = Operation::new(words, Method::DELETE, path, Value::Null);
            let tells = [EventKind::Issues];
            return Some(operation.telling(&tells).then(After::IssueGone(number)));
        }
        let body = match self.rng.u8(..4) {
            0 => json!({"title": self.title()}),
            1 => json!({"body": self.title()}),
            2 => json!({"state": "closed"}),
            _ => json!({"state": "open"}),
        };
        let words = format!("edits issue {number}: {body}");
        let path = format!("issues/{number}");
        Some(Operation::new(words, Method::PATCH, path, body))
    }
}
