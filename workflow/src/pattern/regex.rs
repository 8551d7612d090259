//! The part of Go's regular expressions that patterns and globs come down to.
//!
//! Both pattern dialects and the plain globs of the forges are translated to a text for Go's `regexp`
//! (RE2 syntax) before they match anything. What that text means decides: `a++` is refused, `a+?` is
//! `a+`, `[a-]` has a hyphen. So the translations stay as they are, and this is the engine below them:
//! the same syntax ([`parse`]), and matching in time linear in pattern × text ([`run`]), with no
//! backtracking and no recursion.

mod class;
mod parse;
mod run;

use super::error::Fault;
use class::Set;

/// An expression that is ready to match.
#[derive(Debug, Clone)]
pub(super) struct Regex {
    code: Vec<Op>,
    sets: Vec<Set>,
    plan: run::Plan,
}

/// One step of a program. Jumps are relative, so that a part moves without being rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    /// This character. A number, as Go's escapes name some that no text can hold.
    Char(u32),
    /// One character of a set.
    Set(usize),
    /// Nothing, but only here.
    Assert(Assertion),
    /// Both ways on.
    Split(isize, isize),
    /// That way on.
    Jump(isize),
    /// It matches.
    Match,
}

/// What a place between two characters can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Assertion {
    Begin,
    End,
    WordEdge,
    NoWordEdge,
}

impl Regex {
    /// Reads an expression. The caller bounds its length: time and memory are linear in it, but for
    /// nested repeats, which are quadratic.
    pub(super) fn new(text: &str) -> Result<Self, Fault> {
        let (code, sets) = parse::parse(text)?;
        let plan = run::Plan::of(&code, &sets);
        Ok(Self { code, sets, plan })
    }

    /// Most steps that it takes to match `text`: characters of it, times places in the expression.
    #[must_use]
    pub(super) fn cost(&self, text: &str) -> u64 {
        self.plan.cost(&self.code, text)
    }

    /// Whether it matches somewhere in the text, as Go's `MatchString`.
    #[must_use]
    pub(super) fn matches(&self, text: &str) -> bool {
        self.plan.matches(&self.code, &self.sets, text)
    }
}

#[cfg(test)]
mod tests;
