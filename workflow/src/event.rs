//! An event at the forge: where its workflows are read, and what it says by itself.

mod body;
mod kind;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::server::{Capability, Server};
pub use body::{
    Body, Changes, HeadCommit, Named, Package, PullRequest, Release, Repository, Side, User,
    WorkflowRun,
};
pub use kind::EventKind;

/// One event with the fields of its delivery that rules look at. Its size is bounded by whoever parses
/// the delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its kind.
    pub kind: EventKind,
    /// What its delivery says.
    pub body: Body,
}

/// Where the files of an event's workflows are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reads {
    /// The reference in full, `refs/heads/main`: what a run's `github.ref` is.
    pub git_ref: String,
    /// What to ask the forge for: the commit where the delivery tells it, else the branch, or a tag by
    /// its full name.
    pub at: String,
}

/// The login of the user that jobs act as: what it does starts no workflow (Gitea, `notify`), so
/// that no workflow starts itself for ever.
const ACTIONS_USERS: [&str; 2] = ["gitea-actions", "forgejo-actions"];

impl Event {
    /// Where its workflows are read (Gitea 1.26, `notify`): at the default branch for the events that
    /// say so; else at the reference that it is about. Pull requests have one of their own, reviews are
    /// about a commit, and so are merges: the one that they made. What has none reads the default branch.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let body = &self.body;
        let branch = &body.repository.default_branch;
        let of_default = || Reads {
            git_ref: format!("refs/heads/{branch}"),
            at: branch.clone(),
        };
        if self.kind.is_of_default_branch() {
            return of_default();
        }
        if let Some(pull) = &body.pull_request {
            let at = self.merge_commit().unwrap_or(&pull.head.sha);
            let is_of_commit = self.kind.is_of_a_review() || self.merge_commit().is_some();
            return Reads {
                git_ref: if is_of_commit {
                    at.to_owned()
                } else {
                    format!("refs/pull/{}/head", pull.number)
                },
                at: at.to_owned(),
            };
        }
        if let Some(release) = &body.release {
            let git_ref = format!("refs/tags/{}", release.tag_name);
            return Reads {
                at: git_ref.clone(),
                git_ref,
            };
        }
        if self.kind == EventKind::Push {
            Reads {
                git_ref: body.git_ref.clone(),
                at: self.commit().to_owned(),
            }
        } else if self.kind == EventKind::Create {
            Reads {
                git_ref: self.full_ref(),
                at: body.sha.clone(),
            }
        } else {
            of_default()
        }
    }

    /// The commit that a pull request became, if this is its merge.
    pub(crate) fn merge_commit(&self) -> Option<&str> {
        let pull = self.body.pull_request.as_ref()?;
        let is_merge = self.kind == EventKind::PullRequest && self.body.action == "closed";
        pull.merge_commit_sha
            .as_deref()
            .filter(|sha| is_merge && pull.merged && !sha.is_empty())
    }

    /// What the commit is compared with to know which files changed, a commit or a branch: for a
    /// pull request where the two sides parted (Gitea since 1.23.7), before and in Forgejo the end of
    /// the branch that it goes to. `None`: the delivery does not tell.
    pub(crate) fn compared_with(&self, server: Server) -> Option<&str> {
        let Some(pull) = &self.body.pull_request else {
            return Some(&self.body.before);
        };
        if server.has(Capability::ComparesMergeBase) {
            pull.merge_base.as_deref()
        } else {
            Some(&pull.base.git_ref)
        }
    }

    /// Create and delete: the full name of the branch or tag.
    pub(crate) fn full_ref(&self) -> String {
        let is_tag = self.body.ref_type == "tag";
        let folder = if is_tag { "tags" } else { "heads" };
        format!("refs/{folder}/{}", self.body.git_ref)
    }

    /// Push: the commit that was pushed. An annotated tag has an object of its own in `after`.
    #[must_use]
    pub fn commit(&self) -> &str {
        let head = self.body.head_commit.as_ref().map(|head| head.id.as_str());
        head.filter(|id| !id.is_empty()).unwrap_or(&self.body.after)
    }

    /// What it says of the branch or tag that it makes or deletes on the side: forges send a push of
    /// its own kind for these, and a hook may have been given the push alone. A new reference is also
    /// a `create`; a tag that was deleted is only a `delete`.
    #[must_use]
    pub fn implied(&self) -> Option<Self> {
        let body = &self.body;
        if self.kind != EventKind::Push {
            return None;
        }
        let kind = match (is_zeros(&body.before), is_zeros(&body.after)) {
            (true, false) => EventKind::Create,
            (false, true) => EventKind::Delete,
            (false, false) | (true, true) => return None,
        };
        let (ref_type, short) = short_ref(&body.git_ref)?;
        Some(Self {
            kind,
            body: Body {
                git_ref: short.to_owned(),
                ref_type: ref_type.to_owned(),
                sha: if kind == EventKind::Create {
                    body.after.clone()
                } else {
                    String::new()
                },
                repository: body.repository.clone(),
                sender: body.sender.clone(),
                ..Body::default()
            },
        })
    }

    /// Why it starts nothing, whatever the workflows say; `None` if they are to be asked.
    #[must_use]
    pub fn starts_nothing(&self) -> Option<&'static str> {
        let body = &self.body;
        let repository = &body.repository;
        let by_a_job = body
            .sender
            .as_ref()
            .is_some_and(|user| ACTIONS_USERS.contains(&user.login.as_str()));
        let pushes = self.kind == EventKind::Push;
        if by_a_job {
            Some("a job did it, and what jobs do starts no workflow")
        } else if repository.empty {
            Some("the repository is empty")
        } else if repository.archived {
            Some("the repository is archived")
        } else if repository.has_actions == Some(false) {
            Some("Actions are off in the repository")
        } else if pushes && is_zeros(&body.after) {
            Some("a deletion; its delete event is judged on its own")
        } else if pushes && body.before == body.after {
            Some("a test delivery of the webhook: nothing was pushed")
        } else {
            self.is_for_hooks_alone()
        }
    }

    /// Of some things hooks are told, but not Actions (Gitea 1.23 to 1.26, `services/webhook/notifier.go`
    /// beside `services/actions/notifier.go`).
    fn is_for_hooks_alone(&self) -> Option<&'static str> {
        match (self.kind, self.body.action.as_str()) {
            (EventKind::IssueLabel | EventKind::PullRequestLabel, "label_cleared") => {
                Some("all labels were taken off at once, and forges start nothing then")
            }
            (EventKind::Issues | EventKind::PullRequest | EventKind::Release, "deleted") => {
                Some("it was deleted, and forges start nothing then")
            }
            _ => None,
        }
    }

    /// Its body as the forge's rules see it.
    #[must_use]
    pub fn payload(&self) -> Value {
        serde_json::to_value(&self.body).expect("its maps have texts for keys")
    }
}

