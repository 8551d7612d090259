//! JSON as Go writes it with two spaces of indent: `toJSON` (act 0.261, over `encoding/json`).

use std::fmt::Write as _;
use std::sync::Arc;

use super::value::{Odd, Value};

/// Why there is none.
pub(super) enum NoJson {
    /// The forge has none either.
    Fails(&'static str),
    /// A part of it can't be known.
    Unknown(Arc<str>),
}

/// Writes a value.
pub(super) fn write(value: &Value) -> Result<String, NoJson> {
    let (mut to, mut unknown) = (String::new(), None);
    part(value, "\n", &mut to, &mut unknown)?;
    match unknown {
        None => Ok(to),
        Some(because) => Err(NoJson::Unknown(because)),
    }
}

/// What is unknown is kept in mind: a later part may make the whole fail all the same.
fn part(
    value: &Value,
    line: &str,
    to: &mut String,
    unknown: &mut Option<Arc<str>>,
) -> Result<(), NoJson> {
    match value {
        Value::Null | Value::List(None) | Value::Map(None) => to.push_str("null"),
        Value::Bool(value) => to.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => to.push_str(&value.to_string()),
        Value::Float(value) => to.push_str(&number(*value)?),
        Value::Text(text) => quote(text, to),
        Value::List(Some(items)) => {
            let items = items.iter().map(|item| (None, item));
            group(items, ['[', ']'], line, to, unknown)?;
        }
        Value::Map(Some(map)) => {
            let items = map.iter().map(|(key, item)| (Some(key.as_str()), item));
            group(items, ['{', '}'], line, to, unknown)?;
        }
        // A pointer to nothing.
        Value::Record(record) if record.fields.is_empty() => to.push_str("null"),
        Value::Record(record) => {
            let items = record.fields.iter().map(|(key, item)| (Some(*key), item));
            group(items, ['{', '}'], line, to, unknown)?;
        }
        Value::Odd(Odd::Large(value)) => to.push_str(&value.to_string()),
        Value::Odd(Odd::Keyed) => {
            return Err(NoJson::Fails("a map has keys that are no texts"));
        }
        Value::Odd(Odd::Time) => {
            *unknown = Some("how the forge prints a date in JSON".into());
        }
        Value::Part(_, because) | Value::Unknown(because) => *unknown = Some(Arc::clone(because)),
    }
    Ok(())
}

fn group<'a>(
    items: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    [open, close]: [char; 2],
    line: &str,
    to: &mut String,
    unknown: &mut Option<Arc<str>>,
) -> Result<(), NoJson> {
    let inner = format!("{line}  ");
    let mut gap = "";
    to.push(open);
    for (key, item) in items {
        to.push_str(gap);
        to.push_str(&inner);
        gap = ",";
        if let Some(key) = key {
            quote(key, to);
            to.push_str(": ");
        }
        part(item, &inner, to, unknown)?;
    }
    if !gap.is_empty() {
        to.push_str(line);
    }
    to.push(close);
    Ok(())
}

/// From here on, and below its inverse with 15 more zeros, numbers have exponents.
const PLAIN_BELOW: f64 = 1e21;
const PLAIN_FROM: f64 = 1e-6;

fn number(value: f64) -> Result<String, NoJson> {
    if !value.is_finite() {
        return Err(NoJson::Fails("JSON has no infinite numbers"));
    }
    let size = value.abs();
    if size == 0.0 || (PLAIN_FROM..PLAIN_BELOW).contains(&size) {
        return Ok(value.to_string());
    }
    let text = format!("{value:e}");
    Ok(match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        Some(_) | None => text,
    })
}

/// Go also writes what HTML takes for markup as numbers.
fn quote(text: &str, to: &mut String) {
    for letter in serde_json::Value::from(text).to_string().chars() {
        if matches!(letter, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
            // Writing to a text can't fail.
            let _ = write!(to, "\\u{:04x}", u32::from(letter));
        } else {
            to.push(letter);
        }
    }
}
