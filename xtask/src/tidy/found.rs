//! What a rule finds, and why a tree could not be judged.

use std::fmt;

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The file.
    pub file: String,
    /// Its line.
    pub line: usize,
    /// The rule.
    pub rule: &'static str,
    /// What to do.
    pub advice: String,
}

impl Found {
    /// At a line; who runs the rule fills in its name.
    pub fn at(file: &str, line: usize, advice: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            rule: "",
            advice: advice.into(),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            rule,
            advice,
        } = self;
        write!(f, "{file}:{line}: {rule}: {advice}")
    }
}

/// Why the tree could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder can't be read.
    #[error("{path} can't be read: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no Rust.
    #[error("{path}:{line}: this is no Rust: {source}")]
    Parse {
        /// Which.
        path: String,
        /// Where.
        line: usize,
        /// Why.
        source: syn::Error,
    },
}
