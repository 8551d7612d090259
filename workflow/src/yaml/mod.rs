//! YAML as the forges read it: the node tree of Go's `yaml` library (v3 and v4), and its way from
//! nodes to values.
//!
//! Gitea 1.26 reads with `go.yaml.in/yaml/v4` rc.3, Forgejo and older Gitea with v3: libyaml's rules with
//! changes of their own, which no parser to be had keeps, so that the steps are all here: characters
//! (`read`), tokens (`scan`, `scalar`), events (`events`), nodes ([`parse`]). A node is
//! not a value yet: [`Shape`] says of which type one should be, and it is decoded as Go's decoder does.
//! Files come from strangers: bytes, nodes, depth and what aliases multiply have limits, and what is over
//! one is refused with its reason.

pub(crate) mod blocks;
mod cursor;
mod decode;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each question is about one kind"
)]
mod decoded;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a place in the grammar takes few tokens"
)]
mod events;
mod expand;
mod parse;
mod print;
mod read;
mod resolve;
mod scalar;
mod scan;
mod tag;
mod time;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

pub use decode::Shape;
pub use decoded::Decoded;
pub(crate) use parse::BYTES_MAX;
pub use parse::parse;
pub(crate) use resolve::as_float;

/// Why a file, or a part of it, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct Refused {
    /// The line that it is about, from 1.
    pub line: Option<usize>,
    /// What is wrong, for whoever wrote the file.
    pub reason: String,
    /// Who refuses it.
    pub by: By,
}

/// Who refuses a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The forge: it skips the file, or makes no run of it.
    Forge,
    /// The forge's code panics, and no file of the repository starts anything for this event.
    Panic,
    /// A limit of ours. What the forge makes of it is not known.
    Limit,
}

impl Refused {
    /// The forge refuses it.
    #[must_use]
    pub fn new(line: impl Into<Option<usize>>, reason: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            reason: reason.into(),
            by: By::Forge,
        }
    }

    /// The forge panics at it.
    #[must_use]
    pub fn crash(line: impl Into<Option<usize>>, reason: impl Into<String>) -> Self {
        Self {
            by: By::Panic,
            ..Self::new(line, reason)
        }
    }

    /// It is over a limit of ours.
    #[must_use]
    pub fn limit(line: impl Into<Option<usize>>, reason: impl Into<String>) -> Self {
        Self {
            by: By::Limit,
            ..Self::new(line, reason)
        }
    }
}

/// One node with the line where it begins, from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line in the file, from 1.
    pub line: usize,
    /// Its anchor (`&name`); of an alias the anchor that it refers to.
    pub anchor: Option<Arc<str>>,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A text, not yet resolved to what it means.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Pairs in the order of the file, not merged: a `<<` is a key like any other here.
    Mapping(Vec<(Node, Node)>),
    /// `*name`, and what was anchored. Where the forge looks at a node's kind (`on`, `runs-on`,
    /// `needs`), an alias is none of the others.
    Alias(Arc<Node>),
}

/// A scalar as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// Its text, without quotes and with escapes resolved.
    pub text: String,
    /// Whether it was neither quoted nor a block: only such ones mean anything but text.
    pub plain: bool,
    /// Its tag in the short form, if it has one: `!!str`, `!Ref`. A lone `!` counts as none.
    pub tag: Option<String>,
}

/// A value as Go's decoder makes it of a node where nothing says what it should be.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` and `false` (not `yes` or `on`, which are texts).
    Bool(bool),
    /// A whole number: decimal, `0x`, `0o`, `0b`, and `0755` as octal.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A date with or without a time, as Go prints it: no text to the forge's code.
    Time(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map: the order is that of its keys, as in Go's printing.
    Map(BTreeMap<String, Value>),
    /// A map with a key that is no text, in the order of Go's printing. To the forge's code it is no
    /// map: where that expects one, it refuses or panics.
    Keyed(Vec<(Value, Value)>),
}

impl From<&Value> for serde_json::Value {
    /// As JSON has it: what is no number there is a text.
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => serde_json::Number::from_i128(*value)
                .map_or_else(|| Self::String(value.to_string()), Self::Number),
            Value::Float(value) => Self::from(*value),
            Value::Text(text) | Value::Time(text) => Self::String(text.clone()),
            Value::List(items) => items.iter().map(Self::from).collect(),
            Value::Map(map) => {
                let pairs = map.iter();
                pairs
                    .map(|(key, value)| (key.clone(), Self::from(value)))
                    .collect()
            }
            Value::Keyed(pairs) => {
                let pairs = pairs.iter();
                pairs
                    .map(|(key, value)| (key.to_string(), Self::from(value)))
                    .collect()
            }
        }
    }
}

impl Value {
    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }
}

impl Node {
    /// How many nodes it has, itself among them. What an alias leads to is no part of it.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar(_) | Kind::Alias(_) => 0,
            Kind::Sequence(items) => items.iter().map(Self::count).sum::<usize>(),
            Kind::Mapping(pairs) => pairs
                .iter()
                .map(|(key, value)| key.count() + value.count())
                .sum(),
        }
    }

    /// Whether it is this text, as it is written.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        matches!(&self.kind, Kind::Scalar(own) if own.text == text)
    }

    /// The value of a key as it is written, in a map in which nothing is merged yet.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Kind::Mapping(pairs) = &self.kind else {
            return None;
        };
        let (_, value) = pairs.iter().find(|(key, _)| key.is(name))?;
        Some(value)
    }

    /// A quoted text.
    #[must_use]
    pub fn quoted(text: &str, line: usize) -> Self {
        Self {
            line,
            anchor: None,
            kind: Kind::Scalar(Scalar {
                text: text.to_owned(),
                plain: false,
                tag: None,
            }),
        }
    }

    /// The first alias in it whose anchor does not stand before it, in it or among `anchors`.
    pub(crate) fn loose_alias<'a>(&'a self, anchors: &mut HashSet<&'a str>) -> Option<&'a Self> {
        let name = self.anchor.as_deref();
        if let Kind::Alias(_) = self.kind {
            let is_loose = name.is_none_or(|name| !anchors.contains(name));
            return is_loose.then_some(self);
        }
        anchors.extend(name);
        match &self.kind {
            Kind::Scalar(_) | Kind::Alias(_) => None,
            Kind::Sequence(items) => items.iter().find_map(|item| item.loose_alias(anchors)),
            Kind::Mapping(pairs) => pairs.iter().find_map(|(key, value)| {
                let in_key = key.loose_alias(anchors);
                in_key.or_else(|| value.loose_alias(anchors))
            }),
        }
    }

    /// What stands for the target of an alias that is inside what it repeats.
    fn endless(line: usize) -> Self {
        Self {
            line,
            anchor: None,
            kind: Kind::Scalar(Scalar {
                text: String::new(),
                plain: false,
                tag: Some(ENDLESS.to_owned()),
            }),
        }
    }

    fn is_endless(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(own) if own.tag.as_deref() == Some(ENDLESS))
    }

    /// The node behind an alias, or the node itself.
    #[must_use]
    pub fn target(&self) -> &Self {
        match &self.kind {
            Kind::Alias(target) => target,
            Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_) => self,
        }
    }
}

/// A tag that no file can write.
const ENDLESS: &str = "";

#[cfg(test)]
mod tests;
