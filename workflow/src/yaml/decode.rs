//! From nodes to what is wanted of them, as Go's `yaml` v4 decodes into a struct.
//!
//! One walk serves every use: what a file must look like is a [`Shape`], and both the forge's structs
//! (`document`) and single values ([`Node::value`], [`Node::text`]) are shapes. One mistake anywhere
//! refuses the whole, also in a field that nobody uses; fields that a struct does not have are not
//! looked at.

use std::collections::{BTreeMap, HashSet};

use super::resolve;
use super::{Kind, Node, Refused, Value};
use crate::yaml::decoded::{Decoded, sort_key};

/// What is wanted of a node: Go's type.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// The node as it is, whatever it is (`yaml.Node`).
    Raw,
    /// A text; numbers and such give theirs (`string`).
    Text,
    /// Yes or no, in YAML 1.1's words too (`bool`).
    Flag,
    /// A whole number (`int`).
    Whole,
    /// Whatever it is (`any`).
    Any,
    /// A list, without the nulls that its items' shape does not know (a slice).
    List(&'static Shape),
    /// A map with texts as keys (`map[string]…`).
    Map(&'static Shape),
    /// The fields that are looked at (a struct).
    Record(&'static [(&'static str, Shape)]),
    /// Null is nothing (a pointer).
    Optional(&'static Shape),
    /// The first if it fits, else the second: each counts its own aliases, as in an `UnmarshalYAML`.
    Either(&'static Shape, &'static Shape),
}

impl Node {
    /// Decodes the node; null is [`Decoded::Nothing`].
    pub fn decode(&self, shape: &'static Shape) -> Result<Decoded<'_>, Refused> {
        let decoded = Decoder::default().node(self, shape)?;
        Ok(decoded.unwrap_or(Decoded::Nothing))
    }

    /// What it is where nothing says what it should be (Go: `any`).
    pub fn value(&self) -> Result<Value, Refused> {
        Ok(self.decode(&Shape::Any)?.value())
    }

    /// Its text: that of any scalar, nothing for null (Go: `string`).
    pub fn text(&self) -> Result<String, Refused> {
        Ok(self.decode(&Shape::Text)?.text())
    }

    /// Its texts: items that are null are left out (Go: `[]string`).
    pub fn texts(&self) -> Result<Vec<String>, Refused> {
        Ok(self.decode(&Shape::List(&Shape::Text))?.texts())
    }
}

/// A document may not grow by its aliases: once decoding has taken this many steps, and this many of them
/// behind aliases, a larger share of them is refused (Go's `allowedAliasRatio`).
const FREE_STEPS: u32 = 1_000;
const FREE_ALIAS_STEPS: u32 = 100;
const ALIAS_SHARE_MAX: f64 = 0.99;
/// From this many steps on the share that is allowed falls, over this many more, to a tenth.
const SHARE_FALLS_FROM_STEPS: u32 = 400_000;
const SHARE_FALLS_OVER_STEPS: u32 = 3_600_000;
const SHARE_FALLS_BY: f64 = 0.89;

#[derive(Default)]
struct Decoder {
    steps: u32,
    alias_steps: u32,
    in_aliases: u32,
    /// While a `<<` is decoded: the keys that the map has already, which win.
    merged: Option<HashSet<String>>,
}

/// Where the pairs of a mapping go: a mapping and what it merges go to one place.
enum Place<'a, 'b> {
    Record(
        &'static [(&'static str, Shape)],
        &'b mut BTreeMap<String, Decoded<'a>>,
    ),
    Map(&'static Shape, &'b mut BTreeMap<String, Decoded<'a>>),
    Keyed(&'b mut BTreeMap<String, (Value, Decoded<'a>)>),
}

