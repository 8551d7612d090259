//! The tokens that have a text: scalars, anchors and aliases.

use super::Refused;
use super::read::{is_blank, is_blank_or_end, is_break, is_break_or_end};
use super::scan::{Scanner, Token};

/// What a quoted or plain text has behind its last word: blanks, or line breaks, which fold.
#[derive(Default)]
struct Gap {
    blanks: String,
    first_break: String,
    more_breaks: String,
    is_broken: bool,
}

impl Gap {
    /// Puts the gap into the text: one line break is a space, more are one less.
    fn close(&mut self, text: &mut String) {
        if !self.is_broken {
            text.push_str(&self.blanks);
        } else if self.first_break.starts_with('\n') {
            text.push_str(if self.more_breaks.is_empty() {
                " "
            } else {
                &self.more_breaks
            });
        } else {
            text.push_str(&self.first_break);
            text.push_str(&self.more_breaks);
        }
        *self = Self::default();
    }
}

impl Scanner {
    pub(super) fn plain(&mut self) -> Result<(), Refused> {
        let line = self.line;
        let (mut text, mut gap) = (String::new(), Gap::default());
        let mut was_broken = false;
        while self.marker().is_none() && self.peek(0) != '#' {
            while !is_blank_or_end(self.peek(0)) && !self.ends_plain() {
                gap.close(&mut text);
                was_broken = false;
                self.read(&mut text);
            }
            let next = self.peek(0);
            if !is_blank(next) && !is_break(next) {
                break;
            }
            self.gap(&mut gap, true)?;
            was_broken = gap.is_broken;
            if self.flow == 0 && self.is_outdented() {
                break;
            }
        }
        self.push_at(Token::Scalar { text, plain: true }, line);
        self.key_allowed |= was_broken;
        Ok(())
    }

    /// Whether this column is none of the innermost block's own.
    fn is_outdented(&self) -> bool {
        i64::try_from(self.column).is_ok_and(|column| column <= self.indent)
    }

    fn ends_plain(&self) -> bool {
        match self.peek(0) {
            ':' => is_blank_or_end(self.peek(1)),
            '?' => self.flow > 0 && is_blank_or_end(self.peek(1)),
            ',' | '[' | ']' | '{' | '}' => self.flow > 0,
            _ => false,
        }
    }

    /// Blanks and line breaks; in plain texts a tab can't indent.
    fn gap(&mut self, gap: &mut Gap, is_plain: bool) -> Result<(), Refused> {
        loop {
            let next = self.peek(0);
            if is_blank(next) {
                if is_plain && gap.is_broken && self.is_outdented() && next == '\t' {
                    return Err(self.refuse("a tab can't indent; use spaces"));
                }
                if gap.is_broken {
                    self.skip(1);
                } else {
                    self.read(&mut gap.blanks);
                }
            } else if is_break(next) {
                let into = if gap.is_broken {
                    &mut gap.more_breaks
                } else {
                    &mut gap.first_break
                };
                gap.is_broken = true;
                self.read_break(into);
            } else {
                return Ok(());
            }
        }
    }

    pub(super) fn quoted(&mut self) -> Result<(), Refused> {
        let line = self.line;
        let quote = self.peek(0);
        self.skip(1);
        let mut text = String::new();
        loop {
            if self.marker().is_some() || self.peek(0) == '\0' {
                let reason = format!("the text that begins here has no {quote} at its end");
                return Err(Refused::new(line + 1, reason));
            }
            let mut gap = Gap::default();
            while !is_blank_or_end(self.peek(0)) {
                match (quote, self.peek(0), self.peek(1)) {
                    ('\'', '\'', '\'') => {
                        text.push('\'');
                        self.skip(2);
                    }
                    (_, char, _) if char == quote => break,
                    ('"', '\\', next) if is_break(next) => {
                        self.skip(1);
                        self.skip_break();
                        gap.is_broken = true;
                        break;
                    }
                    ('"', '\\', next) => self.escape(next, &mut text)?,
                    _ => self.read(&mut text),
                }
            }
            if self.peek(0) == quote {
                break;
            }
            self.gap(&mut gap, false)?;
            gap.close(&mut text);
        }
        self.skip(1);
        self.push_at(Token::Scalar { text, plain: false }, line);
        Ok(())
    }

