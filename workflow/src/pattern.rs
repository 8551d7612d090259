//! The lists of patterns behind `branches`, `tags`, `paths`, their `-ignore` forms, and `workflows`.
//!
//! A list is asked two ways. As one to *include*, the last pattern that matches an input decides about
//! it, and `!` takes it out again; the workflow is skipped unless some input is in. As one to *ignore*,
//! one pattern is enough, where `!` matches what the rest of it does not; the workflow is skipped if every
//! input is ignored. So without inputs any list skips, and a list without patterns never does.
//! Gitea up to 1.26 and Forgejo: act's `workflowpattern`; Gitea 1.27: its own, over `modules/glob`. The
//! rule is the same in both, only the patterns differ ([`Dialect`]).

mod error;
pub mod glob;
mod nektos;
mod regex;

use crate::budget::{Budget, Spent};
use crate::server::Dialect;
use regex::Regex;

pub use error::{BadPattern, Fault, LIST_MAX, LIST_MAX_BYTES, PATTERN_MAX_BYTES};

/// A list of patterns, ready to match.
#[derive(Debug, Clone)]
pub struct PatternList {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    is_negative: bool,
    regex: Regex,
}

/// Which way a list works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What is in it starts the workflow.
    Include,
    /// What is in it does not.
    Ignore,
}

/// What a list says of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Whether the input is in (or ignored).
    pub holds: bool,
    /// The pattern that decided, as it stands in the workflow; `None` if none matched.
    pub by: Option<&'a str>,
}

impl PatternList {
    /// Reads a list. One bad pattern spoils all of it, as on the forge.
    pub fn compile(dialect: Dialect, patterns: &[impl AsRef<str>]) -> Result<Self, BadPattern> {
        let count = patterns.len();
        let bytes = patterns.iter().map(|pattern| pattern.as_ref().len()).sum();
        if count > LIST_MAX || bytes > LIST_MAX_BYTES {
            return Err(BadPattern::Many { count, bytes });
        }
        let read = |pattern: &_| Pattern::read(dialect, AsRef::as_ref(pattern));
        let patterns = patterns.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    /// Whether it has no patterns: then it skips nothing, whatever the inputs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the workflow is skipped, where the list works that way.
    #[must_use]
    pub fn skips(&self, way: Way, inputs: &[impl AsRef<str>]) -> bool {
        let holds = |input: &_| self.decide(way, AsRef::as_ref(input)).holds;
        match way {
            Way::Include => !self.is_empty() && !inputs.iter().any(holds),
            Way::Ignore => !self.is_empty() && inputs.iter().all(holds),
        }
    }

    /// [`Self::decide`], with what is left of `budget`.
    pub(crate) fn decide_within(
        &self,
        budget: &Budget,
        way: Way,
        input: &str,
    ) -> Result<Decision<'_>, Spent> {
        budget.take(self.cost(input))?;
        Ok(self.decide(way, input))
    }

    fn cost(&self, input: &str) -> u64 {
        let costs = self
            .patterns
            .iter()
            .map(|pattern| pattern.regex.cost(input));
        costs.fold(0, u64::saturating_add)
    }

    /// Whether one input is in, by the last pattern that matches it; or whether it is ignored, by the
    /// first that says so.
    #[must_use]
    pub fn decide(&self, way: Way, input: &str) -> Decision<'_> {
        let mut patterns = self.patterns.iter();
        let matches = |pattern: &&Pattern| pattern.regex.matches(input);
        let (by, holds) = match way {
            Way::Include => {
                let last = patterns.rev().find(matches);
                (last, last.is_some_and(|pattern| !pattern.is_negative))
            }
            Way::Ignore => {
                let first = patterns.find(|pattern| matches(pattern) != pattern.is_negative);
                (first, first.is_some())
            }
        };
        let by = by.map(|pattern| pattern.text.as_str());
        Decision { holds, by }
    }
}

impl Pattern {
    fn read(dialect: Dialect, text: &str) -> Result<Self, BadPattern> {
        BadPattern::if_long(text)?;
        let expression = match dialect {
            Dialect::Nektos => nektos::expression(text.strip_prefix('!').unwrap_or(text)),
            Dialect::Gitea => glob::expression(text, &['/'], glob::GlobDialect::Filter),
        };
        let regex = expression.and_then(|expression| Regex::new(&expression));
        Ok(Self {
            text: text.to_owned(),
            is_negative: text.starts_with('!'),
            regex: regex.map_err(|why| BadPattern::of(text, why))?,
        })
    }
}

#[cfg(test)]
mod tests;
