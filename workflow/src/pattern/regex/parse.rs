//! From the text of an expression to a program.
//!
//! The syntax is that of Go's `regexp/syntax` with its Perl flags, less what no pattern can produce:
//! counted repeats, flags, named groups. The program grows at its end; a repeat or an alternative is put
//! before the part that it is about by moving that part, which is why jumps are relative.

use super::class::{self, LAST, Set};
use super::{Assertion, Fault, Op};

type Program = (Vec<Op>, Vec<Set>);

pub(super) fn parse(text: &str) -> Result<Program, Fault> {
    let mut parser = Parser {
        rest: text,
        code: Vec::with_capacity(text.len() + 1),
        sets: Vec::new(),
        groups: vec![Group::default()],
        atom: None,
    };
    while let Some(c) = parser.next() {
        parser.step(c)?;
    }
    parser.finish()
}

struct Parser<'a> {
    rest: &'a str,
    code: Vec<Op>,
    sets: Vec<Set>,
    /// The open groups, the outermost first; the whole expression is one.
    groups: Vec<Group>,
    /// Where the part begins that a repeat would be about.
    atom: Option<Atom>,
}

#[derive(Clone, Copy)]
struct Atom {
    start: usize,
    /// It is a repeat already, and Go wants no second one.
    repeated: bool,
}

/// A group and its alternatives so far.
#[derive(Default)]
struct Group {
    start: usize,
    branch: usize,
    /// The jumps at the ends of finished alternatives: they lead behind the group.
    exits: Vec<usize>,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn step(&mut self, c: char) -> Result<(), Fault> {
        match c {
            '(' if self.rest.starts_with('?') => return Err(Fault::Flags),
            '(' => self.open(),
            '|' => self.alternative(),
            ')' => return self.close(),
            '*' | '+' | '?' => return self.repeat(c),
            '^' => self.push(Op::Assert(Assertion::Begin)),
            '$' => self.push(Op::Assert(Assertion::End)),
            '.' => self.push_set(Set::dot()),
            '[' => {
                let set = self.class()?;
                self.push_set(set);
            }
            '\\' => return self.escape(),
            _ => self.push(Op::Char(c.into())),
        }
        Ok(())
    }

    fn push(&mut self, op: Op) {
        self.atom = Some(Atom {
            start: self.code.len(),
            repeated: false,
        });
        self.code.push(op);
    }

    fn push_set(&mut self, set: Set) {
        let known = self.sets.iter().position(|other| *other == set);
        let at = known.unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        self.push(Op::Set(at));
    }

    fn open(&mut self) {
        let here = self.code.len();
        self.groups.push(Group {
            start: here,
            branch: here,
            exits: Vec::new(),
        });
        self.atom = None;
    }

    fn alternative(&mut self) {
        let Some(group) = self.groups.last_mut() else {
            return;
        };
        let branch = distance(group.branch, self.code.len());
        self.code.insert(group.branch, Op::Split(1, branch + 2));
        group.exits.push(self.code.len());
        self.code.push(Op::Jump(0));
        group.branch = self.code.len();
        self.atom = None;
    }

    fn close(&mut self) -> Result<(), Fault> {
        if self.groups.len() == 1 {
            return Err(Fault::ClosedGroup);
        }
        if let Some(group) = self.groups.pop() {
            self.end(&group);
            self.atom = Some(Atom {
                start: group.start,
                repeated: false,
            });
        }
        Ok(())
    }

    fn end(&mut self, group: &Group) {
        let here = self.code.len();
        for &exit in &group.exits {
            self.code[exit] = Op::Jump(distance(exit, here));
        }
    }

    /// A `?` behind a repeat makes it lazy, which changes what is found but not whether.
    fn repeat(&mut self, c: char) -> Result<(), Fault> {
        let atom = self.atom.ok_or(Fault::NothingToRepeat)?;
        if atom.repeated {
            return Err(Fault::RepeatsRepeat);
        }
        self.rest = self.rest.strip_prefix('?').unwrap_or(self.rest);
        let length = distance(atom.start, self.code.len());
        match c {
            '+' => self.code.push(Op::Split(-length, 1)),
            '*' => {
                self.code.insert(atom.start, Op::Split(1, length + 2));
                self.code.push(Op::Jump(-length - 1));
            }
            _ => self.code.insert(atom.start, Op::Split(1, length + 1)),
        }
        self.atom = Some(Atom {
            start: atom.start,
            repeated: true,
        });
        Ok(())
    }

