//! What a scalar means (Go's `yaml` v3 and v4, `resolve.go`: YAML 1.2's core with octals, binaries and
//! underscores of YAML 1.1, and dates).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

use super::time;
use super::{Kind, Node, Scalar, Value};

/// What a scalar is, and the bytes of a `!!binary` as text.
pub(super) fn scalar(scalar: &Scalar) -> Result<Value, String> {
    let text = || Value::Text(scalar.text.clone());
    let Some(tag) = scalar.tag.as_deref() else {
        let value = if scalar.plain {
            plain(&scalar.text, true)
        } else {
            text()
        };
        return Ok(value);
    };
    let value = match tag {
        "!!binary" => return base64(&scalar.text).map(Value::Text),
        "!!bool" | "!!int" | "!!float" | "!!null" => plain(&scalar.text, false),
        "!!timestamp" => plain(&scalar.text, true),
        _ => return Ok(text()),
    };
    match (tag, value) {
        ("!!null", value @ Value::Null)
        | ("!!bool", value @ Value::Bool(_))
        | ("!!int", value @ Value::Int(_))
        | ("!!float", value @ Value::Float(_))
        | ("!!timestamp", value @ Value::Time(_)) => Ok(value),
        ("!!float", Value::Int(whole)) if i64::try_from(whole).is_ok() => {
            Ok(Value::Float(as_float(whole)))
        }
        _ => Err(format!("`{}` is no {tag}", scalar.text)),
    }
}

/// Go's `float64` of a whole number.
#[expect(
    clippy::cast_precision_loss,
    reason = "Go's float64(int) loses the same"
)]
pub(crate) fn as_float(whole: i128) -> f64 {
    whole as f64
}

/// Whether a key is a text: a map all of whose keys are is one that the forge's code can use.
pub(super) fn is_text(node: &Node) -> bool {
    match &node.target().kind {
        Kind::Scalar(scalar) => match scalar.tag.as_deref() {
            Some(tag) => tag == "!!str" || tag == "!!merge",
            None => !scalar.plain || matches!(plain(&scalar.text, true), Value::Text(_)),
        },
        Kind::Sequence(_) | Kind::Mapping(_) | Kind::Alias(_) => false,
    }
}

/// Whether a key is the `<<` that merges.
pub(super) fn is_merge(node: &Node) -> bool {
    match &node.kind {
        Kind::Scalar(Scalar { text, plain, tag }) => {
            text == "<<" && tag.as_deref().map_or(*plain, |tag| tag == "!!merge")
        }
        Kind::Sequence(_) | Kind::Mapping(_) | Kind::Alias(_) => false,
    }
}

fn plain(text: &str, with_dates: bool) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        "-0" | "-0.0" => Value::Float(-0.0),
        _ => number(text, with_dates).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

fn number(text: &str, with_dates: bool) -> Option<Value> {
    match text.as_bytes().first()? {
        b'.' => {
            // A `_` may stand between digits here, and only there.
            let between = |at: usize| {
                let digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
                at > 0 && digit(at - 1) && digit(at + 1)
            };
            let fit = text.match_indices('_').all(|(at, _)| between(at));
            fit.then(|| float(&text.replace('_', ""))).flatten()
        }
        b'+' | b'-' | b'0'..=b'9' => {
            if with_dates && let Some(printed) = time::parse(text) {
                return Some(Value::Time(printed));
            }
            let bare = text.replace('_', "");
            whole(&bare).map(Value::Int).or_else(|| float(&bare))
        }
        _ => None,
    }
}

/// Go's `ParseInt` and `ParseUint` with base 0.
fn whole(text: &str) -> Option<i128> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (Some(1), &text[1..]),
        b'-' => (Some(-1), &text[1..]),
        _ => (None, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // Rust takes a sign here, Go took it above.
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(digits, base).ok()? * sign.unwrap_or(1);
    let most = if sign.is_some() {
        i128::from(i64::MAX)
    } else {
        i128::from(u64::MAX)
    };
    (i128::from(i64::MIN)..=most)
        .contains(&value)
        .then_some(value)
}

/// `[-+]? (.digits | digits[.digits]) [e[-+]digits]`, unless it is too large for one.
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            exponent.strip_prefix(['+', '-']).unwrap_or(exponent),
        ),
        None => (unsigned, "0"),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fit = digits(before)
        && digits(after)
        && digits(exponent)
        && !(before.is_empty() && after.is_empty())
        && !exponent.is_empty();
    let value: f64 = fit.then(|| text.parse().ok()).flatten()?;
    value.is_finite().then_some(Value::Float(value))
}

/// Go's `base64.StdEncoding`: line breaks are skipped, the padding must be there, and what is left of the
/// last character does not count.
fn base64(text: &str) -> Result<String, String> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
    let bytes = ENGINE.decode(text.replace(['\n', '\r'], ""));
    let bytes = bytes.map_err(|_| "what is tagged !!binary is not base64".to_owned())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
