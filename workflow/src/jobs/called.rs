//! What a called workflow wants of a call: its `on.workflow_call` (Gitea from 1.27 on,
//! `jobparser/workflow_call.go`; Forgejo takes what there is).

use std::collections::{BTreeMap, BTreeSet};

use crate::expression::Value;
use crate::yaml::{self, Decoded, Kind, Node, Refused, Shape};

/// What a workflow declares for those that call it.
#[derive(Debug, Default)]
pub(super) struct Call {
    inputs: BTreeMap<String, Declared>,
    /// Names in capitals, and whether a call must give them.
    secrets: BTreeMap<String, bool>,
}

/// An input that a workflow declares.
#[derive(Debug)]
struct Declared {
    kind: Type,
    is_required: bool,
    default: Option<yaml::Value>,
}

#[derive(Debug, Clone, Copy)]
enum Type {
    Text,
    Flag,
    Number,
}

const INPUT: Shape = Shape::Record(&[
    ("description", Shape::Text),
    ("type", Shape::Text),
    ("required", Shape::Flag),
    ("default", Shape::Raw),
]);
const SECRET: Shape = Shape::Record(&[("description", Shape::Text), ("required", Shape::Flag)]);
const OUTPUT: Shape = Shape::Record(&[("description", Shape::Text), ("value", Shape::Text)]);

impl Call {
    /// Reads an `on`. `workflow_call` must be there, if only as a word.
    pub(super) fn of(on: &Node) -> Result<Self, Refused> {
        let is_call = |node: &Node| node.is("workflow_call");
        let call = match &on.kind {
            Kind::Scalar(_) if is_call(on) => return Ok(Self::default()),
            Kind::Sequence(items) if items.iter().any(is_call) => return Ok(Self::default()),
            Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_) | Kind::Alias(_) => {
                on.get("workflow_call")
            }
        };
        let call = call.ok_or_else(|| {
            let reason = "the called workflow can't be called; give it `on: workflow_call`";
            Refused::new(on.line, reason)
        })?;
        for (_, output) in pairs(call, "outputs") {
            output.decode(&OUTPUT)?;
        }
        Ok(Self {
            inputs: pairs(call, "inputs").map(input).collect::<Result<_, _>>()?,
            secrets: pairs(call, "secrets")
                .map(secret)
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn has_inputs(&self) -> bool {
        !self.inputs.is_empty()
    }

    /// Whether the `secrets` of a calling job fit: those that are required, and only declared ones.
    pub(super) fn check_secrets(&self, given: Option<&Node>) -> Result<(), Refused> {
        let mut names = BTreeSet::new();
        if let Some(node) = given {
            let pairs = match &node.kind {
                Kind::Scalar(own) if own.text.trim() == "inherit" => return Ok(()),
                Kind::Mapping(pairs) => pairs,
                Kind::Scalar(_) | Kind::Sequence(_) | Kind::Alias(_) => {
                    let reason = "`secrets` must be a map, or `inherit`";
                    return Err(Refused::new(node.line, reason));
                }
            };
            for (key, value) in pairs {
                if !is_secret(&value.text()?) {
                    let reason = "what `secrets` gives must be `${{ secrets.NAME }}`";
                    return Err(Refused::new(value.line, reason));
                }
                names.insert(written(key).to_uppercase());
            }
        }
        if let Some(name) = names.iter().find(|name| !self.secrets.contains_key(*name)) {
            let reason = format!("the called workflow has no secret `{name}`");
            return Err(Refused::new(None, reason));
        }
        let mut required = self.secrets.iter().filter(|(_, is_required)| **is_required);
        match required.find(|(name, _)| !names.contains(*name)) {
            Some((name, _)) => {
                let reason = format!("the called workflow requires the secret `{name}`; give it");
                Err(Refused::new(None, reason))
            }
            None => Ok(()),
        }
    }

    /// The context `inputs`: what is given, of the types that are declared, and defaults for the rest.
    /// What is not declared is left out.
    pub(super) fn inputs(
        &self,
        mut given: BTreeMap<String, yaml::Value>,
    ) -> Result<BTreeMap<String, Value>, Refused> {
        let mut inputs = BTreeMap::new();
        for (name, declared) in &self.inputs {
            let typed = |value: &yaml::Value| typed(name, declared.kind, value);
            let default = declared.default.as_ref().map(typed).transpose()?;
            let given = given.remove(name).as_ref().map(typed).transpose()?;
            match given.or(default) {
                Some(value) => drop(inputs.insert(name.clone(), value)),
                None if declared.is_required => {
                    let reason =
                        format!("the called workflow requires the input `{name}`; give it");
                    return Err(Refused::new(None, reason));
                }
                None => {}
            }
        }
        Ok(inputs)
    }
}

/// The defaults of the inputs that Forgejo knows: it minds no types, and what it can't read is none.
pub(super) fn defaults(on: &Node) -> BTreeMap<String, yaml::Value> {
    let Some(Kind::Mapping(inputs)) = declarations(on).map(|inputs| &inputs.kind) else {
        return BTreeMap::new();
    };
    let default = |(key, node): &(Node, Node)| {
        let value = node.get("default").map(Node::value).transpose().ok()?;
        Some((key.text().ok()?, value.unwrap_or(yaml::Value::Null)))
    };
    inputs.iter().filter_map(default).collect()
}

fn declarations(on: &Node) -> Option<&Node> {
    on.get("workflow_call")?.get("inputs")
}

/// The pairs under a key of `workflow_call`; of what is no map none.
fn pairs<'a>(call: &'a Node, name: &str) -> impl Iterator<Item = &'a (Node, Node)> {
    let pairs = match call.get(name).map(|node| &node.kind) {
        Some(Kind::Mapping(pairs)) => pairs.as_slice(),
        Some(Kind::Scalar(_) | Kind::Sequence(_) | Kind::Alias(_)) | None => &[],
    };
    pairs.iter()
}

