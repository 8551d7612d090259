//! One operation that somebody carries out at a forge.

use http::Method;
use serde_json::Value;
use workflow::event::EventKind;

/// Somebody who may only read.
pub(crate) const GUEST: &str = "guest";

/// A call to the API of the forge, and what must come of it.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) words: String,
    /// [`GUEST`] carries it out, not the owner of the repository.
    pub(crate) by_guest: bool,
    pub(crate) method: Method,
    /// Below the repository, or the whole path if it begins with a slash.
    pub(crate) path: String,
    pub(crate) body: Value,
    /// Events that the forge must deliver for it.
    pub(crate) tells: Vec<EventKind>,
    pub(crate) after: After,
}

#[derive(Debug)]
pub(crate) enum After {
    Same,
    Branch(String),
    BranchGone(String),
    Tag(String),
    TagGone(String),
    Forked,
    ForkBranch(String),
    /// From the first branch to the second, and whether it is from the fork.
    Pull(String, String, bool),
    PullGoesTo(u64, String),
    PullIsOpen(u64, bool),
    Merged(u64),
    Issue,
    IssueGone(u64),
    Comment,
    CommentGone(u64),
    Release,
    ReleaseGone(u64),
    Page(String),
}

impl Operation {
    pub(crate) fn new(
        words: impl Into<String>,
        method: Method,
        path: impl Into<String>,
        body: Value,
    ) -> Self {
        Self {
            words: words.into(),
            by_guest: false,
            method,
            path: path.into(),
            body,
            tells: Vec::new(),
            after: After::Same,
        }
    }

    pub(crate) fn by_guest(self) -> Self {
        Self {
            by_guest: true,
            ..self
        }
    }

    pub(crate) fn telling(self, tells: &[EventKind]) -> Self {
        Self {
            tells: tells.to_vec(),
            ..self
        }
    }

    pub(crate) fn then(self, after: After) -> Self {
        Self { after, ..self }
    }
}
