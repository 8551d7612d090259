//! Decoded YAML nodes.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Node, Value};

/// A decoded YAML node.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded<'a> {
    /// Null.
    Nothing,
    /// The node.
    Raw(&'a Node),
    /// What a scalar is.
    Plain(Value),
    /// The items of a list.
    List(Vec<Decoded<'a>>),
    /// The values of a map or record.
    Map(BTreeMap<String, Decoded<'a>>),
    /// A map with keys that are no texts, by what sorts them.
    Keyed(BTreeMap<String, (Value, Decoded<'a>)>),
}

impl<'a> Decoded<'a> {
    /// The value that it is, with nothing as null. Raw nodes have none.
    #[must_use]
    pub fn value(self) -> Value {
        match self {
            Self::Nothing | Self::Raw(_) => Value::Null,
            Self::Plain(value) => value,
            Self::List(items) => Value::List(items.into_iter().map(Self::value).collect()),
            Self::Map(map) => Value::Map(map.into_iter().map(|(k, v)| (k, v.value())).collect()),
            Self::Keyed(map) => {
                let mut pairs: Vec<_> = map.into_values().map(|(k, v)| (k, v.value())).collect();
                pairs.sort_by(|(one, _), (other, _)| order(one, other));
                Value::Keyed(pairs)
            }
        }
    }

    /// The text that it is, or none.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Plain(Value::Text(text)) => text,
            _ => String::new(),
        }
    }

    /// The texts that it has, or none.
    #[must_use]
    pub fn texts(self) -> Vec<String> {
        self.items().into_iter().map(Decoded::text).collect()
    }

    /// The items of a list, or none.
    #[must_use]
    pub fn items(self) -> Vec<Self> {
        match self {
            Self::List(items) => items,
            _ => Vec::new(),
        }
    }

    /// The values of a map, or none.
    #[must_use]
    pub fn fields(self) -> BTreeMap<String, Decoded<'a>> {
        match self {
            Self::Map(map) => map,
            _ => BTreeMap::new(),
        }
    }

    /// The raw node, if it was there.
    #[must_use]
    pub fn raw(self) -> Option<&'a Node> {
        match self {
            Self::Raw(node) => Some(node),
            _ => None,
        }
    }
}

/// Go prints keys of one kind in their order; how kinds follow each other is its own affair.
fn order(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => {
            let is_signed = |whole: &i128| i64::try_from(*whole).is_ok();
            (is_signed(one), one).cmp(&(is_signed(other), other))
        }
        (Value::Float(one), Value::Float(other)) => (!one.is_nan())
            .cmp(&!other.is_nan())
            .then(one.total_cmp(other)),
        (one, other) => sort_key(one).cmp(&sort_key(other)),
    }
}

/// What keys of a map are told apart and sorted by: their kind, then their text.
pub(super) fn sort_key(value: &Value) -> String {
    let kind = match value {
        Value::Null => 0,
        Value::Text(_) => 1,
        Value::Int(whole) if i64::try_from(*whole).is_err() => 2,
        Value::Int(_) => 3,
        Value::Float(_) => 4,
        Value::Bool(_) => 5,
        Value::Time(_) => 6,
        Value::List(_) | Value::Map(_) | Value::Keyed(_) => 7,
    };
    format!("{kind}{value}")
}
