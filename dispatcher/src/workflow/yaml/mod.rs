//! YAML as the forges read it: the node tree of Go's `yaml` library (v3 and v4), and its way from
//! nodes to values.

use std::collections::BTreeMap;
use std::rc::Rc;

/// One node with the line where it begins, from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Line in the file, from 1.
    pub line: usize,
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
    Alias(Rc<Node>),
}

/// A scalar as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// Its text, without quotes and with escapes resolved.
    pub text: String,
    /// Whether it was neither quoted nor a block: only such ones mean anything but text.
    pub plain: bool,
    /// Its tag, if it has one: `!!str`, `!Ref`.
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
    /// A text; times of day and dates stay texts.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map: the order is that of its keys, as in Go's printing.
    Map(BTreeMap<String, Value>),
}