/// Whether `sha` is git's way to say that there is none.
#[must_use]
pub fn is_zeros(sha: &str) -> bool {
    !sha.is_empty() && sha.bytes().all(|byte| byte == b'0')
}

fn short_ref(full: &str) -> Option<(&'static str, &str)> {
    let branch = full
        .strip_prefix("refs/heads/")
        .map(|name| ("branch", name));
    branch.or_else(|| full.strip_prefix("refs/tags/").map(|name| ("tag", name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(git_ref: &str, before: &str, after: &str) -> Event {
        Event {
            kind: EventKind::Push,
            body: Body {
                git_ref: git_ref.to_owned(),
                before: before.to_owned(),
                after: after.to_owned(),
                repository: Repository {
                    full_name: "acme/app".to_owned(),
                    default_branch: "main".to_owned(),
                    ..Repository::default()
                },
                ..Body::default()
            },
        }
    }

    #[test]
    fn a_push_of_a_new_or_deleted_reference_implies_an_event_of_its_own() {
        let implied = |git_ref, before, after| {
            push(git_ref, before, after)
                .implied()
                .map(|other| (other.kind, other.body.ref_type, other.body.git_ref))
        };
        let is = |event, kind: &str, name: &str| Some((event, kind.to_owned(), name.to_owned()));
        assert_eq!(implied("refs/heads/x", "1a", "2b"), None);
        assert_eq!(
            implied("refs/heads/a/b", "000", "2b"),
            is(EventKind::Create, "branch", "a/b")
        );
        assert_eq!(
            implied("refs/tags/v1", "1a", "000"),
            is(EventKind::Delete, "tag", "v1")
        );
        assert_eq!(implied("refs/pull/1/head", "000", "2b"), None);
    }

    #[test]
    fn files_are_read_where_the_event_happened_or_at_the_default_branch() {
        let at = |kind| {
            let event = Event {
                kind,
                ..push("refs/heads/x", "1a", "2b")
            };
            let Reads { git_ref, at } = event.reads();
            (git_ref, at)
        };
        let is = |git_ref: &str, at: &str| (git_ref.to_owned(), at.to_owned());
        assert_eq!(at(EventKind::Push), is("refs/heads/x", "2b"));
        assert_eq!(at(EventKind::Delete), is("refs/heads/main", "main"));
        assert_eq!(at(EventKind::Package), is("refs/heads/main", "main"));
        let mut release = push("", "", "");
        release.kind = EventKind::Release;
        release.body.release = Some(Release {
            tag_name: "v1".to_owned(),
        });
        let Reads { git_ref, at } = release.reads();
        assert_eq!((git_ref, at), is("refs/tags/v1", "refs/tags/v1"));

        let pull = |kind, action: &str, merged| {
            let mut event = push("", "", "");
            event.kind = kind;
            event.body.action = action.to_owned();
            event.body.pull_request = Some(PullRequest {
                number: 7,
                merged,
                merge_commit_sha: Some("3c".to_owned()),
                head: Side {
                    sha: "1a".to_owned(),
                    ..Side::default()
                },
                ..PullRequest::default()
            });
            let Reads { git_ref, at } = event.reads();
            (git_ref, at)
        };
        let of_pull = is("refs/pull/7/head", "1a");
        assert_eq!(pull(EventKind::PullRequest, "closed", false), of_pull);
        assert_eq!(pull(EventKind::PullRequestLabel, "labeled", true), of_pull);
        assert_eq!(pull(EventKind::PullRequest, "closed", true), is("3c", "3c"));
        let review = EventKind::PullRequestReviewComment;
        assert_eq!(pull(review, "reviewed", true), is("1a", "1a"));
    }

    #[test]
    fn what_starts_nothing_says_why() {
        let why = |event: Event| event.starts_nothing().is_some();
        assert!(!why(push("refs/heads/x", "1a", "2b")));
        assert!(why(push("refs/heads/x", "2b", "2b")));
        assert!(why(push("refs/tags/x", "2b", "000")));
        let mut by_a_job = push("refs/heads/x", "1a", "2b");
        by_a_job.body.sender = Some(User {
            login: "gitea-actions".to_owned(),
        });
        assert!(why(by_a_job));
        let label = |kind, action: &str| Event {
            kind,
            body: Body {
                action: action.to_owned(),
                ..Body::default()
            },
        };
        assert!(why(label(EventKind::IssueLabel, "label_cleared")));
        assert!(!why(label(EventKind::IssueLabel, "label_updated")));
        assert!(why(label(EventKind::Issues, "deleted")));
        assert!(why(label(EventKind::Release, "deleted")));
        assert!(!why(label(EventKind::IssueComment, "deleted")));
    }
}
