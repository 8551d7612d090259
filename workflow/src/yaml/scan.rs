//! From characters to tokens, as libyaml's scanner and Go's port of it cut them.
//!
//! Two things make it more than cutting. Indentation: a column further right opens a block, one further
//! left ends those in between. And keys without a `?`: whether something is a key shows only at the `:`
//! behind it, so where a key may begin is remembered, and tokens are held back until it is known.

use std::cell::Cell;
use std::collections::VecDeque;

use super::Refused;
use super::read::{Text, is_blank_or_end};

/// How far behind its begin the `:` of a key may stand (YAML 1.2, 7.4.2).
const KEY_CHARS: usize = 1024;

/// Tokens that Go's scanner has in hand beside the next one, for the sake of comments: it notices a
/// mistake that much earlier.
const AHEAD_TOKENS: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    StreamStart,
    StreamEnd,
    Version(u32, u32),
    TagPrefix { handle: String, prefix: String },
    DocumentStart,
    DocumentEnd,
    BlockSequence,
    BlockMapping,
    BlockEnd,
    FlowSequence,
    FlowSequenceEnd,
    FlowMapping,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag { handle: String, suffix: String },
    Scalar { text: String, plain: bool },
}

pub(super) struct Scanner {
    pub(super) text: Text,
    /// Whether a character behind the last valid one was looked at.
    pub(super) looked_behind: Cell<bool>,
    pub(super) at: usize,
    /// From 0.
    pub(super) line: usize,
    pub(super) column: usize,
    /// Line breaks since the last character that is no blank.
    pub(super) newlines: usize,
    tokens: VecDeque<(Token, usize)>,
    taken: usize,
    has_started: bool,
    pub(super) flow: usize,
    /// The column of the innermost block, -1 outside of all.
    pub(super) indent: i64,
    indents: Vec<i64>,
    pub(super) key_allowed: bool,
    /// Where a key may have begun: one place for each flow level.
    keys: Vec<Option<SimpleKey>>,
}

#[derive(Clone, Copy)]
struct SimpleKey {
    /// In block context at the block's own column nothing else can stand there.
    required: bool,
    token: usize,
    at: usize,
    line: usize,
    column: usize,
}

impl Scanner {
    pub(super) fn new(text: Text) -> Self {
        Self {
            text,
            looked_behind: Cell::new(false),
            at: 0,
            line: 0,
            column: 0,
            newlines: 0,
            tokens: VecDeque::new(),
            taken: 0,
            has_started: false,
            flow: 0,
            indent: -1,
            indents: Vec::new(),
            key_allowed: true,
            keys: vec![None],
        }
    }

    /// The next token and its line, from 1.
    pub(super) fn token(&mut self) -> Result<&(Token, usize), Refused> {
        while self.tokens.len() <= AHEAD_TOKENS || self.is_key_open()? {
            let fetched = self.fetch();
            if self.looked_behind.get()
                && let Some(bad) = &self.text.bad
            {
                return Err(bad.clone());
            }
            fetched?;
        }
        Ok(&self.tokens[0])
    }

    /// Takes the next token, which [`Self::token`] has shown.
    pub(super) fn take(&mut self) -> (Token, usize) {
        self.taken += 1;
        self.tokens.pop_front().expect("it was shown")
    }

    /// Whether the next token may still turn out to begin a key.
    fn is_key_open(&mut self) -> Result<bool, Refused> {
        let next = self.taken;
        let is_next = |key: &Option<SimpleKey>| key.is_some_and(|key| key.token == next);
        match self.keys.iter().position(is_next) {
            Some(place) => Ok(self.key(place)?.is_some()),
            None => Ok(false),
        }
    }

    /// The possible key of a flow level, unless it is too far behind by now.
    fn key(&mut self, place: usize) -> Result<Option<SimpleKey>, Refused> {
        let Some(key) = self.keys[place] else {
            return Ok(None);
        };
        if key.line == self.line && key.at + KEY_CHARS >= self.at {
            return Ok(Some(key));
        }
        if key.required {
            return Err(no_colon(key));
        }
        self.keys[place] = None;
        Ok(None)
    }

