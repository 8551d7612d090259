//! From a tree to a value (act 0.261, `exprparser`, interpreter).
//!
//! What can't be known from outside is a value like any other ([`Value::Unknown`]): what is made of it is
//! unknown, and `true || unknown` is true.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Scope;
use super::parse::{Comparison, Part, parse};
use super::stop::Stop;
use super::value::{Kind, Record, Value, same_name};
use crate::budget;
use crate::yaml;

/// Parts that one text may evaluate: an expression of people has some ten.
const STEPS_MAX: u32 = 20_000;

/// How often a text that is compared with a number may be an expression in which a text is compared with
/// a number. The forge knows no bound, and one that refers to itself ends its process.
const NUMBERS_IN_TEXT_MAX: u32 = 4;

/// Evaluates one text.
pub(super) struct Evaluator<'a> {
    scope: &'a Scope,
    steps: Cell<u32>,
    in_text: Cell<u32>,
}

/// Functions that say what came before; an `if` without one means `success() && …`.
const STATUS_FUNCTIONS: [&str; 4] = ["success", "always", "cancelled", "failure"];

impl<'a> Evaluator<'a> {
    pub(super) fn new(scope: &'a Scope) -> Self {
        Self {
            scope,
            steps: Cell::new(0),
            in_text: Cell::new(0),
        }
    }

    /// Evaluates an expression, with or without `${{` and `}}` around it.
    pub(super) fn evaluate(&self, expression: &str) -> Result<Value, Stop> {
        self.part(&self.read(expression)?)
    }

    /// Evaluates what an `if` says: nothing is `success()`.
    pub(super) fn condition(&self, expression: &str) -> Result<Value, Stop> {
        let expression = if expression.is_empty() {
            "success()"
        } else {
            expression
        };
        let mut part = self.read(expression)?;
        if !part.calls(&STATUS_FUNCTIONS) {
            let success = Part::Call("success".to_owned(), Vec::new());
            part = Part::And(Box::new(success), Box::new(part));
        }
        self.part(&part)
    }

    /// Whether an expression asks how other jobs have ended. One that can't be read counts as one that does.
    pub(super) fn asks_for_status(&self, expression: &str) -> bool {
        let part = self.read(expression);
        part.map_or(true, |part| part.calls(&STATUS_FUNCTIONS))
    }

    fn read(&self, expression: &str) -> Result<Part, Stop> {
        self.work(expression.len() as u64 * budget::READ_BYTE)?;
        let inner = expression.strip_prefix("${{").unwrap_or(expression);
        parse(&format!("{inner}}}}}"))
    }

    fn part(&self, part: &Part) -> Result<Value, Stop> {
        self.step()?;
        match part {
            Part::Null => Ok(Value::Null),
            Part::Bool(value) => Ok(Value::Bool(*value)),
            Part::Int(value) => Ok(Value::Int(*value)),
            Part::Float(value) => Ok(Value::Float(*value)),
            Part::Text(text) => Ok(Value::text(text.as_str())),
            Part::Context(name) => self.scope.get(name),
            Part::Property(of, name) => property(&self.gone_through(of)?, name),
            Part::Index(of, at) => index(&self.gone_through(of)?, &self.part(at)?),
            Part::All(of) => Ok(safe(self.gone_through(of)?)),
            Part::Not(of) => Ok(match self.part(of)?.is_true() {
                Ok(is) => Value::Bool(!is),
                Err(because) => Value::Unknown(because),
            }),
            Part::Compare(comparison, one, other) => {
                let (one, other) = (self.part(one)?, self.part(other)?);
                let both = [one, other];
                self.go_through(&both)?;
                self.compare(*comparison, &both[0], &both[1])
            }
            Part::And(one, other) => self.either(one, other, false),
            Part::Or(one, other) => self.either(one, other, true),
            Part::Call(name, arguments) => {
                let given: Vec<Value> = arguments
                    .iter()
                    .map(|argument| self.part(argument))
                    .collect::<Result<_, _>>()?;
                self.go_through(&given)?;
                let value = self.call(name, &given)?;
                self.go_through(std::slice::from_ref(&value))?;
                Ok(value)
            }
        }
    }

    fn gone_through(&self, part: &Part) -> Result<Value, Stop> {
        let value = self.part(part)?;
        self.go_through(std::slice::from_ref(&value))?;
        Ok(value)
    }