    fn escape(&mut self, escaped: char, text: &mut String) -> Result<(), Refused> {
        let digits = match escaped {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits == 0 {
            text.push(match escaped {
                '0' => '\0',
                'a' => '\x07',
                'b' => '\x08',
                't' | '\t' => '\t',
                'n' => '\n',
                'v' => '\x0b',
                'f' => '\x0c',
                'r' => '\r',
                'e' => '\x1b',
                ' ' | '"' | '\'' | '\\' => escaped,
                'N' => '\u{85}',
                '_' => '\u{a0}',
                'L' => '\u{2028}',
                'P' => '\u{2029}',
                _ => {
                    let reason = format!("`\\{escaped}` means nothing; write `\\\\` for a `\\`");
                    return Err(self.refuse(reason));
                }
            });
        }
        self.skip(2);
        if digits > 0 {
            let number = (0..digits).try_fold(0_u32, |number, place| {
                Some(number.checked_mul(16)? + self.peek(place).to_digit(16)?)
            });
            let char = number.and_then(char::from_u32);
            text.push(char.ok_or_else(|| self.refuse("an escape names no character"))?);
            self.skip(digits);
        }
        Ok(())
    }

    /// `|` keeps line breaks, `>` folds them.
    pub(super) fn block_scalar(&mut self) -> Result<(), Refused> {
        let line = self.line;
        let is_literal = self.peek(0) == '|';
        self.skip(1);
        let (chomp, increment) = self.block_header()?;
        let mut indent = match increment {
            Some(increment) => usize::try_from(self.indent).unwrap_or(0) + increment,
            None => 0,
        };
        let (mut text, mut last_break, mut more_breaks) = <(String, String, String)>::default();
        let mut is_after_blank = false;
        self.block_breaks(&mut indent, &mut more_breaks)?;
        while self.column == indent && self.peek(0) != '\0' {
            let is_blank_line = is_blank(self.peek(0));
            if !is_literal && !is_after_blank && !is_blank_line && last_break.starts_with('\n') {
                if more_breaks.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&last_break);
            }
            last_break.clear();
            text.push_str(&more_breaks);
            more_breaks.clear();
            is_after_blank = is_blank_line;
            while !is_break_or_end(self.peek(0)) {
                self.read(&mut text);
            }
            self.read_break(&mut last_break);
            self.block_breaks(&mut indent, &mut more_breaks)?;
        }
        if chomp != Some('-') {
            text.push_str(&last_break);
        }
        if chomp == Some('+') {
            text.push_str(&more_breaks);
        }
        self.push_at(Token::Scalar { text, plain: false }, line);
        Ok(())
    }

    /// `+` or `-` and a digit, in any order, a comment, the end of the line.
    fn block_header(&mut self) -> Result<(Option<char>, Option<usize>), Refused> {
        let mut chomp = self.chomp();
        let increment = self.peek(0).to_digit(10);
        if increment == Some(0) {
            return Err(self.refuse("a block of text can't be indented by 0"));
        }
        if increment.is_some() {
            self.skip(1);
            chomp = chomp.or_else(|| self.chomp());
        }
        while is_blank(self.peek(0)) {
            self.skip(1);
        }
        if self.peek(0) == '#' {
            self.skip_line();
        }
        if is_break(self.peek(0)) {
            self.skip_break();
        } else if self.peek(0) != '\0' {
            return Err(self.refuse("a block of text begins on the line behind its `|` or `>`"));
        }
        Ok((
            chomp,
            increment.and_then(|digit| usize::try_from(digit).ok()),
        ))
    }

    fn chomp(&mut self) -> Option<char> {
        let chomp = Some(self.peek(0)).filter(|char| matches!(char, '+' | '-'));
        if chomp.is_some() {
            self.skip(1);
        }
        chomp
    }

    /// Indentation and empty lines; finds out how far the block is indented, if nothing said it.
    fn block_breaks(&mut self, indent: &mut usize, breaks: &mut String) -> Result<(), Refused> {
        let mut widest = 0;
        loop {
            while (*indent == 0 || self.column < *indent) && self.peek(0) == ' ' {
                self.skip(1);
            }
            widest = widest.max(self.column);
            if (*indent == 0 || self.column < *indent) && self.peek(0) == '\t' {
                return Err(self.refuse("a tab can't indent a block of text; use spaces"));
            }
            if !is_break(self.peek(0)) {
                break;
            }
            self.read_break(breaks);
        }
        if *indent == 0 {
            let least = usize::try_from(self.indent + 1).unwrap_or(0);
            *indent = widest.max(least).max(1);
        }
        Ok(())
    }

    pub(super) fn anchor(&mut self) -> Result<(), Refused> {
        let is_alias = self.peek(0) == '*';
        self.skip(1);
        let mut name = String::new();
        while is_name(self.peek(0)) {
            self.read(&mut name);
        }
        let end = self.peek(0);
        let ends =
            is_blank_or_end(end) || matches!(end, '?' | ':' | ',' | ']' | '}' | '%' | '@' | '`');
        if name.is_empty() || !ends {
            let mark = if is_alias { '*' } else { '&' };
            return Err(self.refuse(format!(
                "a name must follow `{mark}`; put the text in quotes"
            )));
        }
        self.push(if is_alias {
            Token::Alias(name)
        } else {
            Token::Anchor(name)
        });
        Ok(())
    }
}

/// What may be in an anchor's name (Go's v4; v3 takes only letters, digits, `_` and `-`).
fn is_name(char: char) -> bool {
    char.is_ascii_graphic() && !matches!(char, ':' | '[' | ']' | '{' | '}' | ',')
}