impl Decoder {
    /// `None` is a null where the shape does not know null: what was there stays.
    fn node<'a>(
        &mut self,
        node: &'a Node,
        shape: &'static Shape,
    ) -> Result<Option<Decoded<'a>>, Refused> {
        self.step(node)?;
        if let Shape::Raw = shape {
            return Ok(Some(Decoded::Raw(node)));
        }
        if let Kind::Alias(target) = &node.kind {
            if target.is_endless() {
                return Err(match shape {
                    // The forge follows it once, and minds if it comes to the same alias again.
                    Shape::Record(_) | Shape::Map(_) | Shape::Optional(_) | Shape::Either(..) => {
                        Refused::limit(node.line, ENDLESS)
                    }
                    Shape::Raw
                    | Shape::Text
                    | Shape::Flag
                    | Shape::Whole
                    | Shape::Any
                    | Shape::List(_) => refuse(node, ENDLESS),
                });
            }
            self.in_aliases += 1;
            let decoded = self.node(target, shape);
            self.in_aliases -= 1;
            return decoded;
        }
        self.shaped(node, shape)
    }

    fn step(&mut self, node: &Node) -> Result<(), Refused> {
        self.steps += 1;
        self.alias_steps += u32::from(self.in_aliases > 0);
        let over = self
            .steps
            .saturating_sub(SHARE_FALLS_FROM_STEPS)
            .min(SHARE_FALLS_OVER_STEPS);
        let share = ALIAS_SHARE_MAX
            - SHARE_FALLS_BY * (f64::from(over) / f64::from(SHARE_FALLS_OVER_STEPS));
        if self.alias_steps > FREE_ALIAS_STEPS
            && self.steps > FREE_STEPS
            && f64::from(self.alias_steps) / f64::from(self.steps) > share
        {
            return Err(refuse(node, "its aliases repeat too much; write it out"));
        }
        Ok(())
    }

    fn shaped<'a>(
        &mut self,
        node: &'a Node,
        shape: &'static Shape,
    ) -> Result<Option<Decoded<'a>>, Refused> {
        match (shape, &node.kind) {
            (Shape::Optional(inner), _) => Ok(Some(if is_null(node) {
                Decoded::Nothing
            } else {
                self.shaped(node, inner)?.unwrap_or(Decoded::Nothing)
            })),
            (Shape::Either(first, second), _) => match node.decode(first) {
                Ok(decoded) => Ok(Some(decoded)),
                Err(_) => node.decode(second).map(Some),
            },
            (_, Kind::Scalar(_)) => scalar(node, shape),
            (Shape::Any, Kind::Sequence(items)) => self.list(items, &Shape::Any).map(Some),
            (Shape::List(shape), Kind::Sequence(items)) => self.list(items, shape).map(Some),
            (Shape::Any, Kind::Mapping(pairs))
                if pairs.iter().all(|(key, _)| resolve::is_text(key)) =>
            {
                self.map(node, &Shape::Any).map(Some)
            }
            (Shape::Any, Kind::Mapping(_)) => {
                let mut map = BTreeMap::new();
                self.mapping(node, &mut Place::Keyed(&mut map))?;
                Ok(Some(Decoded::Keyed(map)))
            }
            (Shape::Map(shape), Kind::Mapping(_)) => self.map(node, shape).map(Some),
            (Shape::Record(fields), Kind::Mapping(_)) => {
                let mut map = BTreeMap::new();
                self.mapping(node, &mut Place::Record(fields, &mut map))?;
                Ok(Some(Decoded::Map(map)))
            }
            _ => Err(unfit(node, shape)),
        }
    }

    fn list<'a>(
        &mut self,
        items: &'a [Node],
        shape: &'static Shape,
    ) -> Result<Decoded<'a>, Refused> {
        let items = items.iter().map(|item| self.node(item, shape));
        Ok(Decoded::List(
            items
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?,
        ))
    }

    fn map<'a>(&mut self, node: &'a Node, shape: &'static Shape) -> Result<Decoded<'a>, Refused> {
        let mut map = BTreeMap::new();
        self.mapping(node, &mut Place::Map(shape, &mut map))?;
        Ok(Decoded::Map(map))
    }

    /// Own pairs first, then what `<<` merges, where no own key and no earlier merged one is the same.
    fn mapping<'a>(&mut self, node: &'a Node, place: &mut Place<'a, '_>) -> Result<(), Refused> {
        let Kind::Mapping(pairs) = &node.kind else {
            return Err(refuse(node, "`<<` merges maps, and this is none"));
        };
        unique(pairs)?;
        let mut merged = self.merged.take();
        let mut merge = None;
        let mut done = HashSet::new();
        for (key, value) in pairs {
            if resolve::is_merge(key) {
                merge = Some(value);
                continue;
            }
            let Some(name) = self.key(key, place)? else {
                continue;
            };
            if merged
                .as_mut()
                .is_some_and(|merged| !merged.insert(sort_key(&name)))
            {
                continue;
            }
            self.put(key, name, value, place, &mut done)?;
        }
        self.merged = merged;
        match merge {
            Some(merge) => self.merge(pairs, merge, place),
            None => Ok(()),
        }
    }

    /// The key; `None` for a null where keys are texts: its pair is not looked at.
    fn key(&mut self, key: &Node, place: &Place<'_, '_>) -> Result<Option<Value>, Refused> {
        let shape = match place {
            Place::Record(..) | Place::Map(..) => &Shape::Text,
            Place::Keyed(_) => &Shape::Any,
        };
        let decoded = self.node(key, shape)?.map(Decoded::value);
        if matches!(
            decoded,
            Some(Value::List(_) | Value::Map(_) | Value::Keyed(_))
        ) {
            return Err(refuse(key, "a list or map can't be a key"));
        }
        Ok(decoded)
    }

    fn put<'a>(
        &mut self,
        key: &Node,
        name: Value,
        value: &'a Node,
        place: &mut Place<'a, '_>,
        done: &mut HashSet<&'static str>,
    ) -> Result<(), Refused> {
        let text = name.to_string();
        match place {
            Place::Record(fields, record) => {
                let Some((field, shape)) = fields.iter().find(|(field, _)| *field == text) else {
                    return Ok(());
                };
                if !done.insert(field) {
                    return Err(refuse(key, format!("`{field}` is there twice")));
                }
                if let Some(decoded) = self.node(value, shape)? {
                    record.insert(text, decoded);
                }
            }
            Place::Map(shape, map) => {
                let decoded = self.node(value, shape)?.unwrap_or(Decoded::Nothing);
                map.insert(text, decoded);
            }
            Place::Keyed(map) => {
                let decoded = self.node(value, &Shape::Any)?.unwrap_or(Decoded::Nothing);
                map.insert(sort_key(&name), (name, decoded));
            }
        }
        Ok(())
    }

    fn merge<'a>(
        &mut self,
        own: &'a [(Node, Node)],
        merge: &'a Node,
        place: &mut Place<'a, '_>,
    ) -> Result<(), Refused> {
        let is_outermost = self.merged.is_none();
        if is_outermost {
            let mut keys = HashSet::new();
            for (key, _) in own {
                let key = self.key(key, &Place::Keyed(&mut BTreeMap::new()))?;
                keys.extend(key.as_ref().map(sort_key));
            }
            self.merged = Some(keys);
        }
        let maps = match &merge.kind {
            Kind::Sequence(maps) => maps.as_slice(),
            Kind::Scalar(_) | Kind::Mapping(_) | Kind::Alias(_) => std::slice::from_ref(merge),
        };
        for map in maps {
            self.step(map)?;
            if map.target().is_endless() {
                return Err(Refused::limit(map.line, ENDLESS));
            }
            let aliased = matches!(map.kind, Kind::Alias(_));
            self.in_aliases += u32::from(aliased);
            if aliased {
                self.step(map)?;
            }
            let merged = self.mapping(map.target(), place);
            self.in_aliases -= u32::from(aliased);
            merged?;
        }
        if is_outermost {
            self.merged = None;
        }
        Ok(())
    }
}

