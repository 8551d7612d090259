//! `${{ … }}`: the small language of workflows, as far as the stand-ins speak it.
//!
//! Invariant: pure. A name that does not exist is null, as in the real thing; a function that we do
//! not have is an error, so that a workflow beyond our means fails loudly instead of differently.

use serde_json::Value;

mod parser;

/// What went wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not an expression.
    #[error(
        "cannot read the expression {text:?} at {rest:?}; write it as the workflow syntax has it"
    )]
    Syntax {
        /// The whole expression.
        text: String,
        /// What was left when reading stopped.
        rest: String,
    },
    /// It calls a function that the stand-ins do not have.
    #[error("the lab does not have the function {0}(); use a real forge and runner for it")]
    Function(String),
    /// It is longer than anybody writes by hand.
    #[error("an expression may have at most {EXPRESSION_MAX_CHARS} characters here")]
    Long,
}

/// Longest expression: recursion in the parser is bounded by it.
const EXPRESSION_MAX_CHARS: usize = 2_000;

/// How things stand when a condition is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All went well so far.
    Success,
    /// Something failed.
    Failure,
    /// Something that is needed was skipped: neither a success nor a failure.
    Skipped,
    /// It was cancelled.
    Cancelled,
}

/// What an expression can see.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// An object of contexts: `github`, `matrix`, `needs`, `env`, `steps`, …
    pub contexts: &'a Value,
    /// What `success()` and its kin answer.
    pub standing: Standing,
}

/// `text` with every `${{ … }}` replaced by its value. Lists become `Array`, as in the forge.
pub fn interpolate(text: &str, view: View<'_>) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once("${{") {
        let Some((inner, after)) = tail.split_once("}}") else {
            break;
        };
        out.push_str(before);
        out.push_str(&text_of(&evaluate(inner, view)?));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Whether an `if:` holds. Without a status function it also asks for success.
pub fn condition(text: &str, view: View<'_>) -> Result<bool, Error> {
    let inner = text.trim();
    let inner = inner
        .strip_prefix("${{")
        .and_then(|inner| inner.strip_suffix("}}"))
        .unwrap_or(inner);
    if inner.trim().is_empty() {
        return Ok(view.standing == Standing::Success);
    }
    let holds = truthy(&evaluate(inner, view)?);
    let asks_status = ["always(", "success(", "failure(", "cancelled("]
        .iter()
        .any(|call| inner.replace(' ', "").contains(call));
    Ok(holds && (asks_status || view.standing == Standing::Success))
}

/// The value of one expression, without its braces.
pub fn evaluate(text: &str, view: View<'_>) -> Result<Value, Error> {
    if text.len() > EXPRESSION_MAX_CHARS {
        return Err(Error::Long);
    }
    parser::evaluate(text.trim(), view)
}

/// How a value looks inside a text.
fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number_text(number.as_f64().unwrap_or_default()),
        Value::String(text) => text.clone(),
        Value::Array(_) => "Array".to_owned(),
        Value::Object(_) => "Object".to_owned(),
    }
}

/// Whole numbers without a fraction.
fn number_text(number: f64) -> String {
    format!("{number}")
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Strings are compared without case, different kinds as numbers.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.eq_ignore_ascii_case(right),
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            left == right
        }
        _ => {
            matches!((number(left), number(right)), (Some(left), Some(right)) if (left - right).abs() < f64::EPSILON)
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(0.0),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.trim().is_empty() => Some(0.0),
        Value::String(text) => text.trim().parse().ok(),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contexts() -> Value {
        json!({
            "github": {"ref_name": "main", "sha": "abc", "run_id": 7},
            "matrix": {"os": "go", "size": 2},
            "needs": {"build": {"result": "success", "outputs": {"tag": "v1"}}},
            "env": {"A-B": "dash"},
        })
    }

    #[test]
    fn texts_are_filled_in() {
        let contexts = contexts();
        let view = View {
            contexts: &contexts,
            standing: Standing::Success,
        };
        for (text, expected) in [
            ("plain", "plain"),
            ("r-${{ github.ref_name }}-${{matrix.size}}", "r-main-2"),
            ("${{ needs.build.outputs.tag }}", "v1"),
            ("${{ vars.UNDEFINED }}", ""),
            ("${{ env['A-B'] }}", "dash"),
            ("${{ fromJSON('[\"a\",\"b\"]') }}", "Array"),
            ("${{ format('{0}/{1}', github.sha, 'x') }}", "abc/x"),
            ("${{ matrix.os == 'GO' && 'yes' || 'no' }}", "yes"),
            ("${{ 'it''s' }}", "it's"),
            ("${{ github.run_id }} and ${{", "7 and ${{"),
            ("${{ join(fromJSON('[1,2]'), '-') }}", "1-2"),
            ("${{ !startsWith(github.ref_name, 'ma') }}", "false"),
        ] {
            assert_eq!(interpolate(text, view).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn conditions_ask_for_success_unless_they_say_otherwise() {
        let contexts = contexts();
        for (text, success, failure) in [
            ("", true, false),
            ("true", true, false),
            ("false", false, false),
            ("always()", true, true),
            ("failure()", false, true),
            ("${{ success() }}", true, false),
            ("github.ref_name == 'main'", true, false),
            ("always() && matrix.os != 'go'", false, false),
            ("failure() || github.sha == 'abc'", true, true),
            ("matrix.size > 1", true, false),
            ("contains(github.sha, 'b') && !cancelled()", true, true),
        ] {
            for (standing, expected) in [(Standing::Success, success), (Standing::Failure, failure)]
            {
                let view = View {
                    contexts: &contexts,
                    standing,
                };
                assert_eq!(condition(text, view), Ok(expected), "{text} {standing:?}");
            }
        }
    }

    #[test]
    fn what_is_beyond_us_is_an_error() {
        let contexts = contexts();
        let view = View {
            contexts: &contexts,
            standing: Standing::Success,
        };
        assert_eq!(
            interpolate("${{ hashFiles('a') }}", view),
            Err(Error::Function("hashFiles".to_owned()))
        );
        assert!(matches!(
            interpolate("${{ 1 + 1 }}", view),
            Err(Error::Syntax { .. })
        ));
    }
}