/// A key as it is written.
fn written(key: &Node) -> &str {
    match &key.kind {
        Kind::Scalar(own) => &own.text,
        Kind::Sequence(_) | Kind::Mapping(_) | Kind::Alias(_) => "",
    }
}

fn input((key, node): &(Node, Node)) -> Result<(String, Declared), Refused> {
    let name = written(key).to_owned();
    let mut fields = node.decode(&INPUT)?.fields();
    let kind = match fields.remove("type").map(Decoded::text).as_deref() {
        Some("string") => Type::Text,
        Some("boolean") => Type::Flag,
        Some("number") => Type::Number,
        Some(_) | None => {
            let reason = format!("input `{name}`: its type must be string, boolean or number");
            return Err(Refused::new(node.line, reason));
        }
    };
    let default = fields.remove("default").and_then(Decoded::raw);
    let declared = Declared {
        kind,
        is_required: is_required(&mut fields),
        default: default.map(Node::value).transpose()?,
    };
    Ok((name, declared))
}

fn secret((key, node): &(Node, Node)) -> Result<(String, bool), Refused> {
    let mut fields = node.decode(&SECRET)?.fields();
    Ok((written(key).to_uppercase(), is_required(&mut fields)))
}

fn is_required(fields: &mut BTreeMap<String, Decoded<'_>>) -> bool {
    fields.remove("required").map(Decoded::value) == Some(yaml::Value::Bool(true))
}

/// `${{ secrets.NAME }}` and nothing else.
fn is_secret(text: &str) -> bool {
    const BLANKS: [char; 5] = [' ', '\t', '\n', '\r', '\u{c}'];
    let inner = text.trim_matches(BLANKS).strip_prefix("${{");
    let inner = inner.and_then(|inner| inner.strip_suffix("}}"));
    let name = inner.and_then(|inner| inner.trim_matches(BLANKS).strip_prefix("secrets."));
    name.is_some_and(|name| {
        let is_part = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
        name.starts_with(|sign: char| is_part(sign) && !sign.is_ascii_digit())
            && name.chars().all(is_part)
    })
}

fn typed(name: &str, kind: Type, value: &yaml::Value) -> Result<Value, Refused> {
    let refuse = |what| {
        Err(Refused::new(
            None,
            format!("the input `{name}` must be {what}"),
        ))
    };
    match (kind, value) {
        (Type::Text, value) => Ok(match Value::yaml(value).printed() {
            Ok(text) => Value::Text(text),
            Err(because) => Value::Unknown(because),
        }),
        (Type::Flag, yaml::Value::Bool(value)) => Ok(Value::Bool(*value)),
        (Type::Flag, _) => refuse("true or false"),
        (Type::Number, yaml::Value::Int(value)) => Ok(Value::Float(yaml::as_float(*value))),
        (Type::Number, yaml::Value::Float(value)) => Ok(Value::Float(*value)),
        (Type::Number, _) => refuse("a number"),
    }
}