/// No key twice: keys are compared as they are written, so that `1` and `'1'` are the same, and an
/// alias is the same as itself only.
fn unique(pairs: &[(Node, Node)]) -> Result<(), Refused> {
    let mut seen = HashSet::new();
    for (key, _) in pairs {
        let written = match &key.kind {
            Kind::Scalar(scalar) => (0, scalar.text.as_str()),
            Kind::Alias(_) => (1, key.anchor.as_deref().unwrap_or_default()),
            Kind::Sequence(_) => (2, ""),
            Kind::Mapping(_) => (3, ""),
        };
        if !seen.insert(written) {
            return Err(refuse(
                key,
                format!("the key `{}` is there twice", written.1),
            ));
        }
    }
    Ok(())
}

fn is_null(node: &Node) -> bool {
    match &node.kind {
        Kind::Scalar(scalar) => matches!(resolve::scalar(scalar), Ok(Value::Null)),
        Kind::Sequence(_) | Kind::Mapping(_) | Kind::Alias(_) => false,
    }
}

fn scalar<'a>(node: &'a Node, shape: &Shape) -> Result<Option<Decoded<'a>>, Refused> {
    let Kind::Scalar(scalar) = &node.kind else {
        return Err(unfit(node, shape));
    };
    let value = resolve::scalar(scalar).map_err(|reason| refuse(node, reason))?;
    let binary = scalar.tag.as_deref() == Some("!!binary");
    let plain = |value| Ok(Some(Decoded::Plain(value)));
    match (shape, value) {
        (Shape::Text | Shape::Flag | Shape::Whole | Shape::Record(_), Value::Null) => Ok(None),
        (_, Value::Null) => Ok(Some(Decoded::Nothing)),
        (Shape::Any, value) | (Shape::Flag, value @ Value::Bool(_)) => plain(value),
        (Shape::Text, value @ Value::Text(_)) if binary => plain(value),
        (Shape::Text, _) => plain(Value::Text(scalar.text.clone())),
        (Shape::Flag, Value::Text(text)) => match &*text {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => plain(Value::Bool(true)),
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => plain(Value::Bool(false)),
            _ => Err(unfit(node, shape)),
        },
        (Shape::Whole, Value::Int(whole)) if i64::try_from(whole).is_ok() => {
            plain(Value::Int(whole))
        }
        #[expect(clippy::cast_possible_truncation, reason = "Go cuts as well")]
        (Shape::Whole, Value::Float(value)) if value <= WHOLE_MAX => {
            plain(Value::Int((value as i64).into()))
        }
        _ => Err(unfit(node, shape)),
    }
}

