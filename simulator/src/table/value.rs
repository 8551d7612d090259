//! Items and what their attributes hold. Binary values are not known here: nothing of ours writes one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::number::Number;

/// Deepest nesting of a value, its attribute included.
pub(super) const LEVELS_MAX: usize = 32;

/// An item, by the names of its attributes.
pub type Item = BTreeMap<String, Value>;

/// What an attribute holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    S(String),
    /// A number.
    N(Number),
    /// Yes or no.
    Bool(bool),
    /// Nothing.
    Null,
    /// A set of texts.
    Ss(BTreeSet<String>),
    /// A set of numbers.
    Ns(BTreeSet<Number>),
    /// A list.
    L(Vec<Value>),
    /// A map.
    M(Item),
}

/// The types that a value can have, in DynamoDB's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    S,
    N,
    Bool,
    Null,
    Ss,
    Ns,
    L,
    M,
}

impl Type {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::Ss => "SS",
            Self::Ns => "NS",
            Self::L => "L",
            Self::M => "M",
        }
    }

    pub(super) const fn long_word(self) -> &'static str {
        match self {
            Self::S => "STRING",
            Self::N => "NUMBER",
            Self::Bool => "BOOLEAN",
            Self::Null => "NULL",
            Self::Ss => "STRING SET",
            Self::Ns => "NUMBER SET",
            Self::L => "LIST",
            Self::M => "MAP",
        }
    }

    /// Whether its values are less and more than another.
    pub(super) const fn is_ordered(self) -> bool {
        matches!(self, Self::S | Self::N)
    }
}

impl Value {
    /// Its text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::S(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// Its number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<Number> {
        if let Self::N(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The number of something.
    pub(super) fn count(count: usize) -> Self {
        let number = Number::parse(&count.to_string());
        Self::N(number.expect("a count has few digits"))
    }

    pub(super) const fn kind(&self) -> Type {
        match self {
            Self::S(_) => Type::S,
            Self::N(_) => Type::N,
            Self::Bool(_) => Type::Bool,
            Self::Null => Type::Null,
            Self::Ss(_) => Type::Ss,
            Self::Ns(_) => Type::Ns,
            Self::L(_) => Type::L,
            Self::M(_) => Type::M,
        }
    }

    /// Which of two is greater; `None` where their types have no order.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::S(one), Self::S(two)) => Some(one.cmp(two)),
            (Self::N(one), Self::N(two)) => Some(one.cmp(two)),
            _ => None,
        }
    }

    /// What `size(…)` says; `None` for what has no size.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::S(text) => Some(text.encode_utf16().count()),
            Self::Ss(set) => Some(set.len()),
            Self::Ns(set) => Some(set.len()),
            Self::L(list) => Some(list.len()),
            Self::M(map) => Some(map.len()),
            Self::N(_) | Self::Bool(_) | Self::Null => None,
        }
    }

    /// What it counts of an item's size.
    fn bytes(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(number) => number.bytes(),
            Self::Bool(_) | Self::Null => 1,
            Self::Ss(set) => set.iter().map(String::len).sum(),
            Self::Ns(set) => set.iter().map(|one| one.bytes()).sum(),
            Self::L(list) => 3 + list.iter().map(|one| 1 + one.bytes()).sum::<usize>(),
            Self::M(map) => 3 + map.len() + bytes_of(map),
        }
    }

    pub(super) fn is_deeper_than(&self, levels: usize) -> bool {
        if levels == 0 {
            return true;
        }
        match self {
            Self::L(list) => list.iter().any(|one| one.is_deeper_than(levels - 1)),
            Self::M(map) => map.values().any(|one| one.is_deeper_than(levels - 1)),
            Self::S(_) | Self::N(_) | Self::Bool(_) | Self::Null | Self::Ss(_) | Self::Ns(_) => {
                false
            }
        }
    }

    fn write_json(&self, to: &mut String) {
        to.push_str("{\"");
        to.push_str(self.kind().word());
        to.push_str("\":");
        match self {
            Self::S(text) => write_text(text, to),
            Self::N(number) => written(to, format_args!("\"{number}\"")),
            Self::Bool(flag) => written(to, format_args!("{flag}")),
            Self::Null => to.push_str("true"),
            Self::Ss(set) => write_list(set, to, |text, to| write_text(text, to)),
            Self::Ns(set) => write_list(set, to, |one, to| written(to, format_args!("\"{one}\""))),
            Self::L(list) => write_list(list, to, Self::write_json),
            Self::M(map) => write_item(map, to),
        }
        to.push('}');
    }
}

/// What an item counts: its names and values.
pub(super) fn bytes_of(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value.bytes())
        .sum()
}

/// Whether a value of `item` is nested too deep.
pub(super) fn is_too_deep(item: &Item) -> bool {
    item.values().any(|value| value.is_deeper_than(LEVELS_MAX))
}

/// Writes an item, its attributes in the order of their names.
pub(super) fn write_item(item: &Item, to: &mut String) {
    to.push('{');
    for (index, (name, value)) in item.iter().enumerate() {
        if index > 0 {
            to.push(',');
        }
        write_text(name, to);
        to.push(':');
        value.write_json(to);
    }
    to.push('}');
}

fn write_list<T>(
    list: impl IntoIterator<Item = T>,
    to: &mut String,
    write: impl Fn(T, &mut String),
) {
    to.push('[');
    for (index, one) in list.into_iter().enumerate() {
        if index > 0 {
            to.push(',');
        }
        write(one, to);
    }
    to.push(']');
}

/// Writes a text of JSON.
pub(super) fn write_text(text: &str, to: &mut String) {
    to.push('"');
    if text
        .bytes()
        .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
    {
        to.push_str(text);
    } else {
        for one in text.chars() {
            match one {
                '"' => to.push_str("\\\""),
                '\\' => to.push_str("\\\\"),
                '\n' => to.push_str("\\n"),
                '\0'..=' ' if one != ' ' => written(to, format_args!("\\u{:04x}", u32::from(one))),
                _ => to.push(one),
            }
        }
    }
    to.push('"');
}

/// Writes what is formatted.
pub(super) fn written(to: &mut String, what: fmt::Arguments<'_>) {
    to.write_fmt(what)
        .expect("a text takes whatever is written");
}
