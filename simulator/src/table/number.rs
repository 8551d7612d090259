//! Numbers as DynamoDB has them: decimal, of 38 digits, from 1E-130 to 9.9E+125. Equal numbers are the
//! same value, however they were written.

use std::cmp::Ordering;
use std::fmt;

/// Most digits that count.
const DIGITS_MAX: u32 = 38;
/// Exponent of the first digit of the greatest number.
const EXPONENT_MAX: i64 = 125;
/// Exponent of the first digit of the smallest number that is not zero.
const EXPONENT_MIN: i64 = -130;

/// A number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    /// Without zeros at its end.
    coefficient: i128,
    exponent: i32,
}

/// Why a text or a result is no number of DynamoDB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NumberError {
    #[error("The parameter cannot be converted to a numeric value: {0}")]
    Text(String),
    #[error(
        "Number overflow. Attempting to store a number with magnitude larger than supported range"
    )]
    Overflow,
    #[error(
        "Number underflow. Attempting to store a number with magnitude smaller than supported range"
    )]
    Underflow,
    #[error("Attempting to store more than 38 significant digits in a Number")]
    Digits,
}

impl Number {
    /// Nothing.
    pub(super) const ZERO: Self = Self {
        coefficient: 0,
        exponent: 0,
    };

    pub(super) fn parse(text: &str) -> Result<Self, NumberError> {
        let broken = || NumberError::Text(text.to_owned());
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            None => (unsigned, 0),
            Some((mantissa, exponent)) => (mantissa, exponent.parse().map_err(|_| broken())?),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(broken());
        }
        let mut coefficient = 0;
        let mut digits = 0;
        let mut zeros = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            match byte {
                b'0' if coefficient == 0 => {}
                b'0' => zeros += 1,
                b'1'..=b'9' => {
                    digits += zeros + 1;
                    if digits > DIGITS_MAX {
                        return Err(NumberError::Digits);
                    }
                    coefficient = coefficient * power_of_ten(zeros + 1) + i128::from(byte - b'0');
                    zeros = 0;
                }
                _ => return Err(broken()),
            }
        }
        let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
        let exponent = i64::saturating_sub(exponent, places).saturating_add(i64::from(zeros));
        let sign = if text.starts_with('-') { -1 } else { 1 };
        Self::within_range(sign * coefficient, exponent)
    }

    /// Their sum, if it is a number again.
    pub(super) fn add(self, other: Self) -> Result<Self, NumberError> {
        if other.coefficient == 0 {
            return Ok(self);
        }
        if self.coefficient == 0 {
            return Ok(other);
        }
        let exponent = self.exponent.min(other.exponent);
        let sum = self
            .coefficient_at(exponent)
            .zip(other.coefficient_at(exponent))
            .and_then(|(one, two)| one.checked_add(two));
        // What does not fit has more digits than count.
        let mut coefficient = sum.ok_or(NumberError::Digits)?;
        let mut exponent = i64::from(exponent);
        while coefficient != 0 && coefficient % 10 == 0 {
            coefficient /= 10;
            exponent += 1;
        }
        if digits_of(coefficient) > DIGITS_MAX {
            return Err(NumberError::Digits);
        }
        Self::within_range(coefficient, exponent)
    }

    /// Their difference, if it is a number again.
    pub(super) fn subtract(self, other: Self) -> Result<Self, NumberError> {
        self.add(Self {
            coefficient: -other.coefficient,
            ..other
        })
    }

    /// What it counts of an item's size: a byte for two digits, and one or two.
    pub(super) fn bytes(self) -> usize {
        if self.coefficient == 0 {
            return 1;
        }
        let odd_end = u32::from(self.exponent % 2 != 0);
        let pairs = (digits_of(self.coefficient) + odd_end).div_ceil(2);
        1 + pairs as usize + usize::from(self.coefficient < 0)
    }

    /// As a count; `None` where it is negative, broken or too large.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        (self.exponent >= 0)
            .then(|| self.coefficient_at(0))
            .flatten()
            .and_then(|whole| u64::try_from(whole).ok())
    }

    fn within_range(coefficient: i128, exponent: i64) -> Result<Self, NumberError> {
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        let first = exponent.saturating_add(i64::from(digits_of(coefficient)) - 1);
        if first > EXPONENT_MAX {
            return Err(NumberError::Overflow);
        }
        if first < EXPONENT_MIN {
            return Err(NumberError::Underflow);
        }
        Ok(Self {
            coefficient,
            exponent: i32::try_from(exponent).expect("within some 200 of zero"),
        })
    }

    /// Its coefficient with a lower exponent; `None` where it is too large.
    fn coefficient_at(self, exponent: i32) -> Option<i128> {
        let shift = u32::try_from(self.exponent - exponent).ok()?;
        (shift <= DIGITS_MAX)
            .then(|| self.coefficient.checked_mul(power_of_ten(shift)))
            .flatten()
    }

    /// Exponent of its first digit.
    fn magnitude(self) -> i64 {
        i64::from(self.exponent) + i64::from(digits_of(self.coefficient))
    }
}

fn power_of_ten(exponent: u32) -> i128 {
    10_i128.pow(exponent)
}

