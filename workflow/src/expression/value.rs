//! What expressions are about, and how it turns into text, number and truth (act 0.261, `exprparser`).
//!
//! The forge looks at the type that a value has in Go. Types differ where one would not think so: a
//! `github` is neither true nor a map, a list from JSON has no whole numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::yaml;

/// A value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, and what is not there.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number of the workflow file or of an expression.
    Int(i64),
    /// Any other number, and every number of JSON.
    Float(f64),
    /// A text.
    Text(Arc<str>),
    /// A list; `None` is an empty one that JSON calls `null`.
    List(Option<Arc<Vec<Value>>>),
    /// A map; `None` is an empty one that JSON calls `null`.
    Map(Option<Arc<BTreeMap<String, Value>>>),
    /// A map of which only a part is known, and why not more: what is not in it is unknown, not null.
    Part(Arc<BTreeMap<String, Value>>, Arc<str>),
    /// Fields that are known beforehand.
    Record(Arc<Record>),
    /// What a workflow file can have and expressions can't do much with.
    Odd(Odd),
    /// It can't be known from outside, for this reason.
    Unknown(Arc<str>),
}

/// Fields that are known beforehand: one that is not among them is an empty text, not null.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// Its fields in the order of JSON; none of a pointer to nothing.
    pub fields: Vec<(&'static str, Value)>,
}

/// The records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// `github`: there is none where the forge only checks a file, and its fields are null.
    Github,
    /// `job`: on the server there is none, and its fields are null.
    Job,
    /// One of `needs`.
    Need,
}

/// What a workflow file can have and expressions can't do much with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// A map with a key that is no text.
    Keyed,
    /// A date.
    Time,
    /// A whole number above what 64 bits with a sign hold.
    Large(u64),
}

/// Go's kinds, as far as rules tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Int,
    Float,
    Text,
    List,
    Map,
    Pointer,
    Struct,
    Large,
}

impl Value {
    /// How much there is to go through: bytes, items or fields.
    pub(super) fn extent(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(items) => items.as_ref().map_or(0, |items| items.len()),
            Self::Map(map) => map.as_ref().map_or(0, |map| map.len()),
            Self::Part(map, _) => map.len(),
            Self::Record(record) => record.fields.len(),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Odd(_)
            | Self::Unknown(_) => 0,
        }
    }

    /// A text.
    #[must_use]
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A list.
    #[must_use]
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Some(Arc::new(items)))
    }

    /// A map.
    #[must_use]
    pub fn map(map: BTreeMap<String, Self>) -> Self {
        Self::Map(Some(Arc::new(map)))
    }

    /// A map of texts.
    #[must_use]
    pub fn texts(map: &BTreeMap<String, String>) -> Self {
        let value = |text: &String| Self::text(text.as_str());
        Self::map(
            map.iter()
                .map(|(key, text)| (key.clone(), value(text)))
                .collect(),
        )
    }

    /// A record.
    pub(crate) fn record(kind: RecordKind, fields: Vec<(&'static str, Self)>) -> Self {
        Self::Record(Arc::new(Record { kind, fields }))
    }

    /// A record with the fields that `change` gives, and else with its own. What is no record stays.
    pub(crate) fn with_fields(&self, change: impl Fn(&'static str, &Self) -> Option<Self>) -> Self {
        let Self::Record(record) = self else {
            return self.clone();
        };
        let fields = record.fields.iter();
        let fields = fields.map(|(name, value)| {
            let value = change(name, value).unwrap_or_else(|| value.clone());
            (*name, value)
        });
        Self::record(record.kind, fields.collect())
    }

    /// What can't be known, and why.
    #[must_use]
    pub fn unknown(because: impl Into<Arc<str>>) -> Self {
        Self::Unknown(because.into())
    }

    /// The value that Go's decoder of JSON makes.
    #[must_use]
    pub fn json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(value) => value.as_f64().map_or(Self::Null, Self::Float),
            serde_json::Value::String(text) => Self::text(text.as_str()),
            serde_json::Value::Array(items) => Self::list(items.iter().map(Self::json).collect()),
            serde_json::Value::Object(map) => {
                let pair = |(key, value): (&String, _)| (key.clone(), Self::json(value));
                Self::map(map.iter().map(pair).collect())
            }
        }
    }

    /// The value of a workflow file.
    #[must_use]
    pub fn yaml(value: &yaml::Value) -> Self {
        match value {
            yaml::Value::Null => Self::Null,
            yaml::Value::Bool(value) => Self::Bool(*value),
            yaml::Value::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => Self::Int(value),
                (Err(_), Ok(value)) => Self::Odd(Odd::Large(value)),
                (Err(_), Err(_)) => Self::unknown("a number is too large"),
            },
            yaml::Value::Float(value) => Self::Float(*value),
            yaml::Value::Time(_) => Self::Odd(Odd::Time),
            yaml::Value::Text(text) => Self::text(text.as_str()),
            yaml::Value::List(items) => Self::list(items.iter().map(Self::yaml).collect()),
            yaml::Value::Map(map) => {
                let pair = |(key, value): (&String, _)| (key.clone(), Self::yaml(value));
                Self::map(map.iter().map(pair).collect())
            }
            yaml::Value::Keyed(_) => Self::Odd(Odd::Keyed),
        }
    }

    /// Go's kind; `Err` is why it can't be known.
    pub(super) fn kind(&self) -> Result<Kind, Arc<str>> {
        Ok(match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Float(_) => Kind::Float,
            Self::Text(_) => Kind::Text,
            Self::List(_) => Kind::List,
            Self::Map(_) | Self::Part(..) | Self::Odd(Odd::Keyed) => Kind::Map,
            Self::Record(record) => match record.kind {
                RecordKind::Github | RecordKind::Job => Kind::Pointer,
                RecordKind::Need => Kind::Struct,
            },
            Self::Odd(Odd::Time) => Kind::Struct,
            Self::Odd(Odd::Large(_)) => Kind::Large,
            Self::Unknown(because) => return Err(Arc::clone(because)),
        })
    }

    /// Whether it counts as true: texts that are not empty, numbers but zero, every list and map, and no
    /// record. `Err` is why that can't be known.
    pub fn is_true(&self) -> Result<bool, Arc<str>> {
        Ok(match self {
            Self::Bool(value) => *value,
            Self::Text(text) => !text.is_empty(),
            Self::Int(value) => *value != 0,
            Self::Float(value) => !value.is_nan() && *value != 0.0,
            Self::List(_) | Self::Map(_) | Self::Part(..) | Self::Odd(Odd::Keyed) => true,
            Self::Null | Self::Record(_) | Self::Odd(Odd::Time | Odd::Large(_)) => false,
            Self::Unknown(because) => return Err(Arc::clone(because)),
        })
    }

    /// Its text in `format` and `join`. `Err` is why that can't be known.
    pub fn printed(&self) -> Result<Arc<str>, Arc<str>> {
        Ok(match self {
            Self::Null => "".into(),
            Self::Bool(value) => if *value { "true" } else { "false" }.into(),
            Self::Int(value) => value.to_string().into(),
            Self::Float(value) => float(*value).into(),
            Self::Text(text) => Arc::clone(text),
            Self::List(_) => "Array".into(),
            Self::Map(_) | Self::Part(..) | Self::Odd(Odd::Keyed) => "Object".into(),
            // Go's reflection prints types that it has no text for.
            Self::Record(record) => match record.kind {
                RecordKind::Github => "<*model.GithubContext Value>",
                RecordKind::Job => "<*model.JobContext Value>",
                RecordKind::Need => "<exprparser.Needs Value>",
            }
            .into(),
            Self::Odd(Odd::Time) => "<time.Time Value>".into(),
            Self::Odd(Odd::Large(_)) => "<uint64 Value>".into(),
            Self::Unknown(because) => return Err(Arc::clone(because)),
        })
    }

    /// Its text in a text of which each expression is evaluated by itself (Gitea from 1.27.2 on,
    /// `coerceToString`).
    pub(super) fn written(&self) -> Result<Arc<str>, Arc<str>> {
        Ok(match self {
            // A pointer to nothing.
            Self::Record(record) if record.fields.is_empty() => "".into(),
            Self::Record(_) | Self::Odd(Odd::Time) => "Object".into(),
            Self::Odd(Odd::Large(number)) => number.to_string().into(),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::Part(..)
            | Self::Odd(Odd::Keyed)
            | Self::Unknown(_) => return self.printed(),
        })
    }
}