    fn step(&self) -> Result<(), Stop> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS_MAX {
            let reason = format!("an expression takes more than {STEPS_MAX} steps");
            return Err(Stop::Unknown(reason));
        }
        self.work(budget::PART)
    }

    fn work(&self, units: u64) -> Result<(), Stop> {
        Ok(self.scope.budget.take(units)?)
    }

    /// Values that are gone through whole cost what is in them.
    fn go_through(&self, values: &[Value]) -> Result<(), Stop> {
        let many: usize = values.iter().map(Value::extent).sum();
        self.work(many as u64 * budget::READ_BYTE)
    }

    /// The first if it settles the matter, else the second: values, not truths.
    fn either(&self, one: &Part, other: &Part, settles: bool) -> Result<Value, Stop> {
        let one = self.part(one)?;
        match one.is_true() {
            Ok(is) if is == settles => Ok(safe(one)),
            Ok(_) => Ok(safe(self.part(other)?)),
            // Whether the forge comes to a mistake in the second rests on the first.
            Err(because) => match self.part(other) {
                Err(Stop::Fails(reason)) if self.scope.by_parts => Err(Stop::Unknown(format!(
                    "{reason}, unless it is not looked at: {because}"
                ))),
                _ => Ok(Value::Unknown(because)),
            },
        }
    }

    /// Values of one kind are compared as such, others as numbers; texts without looking at case. Two
    /// nulls compare as true whatever is asked, lists and maps not at all.
    pub(super) fn compare(
        &self,
        comparison: Comparison,
        one: &Value,
        other: &Value,
    ) -> Result<Value, Stop> {
        let (kind, other_kind) = match (one.kind(), other.kind()) {
            (Ok(kind), Ok(other_kind)) => (kind, other_kind),
            (Err(because), _) | (_, Err(because)) => {
                return Ok(Value::Unknown(because));
            }
        };
        let holds = match (kind, one, other) {
            (Kind::Text, Value::Text(one), Value::Text(other)) => {
                let order = super::value::lower(one).cmp(&super::value::lower(other));
                comparison.holds(Some(order))
            }
            (Kind::Null, _, _) if kind == other_kind => true,
            (Kind::List | Kind::Map | Kind::Pointer | Kind::Struct | Kind::Large, _, _)
                if kind == other_kind =>
            {
                let reason = "lists, maps and records can't be compared with each other";
                return Err(Stop::Fails(reason.to_owned()));
            }
            _ => match (self.number(one)?, self.number(other)?) {
                (Ok(one), Ok(other)) => comparison.holds(one.partial_cmp(&other)),
                (Err(because), _) | (_, Err(because)) => return Ok(Value::Unknown(because)),
            },
        };
        Ok(Value::Bool(holds))
    }

    /// A value as a number. A text is evaluated as an expression, and is no number if it is none.
    fn number(&self, value: &Value) -> Result<Result<f64, Arc<str>>, Stop> {
        Ok(match value {
            Value::Null => Ok(0.0),
            Value::Bool(value) => Ok(f64::from(u8::from(*value))),
            Value::Int(value) => Ok(yaml::as_float((*value).into())),
            Value::Float(value) => Ok(*value),
            Value::Text(text) if text.is_empty() => Ok(0.0),
            Value::Text(text) => match self.in_text(text) {
                Ok(Value::Int(value)) => Ok(yaml::as_float(value.into())),
                Ok(Value::Float(value)) => Ok(value),
                Ok(Value::Unknown(because)) => Err(because),
                Ok(_) | Err(Stop::Fails(_)) => Ok(f64::NAN),
                Err(stop @ (Stop::Crashes(_) | Stop::Unknown(_))) => return Err(stop),
            },
            Value::List(_) | Value::Map(_) | Value::Part(..) | Value::Record(_) | Value::Odd(_) => {
                Ok(f64::NAN)
            }
            Value::Unknown(because) => Err(Arc::clone(because)),
        })
    }

    fn in_text(&self, text: &str) -> Result<Value, Stop> {
        if self.in_text.get() == NUMBERS_IN_TEXT_MAX {
            let reason =
                "a text is compared with a number, and is an expression that does the same";
            return Err(Stop::Unknown(reason.to_owned()));
        }
        self.in_text.set(self.in_text.get() + 1);
        let value = self.evaluate(text);
        self.in_text.set(self.in_text.get() - 1);
        value
    }

    /// Whether all jobs that this one needs, and those that they need, ended well.
    pub(super) fn succeeded(&self) -> Result<Value, Stop> {
        let results = self.results()?;
        Ok(any(&results, |result| result != "success")
            .map_or_else(Value::Unknown, |one| Value::Bool(!one)))
    }

    /// Whether one of them failed.
    pub(super) fn failed(&self) -> Result<Value, Stop> {
        let results = self.results()?;
        Ok(any(&results, |result| result == "failure").map_or_else(Value::Unknown, Value::Bool))
    }

    pub(super) fn cancelled(&self) -> Result<Value, Stop> {
        match &self.scope.cancelled {
            Some(value) => Ok(value.clone()),
            None => Err(Stop::Crashes(
                "`cancelled()` is asked where the forge knows of no job".to_owned(),
            )),
        }
    }

    fn results(&self) -> Result<Vec<Value>, Stop> {
        let Some(history) = &self.scope.history else {
            let reason = "`success()` and `failure()` mean nothing outside of a job";
            return Err(Stop::Fails(reason.to_owned()));
        };
        let mut results = Vec::new();
        let mut around = vec![history.job.as_str()];
        self.needs(&history.job, &mut around, &mut results)?;
        Ok(results)
    }

    fn needs<'b>(
        &'b self,
        job: &str,
        around: &mut Vec<&'b str>,
        results: &mut Vec<Value>,
    ) -> Result<(), Stop> {
        let jobs = self.scope.history.as_ref().map(|history| &history.jobs);
        let state = |job: &str| jobs.and_then(|jobs| jobs.get(job));
        let Some(of_job) = state(job) else {
            let reason = format!("`success()` looks at the job `{job}`, which is not there");
            return Err(Stop::Crashes(reason));
        };
        for need in &of_job.needs {
            self.step()?;
            if around.contains(&need.as_str()) {
                let reason = format!("`success()` looks at jobs that need each other: `{need}`");
                return Err(Stop::Crashes(reason));
            }
            results.extend(state(need).map(|state| state.result.clone()));
            around.push(need);
            self.needs(need, around, results)?;
            around.pop();
        }
        Ok(())
    }
}

