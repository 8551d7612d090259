//! One operation that somebody carries out at a forge.

use http::Method;
use serde_json::Value;
use workflow::event::EventKind;

/// Somebody who may only read.
pub(crate) const GUEST: &str = "guest";

/// Who carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The owner of the repository.
    Owner,
    /// [`GUEST`].
    Guest,
}

/// A call to the API of the forge, and what must come of it.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Description for the report.
    pub(crate) words: String,
    pub(crate) by: By,
    pub(crate) method: Method,
    /// Below the repository, or the whole path if it begins with a slash.
    pub(crate) path: String,
    pub(crate) body: Value,
    /// Events that the forge must deliver for it.
    pub(crate) tells: Vec<EventKind>,
    pub(crate) after: After,
}

/// State of the repository afterwards.
#[derive(Debug)]
pub(crate) enum After {
    Same,
    Branch(String),
    BranchGone(String),
    Tag(String),
    TagGone(String),
    Forked,
    ForkBranch(String),
    Pull {
        head: String,
        base: String,
        is_of_fork: bool,
    },
    PullGoes {
        number: u64,
        to: String,
    },
    PullIs {
        number: u64,
        open: bool,
    },
    Merged {
        number: u64,
    },
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
            by: By::Owner,
            method,
            path: path.into(),
            body,
            tells: Vec::new(),
            after: After::Same,
        }
    }

    pub(crate) fn by_guest(self) -> Self {
        Self {
            by: By::Guest,
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