fn digits_of(coefficient: i128) -> u32 {
    coefficient
        .unsigned_abs()
        .checked_ilog10()
        .map_or(1, |log| log + 1)
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.coefficient.signum().cmp(&other.coefficient.signum());
        if signs != Ordering::Equal || self.coefficient == 0 {
            return signs;
        }
        let sizes = self.magnitude().cmp(&other.magnitude()).then_with(|| {
            let exponent = self.exponent.min(other.exponent);
            let at = |one: &Self| one.coefficient_at(exponent).map(i128::unsigned_abs);
            at(self).cmp(&at(other))
        });
        if self.coefficient < 0 {
            sizes.reverse()
        } else {
            sizes
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Without an exponent, as DynamoDB gives it back.
impl fmt::Display for Number {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.exponent == 0 {
            return write!(to, "{}", self.coefficient);
        }
        let sign = if self.coefficient < 0 { "-" } else { "" };
        let digits = self.coefficient.unsigned_abs().to_string();
        let zeros = self.exponent.unsigned_abs() as usize;
        if self.exponent > 0 {
            return write!(to, "{sign}{digits}{:0<zeros$}", "");
        }
        let digits = format!("{digits:0>width$}", width = zeros + 1);
        let (whole, fraction) = digits.split_at(digits.len() - zeros);
        write!(to, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_kept_as_they_are_given_back() {
        let nines = "9".repeat(38);
        for (text, kept) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.000", "0"),
            ("+7", "7"),
            ("007", "7"),
            ("1796088096695", "1796088096695"),
            ("18446744073709551615", "18446744073709551615"),
            ("-1.50", "-1.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("120", "120"),
            ("1e3", "1000"),
            ("12E-4", "0.0012"),
            ("100e-2", "1"),
            (&nines, &nines),
        ] {
            assert_eq!(number(text).to_string(), kept, "{text}");
        }
        assert_eq!(number("1E125").to_string().len(), 126);
        assert_eq!(number("1E-130").to_string().len(), 132);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1_000",
            " 1",
            "1 ",
            "0x1",
            "NaN",
            "Infinity",
            "1,5",
            "--1",
            "1e5.5",
            "1e99999999999999999999",
        ] {
            assert_eq!(
                Number::parse(text),
                Err(NumberError::Text(text.to_owned())),
                "{text}"
            );
        }
        let digits = format!("1{}1", "0".repeat(37));
        assert_eq!(Number::parse(&digits), Err(NumberError::Digits));
        assert_eq!(Number::parse("1e126"), Err(NumberError::Overflow));
        assert_eq!(Number::parse("-1e126"), Err(NumberError::Overflow));
        assert_eq!(Number::parse("1e-131"), Err(NumberError::Underflow));
        assert_eq!(
            Number::parse("1e9223372036854775807"),
            Err(NumberError::Overflow)
        );
    }

    #[test]
    fn numbers_are_in_order() {
        let texts = [
            "-1e125", "-20", "-19.5", "-2", "-1e-130", "0", "1e-130", "0.1", "0.11", "1", "9",
            "10", "11", "1e10", "1e125",
        ];
        let numbers: Vec<Number> = texts.into_iter().map(number).collect();
        for (index, one) in numbers.iter().enumerate() {
            for (other_index, other) in numbers.iter().enumerate() {
                assert_eq!(one.cmp(other), index.cmp(&other_index), "{one} {other}");
            }
        }
        assert_eq!(number("1.0"), number("100e-2"));
    }

    #[test]
    fn sums_are_exact_or_refused() {
        for (one, two, sum) in [
            ("1", "2", "3"),
            ("9", "1", "10"),
            ("0.1", "0.2", "0.3"),
            ("1e20", "1", "100000000000000000001"),
            ("5", "-5", "0"),
            ("0", "-5", "-5"),
        ] {
            assert_eq!(number(one).add(number(two)), Ok(number(sum)), "{one} {two}");
            assert_eq!(number(sum).subtract(number(two)), Ok(number(one)));
        }
        let refused = [
            ("1e125", "1", NumberError::Digits),
            ("1e38", "1", NumberError::Digits),
            ("9e125", "9e125", NumberError::Overflow),
            ("1.1e-129", "-1e-129", NumberError::Underflow),
        ];
        for (one, two, why) in &refused[..3] {
            assert_eq!(number(one).add(number(two)), Err(why.clone()), "{one}");
        }
        assert_eq!(
            number("1.1e-129").add(number("-1e-129")),
            Ok(number("1e-130"))
        );
        let nines = number(&"9".repeat(38));
        assert_eq!(nines.add(number("1")), Ok(number("1e38")));
        assert_eq!(nines.add(number("2")), Err(NumberError::Digits));
    }

    #[test]
    fn numbers_have_sizes_and_counts() {
        for (text, bytes, count) in [
            ("0", 1, Some(0)),
            ("7", 2, Some(7)),
            ("10", 2, Some(10)),
            ("123", 3, Some(123)),
            ("-123", 4, None),
            ("0.5", 2, None),
            ("1796088096695", 8, Some(1_796_088_096_695)),
            ("1e30", 2, None),
        ] {
            assert_eq!(number(text).bytes(), bytes, "{text}");
            assert_eq!(number(text).as_u64(), count, "{text}");
        }
    }
}
