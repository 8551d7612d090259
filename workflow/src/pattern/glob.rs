//! Plain globs: the `types` of an event, and a webhook's branch filter.
//!
//! `*` and `?` stay between separators, `**` does not, `{a,b}` is either, `[a-c]` and `[!a]` are one
//! character. Gitea translates them to a regular expression since 1.25 (`modules/glob`), and its pattern
//! dialect since 1.27 is the same engine with four switches. Before 1.25, and in Forgejo, it was the
//! library that `modules/glob` was made after; for the words that `types` and branch filters hold both
//! say the same, and no difference is made here.

use super::error::{BadPattern, Fault};
use super::nektos::quote;
use super::regex::Regex;
use crate::server::{Capability, Server};

/// A glob, ready to match.
#[derive(Debug, Clone)]
pub struct Glob(Regex);

/// How a glob is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobDialect {
    /// As Gitea 1.25 and 1.26 do: a `{` without its `}` is overlooked, and its commas still separate.
    Lenient,
    /// As Gitea does since 1.27.
    Strict,
    /// As Gitea reads the filters of a workflow since 1.27: `+` and `?` repeat what stands before them,
    /// `**/` at the beginning or behind a `/` can be nothing, and a leading `!` is left out.
    Filter,
}

impl GlobDialect {
    /// How that server reads a plain glob.
    #[must_use]
    pub fn of(server: Server) -> Self {
        if server.has(Capability::StrictGlobs) {
            Self::Strict
        } else {
            Self::Lenient
        }
    }
}

impl Glob {
    /// Reads a glob.
    pub fn compile(
        reading: GlobDialect,
        pattern: &str,
        separators: &[char],
    ) -> Result<Self, BadPattern> {
        BadPattern::if_long(pattern)?;
        let regex =
            expression(pattern, separators, reading).and_then(|expression| Regex::new(&expression));
        regex.map(Self).map_err(|why| BadPattern::of(pattern, why))
    }

    /// Whether it matches the whole text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.matches(text)
    }
}

/// Whether a webhook with that branch filter is sent for that ref: the filter is tried on the short name
/// of a branch, then on the full name (Gitea 1.26, `services/webhook`). One that can't be read lets
/// nothing through.
#[must_use]
pub fn branch_filter_passes(filter: &str, ref_name: &str) -> bool {
    if matches!(filter, "" | "*" | "**") {
        return true;
    }
    let Ok(glob) = Glob::compile(GlobDialect::Strict, filter, &[]) else {
        return false;
    };
    let branch = ref_name.strip_prefix("refs/heads/");
    branch.is_some_and(|branch| glob.matches(branch)) || glob.matches(ref_name)
}

/// The expression that a glob stands for.
pub(super) fn expression(
    pattern: &str,
    separators: &[char],
    reading: GlobDialect,
) -> Result<String, Fault> {
    let pattern: Vec<char> = pattern.chars().collect();
    let is_negative = reading == GlobDialect::Filter && pattern.first() == Some(&'!');
    let mut translator = Translator {
        pattern: &pattern,
        at: usize::from(is_negative),
        separators,
        within: within(separators),
        reading,
        text: String::from("^"),
        groups: Vec::new(),
    };
    while let Some(c) = translator.next() {
        translator.step(c)?;
    }
    Ok(translator.finish())
}

/// One character that is no separator.
fn within(separators: &[char]) -> String {
    if separators.is_empty() {
        return String::from(".");
    }
    let mut text = String::from("[^");
    for &separator in separators {
        quote(separator, &mut text);
    }
    text.push(']');
    text
}

struct Translator<'a> {
    pattern: &'a [char],
    at: usize,
    separators: &'a [char],
    within: String,
    reading: GlobDialect,
    text: String,
    /// Where the `(` of each open `{` stands in the text.
    groups: Vec<usize>,
}

impl Translator<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.pattern.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    fn step(&mut self, c: char) -> Result<(), Fault> {
        let is_filter = self.reading == GlobDialect::Filter;
        match c {
            '}' if self.groups.pop().is_some() => self.text.push(')'),
            ',' if !self.groups.is_empty() => self.text.push('|'),
            '*' => self.star(),
            '?' if !is_filter => self.text.push_str(&self.within),
            '?' => self.text.push('?'),
            '+' if is_filter => self.text.push('+'),
            '[' => return self.class(),
            '{' => {
                self.groups.push(self.text.len());
                self.text.push('(');
            }
            '\\' => return self.escape(),
            '.' | '+' | '^' | '$' | '(' | ')' | '|' => {
                self.text.push('\\');
                self.text.push(c);
            }
            _ => self.text.push(c),
        }
        Ok(())
    }

    fn star(&mut self) {
        if self.pattern.get(self.at) != Some(&'*') {
            self.text.push_str(&self.within);
            self.text.push('*');
            return;
        }
        let before = self.at.checked_sub(2).map(|before| self.pattern[before]);
        let behind = self.pattern.get(self.at + 1);
        let behind = behind.filter(|c| self.separators.contains(c));
        let swallows = self.reading == GlobDialect::Filter
            && behind.is_some_and(|&c| before.is_none_or(|before| before == c));
        self.at += if swallows { 2 } else { 1 };
        self.text.push_str(".*");
    }

    /// A `\` goes through with what follows it, so that `\d` is a digit here.
    fn escape(&mut self) -> Result<(), Fault> {
        let c = self.next().ok_or(Fault::OpenEscape)?;
        self.text.push('\\');
        self.text.push(c);
        Ok(())
    }

    /// `[…]` goes through as it stands, but for a `!` at its beginning.
    fn class(&mut self) -> Result<(), Fault> {
        self.text.push('[');
        if self.pattern.get(self.at) == Some(&'!') {
            self.at += 1;
            self.text.push('^');
        }
        loop {
            match self.next().ok_or(Fault::OpenClass)? {
                ']' => break,
                '\\' => self.escape()?,
                c => self.text.push(c),
            }
        }
        self.text.push(']');
        Ok(())
    }

    fn finish(mut self) -> String {
        if self.reading == GlobDialect::Lenient {
            for group in self.groups.iter().rev() {
                self.text.remove(*group);
            }
        }
        self.text.push('$');
        self.text
    }
}

#[cfg(test)]
mod tests;
