//! One thing that somebody does at a forge.

use http::Method;
use serde_json::Value;
use workflow::event::EventKind;

/// Somebody who may only read.
pub const GUEST: &str = "guest";

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The owner of the repository.
    Owner,
    /// [`GUEST`].
    Guest,
}

/// One thing.
#[derive(Debug)]
pub struct Deed {
    /// For people.
    pub words: String,
    pub by: By,
    pub method: Method,
    /// Below the repository, or the whole path if it begins with a slash.
    pub path: String,
    pub body: Value,
    /// Events that the forge tells of then.
    pub tells: Vec<EventKind>,
    pub after: After,
}

/// What there is then.
#[derive(Debug)]
pub enum After {
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

impl Deed {
    pub fn new(
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

    pub fn by_guest(self) -> Self {
        Self {
            by: By::Guest,
            ..self
        }
    }

    pub fn telling(self, tells: &[EventKind]) -> Self {
        Self {
            tells: tells.to_vec(),
            ..self
        }
    }

    pub fn then(self, after: After) -> Self {
        Self { after, ..self }
    }
}
