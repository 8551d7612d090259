//! The words of an expression, one after another.

use super::path::{Path, Step};
use super::references::References;
use super::reserved::is_reserved;

/// Longest expression.
const BYTES_MAX: usize = 4096;

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Name,
    Value,
    Digits,
    Symbol,
}

#[derive(Debug, Clone, Copy)]
struct Token<'t> {
    kind: Kind,
    text: &'t str,
    start: usize,
}

impl Token<'_> {
    const fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// An expression that is being read.
#[derive(Debug)]
pub(super) struct Tokens<'t> {
    text: &'t str,
    all: Vec<Token<'t>>,
    at: usize,
    references: References,
}

impl<'t> Tokens<'t> {
    pub(super) fn of(text: &'t str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!(
                "Expression size has exceeded the maximum allowed size; expression size: {}",
                text.len()
            ));
        }
        if text.trim().is_empty() {
            return Err("The expression can not be empty;".to_owned());
        }
        let mut tokens = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let start = text.len() - rest.len();
            let (kind, length) = measured(rest, first);
            let token = Token {
                kind,
                text: &rest[..length],
                start,
            };
            tokens.push(token);
            rest = rest[length..].trim_start();
        }
        Ok(Self {
            text,
            all: tokens,
            at: 0,
            references: References::default(),
        })
    }

    /// What it refers to, once all of it is read.
    pub(super) fn finished(self) -> Result<References, String> {
        if self.is_at_end() {
            Ok(self.references)
        } else {
            Err(self.syntax_error())
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.all.len()
    }

    /// That it can't go on like this.
    pub(super) fn syntax_error(&self) -> String {
        let token = self.all.get(self.at);
        let start = self.at.checked_sub(1).unwrap_or(self.at);
        let start = self.all[start].start;
        let end = self.all.get(self.at + 1).or(token);
        let end = end.map_or(self.text.len(), Token::end);
        format!(
            "Syntax error; token: \"{}\", near: \"{}\"",
            token.map_or("<EOF>", |token| token.text),
            &self.text[start..end]
        )
    }

    /// Whether the next word is this symbol, which is then taken.
    pub(super) fn takes(&mut self, symbol: &str) -> bool {
        let found = self.peek(0, Kind::Symbol) == Some(symbol);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.takes(symbol) {
            Ok(())
        } else {
            Err(self.syntax_error())
        }
    }

    /// Whether the next word is this keyword, which is then taken.
    pub(super) fn takes_keyword(&mut self, keyword: &str) -> bool {
        let word = self.peek(0, Kind::Word);
        let found = word.is_some_and(|word| word.eq_ignore_ascii_case(keyword));
        self.at += usize::from(found);
        found
    }

    /// The name of the function that comes next, if one does; it is taken with its parenthesis.
    pub(super) fn takes_function(&mut self) -> Option<&'t str> {
        let name = self.peek(0, Kind::Word)?;
        self.peek(1, Kind::Symbol).filter(|next| *next == "(")?;
        self.at += 2;
        Some(name)
    }

    /// The value that comes next, if one does.
    pub(super) fn takes_value(&mut self) -> Option<String> {
        let value = self.peek(0, Kind::Value)?.to_owned();
        self.at += 1;
        self.references.values.insert(value.clone());
        Some(value)
    }

    /// The path that comes next.
    pub(super) fn path(&mut self) -> Result<Path, String> {
        let mut steps = vec![self.step()?];
        loop {
            if self.takes(".") {
                steps.push(self.step()?);
            } else if self.takes("[") {
                let digits = self.peek(0, Kind::Digits);
                let index = digits.and_then(|digits| digits.parse().ok());
                steps.push(Step::Index(index.ok_or_else(|| self.syntax_error())?));
                self.at += 1;
                self.expect("]")?;
            } else {
                return Ok(Path(steps));
            }
        }
    }

    fn step(&mut self) -> Result<Step, String> {
        if let Some(name) = self.peek(0, Kind::Name) {
            self.at += 1;
            self.references.names.insert(name.to_owned());
            return Ok(Step::Placeholder(name.to_owned()));
        }
        let word = self.peek(0, Kind::Word);
        let word = word.ok_or_else(|| self.syntax_error())?;
        if is_reserved(word) {
            return Err(format!(
                "Attribute name is a reserved keyword; reserved keyword: {word}"
            ));
        }
        self.at += 1;
        Ok(Step::Name(word.to_owned()))
    }

    /// Refuses parentheses around nothing but what has parentheses itself.
    pub(super) fn refuse_redundant_parentheses(&self) -> Result<(), String> {
        for open in 0..self.all.len() {
            let is_group = self.is_symbol(open, "(") && self.is_symbol(open + 1, "(");
            let before = open.checked_sub(1).map(|before| &self.all[before]);
            let is_call = before.is_some_and(|before| {
                before.kind == Kind::Word
                    && !["AND", "OR", "NOT", "BETWEEN"]
                        .iter()
                        .any(|word| before.text.eq_ignore_ascii_case(word))
            });
            if is_group && !is_call && self.closes(open + 1) + 1 == self.closes(open) {
                return Err("The expression has redundant parentheses;".to_owned());
            }
        }
        Ok(())
    }

    /// Where the parenthesis at `open` is closed.
    fn closes(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.all.len() {
            depth += usize::from(self.is_symbol(at, "("));
            depth -= usize::from(self.is_symbol(at, ")"));
            if depth == 0 {
                return at;
            }
        }
        self.all.len()
    }

    fn is_symbol(&self, at: usize, symbol: &str) -> bool {
        let token = self.all.get(at);
        token.is_some_and(|token| token.kind == Kind::Symbol && token.text == symbol)
    }

    fn peek(&self, ahead: usize, kind: Kind) -> Option<&'t str> {
        let token = self.all.get(self.at + ahead)?;
        (token.kind == kind).then_some(token.text)
    }
}

/// The kind of the word that `rest` begins with, and how long it is.
fn measured(rest: &str, first: char) -> (Kind, usize) {
    let run = |from: usize, goes_on: fn(char) -> bool| {
        let end = rest[from..].find(|one| !goes_on(one));
        end.map_or(rest.len(), |end| from + end)
    };
    let is_of_word = |one: char| one.is_ascii_alphanumeric() || one == '_';
    match first {
        '#' => (Kind::Name, run(1, is_of_word)),
        ':' => (Kind::Value, run(1, is_of_word)),
        '0'..='9' => (Kind::Digits, run(0, |one| one.is_ascii_digit())),
        'a'..='z' | 'A'..='Z' | '_' => (Kind::Word, run(0, is_of_word)),
        '<' if rest.starts_with("<>") || rest.starts_with("<=") => (Kind::Symbol, 2),
        '>' if rest.starts_with(">=") => (Kind::Symbol, 2),
        _ => (Kind::Symbol, first.len_utf8()),
    }
}
