//! From tokens to a tree (actionlint 1.7, `expr_parser.go`).
//!
//! From weak to strong: `||`, `&&`, comparisons, `!`, then `.name`, `.*` and `[…]`. Operators of one
//! strength group to the right: `1 < 2 == true` is `1 < (2 == true)`.

use super::lex::{Lexer, Token};
use super::stop::Stop;

/// Bytes of one expression that are read: names and labels of people are some hundred, and the time that
/// it takes grows with it.
const EXPRESSION_BYTES_MAX: usize = 64 * 1024;

/// How deep brackets, operators and accesses may stand in each other. Every level is a few calls on the
/// stack; what people write has less than ten.
const EXPRESSION_DEPTH_MAX: usize = 80;

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// In lower case.
    Context(String),
    /// Of `a.b` the `b` in lower case.
    Property(Box<Part>, String),
    /// `a[b]`.
    Index(Box<Part>, Box<Part>),
    /// `a.*`.
    All(Box<Part>),
    Not(Box<Part>),
    Compare(Comparison, Box<Part>, Box<Part>),
    And(Box<Part>, Box<Part>),
    Or(Box<Part>, Box<Part>),
    /// In lower case.
    Call(String, Vec<Part>),
}

/// The comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrSame,
    More,
    MoreOrSame,
    Same,
    NotSame,
}

/// Reads an expression up to the first `}}`.
pub(super) fn parse(text: &str) -> Result<Part, Stop> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let reason = format!("an expression is longer than {EXPRESSION_BYTES_MAX} bytes");
        return Err(Stop::Unknown(reason));
    }
    let mut lexer = Lexer::new(text);
    let ahead = lexer.next()?;
    let mut parser = Parser { lexer, ahead };
    let (part, _) = parser.or(0)?;
    if parser.ahead != Token::End {
        return Err(wrong(parser.ahead));
    }
    Ok(part)
}

impl Part {
    /// Whether it calls one of the functions (names in lower case).
    pub(super) fn calls(&self, names: &[&str]) -> bool {
        match self {
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Context(_) => false,
            Self::Property(of, _) | Self::All(of) | Self::Not(of) => of.calls(names),
            Self::Index(one, other)
            | Self::Compare(_, one, other)
            | Self::And(one, other)
            | Self::Or(one, other) => one.calls(names) || other.calls(names),
            Self::Call(name, arguments) => {
                names.contains(&name.as_str()) || arguments.iter().any(|part| part.calls(names))
            }
        }
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: Token<'a>,
}

/// A part and how deep it is.
type Deep = (Part, usize);

impl<'a> Parser<'a> {
    fn step(&mut self) -> Result<Token<'a>, Stop> {
        Ok(std::mem::replace(&mut self.ahead, self.lexer.next()?))
    }

    fn take(&mut self, mark: &'static str) -> Result<bool, Stop> {
        let is = self.ahead == Token::Mark(mark);
        if is {
            self.step()?;
        }
        Ok(is)
    }

    fn expect(&mut self, mark: &'static str) -> Result<(), Stop> {
        if self.take(mark)? {
            return Ok(());
        }
        Err(wrong(self.ahead))
    }

    fn or(&mut self, level: usize) -> Result<Deep, Stop> {
        let one = self.and(level)?;
        if !self.take("||")? {
            return Ok(one);
        }
        let other = self.or(deeper(level)?)?;
        both(one, other, Part::Or)
    }

    fn and(&mut self, level: usize) -> Result<Deep, Stop> {
        let one = self.comparison(level)?;
        if !self.take("&&")? {
            return Ok(one);
        }
        let other = self.and(deeper(level)?)?;
        both(one, other, Part::And)
    }

    fn comparison(&mut self, level: usize) -> Result<Deep, Stop> {
        let one = self.not(level)?;
        let Token::Mark(mark) = self.ahead else {
            return Ok(one);
        };
        let comparison = match mark {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrSame,
            ">" => Comparison::More,
            ">=" => Comparison::MoreOrSame,
            "==" => Comparison::Same,
            "!=" => Comparison::NotSame,
            _ => return Ok(one),
        };
        self.step()?;
        let other = self.comparison(deeper(level)?)?;
        both(one, other, |one, other| {
            Part::Compare(comparison, one, other)
        })
    }

