//! Matching: three ways, chosen once per expression, with the same answer.
//!
//! Most patterns are a name, or a beginning and an end with one wildcard between: two comparisons tell.
//! Nearly all others have at most 64 characters and sets: all places where a match may stand are then one
//! number, and each character of the text is a few operations on it. What is left is followed step by
//! step with a set of places. All take time linear in the text, whatever the pattern.

use super::class::Set;
use super::{Assertion, Op};

/// How an expression is matched.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// It begins and ends so, and between is anything without the given byte; without a wildcard nothing
    /// is between.
    Ends {
        prefix: String,
        suffix: String,
        gap: Option<u8>,
    },
    /// All places in one number.
    Places(Box<Places>),
    /// Step by step.
    Steps,
}

impl Plan {
    pub(super) fn of(code: &[Op], sets: &[Set]) -> Self {
        let Some(body) = anchored(code) else {
            return Self::Steps;
        };
        let prefix = prefix(body);
        let suffix = suffix(&body[prefix.chars().count()..]);
        match body[prefix.chars().count()..body.len() - suffix.chars().count()] {
            [] => Self::Ends {
                prefix,
                suffix,
                gap: None,
            },
            [Op::Split(1, 3), Op::Set(set), Op::Jump(-2)] if sets[set].only_gap().is_some() => {
                Self::Ends {
                    prefix,
                    suffix,
                    gap: sets[set].only_gap(),
                }
            }
            _ => Places::of(body, sets, prefix, suffix)
                .map_or(Self::Steps, |places| Self::Places(Box::new(places))),
        }
    }

    /// Most steps that it takes to match `text`.
    pub(super) fn cost(&self, code: &[Op], text: &str) -> u64 {
        let states = match self {
            Self::Ends { .. } => 0,
            Self::Places(places) if between(text, &places.prefix, &places.suffix).is_none() => 0,
            Self::Places(places) => places.takes.len(),
            Self::Steps => code.len(),
        };
        states as u64 * text.len() as u64 + 1
    }

    pub(super) fn matches(&self, code: &[Op], sets: &[Set], text: &str) -> bool {
        match self {
            Self::Ends {
                prefix,
                suffix,
                gap,
            } => between(text, prefix, suffix).is_some_and(|middle| match gap {
                Some(gap) => !middle.as_bytes().contains(gap),
                None => middle.is_empty(),
            }),
            Self::Places(places) => {
                between(text, &places.prefix, &places.suffix).is_some() && places.matches(text)
            }
            Self::Steps => steps(code, sets, text),
        }
    }
}

/// What stands between a beginning and an end that do not overlap.
fn between<'a>(text: &'a str, prefix: &str, suffix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_suffix(suffix)
}

/// The program between `^` and `$`, if they are where they usually are and no other place is asserted.
fn anchored(code: &[Op]) -> Option<&[Op]> {
    let [
        Op::Assert(Assertion::Begin),
        body @ ..,
        Op::Assert(Assertion::End),
        Op::Match,
    ] = code
    else {
        return None;
    };
    let is_plain = |(at, op): (usize, &Op)| match *op {
        Op::Char(_) | Op::Set(_) => true,
        Op::Assert(_) | Op::Match => false,
        Op::Jump(to) => lands_within(at, to, body.len()),
        Op::Split(one, other) => {
            lands_within(at, one, body.len()) && lands_within(at, other, body.len())
        }
    };
    body.iter().enumerate().all(is_plain).then_some(body)
}

fn lands_within(at: usize, by: isize, length: usize) -> bool {
    at.checked_add_signed(by).is_some_and(|to| to <= length)
}

/// The characters that every match begins with.
fn prefix(body: &[Op]) -> String {
    body.iter().map_while(character).collect()
}

/// The characters that every match ends with: no way from elsewhere leads behind the first of them.
fn suffix(body: &[Op]) -> String {
    let mut start = 0;
    for (at, op) in body.iter().enumerate() {
        let ways = match *op {
            Op::Jump(to) => [to, to],
            Op::Split(one, other) => [one, other],
            Op::Char(_) | Op::Set(_) | Op::Assert(_) | Op::Match => continue,
        };
        for to in ways {
            start = start.max(at.saturating_add_signed(to));
        }
        start = start.max(at + 1);
    }
    let tail = body.get(start..).unwrap_or_default();
    let literal = tail.iter().rev().map_while(character).count();
    tail[tail.len() - literal..]
        .iter()
        .map_while(character)
        .collect()
}

fn character(op: &Op) -> Option<char> {
    match *op {
        Op::Char(c) => char::from_u32(c),
        Op::Set(_) | Op::Assert(_) | Op::Split(..) | Op::Jump(_) | Op::Match => None,
    }
}

/// An expression whose places fit in one number: one bit for each character and set in it.
#[derive(Debug, Clone)]
pub(super) struct Places {
    prefix: String,
    suffix: String,
    /// Where a match begins.
    first: u64,
    /// Where it may end.
    last: u64,
    is_empty_a_match: bool,
    /// From each place the places behind it.
    next: Vec<u64>,
    /// Which places take which ASCII character.
    ascii: [u64; 128],
    /// What each place takes, for other characters.
    takes: Vec<Takes>,
}

#[derive(Debug, Clone)]
enum Takes {
    Char(u32),
    Set(Set),
}

impl Takes {
    fn has(&self, c: u32) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::Set(set) => set.has(c),
        }
    }
}

