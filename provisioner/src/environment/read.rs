//! Reads TOML tables key by key, keeps every problem with its line and never stops at the first.
//!
//! Rule: a key that nobody asked for is a problem, so a misspelt key can't be silently ignored.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Keys by the names that they had once, and by those that they have.
const RENAMED: [(&str, &str); 16] = [
    ("account", "account_id"),
    ("boot_limit_minutes", "boot_timeout_minutes"),
    ("credit", "cpu_credits"),
    ("default", "accepts_unlabelled"),
    ("disk_gb", "root_volume_gb"),
    ("git_token", "clone_token"),
    ("idle_limit_minutes", "idle_timeout_minutes"),
    ("lambda", "dispatcher"),
    ("limit_minutes", "max_lifetime_minutes"),
    ("managed_policies", "policy_arns"),
    ("market", "capacity"),
    ("pass_roles", "pass_role_arns"),
    ("ports", "egress"),
    ("public_address", "assign_public_ip"),
    ("rights", "permissions"),
    ("types", "instance_types"),
];

/// One thing that is wrong with an environment file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line in the file, counted from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.message)
    }
}

/// Collects problems while a document is read.
pub(super) struct Problems<'s> {
    source: &'s str,
    found: RefCell<Vec<Problem>>,
}

impl<'s> Problems<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self {
            source,
            found: RefCell::default(),
        }
    }

    pub(super) fn add(&self, line: usize, message: impl Into<String>) {
        self.found.borrow_mut().push(Problem {
            line,
            message: message.into(),
        });
    }

    pub(super) fn line_at(&self, offset: usize) -> usize {
        let before = self.source.get(..offset).unwrap_or(self.source);
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }

    /// All problems, in the order of the file.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort();
        found.dedup();
        found
    }
}

/// One table of the file, being read.
pub(super) struct Section<'t, 's> {
    problems: &'t Problems<'s>,
    table: &'t DeTable<'s>,
    /// Path for messages, with a dot at its end unless empty.
    path: String,
    line: usize,
    /// Every key that may stand here, in the order in which they are read, and how it is written.
    known: Vec<(String, String)>,
}

impl<'t, 's> Section<'t, 's> {
    pub(super) fn root(problems: &'t Problems<'s>, table: &'t DeTable<'s>) -> Self {
        Self::new(problems, table, String::new(), 1)
    }

    fn new(problems: &'t Problems<'s>, table: &'t DeTable<'s>, path: String, line: usize) -> Self {
        Self {
            problems,
            table,
            path,
            line,
            known: Vec::new(),
        }
    }

