//! From characters to tokens (actionlint 1.7, `expr_lexer.go`, which act 0.261 and Forgejo's runner use).

use super::stop::Stop;

/// What the parser sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name: letters, digits, `_` and `-`, and no digit or `-` first.
    Name(&'a str),
    /// A text with its quotes, and `''` for a quote in it.
    Text(&'a str),
    /// A whole number, also `0x…`.
    Whole(&'a str),
    /// Any other number.
    Float(&'a str),
    /// One of `( ) [ ] . * , ! < <= > >= == != && ||`.
    Mark(&'static str),
    /// `}}`: what follows is not looked at.
    End,
}

/// Marks, the longer ones first.
const MARKS: [&str; 16] = [
    "<=", ">=", "==", "!=", "&&", "||", "<", ">", "!", "(", ")", "[", "]", ".", "*", ",",
];

/// Reads tokens from the front of a text.
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>, Stop> {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\r', '\t']);
        let first = self
            .rest
            .chars()
            .next()
            .ok_or_else(|| unfit("it ends too early"))?;
        match first {
            'a'..='z' | 'A'..='Z' | '_' => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                Ok(Token::Name(self.take(prefix(self.rest, is_part))))
            }
            '0'..='9' | '-' => self.number(),
            '\'' => self.text(),
            '}' => {
                let ends = self.rest.starts_with("}}");
                ends.then_some(Token::End)
                    .ok_or_else(|| unfit("a `}` alone ends nothing"))
            }
            other => {
                let mark = MARKS.into_iter().find(|mark| self.rest.starts_with(mark));
                let mark = mark.ok_or_else(|| unfit(format!("`{other}` means nothing here")))?;
                self.take(mark.len());
                Ok(Token::Mark(mark))
            }
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn text(&mut self) -> Result<Token<'a>, Stop> {
        let bytes = self.rest.as_bytes();
        let mut at = 1;
        while at < bytes.len() {
            match bytes[at] {
                b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
                b'\'' => return Ok(Token::Text(self.take(at + 1))),
                // The scanner that the forge uses takes none.
                0 => return Err(unfit("a text has a zero byte")),
                _ => at += 1,
            }
        }
        Err(unfit("a text has no end"))
    }

    /// JSON's numbers without a `+`, and hexadecimal ones; no leading zeros anywhere.
    fn number(&mut self) -> Result<Token<'a>, Stop> {
        let none = || unfit("a number is not one");
        let text = self.rest;
        let mut at = usize::from(text.starts_with('-'));
        if text[at..].starts_with("0x") {
            at += 2;
            at += digits(&text[at..], |c| c.is_ascii_hexdigit()).ok_or_else(none)?;
            return self.ended(at).map(Token::Whole);
        }
        let decimal = |c: char| c.is_ascii_digit();
        at += digits(&text[at..], decimal).ok_or_else(none)?;
        let mut whole = true;
        if text[at..].starts_with('.') {
            let length = prefix(&text[at + 1..], decimal);
            if length == 0 {
                return Err(none());
            }
            at += 1 + length;
            whole = false;
        }
        if text[at..].starts_with(['e', 'E']) {
            at += 1 + usize::from(text[at + 1..].starts_with('-'));
            at += digits(&text[at..], decimal).ok_or_else(none)?;
            whole = false;
        }
        let make = if whole { Token::Whole } else { Token::Float };
        self.ended(at).map(make)
    }

    fn ended(&mut self, length: usize) -> Result<&'a str, Stop> {
        if self.rest[length..].starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(unfit("letters follow a number"));
        }
        Ok(self.take(length))
    }
}

/// The length of one zero, or of digits that do not begin with one.
fn digits(text: &str, is_digit: impl Fn(char) -> bool) -> Option<usize> {
    if text.starts_with('0') {
        return Some(1);
    }
    Some(prefix(text, is_digit)).filter(|length| *length > 0)
}

fn prefix(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

fn unfit(reason: impl Into<String>) -> Stop {
    Stop::Fails(reason.into())
}
