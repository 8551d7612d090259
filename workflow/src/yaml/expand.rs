//! Aliases replaced by what they repeat (Gitea from 1.27.3 on, `jobparser/aliases.go`): its code looks at
//! nodes by their kinds, and an alias is a kind of its own.

use std::sync::Arc;

use super::resolve::is_merge;
use super::{Kind, Node, Refused};

/// Most nodes that aliases of one file may come to (`maxExpandedNodes`).
const NODES_MAX: usize = 50_000;

impl Node {
    /// The node without aliases. Merges are refused, as they are in `GitHub`.
    pub(crate) fn expanded(&self) -> Result<Self, Refused> {
        Expansion { left: NODES_MAX }.node(self, false)
    }
}

struct Expansion {
    left: usize,
}

impl Expansion {
    /// A copy of a node; `counts` says that it stands in the place of an alias.
    fn node(&mut self, node: &Node, counts: bool) -> Result<Node, Refused> {
        if let Kind::Alias(target) = &node.kind {
            // One that is inside what it repeats would never end.
            if target.is_endless() {
                return Err(too_many(node));
            }
            return self.node(target, true);
        }
        if counts {
            self.left = self.left.checked_sub(1).ok_or_else(|| too_many(node))?;
        }
        let kind = match &node.kind {
            Kind::Scalar(_) | Kind::Alias(_) => node.kind.clone(),
            Kind::Sequence(items) => {
                let items = items.iter().map(|item| self.node(item, counts));
                Kind::Sequence(items.collect::<Result<_, _>>()?)
            }
            Kind::Mapping(pairs) => {
                if let Some((merge, _)) = pairs.iter().find(|(key, _)| is_merge(key)) {
                    let reason = "`<<` is not supported; give the whole value an alias instead";
                    return Err(Refused::new(merge.line, reason));
                }
                let mut expanded = Vec::with_capacity(pairs.len());
                for (key, value) in pairs {
                    expanded.push((self.node(key, counts)?, self.node(value, counts)?));
                }
                Kind::Mapping(expanded)
            }
        };
        Ok(Node {
            line: node.line,
            anchor: None::<Arc<str>>,
            kind,
        })
    }
}

fn too_many(node: &Node) -> Refused {
    let reason = format!("its aliases repeat more than {NODES_MAX} values; write it out");
    Refused::new(node.line, reason)
}
