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
use template::{Piece, Template, pieces};

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
    /// Whether each expression of a text is evaluated by itself, and a mistake refused.
    pub by_parts: bool,
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
        if self.by_parts {
            return match *self.pieces(text)? {
                [Piece::Expression(alone)] => Evaluator::new(self).evaluate(alone).map(Some),
                [Piece::Text(_)] => Ok(None),
                ref pieces => self.joined(pieces).map(Some),
            };
        }
        let expression = match Template::read(text, false) {
            Template::Plain => return Ok(None),
            Template::Unclosed => return Err(unclosed(text)),
            Template::Expression(expression) => expression,
        };
        Evaluator::new(self).evaluate(&expression).map(Some)
    }

    /// Puts the values of expressions into a text. A mistake in one is one of the whole; before Gitea
    /// 1.27.2 it makes the text empty, and the forge says nothing (`jobparser`, `Interpolate`). Whether
    /// there is one may be unknown too.
    pub(crate) fn interpolate(&self, text: &str) -> Result<Resolved<String>, Stop> {
        let value = if self.by_parts {
            self.joined(&self.pieces(text)?)
        } else {
            match Template::read(text, true) {
                Template::Plain => return Ok(Resolved::Known(text.to_owned())),
                Template::Unclosed => return Err(unclosed(text)),
                Template::Expression(expression) => Evaluator::new(self).evaluate(&expression),
            }
        };
        match value {
            Ok(Value::Text(text)) => Ok(Resolved::Known(text.as_ref().to_owned())),
            Ok(Value::Unknown(because)) => Ok(Resolved::Unknown(because.as_ref().to_owned())),
            Ok(_) => Err(Stop::Crashes(format!(
                "`{text}` breaks out of its expression"
            ))),
            Err(Stop::Fails(_)) if !self.by_parts => Ok(Resolved::Known(String::new())),
            Err(Stop::Unknown(reason)) if !self.by_parts => Ok(Resolved::Unknown(reason)),
            Err(stop) => Err(stop),
        }
    }

    /// Whether an `if` holds. Without a function that asks how others ended it means that they ended
    /// well, too.
    pub fn condition(&self, text: &str) -> Result<Resolved<bool>, Stop> {
        let value = if self.by_parts {
            self.condition_by_parts(text)
        } else {
            let expression = match Template::read(text, false) {
                Template::Plain => text.into(),
                Template::Unclosed => return Err(unclosed(text)),
                Template::Expression(expression) => expression,
            };
            Evaluator::new(self).condition(&expression)
        };
        let value = match value {
            Err(Stop::Unknown(reason)) => return Ok(Resolved::Unknown(reason)),
            value => value?,
        };
        Ok(match value.is_true() {
            Ok(is) => Resolved::Known(is),
            Err(because) => Resolved::Unknown(because.as_ref().to_owned()),
        })
    }

    /// One expression, with braces or without; a text with expressions in it is true if there is something
    /// in the text, and others have ended well unless it asks for that itself.
    fn condition_by_parts(&self, text: &str) -> Result<Value, Stop> {
        let pieces = self.pieces(text)?;
        if let [Piece::Text(alone) | Piece::Expression(alone)] = *pieces {
            return Evaluator::new(self).condition(alone);
        }
        let asks = pieces.iter().any(|piece| match piece {
            Piece::Text(_) => false,
            Piece::Expression(inner) => Evaluator::new(self).asks_for_status(inner),
        });
        if !asks {
            let ended_well = Evaluator::new(self).evaluate("success()")?;
            if ended_well.is_true() != Ok(true) {
                return Ok(ended_well);
            }
        }
        self.joined(&pieces)
    }

    fn pieces<'a>(&self, text: &'a str) -> Result<Vec<Piece<'a>>, Stop> {
        self.budget
            .take(text.len() as u64 * crate::budget::READ_BYTE)?;
        let fails = || Stop::Fails(format!("`{text}` has a `${{{{` without an end"));
        pieces(text).ok_or_else(fails)
    }

    /// The text of all pieces. What is unknown makes the whole so, but a mistake behind it counts.
    fn joined(&self, pieces: &[Piece<'_>]) -> Result<Value, Stop> {
        let (mut text, mut unknown) = (String::new(), None);
        for piece in pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Expression(inner) => match Evaluator::new(self).evaluate(inner)?.written() {
                    Ok(written) => text.push_str(&written),
                    Err(because) => unknown = unknown.or(Some(because)),
                },
            }
        }
        Ok(unknown.map_or_else(|| Value::text(text), Value::Unknown))
    }

    /// The fields of `job`. Where the forge knows of no job there are none.
    fn job(&self) -> Vec<(&'static str, Value)> {
        if !matches!(self.cancelled, Some(Value::Bool(_))) {
            return Vec::new();
        }
        let empty = |name: &str| (name.to_owned(), Value::text(""));
        let container = Value::map(["id", "network"].map(empty).into());
        vec![
            ("status", Value::text("")),
            ("container", container),
            ("services", Value::Map(None)),
        ]
    }

    fn get(&self, name: &str) -> Result<Value, Stop> {
        if let Some(value) = self.contexts.get(name) {
            return Ok(value.clone());
        }
        match name {
            "infinity" => Ok(Value::Float(f64::INFINITY)),
            "nan" => Ok(Value::Float(f64::NAN)),
            "job" => Ok(Value::record(RecordKind::Job, self.job())),
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