/// The largest number that a float64 can be and still be an `int`, as Go compares them.
const WHOLE_MAX: f64 = 9_223_372_036_854_775_807.0;

fn unfit(node: &Node, shape: &Shape) -> Refused {
    let is = match &node.target().kind {
        Kind::Scalar(scalar) => {
            let text: String = scalar.text.chars().take(SHOWN_CHARS).collect();
            format!("`{text}`")
        }
        Kind::Sequence(_) => "a list".to_owned(),
        Kind::Mapping(_) => "a map".to_owned(),
        Kind::Alias(_) => "an alias".to_owned(),
    };
    let wanted = match shape {
        Shape::Raw | Shape::Any | Shape::Optional(_) | Shape::Either(..) => "something else",
        Shape::Text => "a text",
        Shape::Flag => "true or false",
        Shape::Whole => "a whole number",
        Shape::List(_) => "a list",
        Shape::Map(_) | Shape::Record(_) => "a map",
    };
    refuse(node, format!("{wanted} must stand here, not {is}"))
}

const ENDLESS: &str = "an alias stands inside what it repeats; write it out";

/// What a reason shows of a text: enough to find it.
const SHOWN_CHARS: usize = 20;

fn refuse(node: &Node, reason: impl Into<String>) -> Refused {
    Refused::new(node.line, reason)
}
