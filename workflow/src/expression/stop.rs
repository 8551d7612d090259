//! Why an expression has no value.

use std::fmt::Display;

use super::Resolved;
use crate::budget::Spent;
use crate::yaml::Refused;

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The forge has none either: a mistake of whoever wrote it.
    Fails(String),
    /// The forge's code panics.
    Crashes(String),
    /// It can't be known from outside, or it is over a limit of ours.
    Unknown(String),
}

impl From<Spent> for Stop {
    fn from(spent: Spent) -> Self {
        Self::Unknown(spent.to_string())
    }
}

impl Stop {
    /// The same for a text without which there are no jobs at all.
    pub(crate) fn refused(self, line: impl Into<Option<usize>>, what: impl Display) -> Refused {
        match self {
            Self::Unknown(because) => Refused::limit(line, format!("{what}: {because}")),
            Self::Fails(reason) => Refused::new(line, format!("{what}: {reason}")),
            Self::Crashes(reason) => Refused::crash(line, reason),
        }
    }

    /// What it means for `what` of a workflow file, which stands at `line`.
    pub(crate) fn about<T>(
        self,
        line: impl Into<Option<usize>>,
        what: impl Display,
    ) -> Result<Resolved<T>, Refused> {
        match self {
            Self::Unknown(because) => Ok(Resolved::Unknown(because)),
            Self::Fails(reason) => Err(Refused::new(line, format!("{what}: {reason}"))),
            Self::Crashes(reason) => Err(Refused::crash(line, reason)),
        }
    }
}
