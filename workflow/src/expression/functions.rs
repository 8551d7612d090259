//! The functions of expressions (act 0.261, `exprparser`, functions).
//!
//! Names don't look at case. A function takes no notice of arguments that it has too many of; where
//! one is missing the forge panics. What depends on something unknown is unknown.

use std::sync::Arc;

use super::eval::Evaluator;
use super::json::{self, NoJson};
use super::parse::Comparison;
use super::stop::Stop;
use super::value::{Kind, Value, lower};

/// Bytes of a text that a function makes: a file of a MiB is the largest that the forge reads.
const MADE_BYTES_MAX: usize = 1024 * 1024;

impl Evaluator<'_> {
    pub(super) fn call(&self, name: &str, given: &[Value]) -> Result<Value, Stop> {
        let argument = |at: usize| {
            let missing = || Stop::Crashes(format!("`{name}` is called with too few arguments"));
            given.get(at).ok_or_else(missing)
        };
        match name {
            "contains" => self.contains(argument(0)?, argument(1)?),
            "startswith" => Ok(edge(argument(0)?, argument(1)?, |of, with| {
                of.starts_with(with)
            })),
            "endswith" => Ok(edge(argument(0)?, argument(1)?, |of, with| {
                of.ends_with(with)
            })),
            "format" => format(argument(0)?, given.get(1..).unwrap_or_default()),
            "join" if given.len() == 1 => join(argument(0)?, &Value::text(",")),
            "join" => join(argument(0)?, argument(1)?),
            "tojson" => to_json(argument(0)?),
            "fromjson" => from_json(argument(0)?),
            // There are no files where the forge evaluates.
            "hashfiles" => Err(Stop::Fails("`hashFiles` has no files here".to_owned())),
            "always" => Ok(Value::Bool(true)),
            "success" => self.succeeded(),
            "failure" => self.failed(),
            "cancelled" => self.cancelled(),
            other => Err(Stop::Fails(format!("there is no function `{other}`"))),
        }
    }

    /// In a text: as a part, whatever the case. In a list: as an item that is the same.
    fn contains(&self, of: &Value, what: &Value) -> Result<Value, Stop> {
        let kind = match of.kind() {
            Ok(kind) => kind,
            Err(because) => return Ok(Value::Unknown(because)),
        };
        match kind {
            Kind::Text | Kind::Int | Kind::Float | Kind::Bool | Kind::Null => {
                Ok(edge(of, what, |text, part| text.contains(part)))
            }
            Kind::List => {
                let Value::List(Some(items)) = of else {
                    return Ok(Value::Bool(false));
                };
                let mut found = Value::Bool(false);
                for item in items.iter() {
                    let same = self.compare(Comparison::Same, item, what)?;
                    match same.is_true() {
                        Ok(true) => return Ok(same),
                        Ok(false) => {}
                        Err(because) => found = Value::Unknown(because),
                    }
                }
                Ok(found)
            }
            Kind::Map | Kind::Pointer | Kind::Struct | Kind::Large => Ok(Value::Bool(false)),
        }
    }
}

fn edge(of: &Value, what: &Value, is: impl Fn(&str, &str) -> bool) -> Value {
    match (of.printed(), what.printed()) {
        (Ok(of), Ok(what)) => Value::Bool(is(&lower(&of), &lower(&what))),
        (Err(because), _) | (_, Err(because)) => Value::Unknown(because),
    }
}

fn join(items: &Value, between: &Value) -> Result<Value, Stop> {
    let items = if let Value::List(items) = items {
        items.as_ref().map_or(&[][..], |items| items.as_slice())
    } else {
        std::slice::from_ref(items)
    };
    let texts: Result<Vec<Arc<str>>, Arc<str>> = items.iter().map(Value::printed).collect();
    let text = between
        .printed()
        .and_then(|between| Ok(texts?.join(&*between)));
    match text {
        Ok(text) => made(text),
        Err(because) => Ok(Value::Unknown(because)),
    }
}

/// What `format` is at.
enum At {
    Text,
    Open(String),
    Close,
}

fn format(format: &Value, given: &[Value]) -> Result<Value, Stop> {
    let format = match format.printed() {
        Ok(format) => format,
        Err(because) => return Ok(Value::Unknown(because)),
    };
    let invalid = || Stop::Fails("the text of `format` is no valid one".to_owned());
    let (mut to, mut at, mut unknown) = (String::new(), At::Text, None);
    for letter in format.chars() {
        at = match (at, letter) {
            (At::Text, '{') => At::Open(String::new()),
            (At::Text, '}') => At::Close,
            (At::Text, letter) => {
                to.push(letter);
                At::Text
            }
            (At::Open(_), '{') => {
                to.push('{');
                At::Text
            }
            (At::Open(place), '}') => {
                match place_of(&place, given).ok_or_else(invalid)??.printed() {
                    Ok(text) => to.push_str(&text),
                    Err(because) => unknown = unknown.or(Some(because)),
                }
                At::Text
            }
            (At::Open(mut place), letter) => {
                place.push(letter);
                At::Open(place)
            }
            (At::Close, '}') => {
                to.push('}');
                At::Text
            }
            (At::Close, _) => {
                let reason = "the text of `format` has a `}` alone";
                return Err(Stop::Crashes(reason.to_owned()));
            }
        };
        if to.len() > MADE_BYTES_MAX {
            break;
        }
    }
    match (at, unknown) {
        (At::Open(_) | At::Close, _) if to.len() <= MADE_BYTES_MAX => Err(invalid()),
        (_, Some(because)) => Ok(Value::Unknown(because)),
        (_, None) => made(to),
    }
}

/// The argument of a place; `None` if the place is no number or there is no such argument.
fn place_of<'a>(place: &str, given: &'a [Value]) -> Option<Result<&'a Value, Stop>> {
    let place: i32 = place.parse().ok()?;
    let Ok(place) = usize::try_from(place) else {
        let reason = "the text of `format` has a place below zero";
        return Some(Err(Stop::Crashes(reason.to_owned())));
    };
    given.get(place).map(Ok)
}

fn to_json(value: &Value) -> Result<Value, Stop> {
    match json::write(value) {
        Ok(text) => made(text),
        Err(NoJson::Fails(reason)) => Err(Stop::Fails(reason.to_owned())),
        Err(NoJson::Unknown(because)) => Ok(Value::Unknown(because)),
    }
}

fn from_json(text: &Value) -> Result<Value, Stop> {
    if let Value::Unknown(because) = text {
        return Ok(Value::Unknown(Arc::clone(because)));
    }
    let Value::Text(text) = text else {
        return Err(Stop::Fails("`fromJSON` takes a text".to_owned()));
    };
    match serde_json::from_str(text) {
        Ok(json) => Ok(Value::json(&json)),
        // Go goes deeper than our reader, and puts a sign in the place of half a character.
        Err(error)
            if ["recursion", "surrogate"]
                .iter()
                .any(|odd| error.to_string().contains(odd)) =>
        {
            Ok(Value::unknown(
                "JSON that is too deep or has half a character",
            ))
        }
        Err(error) => Err(Stop::Fails(format!("`fromJSON` got no JSON: {error}"))),
    }
}

fn made(text: String) -> Result<Value, Stop> {
    if text.len() > MADE_BYTES_MAX {
        let reason = format!("an expression makes a text of more than {MADE_BYTES_MAX} bytes");
        return Err(Stop::Unknown(reason));
    }
    Ok(Value::text(text))
}