    /// Line of the table's header.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Line of `key`, or of the header when the key is left out.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.table
            .get(key)
            .map_or(self.line, |value| self.problems.line_at(value.span().start))
    }

    /// A problem with the value of `key`.
    pub(super) fn problem(&self, key: &str, message: impl fmt::Display) {
        self.problems
            .add(self.line_of(key), format!("{}{key}: {message}", self.path));
    }

    /// A problem with the table itself.
    pub(super) fn problem_here(&self, message: impl fmt::Display) {
        let path = self.path.trim_end_matches('.');
        self.problems.add(self.line, format!("{path}: {message}"));
    }

    pub(super) fn string(&mut self, key: &str) -> Option<String> {
        let value = self.take(key)?.get_ref();
        let text = value.as_str().map(str::to_owned);
        text.or_else(|| self.wrong_type(key, "a string in quotes", value))
    }

    pub(super) fn required_string(&mut self, key: &str) -> Option<String> {
        self.require(key);
        self.string(key)
    }

    pub(super) fn boolean(&mut self, key: &str, default: bool) -> bool {
        let Some(value) = self.take(key).map(Spanned::get_ref) else {
            return default;
        };
        value.as_bool().unwrap_or_else(|| {
            self.wrong_type::<()>(key, "true or false", value);
            default
        })
    }

    /// A whole number within `range`; the default also when it is wrong, which is then a problem.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u32>, default: u32) -> u32 {
        self.number_if_any(key, range).unwrap_or(default)
    }

    fn number_if_any(&mut self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.take(key)?;
        let DeValue::Integer(digits) = value.get_ref() else {
            return self.wrong_type(key, "a whole number", value.get_ref());
        };
        let parsed = u32::from_str_radix(digits.as_str(), digits.radix()).ok();
        let within = parsed.filter(|number| range.contains(number));
        if within.is_none() {
            self.problem(
                key,
                format_args!("must be from {} to {}", range.start(), range.end()),
            );
        }
        within
    }

    pub(super) fn required_number(&mut self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        self.require(key);
        self.number_if_any(key, range)
    }

    /// A list of strings, empty when left out.
    pub(super) fn strings(&mut self, key: &str) -> Vec<String> {
        let items = self.list(key).into_iter().map(Spanned::get_ref);
        items
            .filter_map(|item| {
                let text = item.as_str().map(str::to_owned);
                text.or_else(|| self.wrong_type(key, "a list of strings", item))
            })
            .collect()
    }

    /// The items of a list, empty when left out.
    pub(super) fn list(&mut self, key: &str) -> Vec<&'t Spanned<DeValue<'s>>> {
        let Some(value) = self.take(key).map(Spanned::get_ref) else {
            return Vec::new();
        };
        let Some(items) = value.as_array() else {
            self.wrong_type::<()>(key, "a list", value);
            return Vec::new();
        };
        items.iter().collect()
    }

    /// A table that may be left out.
    pub(super) fn section(&mut self, key: &str) -> Option<Section<'t, 's>> {
        let written = match &*self.path {
            "" => format!("[{key}]"),
            _ => key.to_owned(),
        };
        let value = self.take_written(key, written)?;
        self.as_section(key, value)
    }

    /// A table of tables, `[key.NAME]`, that may be left out.
    pub(super) fn named_sections(&mut self, key: &str) -> Option<Section<'t, 's>> {
        let value = self.take_written(key, format!("[{key}.NAME]"))?;
        self.as_section(key, value)
    }

    /// `value`, found under `key`, as a table.
    pub(super) fn as_section(
        &self,
        key: &str,
        value: &'t Spanned<DeValue<'s>>,
    ) -> Option<Section<'t, 's>> {
        match value.get_ref().as_table() {
            Some(table) => Some(Section::new(
                self.problems,
                table,
                format!("{}{key}.", self.path),
                self.problems.line_at(value.span().start),
            )),
            None => self.wrong_type(key, "a table", value.get_ref()),
        }
    }

    /// Every key that is a table of its own, as in `[pool.NAME]`.
    pub(super) fn sections(&mut self) -> Vec<(String, Section<'t, 's>)> {
        let keys = self.table.keys().map(|key| key.get_ref().to_string());
        keys.filter_map(|key| self.section(&key).map(|section| (key, section)))
            .collect()
    }

    /// Every key with its string, for tables whose keys are free (labels, tags).
    pub(super) fn entries(&mut self) -> Vec<(String, String)> {
        let keys = self.table.keys().map(|key| key.get_ref().to_string());
        keys.filter_map(|key| self.string(&key).map(|value| (key, value)))
            .collect()
    }

    /// Ends the table: whatever was not asked for is unknown.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if self.written(name).is_some() {
                continue;
            }
            let renamed = RENAMED.iter().find(|(old, _)| *old == name);
            let message = match renamed.and_then(|(_, new)| self.written(new)) {
                Some(new) => format!("is called {new} now"),
                None => format!("unknown key; known here are {}", self.all_written()),
            };
            let line = self.problems.line_at(key.span().start);
            self.problems
                .add(line, format!("{}{name}: {message}", self.path));
        }
    }

    /// How `key` is written, if it may stand here.
    fn written(&self, key: &str) -> Option<&str> {
        let known = self.known.iter().find(|(known, _)| known == key);
        known.map(|(_, written)| written.as_str())
    }

    fn all_written(&self) -> String {
        let written: Vec<&str> = self.known.iter().map(|(_, written)| &**written).collect();
        written.join(", ")
    }

    fn require(&self, key: &str) {
        if self.table.get(key).is_none() {
            self.problem(key, "is missing");
        }
    }

    fn take(&mut self, key: &str) -> Option<&'t Spanned<DeValue<'s>>> {
        self.take_written(key, key.to_owned())
    }

    fn take_written(&mut self, key: &str, written: String) -> Option<&'t Spanned<DeValue<'s>>> {
        if self.written(key).is_none() {
            self.known.push((key.to_owned(), written));
        }
        self.table.get(key)
    }

    fn wrong_type<T>(&self, key: &str, expected: &str, found: &DeValue<'_>) -> Option<T> {
        self.problem(
            key,
            format_args!("must be {expected}, and is of type {}", found.type_str()),
        );
        None
    }
}
