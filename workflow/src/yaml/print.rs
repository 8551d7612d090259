//! Values as Go's `fmt.Sprint` prints them: names of jobs are made of it.

use std::fmt::{self, Display, Formatter};

use super::Value;

impl Display for Value {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => to.write_str("<nil>"),
            Self::Bool(value) => write!(to, "{value}"),
            Self::Int(value) => write!(to, "{value}"),
            Self::Float(value) => to.write_str(&float(*value)),
            Self::Time(text) | Self::Text(text) => to.write_str(text),
            Self::List(items) => {
                to.write_str("[")?;
                for (place, item) in items.iter().enumerate() {
                    let gap = if place == 0 { "" } else { " " };
                    write!(to, "{gap}{item}")?;
                }
                to.write_str("]")
            }
            Self::Map(map) => pairs(to, map.iter()),
            Self::Keyed(map) => pairs(to, map.iter().map(|(key, value)| (key, value))),
        }
    }
}

fn pairs<'a, K: Display>(
    to: &mut Formatter<'_>,
    pairs: impl Iterator<Item = (K, &'a Value)>,
) -> fmt::Result {
    to.write_str("map[")?;
    for (place, (key, value)) in pairs.enumerate() {
        let gap = if place == 0 { "" } else { " " };
        write!(to, "{gap}{key}:{value}")?;
    }
    to.write_str("]")
}

/// Exponents below and from here on are written as such (Go's `%v` of a float64).
const PLAIN_EXPONENTS: std::ops::Range<i32> = -4..6;

fn float(value: f64) -> String {
    if !value.is_finite() {
        let sign = if value < 0.0 { "-Inf" } else { "+Inf" };
        return if value.is_nan() { "NaN" } else { sign }.to_owned();
    }
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest
        .split_once('e')
        .expect("a number in this form has its exponent");
    match exponent.parse() {
        Ok(exponent) if PLAIN_EXPONENTS.contains(&exponent) => value.to_string(),
        _ => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}