    /// What follows a `\` outside of `[…]`.
    fn escape(&mut self) -> Result<(), Fault> {
        let Some(letter) = self.rest.chars().next() else {
            return Err(Fault::OpenEscape);
        };
        let assertion = match letter {
            'A' => Some(Assertion::Begin),
            'z' => Some(Assertion::End),
            'b' => Some(Assertion::WordEdge),
            'B' => Some(Assertion::NoWordEdge),
            _ => None,
        };
        let mut ranges = Vec::new();
        if let Some(assertion) = assertion {
            self.next();
            self.push(Op::Assert(assertion));
        } else if letter == 'Q' {
            self.next();
            self.quoted();
        } else if letter == 'p' || letter == 'P' {
            return Err(Fault::UnicodeClass);
        } else if class::add_perl(&mut ranges, letter) {
            self.next();
            self.push_set(Set::new(ranges, false));
        } else {
            let c = self.escaped()?;
            self.push(Op::Char(c));
        }
        Ok(())
    }

    /// `\Q…\E`: as it stands; without an end, all that follows. The last character can be repeated.
    fn quoted(&mut self) {
        let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
        for c in text.chars() {
            self.push(Op::Char(c.into()));
        }
        if let (true, Some(atom)) = (text.is_empty(), self.atom.as_mut()) {
            atom.repeated = false;
        }
        self.rest = rest;
    }

    /// The one character that is meant, with the `\` read already.
    fn escaped(&mut self) -> Result<u32, Fault> {
        let c = self.next().ok_or(Fault::OpenEscape)?;
        match c {
            'a' => Ok(0x07),
            'f' => Ok(0x0C),
            'n' => Ok(0x0A),
            'r' => Ok(0x0D),
            't' => Ok(0x09),
            'v' => Ok(0x0B),
            'x' => self.hexadecimal(),
            '0' => Ok(self.octal(0)),
            '1'..='7' if self.rest.starts_with(|c| ('0'..='7').contains(&c)) => {
                Ok(self.octal(u32::from(c) - u32::from('0')))
            }
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(c.into()),
            _ => Err(Fault::BadEscape),
        }
    }

    /// Up to two octal digits more.
    fn octal(&mut self, first: u32) -> u32 {
        let mut value = first;
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else {
                break;
            };
            value = value * 8 + digit;
            self.next();
        }
        value
    }

    /// `\x41` or `\x{41}`.
    fn hexadecimal(&mut self) -> Result<u32, Fault> {
        if let Some(inner) = self.rest.strip_prefix('{') {
            let (digits, rest) = inner.split_once('}').ok_or(Fault::BadEscape)?;
            self.rest = rest;
            let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
            let digits = digits.trim_start_matches('0');
            return match u32::from_str_radix(if digits.is_empty() { "0" } else { digits }, 16) {
                Ok(value) if is_number && value <= LAST => Ok(value),
                Ok(_) | Err(_) => Err(Fault::BadEscape),
            };
        }
        let mut digit = || self.next().and_then(|c| c.to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => Ok(high * 16 + low),
            (Some(_) | None, _) => Err(Fault::BadEscape),
        }
    }

    /// `[…]`, with the `[` read already. A `]` that comes first is a member; a `-` that can't be a range
    /// is one, too.
    fn class(&mut self) -> Result<Set, Fault> {
        let negated = self.take('^');
        let mut ranges = Vec::new();
        let mut first = true;
        while first || !self.take(']') {
            first = false;
            if let Some((name, rest)) = named(self.rest) {
                self.rest = rest;
                class::add_posix(&mut ranges, name)?;
                continue;
            }
            let mut ahead = self.rest.chars();
            if let (Some('\\'), Some(letter)) = (ahead.next(), ahead.next()) {
                if letter == 'p' || letter == 'P' {
                    return Err(Fault::UnicodeClass);
                }
                if class::add_perl(&mut ranges, letter) {
                    self.rest = ahead.as_str();
                    continue;
                }
            }
            let from = self.member()?;
            let is_range = self.rest.len() >= 2
                && self.rest.starts_with('-')
                && !self.rest.starts_with("-]")
                && self.take('-');
            let to = if is_range { self.member()? } else { from };
            if to < from {
                return Err(Fault::BadRange);
            }
            ranges.push((from, to));
        }
        Ok(Set::new(ranges, negated))
    }

    fn member(&mut self) -> Result<u32, Fault> {
        match self.next() {
            Some('\\') => self.escaped(),
            Some(c) => Ok(c.into()),
            None => Err(Fault::OpenClass),
        }
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn finish(mut self) -> Result<Program, Fault> {
        if let (Some(whole), true) = (self.groups.pop(), self.groups.is_empty()) {
            self.end(&whole);
            self.code.push(Op::Match);
            return Ok((self.code, self.sets));
        }
        Err(Fault::OpenGroup)
    }
}

/// `[:name:]` at the beginning: the name, and what follows.
fn named(rest: &str) -> Option<(&str, &str)> {
    rest.strip_prefix("[:")?.split_once(":]")
}

/// How far it is between two places of a program; a program is never longer than a text in memory.
fn distance(from: usize, to: usize) -> isize {
    isize::try_from(to - from).unwrap_or(isize::MAX)
}
