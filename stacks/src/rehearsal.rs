//! What the function answers when it has rehearsed its calls: the same words in the function and in `up`.

use serde::{Deserialize, Serialize};

/// The answer to `{"action":"rehearse"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Every call, those of one service together.
    pub calls: Vec<RehearsedCall>,
}

/// One call, as the function would make it, under its own role. Nothing came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RehearsedCall {
    /// What IAM calls it: `ec2:RunInstances`.
    pub action: String,
    /// What it was about, for people.
    pub what: String,
    /// Whether it may be made.
    pub verdict: Verdict,
    /// AWS's code and words if it was not allowed, else why nobody knows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// AWS would have done it.
    Allowed,
    /// A right is missing.
    Denied,
    /// AWS would not do it for another reason, or nobody asked.
    Unknown,
}