    fn fetch(&mut self) -> Result<(), Refused> {
        if !self.has_started {
            self.has_started = true;
            self.push(Token::StreamStart);
            return Ok(());
        }
        self.skip_to_token();
        self.unroll(i64::try_from(self.column).unwrap_or(i64::MAX));
        let first = self.peek(0);
        if first == '\0' {
            return self.end();
        }
        if self.column == 0 && first == '%' {
            self.end_blocks()?;
            return self.directive();
        }
        if let Some(marker) = self.marker() {
            self.end_blocks()?;
            let line = self.line;
            self.skip(3);
            self.push_at(marker, line);
            return Ok(());
        }
        self.fetch_content(first)?;
        if !matches!(self.tokens.back(), Some((Token::BlockEntry, _))) {
            self.skip_line_comment();
        }
        Ok(())
    }

    /// The end is a line of its own: no key goes on over it.
    fn end(&mut self) -> Result<(), Refused> {
        if self.column > 0 {
            self.column = 0;
            self.line += 1;
        }
        self.end_blocks()?;
        self.push(Token::StreamEnd);
        Ok(())
    }

    /// `---` and `...` at the begin of a line.
    pub(super) fn marker(&self) -> Option<Token> {
        if self.column != 0 || !is_blank_or_end(self.peek(3)) {
            return None;
        }
        match [self.peek(0), self.peek(1), self.peek(2)] {
            ['-', '-', '-'] => Some(Token::DocumentStart),
            ['.', '.', '.'] => Some(Token::DocumentEnd),
            _ => None,
        }
    }

    fn fetch_content(&mut self, first: char) -> Result<(), Refused> {
        let spaced = is_blank_or_end(self.peek(1));
        match first {
            '[' => self.flow_start(Token::FlowSequence),
            '{' => self.flow_start(Token::FlowMapping),
            ']' => self.flow_end(Token::FlowSequenceEnd),
            '}' => self.flow_end(Token::FlowMappingEnd),
            ',' => self.indicator(Token::FlowEntry, true),
            '-' if spaced => self.block_entry(),
            '?' if spaced => self.explicit_key(),
            ':' if spaced || self.flow > 0 => self.value(),
            '*' | '&' | '!' | '\'' | '"' => {
                self.may_be_key()?;
                self.key_allowed = false;
                match first {
                    '!' => self.tag(),
                    '*' | '&' => self.anchor(),
                    _ => self.quoted(),
                }
            }
            '|' | '>' if self.flow == 0 => {
                self.no_key()?;
                self.key_allowed = true;
                self.block_scalar()
            }
            '-' | '?' | ':' if !spaced => self.fetch_plain(),
            '\t' | '-' | '?' | ':' | '#' | '|' | '>' | '%' | '@' | '`' => {
                let shown = if first == '\t' {
                    "a tab".to_owned()
                } else {
                    format!("`{first}`")
                };
                Err(self.refuse(format!(
                    "nothing can begin with {shown} here; put it in quotes"
                )))
            }
            _ => self.fetch_plain(),
        }
    }

    fn fetch_plain(&mut self) -> Result<(), Refused> {
        self.may_be_key()?;
        self.key_allowed = false;
        self.plain()
    }

    fn flow_start(&mut self, token: Token) -> Result<(), Refused> {
        self.may_be_key()?;
        self.keys.push(None);
        self.flow += 1;
        self.key_allowed = true;
        self.skip(1);
        self.push(token);
        Ok(())
    }

    fn flow_end(&mut self, token: Token) -> Result<(), Refused> {
        self.no_key()?;
        if self.flow > 0 {
            self.flow -= 1;
            self.keys.pop();
        }
        self.key_allowed = false;
        self.skip(1);
        self.push(token);
        Ok(())
    }

