//! Parts of a workflow file whose texts are evaluated where they stand (`EvaluateYamlNode` of Gitea's
//! `jobparser`, of nektos/act and of Forgejo's runner).
//!
//! A text that is one expression becomes what the expression gives; a list that comes of one in a list
//! is spread in it; the map under a key `${{ insert }}` is put in its place. Aliases stay as they are.

use super::{RecordKind, Scope, Stop, Value};
use crate::yaml::{self, Kind, Node, Scalar};

/// Bytes that an evaluation may make, and what a node counts for: a file is a MiB at most.
const MADE_BYTES_MAX: usize = 1024 * 1024;
const NODE_BYTES: usize = 16;

impl Scope {
    /// Evaluates every text of a node.
    pub(crate) fn evaluate_node(&self, node: &Node) -> Result<Node, Stop> {
        let made = std::cell::Cell::new(0);
        Evaluation { scope: self, made }.node(node)
    }
}

struct Evaluation<'a> {
    scope: &'a Scope,
    made: std::cell::Cell<usize>,
}

impl Evaluation<'_> {
    fn node(&self, node: &Node) -> Result<Node, Stop> {
        let kind = match &node.kind {
            Kind::Scalar(_) => return self.scalar(node),
            Kind::Alias(_) => return Ok(node.clone()),
            Kind::Sequence(items) => Kind::Sequence(self.sequence(items)?),
            Kind::Mapping(pairs) => Kind::Mapping(self.mapping(pairs)?),
        };
        Ok(like(node, kind))
    }

    fn scalar(&self, node: &Node) -> Result<Node, Stop> {
        let text = node.text().map_err(|refused| Stop::Fails(refused.reason))?;
        match self.scope.evaluate(&text)? {
            None => Ok(node.clone()),
            Some(value) => Ok(like(node, self.kind(&value, node)?)),
        }
    }

    fn sequence(&self, items: &[Node]) -> Result<Vec<Node>, Stop> {
        let mut evaluated = Vec::with_capacity(items.len());
        for item in items {
            let node = self.node(item)?;
            match (node.kind, &item.kind) {
                (Kind::Sequence(spread), Kind::Scalar(_)) => evaluated.extend(spread),
                (kind, _) => evaluated.push(like(item, kind)),
            }
        }
        Ok(evaluated)
    }

    fn mapping(&self, pairs: &[(Node, Node)]) -> Result<Vec<(Node, Node)>, Stop> {
        let mut evaluated = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let node = self.node(value)?;
            if key.text().is_ok_and(|text| is_insert(&text)) {
                if let Kind::Mapping(inserted) = node.kind {
                    evaluated.extend(inserted);
                }
            } else {
                evaluated.push((self.node(key)?, node));
            }
        }
        Ok(evaluated)
    }

    /// The node that a value is written as, and read from again.
    fn kind(&self, value: &Value, at: &Node) -> Result<Kind, Stop> {
        let node = |value: &Value| Ok(like(at, self.kind(value, at)?));
        let scalar = |text: String, plain: bool| {
            self.count(text.len())?;
            let tag = None;
            Ok(Kind::Scalar(Scalar { text, plain, tag }))
        };
        match value {
            Value::Null => scalar("null".to_owned(), true),
            Value::Bool(value) => scalar(value.to_string(), true),
            Value::Int(value) => scalar(value.to_string(), true),
            Value::Float(value) => scalar(float(*value), true),
            Value::Text(text) => scalar(text.as_ref().to_owned(), false),
            Value::List(items) => {
                let items = items.as_ref().map_or(&[][..], |items| items.as_slice());
                self.count(0)?;
                let items: Result<Vec<Node>, Stop> = items.iter().map(node).collect();
                Ok(Kind::Sequence(items?))
            }
            Value::Map(map) => {
                self.count(0)?;
                let mut pairs = Vec::new();
                for (key, value) in map.iter().flat_map(|map| map.iter()) {
                    let key = like(at, scalar(key.clone(), false)?);
                    pairs.push((key, node(value)?));
                }
                Ok(Kind::Mapping(pairs))
            }
            Value::Part(_, because) | Value::Unknown(because) => {
                Err(Stop::Unknown(because.as_ref().to_owned()))
            }
            // A pointer to nothing.
            Value::Record(record) if record.fields.is_empty() => self.kind(&Value::Null, at),
            // Nobody looks at what is in it; that it is a map decides.
            Value::Record(record) if record.kind == RecordKind::Github => {
                Ok(Kind::Mapping(Vec::new()))
            }
            Value::Record(_) | Value::Odd(_) => Err(Stop::Unknown(
                "how the forge writes a whole context, a date or a map with odd keys".to_owned(),
            )),
        }
    }

    fn count(&self, bytes: usize) -> Result<(), Stop> {
        self.made.set(self.made.get() + bytes + NODE_BYTES);
        if self.made.get() > MADE_BYTES_MAX {
            let reason = format!("its expressions make more than {MADE_BYTES_MAX} bytes");
            return Err(Stop::Unknown(reason));
        }
        Ok(self.scope.budget.take((bytes + NODE_BYTES) as u64)?)
    }
}

fn like(node: &Node, kind: Kind) -> Node {
    Node {
        line: node.line,
        anchor: None,
        kind,
    }
}

/// A number without a fraction is read again as a whole one.
fn float(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    yaml::Value::Float(value).to_string()
}

/// Whether a key has `${{ insert }}` in it.
fn is_insert(key: &str) -> bool {
    key.split("${{").skip(1).any(|rest| {
        let rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        let rest = rest.strip_prefix("insert");
        rest.is_some_and(|rest| {
            rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}'])
                .starts_with("}}")
        })
    })
}
