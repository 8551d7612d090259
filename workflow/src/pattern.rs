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

    /// Whether the workflow is skipped where this is what to include.
    #[must_use]
    pub fn skips_as_include(&self, inputs: &[impl AsRef<str>]) -> bool {
        !self.is_empty()
            && !inputs
                .iter()
                .any(|input| self.includes(input.as_ref()).holds)
    }

    /// Whether the workflow is skipped where this is what to ignore.
    #[must_use]
    pub fn skips_as_ignore(&self, inputs: &[impl AsRef<str>]) -> bool {
        !self.is_empty()
            && inputs
                .iter()
                .all(|input| self.ignores(input.as_ref()).holds)
    }

    /// [`Self::includes`], with what is left of `budget`.
    pub fn includes_with(&self, input: &str, budget: &Budget) -> Result<Decision<'_>, Spent> {
        budget.take(self.cost(input))?;
        Ok(self.includes(input))
    }

    /// [`Self::ignores`], with what is left of `budget`.
    pub fn ignores_with(&self, input: &str, budget: &Budget) -> Result<Decision<'_>, Spent> {
        budget.take(self.cost(input))?;
        Ok(self.ignores(input))
    }

    fn cost(&self, input: &str) -> u64 {
        let costs = self
            .patterns
            .iter()
            .map(|pattern| pattern.regex.cost(input));
        costs.fold(0, u64::saturating_add)
    }

    /// Whether one input is in, and by which pattern: the last that matches it.
    #[must_use]
    pub fn includes(&self, input: &str) -> Decision<'_> {
        let mut backwards = self.patterns.iter().rev();
        let last = backwards.find(|pattern| pattern.regex.matches(input));
        Decision {
            holds: last.is_some_and(|pattern| !pattern.is_negative),
            by: last.map(|pattern| pattern.text.as_str()),
        }
    }

    /// Whether one input is ignored, and by which pattern: the first that ignores it.
    #[must_use]
    pub fn ignores(&self, input: &str) -> Decision<'_> {
        let speaks = |pattern: &&Pattern| pattern.regex.matches(input) != pattern.is_negative;
        let first = self.patterns.iter().find(speaks);
        Decision {
            holds: first.is_some(),
            by: first.map(|pattern| pattern.text.as_str()),
        }
    }
}

impl Pattern {
    fn read(dialect: Dialect, text: &str) -> Result<Self, BadPattern> {
        BadPattern::if_long(text)?;
        let expression = match dialect {
            Dialect::Nektos => nektos::expression(text.strip_prefix('!').unwrap_or(text)),
            Dialect::Gitea => glob::expression(text, &['/'], glob::GlobDialect::Filter),
        };
        let regex = expression.and_then(|expression| Ok(Regex::new(&expression)?));
        Ok(Self {
            text: text.to_owned(),
            is_negative: text.starts_with('!'),
            regex: regex.map_err(|why| BadPattern::of(text, why))?,
        })
    }
}

#[cfg(test)]
mod tests;