/// Digits of a number with a fraction that are printed, as `%.15G` does.
const DIGITS_MAX: usize = 15;

fn float(value: f64) -> String {
    if !value.is_finite() {
        let sign = if value < 0.0 { "-" } else { "" };
        return if value.is_nan() {
            "NaN".to_owned()
        } else {
            format!("{sign}Infinity")
        };
    }
    let rounded = format!("{value:.*e}", DIGITS_MAX - 1);
    let (mantissa, exponent) = rounded
        .split_once('e')
        .expect("a number in this form has its exponent");
    let exponent: i32 = exponent
        .parse()
        .expect("a number in this form has a whole exponent");
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    let digits_max = i32::try_from(DIGITS_MAX).unwrap_or(i32::MAX);
    if (-4..digits_max).contains(&exponent) {
        let exact: f64 = rounded.parse().unwrap_or(value);
        return exact.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let mut text = mantissa.to_owned();
    // Writing to a text can't fail.
    let _ = write!(text, "E{sign}{:02}", exponent.abs());
    text
}

/// Small letters one for one, as Go makes them.
pub(super) fn lower(text: &str) -> String {
    text.chars().map(lower_letter).collect()
}

/// Whether two names are one, as Go's `strings.EqualFold` has it.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    let fold = |c: char| {
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(upper), None) => lower_letter(upper),
            (Some(_) | None, _) => lower_letter(c),
        }
    };
    one.chars().map(fold).eq(other.chars().map(fold))
}

fn lower_letter(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_go_prints_them() {
        for (value, text) in [
            (5.0, "5"),
            (1.5, "1.5"),
            (-0.0, "-0"),
            (1e14, "100000000000000"),
            (1e15, "1E+15"),
            (1.25e-5, "1.25E-05"),
            (0.0001, "0.0001"),
            (0.1 + 0.2, "0.3"),
            (123_456_789.123_456_78, "123456789.123457"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float(value), text);
        }
    }
}