    fn not(&mut self, level: usize) -> Result<Deep, Stop> {
        if self.take("!")? {
            let (of, depth) = self.not(deeper(level)?)?;
            return Ok((Part::Not(Box::new(of)), deeper(depth)?));
        }
        self.access(level)
    }

    fn access(&mut self, level: usize) -> Result<Deep, Stop> {
        let (mut part, mut depth) = self.primary(level)?;
        loop {
            if self.take(".")? {
                let next = self.step()?;
                part = if next == Token::Mark("*") {
                    Part::All(Box::new(part))
                } else if let Token::Name(name) = next {
                    Part::Property(Box::new(part), name.to_lowercase())
                } else {
                    return Err(wrong(next));
                };
            } else if self.take("[")? {
                let (index, index_depth) = self.or(deeper(level)?)?;
                self.expect("]")?;
                part = Part::Index(Box::new(part), Box::new(index));
                depth = depth.max(index_depth);
            } else {
                return Ok((part, depth));
            }
            depth = deeper(depth)?;
        }
    }

    fn primary(&mut self, level: usize) -> Result<Deep, Stop> {
        let part = match self.step()? {
            Token::Name(name) => {
                if self.take("(")? {
                    return self.call(name, level);
                }
                // Unlike names of contexts these are in lower case only.
                match name {
                    "null" => Part::Null,
                    "true" => Part::Bool(true),
                    "false" => Part::Bool(false),
                    name => Part::Context(name.to_lowercase()),
                }
            }
            Token::Text(text) => Part::Text(text[1..text.len() - 1].replace("''", "'")),
            Token::Whole(text) => Part::Int(whole(text)?),
            Token::Float(text) => Part::Float(float(text)?),
            Token::Mark("(") => {
                let (inner, depth) = self.or(deeper(level)?)?;
                self.expect(")")?;
                return Ok((inner, depth));
            }
            other @ (Token::Mark(_) | Token::End) => return Err(wrong(other)),
        };
        Ok((part, 0))
    }

    fn call(&mut self, name: &str, level: usize) -> Result<Deep, Stop> {
        let (mut arguments, mut depth) = (Vec::new(), 0);
        if !self.take(")")? {
            loop {
                let (argument, argument_depth) = self.or(deeper(level)?)?;
                arguments.push(argument);
                depth = depth.max(argument_depth);
                if !self.take(",")? {
                    break;
                }
            }
            self.expect(")")?;
        }
        Ok((Part::Call(name.to_lowercase(), arguments), deeper(depth)?))
    }
}

fn both(
    (one, depth): Deep,
    (other, other_depth): Deep,
    make: impl FnOnce(Box<Part>, Box<Part>) -> Part,
) -> Result<Deep, Stop> {
    let depth = deeper(depth.max(other_depth))?;
    Ok((make(Box::new(one), Box::new(other)), depth))
}

fn deeper(depth: usize) -> Result<usize, Stop> {
    if depth == EXPRESSION_DEPTH_MAX {
        let reason = format!("an expression is more than {EXPRESSION_DEPTH_MAX} levels deep");
        return Err(Stop::Unknown(reason));
    }
    Ok(depth + 1)
}

/// 32 bits are all that the forge reads.
fn whole(text: &str) -> Result<i64, Stop> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16),
        None => digits.parse(),
    };
    value
        .ok()
        .and_then(|value| i32::try_from(value * sign).ok())
        .map(i64::from)
        .ok_or_else(|| Stop::Fails(format!("`{text}` is too large a number")))
}

fn float(text: &str) -> Result<f64, Stop> {
    let value: Option<f64> = text.parse().ok();
    value
        .filter(|value| value.is_finite())
        .ok_or_else(|| Stop::Fails(format!("`{text}` is too large a number")))
}

fn wrong(token: Token<'_>) -> Stop {
    Stop::Fails(match token {
        Token::End => "an expression ends too early".to_owned(),
        Token::Name(text)
        | Token::Text(text)
        | Token::Whole(text)
        | Token::Float(text)
        | Token::Mark(text) => format!("`{text}` can't stand where it does"),
    })
}