impl Places {
    fn of(body: &[Op], sets: &[Set], prefix: String, suffix: String) -> Option<Self> {
        let mut takes = Vec::new();
        let mut place_of = vec![None; body.len()];
        for (op, place) in body.iter().zip(&mut place_of) {
            let one = match *op {
                Op::Char(c) => Takes::Char(c),
                Op::Set(set) => Takes::Set(sets[set].clone()),
                Op::Assert(_) | Op::Split(..) | Op::Jump(_) | Op::Match => continue,
            };
            *place = Some(takes.len());
            takes.push(one);
        }
        if takes.len() > 64 {
            return None;
        }
        let (first, is_empty_a_match) = reach(body, &place_of, 0);
        let mut next = vec![0; takes.len()];
        let mut last = 0;
        for (at, place) in place_of.iter().enumerate() {
            if let Some(place) = *place {
                let (behind, ends) = reach(body, &place_of, at + 1);
                next[place] = behind;
                last |= u64::from(ends) << place;
            }
        }
        let mut ascii = [0; 128];
        for (bits, c) in ascii.iter_mut().zip(0..) {
            *bits = taking(&takes, c);
        }
        Some(Self {
            prefix,
            suffix,
            first,
            last,
            is_empty_a_match,
            next,
            ascii,
            takes,
        })
    }

    fn matches(&self, text: &str) -> bool {
        let mut chars = text.chars();
        let Some(c) = chars.next() else {
            return self.is_empty_a_match;
        };
        let mut taken = self.first & self.taking(c);
        for c in chars {
            let mut left = taken;
            let mut open = 0;
            while left != 0 {
                open |= self.next[left.trailing_zeros() as usize];
                left &= left - 1;
            }
            taken = open & self.taking(c);
            if taken == 0 {
                return false;
            }
        }
        taken & self.last != 0
    }

    fn taking(&self, c: char) -> u64 {
        match self.ascii.get(c as usize) {
            Some(bits) => *bits,
            None => taking(&self.takes, c.into()),
        }
    }
}

fn taking(takes: &[Takes], c: u32) -> u64 {
    let bit = |(place, takes): (usize, &Takes)| u64::from(takes.has(c)) << place;
    takes
        .iter()
        .enumerate()
        .map(bit)
        .fold(0, |all, bit| all | bit)
}

/// The places that can be reached from a step without taking a character, and whether the end can.
fn reach(body: &[Op], place_of: &[Option<usize>], from: usize) -> (u64, bool) {
    let mut seen = vec![false; body.len() + 1];
    let mut open = vec![from];
    let mut places = 0;
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut seen[at], true) {
            continue;
        }
        match body.get(at) {
            Some(Op::Jump(to)) => open.push(at.saturating_add_signed(*to)),
            Some(Op::Split(one, other)) => {
                open.push(at.saturating_add_signed(*one));
                open.push(at.saturating_add_signed(*other));
            }
            Some(Op::Char(_) | Op::Set(_)) => {
                places |= place_of[at].map_or(0, |place| 1 << place);
            }
            Some(Op::Assert(_) | Op::Match) | None => {}
        }
    }
    (places, seen[body.len()])
}

/// Follows the program through the text with a set of places, each at most once per character.
fn steps(code: &[Op], sets: &[Set], text: &str) -> bool {
    let is_anchored = matches!(code.first(), Some(Op::Assert(Assertion::Begin)));
    let mut here = Here {
        seen: vec![0; code.len()],
        round: 0,
        taking: Vec::new(),
        open: Vec::new(),
    };
    let mut from: Vec<usize> = vec![0];
    let mut before = None;
    let mut chars = text.chars();
    loop {
        let after = chars.next();
        if here.settle(code, &mut from, before, after) {
            return true;
        }
        let Some(c) = after else {
            return false;
        };
        for &at in &here.taking {
            let takes = match code[at] {
                Op::Char(own) => own == u32::from(c),
                Op::Set(set) => sets[set].has(u32::from(c)),
                Op::Assert(_) | Op::Split(..) | Op::Jump(_) | Op::Match => false,
            };
            if takes {
                from.push(at + 1);
            }
        }
        if !is_anchored {
            from.push(0);
        } else if from.is_empty() {
            return false;
        }
        before = Some(c);
    }
}

/// One place between two characters of the text.
struct Here {
    /// The round in which a step was last seen.
    seen: Vec<u32>,
    round: u32,
    /// The steps that wait for the next character.
    taking: Vec<usize>,
    open: Vec<usize>,
}

impl Here {
    /// Goes on from `from` as far as possible without a character; whether that is a match.
    fn settle(
        &mut self,
        code: &[Op],
        from: &mut Vec<usize>,
        before: Option<char>,
        after: Option<char>,
    ) -> bool {
        self.round += 1;
        self.taking.clear();
        self.open.append(from);
        while let Some(at) = self.open.pop() {
            if std::mem::replace(&mut self.seen[at], self.round) == self.round {
                continue;
            }
            match code[at] {
                Op::Char(_) | Op::Set(_) => self.taking.push(at),
                Op::Assert(assertion) if holds(assertion, before, after) => self.open.push(at + 1),
                Op::Assert(_) => {}
                Op::Jump(to) => self.open.push(at.saturating_add_signed(to)),
                Op::Split(one, other) => {
                    self.open.push(at.saturating_add_signed(one));
                    self.open.push(at.saturating_add_signed(other));
                }
                Op::Match => return true,
            }
        }
        false
    }
}

fn holds(assertion: Assertion, before: Option<char>, after: Option<char>) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    match assertion {
        Assertion::Begin => before.is_none(),
        Assertion::End => after.is_none(),
        Assertion::WordEdge => is_word(before) != is_word(after),
        Assertion::NoWordEdge => is_word(before) == is_word(after),
    }
}