    /// One character that is a token; whether a key may follow.
    fn indicator(&mut self, token: Token, key_allowed: bool) -> Result<(), Refused> {
        self.no_key()?;
        self.key_allowed = key_allowed;
        self.skip(1);
        self.push(token);
        Ok(())
    }

    fn block_entry(&mut self) -> Result<(), Refused> {
        let refusal = "a list can't begin with `-` here; begin it on its own line";
        self.begin_block(Token::BlockSequence, refusal)?;
        self.indicator(Token::BlockEntry, true)
    }

    fn explicit_key(&mut self) -> Result<(), Refused> {
        let refusal = "a key can't begin with `?` here; begin it on its own line";
        self.begin_block(Token::BlockMapping, refusal)?;
        self.indicator(Token::Key, self.flow == 0)
    }

    /// Outside of brackets a mark may begin a block, where a key may stand.
    fn begin_block(&mut self, block: Token, refusal: &str) -> Result<(), Refused> {
        if self.flow == 0 {
            if !self.key_allowed {
                return Err(self.refuse(refusal));
            }
            self.roll(self.column, None, block, self.line);
        }
        Ok(())
    }

    fn value(&mut self) -> Result<(), Refused> {
        let place = self.keys.len() - 1;
        if let Some(key) = self.key(place)? {
            let at = key.token.saturating_sub(self.taken);
            self.tokens.insert(at, (Token::Key, key.line + 1));
            self.roll(key.column, Some(at), Token::BlockMapping, key.line);
            self.keys[place] = None;
            self.key_allowed = false;
        } else {
            let refusal = "a second `:` can't stand here; put the text in quotes";
            self.begin_block(Token::BlockMapping, refusal)?;
            self.key_allowed = self.flow == 0;
        }
        self.skip(1);
        self.push(Token::Value);
        Ok(())
    }

    /// What comes now may be a key.
    fn may_be_key(&mut self) -> Result<(), Refused> {
        if !self.key_allowed {
            return Ok(());
        }
        self.no_key()?;
        let here = i64::try_from(self.column).ok();
        let key = SimpleKey {
            required: self.flow == 0 && here == Some(self.indent),
            token: self.taken + self.tokens.len(),
            at: self.at,
            line: self.line,
            column: self.column,
        };
        if let Some(place) = self.keys.last_mut() {
            *place = Some(key);
        }
        Ok(())
    }

    /// What may have been a key was none.
    fn no_key(&mut self) -> Result<(), Refused> {
        match self.keys.last_mut().and_then(Option::take) {
            Some(key) if key.required => Err(no_colon(key)),
            Some(_) | None => Ok(()),
        }
    }

    fn roll(&mut self, column: usize, at: Option<usize>, token: Token, line: usize) {
        let column = i64::try_from(column).unwrap_or(i64::MAX);
        if self.flow > 0 || self.indent >= column {
            return;
        }
        self.indents
            .push(std::mem::replace(&mut self.indent, column));
        let at = at.unwrap_or(self.tokens.len());
        self.tokens.insert(at, (token, line + 1));
    }

    fn unroll(&mut self, column: i64) {
        while self.flow == 0 && self.indent > column {
            self.push(Token::BlockEnd);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    /// Before what ends every block: a marker, a directive, the end.
    fn end_blocks(&mut self) -> Result<(), Refused> {
        self.unroll(-1);
        self.no_key()?;
        self.key_allowed = false;
        Ok(())
    }

    pub(super) fn push(&mut self, token: Token) {
        self.push_at(token, self.line);
    }

    pub(super) fn push_at(&mut self, token: Token, line: usize) {
        self.tokens.push_back((token, line + 1));
    }

    pub(super) fn refuse(&self, reason: impl Into<String>) -> Refused {
        Refused::new(self.line + 1, reason)
    }
}

fn no_colon(key: SimpleKey) -> Refused {
    Refused::new(
        key.line + 1,
        "a `:` is missing behind the key, or it is indented wrongly",
    )
}
