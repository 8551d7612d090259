//! What a called workflow is given: its declared inputs, with what the caller says or their defaults.

use std::collections::BTreeMap;

use crate::expression::Value;
use crate::yaml::{self, Decoded, Kind, Node, Refused, Shape};

/// What a workflow declares of its inputs.
pub(super) type Inputs = BTreeMap<String, Declared>;

/// An input that a workflow declares.
pub(super) struct Declared {
    kind: Type,
    is_required: bool,
    default: Option<yaml::Value>,
}

#[derive(Clone, Copy)]
enum Type {
    Text,
    Flag,
    Number,
}

const DECLARED: Shape = Shape::Record(&[
    ("type", Shape::Text),
    ("required", Shape::Flag),
    ("default", Shape::Raw),
]);

/// The inputs of `on.workflow_call`. It must be there, if only as a word.
pub(super) fn declared(on: &Node) -> Result<Inputs, Refused> {
    let is_call = |node: &Node| node.is("workflow_call");
    let call = match &on.kind {
        Kind::Scalar(_) if is_call(on) => return Ok(Inputs::new()),
        Kind::Sequence(items) if items.iter().any(is_call) => return Ok(Inputs::new()),
        Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_) | Kind::Alias(_) => {
            on.get("workflow_call")
        }
    };
    let call = call.ok_or_else(|| {
        let reason = "the called workflow can't be called; give it `on: workflow_call`";
        Refused::new(on.line, reason)
    })?;
    let Some(Kind::Mapping(inputs)) = call.get("inputs").map(|inputs| &inputs.kind) else {
        return Ok(Inputs::new());
    };
    inputs.iter().map(input).collect()
}

fn input((key, node): &(Node, Node)) -> Result<(String, Declared), Refused> {
    let name = key.text()?;
    let mut fields = node.decode(&DECLARED)?.fields();
    let kind = match fields.remove("type").map(Decoded::text).as_deref() {
        Some("string") => Type::Text,
        Some("boolean") => Type::Flag,
        Some("number") => Type::Number,
        Some(_) | None => {
            let reason = format!("input `{name}`: its type must be string, boolean or number");
            return Err(Refused::new(node.line, reason));
        }
    };
    let required = fields.remove("required").map(Decoded::value);
    let default = fields.remove("default").and_then(Decoded::raw);
    let declared = Declared {
        kind,
        is_required: required == Some(yaml::Value::Bool(true)),
        default: default.map(Node::value).transpose()?,
    };
    Ok((name, declared))
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

/// The context `inputs`: what is given, of the types that are declared, and defaults for the rest. What
/// is not declared is left out.
pub(super) fn typed_inputs(
    declared: &Inputs,
    mut given: BTreeMap<String, yaml::Value>,
) -> Result<BTreeMap<String, Value>, Refused> {
    let mut inputs = BTreeMap::new();
    for (name, declared) in declared {
        match given.remove(name).or_else(|| declared.default.clone()) {
            Some(value) => {
                inputs.insert(name.clone(), typed(name, declared.kind, &value)?);
            }
            None if declared.is_required => {
                let reason = format!("the called workflow requires the input `{name}`; give it");
                return Err(Refused::new(None, reason));
            }
            None => {}
        }
    }
    Ok(inputs)
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