/// Whether it is so of one result; `Err` is why that can't be known.
fn any(results: &[Value], is: impl Fn(&str) -> bool) -> Result<bool, Arc<str>> {
    let mut unknown = None;
    for result in results {
        match result.printed() {
            Ok(result) if is(&result) => return Ok(true),
            Ok(_) => {}
            Err(because) => unknown = Some(because),
        }
    }
    unknown.map_or(Ok(false), Err)
}

impl Comparison {
    fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        match self {
            Self::Less => order.is_some_and(std::cmp::Ordering::is_lt),
            Self::LessOrSame => order.is_some_and(std::cmp::Ordering::is_le),
            Self::More => order.is_some_and(std::cmp::Ordering::is_gt),
            Self::MoreOrSame => order.is_some_and(std::cmp::Ordering::is_ge),
            Self::Same => order.is_some_and(std::cmp::Ordering::is_eq),
            Self::NotSame => !order.is_some_and(std::cmp::Ordering::is_eq),
        }
    }
}

/// `a.b`: names don't look at case. Of a list: of each of its items.
fn property(of: &Value, name: &str) -> Result<Value, Stop> {
    Ok(match of {
        Value::Record(record) => field(record, name),
        Value::Map(Some(map)) => named(map, name).unwrap_or(Value::Null),
        Value::Part(map, because) => {
            named(map, name).unwrap_or_else(|| Value::Unknown(Arc::clone(because)))
        }
        Value::List(Some(items)) if !items.is_empty() => Value::list(
            items
                .iter()
                .map(|item| property(item, name))
                .collect::<Result<_, _>>()?,
        ),
        Value::List(_) => Value::List(None),
        Value::Odd(super::value::Odd::Keyed) => {
            let reason = "a map has keys that are no texts";
            return Err(Stop::Fails(reason.to_owned()));
        }
        Value::Odd(super::value::Odd::Time) => Value::text(""),
        Value::Unknown(because) => Value::Unknown(Arc::clone(because)),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Map(None)
        | Value::Odd(super::value::Odd::Large(_)) => Value::Null,
    })
}

/// The value of a key. Of keys that differ only in their case the forge takes any, by chance.
fn named(map: &BTreeMap<String, Value>, name: &str) -> Option<Value> {
    let mut found = map.iter().filter(|(key, _)| same_name(key, name));
    let (_, value) = found.next()?;
    if found.any(|(_, other)| other != value) {
        return Some(Value::unknown(
            "two keys differ only in their case, and the forge takes either",
        ));
    }
    Some(value.clone())
}

/// By its name in JSON as it is, or without `_` and whatever the case (the field's name in Go).
fn field(record: &Record, name: &str) -> Value {
    if record.fields.is_empty() {
        return Value::Null;
    }
    let found = record
        .fields
        .iter()
        .find(|(field, _)| *field == name || same_name(&field.replace('_', ""), name));
    found.map_or(Value::text(""), |(_, value)| value.clone())
}

fn index(of: &Value, at: &Value) -> Result<Value, Stop> {
    Ok(match (of, at) {
        (Value::Unknown(because), _) | (_, Value::Unknown(because)) => {
            Value::Unknown(Arc::clone(because))
        }
        (_, Value::Text(name)) => return property(of, name),
        (Value::List(Some(items)), Value::Int(at)) => {
            let item = usize::try_from(*at).ok().and_then(|at| items.get(at));
            item.cloned().unwrap_or(Value::Null)
        }
        _ => Value::Null,
    })
}

/// A zero with a fraction is one without.
fn safe(value: Value) -> Value {
    if value == Value::Float(0.0) {
        return Value::Int(0);
    }
    value
}
