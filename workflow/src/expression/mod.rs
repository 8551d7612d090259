//! Expressions (`${{ … }}`) as the forge evaluates them on the server.
//!
//! Gitea up to 1.26 uses act's `exprparser` (its fork 0.261), which reads with actionlint; Forgejo's
//! runner has the same with `forge` as one more name of `github`. A server has no `env`, `secrets`,
//! `steps`, `runner` or `job`: they are empty there, which is not the same as unknown. What only
//! the server knows is [`Value::Unknown`] with its reason.

mod eval;
mod functions;
mod json;
mod lex;
mod nodes;
mod parse;
mod stop;
mod template;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::budget::Budget;

pub use stop::Stop;
pub(crate) use template::has_expression;
pub use value::{Odd, Record, RecordKind, Value};

use eval::Evaluator;
use template::Template;

/// What an expression comes to, as far as that can be known from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved<T> {
    /// The value that the forge gets as well.
    Known(T),
    /// Why it can't be known.
    Unknown(String),
}

impl<T> Resolved<T> {
    /// The value, if it is known.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// Why it is not known, if it is not.
    pub fn why_unknown(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(because) => Some(because),
        }
    }

    /// Applies a function to the value.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Resolved<U> {
        match self {
            Self::Known(value) => Resolved::Known(make(value)),
            Self::Unknown(because) => Resolved::Unknown(because),
        }
    }
}

/// What expressions can refer to.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The contexts by their names in lower case.
    pub contexts: BTreeMap<&'static str, Value>,
    /// What `success()` and `failure()` look at; `None` outside of jobs.
    pub history: Option<History>,
    /// What `cancelled()` says; `None` where asking makes the forge panic.
    pub cancelled: Option<Value>,
    /// How much work is left.
    pub budget: Arc<Budget>,
}

/// A job among those of its run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The job's id.
    pub job: String,
    /// Every job of the run by its id.
    pub jobs: Arc<BTreeMap<String, JobState>>,
}

/// A job that others may need.
#[derive(Debug, Clone, PartialEq)]
pub struct JobState {
    /// The ids of the jobs that it needs.
    pub needs: Vec<String>,
    /// `success`, `failure`, `cancelled`, `skipped`, or nothing as long as it has not ended.
    pub result: Value,
}

impl JobState {
    /// A job that has not ended.
    pub(crate) fn open(needs: Vec<String>) -> Self {
        let result = Value::text("");
        Self { needs, result }
    }
}

/// Contexts that a server has, all of them empty.
const EMPTY_CONTEXTS: [&str; 4] = ["env", "steps", "runner", "secrets"];

impl Scope {
    /// Evaluates a text that is one expression or has some; an expression alone keeps its type. `None`
    /// if it has none.
    pub fn evaluate(&self, text: &str) -> Result<Option<Value>, Stop> {
        let expression = match Template::read(text, false) {
            Template::Plain => return Ok(None),
            Template::Unclosed => return Err(unclosed(text)),
            Template::Expression(expression) => expression,
        };
        Evaluator::new(self).evaluate(&expression).map(Some)
    }

    /// Puts the values of expressions into a text. A mistake in one makes the whole text empty, and the
    /// forge says nothing (Gitea 1.26, `jobparser`, `Interpolate`). `Err` is why the forge panics.
    pub(crate) fn interpolate(&self, text: &str) -> Result<Resolved<String>, String> {
        let expression = match Template::read(text, true) {
            Template::Plain => return Ok(Resolved::Known(text.to_owned())),
            Template::Unclosed => return Err(format!("`{text}` has a `${{{{` without an end")),
            Template::Expression(expression) => expression,
        };
        match Evaluator::new(self).evaluate(&expression) {
            Ok(Value::Text(text)) => Ok(Resolved::Known(text.as_ref().to_owned())),
            Ok(Value::Unknown(because)) => Ok(Resolved::Unknown(because.as_ref().to_owned())),
            Ok(_) => Err(format!("`{text}` breaks out of its expression")),
            Err(Stop::Fails(_)) => Ok(Resolved::Known(String::new())),
            Err(Stop::Unknown(reason)) => Ok(Resolved::Unknown(reason)),
            Err(Stop::Crashes(reason)) => Err(reason),
        }
    }

    /// Whether an `if` holds. Without a function that asks how others ended it means that they ended
    /// well, too.
    pub fn condition(&self, text: &str) -> Result<Resolved<bool>, Stop> {
        let expression = match Template::read(text, false) {
            Template::Plain => text.into(),
            Template::Unclosed => return Err(unclosed(text)),
            Template::Expression(expression) => expression,
        };
        let value = match Evaluator::new(self).condition(&expression) {
            Err(Stop::Unknown(reason)) => return Ok(Resolved::Unknown(reason)),
            value => value?,
        };
        Ok(match value.is_true() {
            Ok(is) => Resolved::Known(is),
            Err(because) => Resolved::Unknown(because.as_ref().to_owned()),
        })
    }

    fn get(&self, name: &str) -> Result<Value, Stop> {
        if let Some(value) = self.contexts.get(name) {
            return Ok(value.clone());
        }
        match name {
            "infinity" => Ok(Value::Float(f64::INFINITY)),
            "nan" => Ok(Value::Float(f64::NAN)),
            "job" => Ok(Value::record(RecordKind::Job, Vec::new())),
            name if EMPTY_CONTEXTS.contains(&name) => Ok(Value::Map(None)),
            name => Err(Stop::Fails(format!("there is no `{name}` here"))),
        }
    }
}

fn unclosed(text: &str) -> Stop {
    Stop::Crashes(format!("`{text}` has a `${{{{` without an end"))
}

#[cfg(test)]
mod tests;
