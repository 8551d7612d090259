//! From bytes to nodes: the tree of the first document.

use std::collections::HashMap;
use std::sync::Arc;

use super::events::{Events, NodeEvent};
use super::read;
use super::scan::Scanner;
use super::{Kind, Node, Refused, Scalar};

/// The longest text. Gitea since 1.26 reads no more of a workflow; the longest that people write by
/// hand have some 100 KiB.
pub(crate) const BYTES_MAX: usize = 1 << 20;

/// Nodes in one document: a workflow of 10,000 lines has some 30,000, and 100,000 take 20 MB here.
const NODES_MAX: usize = 100_000;

/// Levels of lists and maps, those behind aliases counted. A workflow has about ten; Go stops at
/// 10,000, which no stack of ours would hold.
const DEPTH_MAX: usize = 100;

const LONG_TAG: &str = "tag:yaml.org,2002:";

/// Reads the first document; what comes after it is not looked at (Go's `Decoder.Decode` and
/// `Unmarshal`, v3 and v4). `None` if there is none: an empty file, or only comments.
pub fn parse(bytes: &[u8]) -> Result<Option<Node>, Refused> {
    if bytes.len() > BYTES_MAX {
        let reason = format!("the file has more than {BYTES_MAX} bytes; make it shorter");
        return Err(Refused::limit(None, reason));
    }
    let mut events = Events::new(Scanner::new(read::text(bytes)));
    let mut tree = Tree::default();
    while let Some((event, line)) = events.next()? {
        tree.take(event, line)?;
    }
    Ok(tree.root)
}

/// The tree as far as it has been read.
#[derive(Default)]
struct Tree {
    /// Lists and maps that have not ended.
    open: Vec<Open>,
    anchors: HashMap<Arc<str>, Anchored>,
    /// Nodes so far, with the copies that aliases point to.
    nodes: usize,
    root: Option<Node>,
}

struct Open {
    line: usize,
    anchor: Option<Arc<str>>,
    items: Vec<Node>,
    is_mapping: bool,
    /// Levels in it so far, its own included.
    depth: usize,
    /// How many nodes the document has before it.
    before: usize,
}

enum Anchored {
    /// A node that has not ended, by how many nodes are before it.
    Open(usize),
    /// The node and its levels.
    Known(Arc<Node>, usize),
}

impl Tree {
    fn take(&mut self, event: NodeEvent, line: usize) -> Result<(), Refused> {
        match event {
            NodeEvent::Scalar {
                properties,
                text,
                plain,
            } => {
                let tag = properties.tag.filter(|tag| tag != "!").map(short);
                let scalar = Kind::Scalar(Scalar { text, plain, tag });
                let before = self.nodes;
                let anchor = self.begin(properties.anchor, line)?;
                self.end(
                    Node {
                        line,
                        anchor,
                        kind: scalar,
                    },
                    0,
                    before,
                )
            }
            NodeEvent::SequenceStart(properties) => self.open(properties.anchor, line, false),
            NodeEvent::MappingStart(properties) => self.open(properties.anchor, line, true),
            NodeEvent::End => self.close(),
            NodeEvent::Alias(name) => self.alias(&name, line),
        }
    }

    /// One node more; its anchor is known from here on, inside it too.
    fn begin(&mut self, anchor: Option<String>, line: usize) -> Result<Option<Arc<str>>, Refused> {
        self.count(1, line)?;
        let anchor: Option<Arc<str>> = anchor.map(Arc::from);
        if let Some(name) = &anchor {
            self.anchors
                .insert(Arc::clone(name), Anchored::Open(self.nodes));
        }
        Ok(anchor)
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), Refused> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            let reason = format!("the file has more than {NODES_MAX} values; make it shorter");
            return Err(Refused::limit(line, reason));
        }
        Ok(())
    }

    fn open(
        &mut self,
        anchor: Option<String>,
        line: usize,
        is_mapping: bool,
    ) -> Result<(), Refused> {
        let before = self.nodes;
        let anchor = self.begin(anchor, line)?;
        self.open.push(Open {
            line,
            anchor,
            items: Vec::new(),
            is_mapping,
            depth: 1,
            before,
        });
        self.check_depth(0, line)
    }

    fn close(&mut self) -> Result<(), Refused> {
        let open = self.open.pop().expect("the grammar ends what it started");
        let kind = if open.is_mapping {
            let mut items = open.items.into_iter();
            Kind::Mapping(std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect())
        } else {
            Kind::Sequence(open.items)
        };
        let node = Node {
            line: open.line,
            anchor: open.anchor,
            kind,
        };
        self.end(node, open.depth, open.before)
    }

    fn alias(&mut self, name: &str, line: usize) -> Result<(), Refused> {
        self.count(1, line)?;
        let (target, depth) = match self.anchors.get(name) {
            Some(Anchored::Known(target, depth)) => (Arc::clone(target), *depth),
            // The forge minds only if it follows it.
            Some(Anchored::Open(_)) => (Arc::new(Node::endless(line)), 0),
            None => {
                let reason = format!("nothing before `*{name}` is marked `&{name}`");
                return Err(Refused::new(line, reason));
            }
        };
        self.check_depth(depth, line)?;
        self.add(
            Node {
                line,
                anchor: Some(name.into()),
                kind: Kind::Alias(target),
            },
            depth + 1,
        );
        Ok(())
    }

    /// A node is complete: its place is in the list or map around it.
    fn end(&mut self, node: Node, depth: usize, before: usize) -> Result<(), Refused> {
        if let Some(name) = &node.anchor
            && let Some(Anchored::Open(at)) = self.anchors.get(name)
            && *at == before + 1
        {
            let name = Arc::clone(name);
            // Anchors in anchors are copied once for each: counted, so that they can't multiply.
            self.count(self.nodes - before, node.line)?;
            self.anchors
                .insert(name, Anchored::Known(Arc::new(node.clone()), depth));
        }
        self.add(node, depth);
        Ok(())
    }

    fn add(&mut self, node: Node, depth: usize) {
        match self.open.last_mut() {
            Some(around) => {
                around.depth = around.depth.max(depth + 1);
                around.items.push(node);
            }
            None => self.root = Some(node),
        }
    }

    fn check_depth(&self, more: usize, line: usize) -> Result<(), Refused> {
        if self.open.len() + more > DEPTH_MAX {
            let reason = format!("lists and maps are more than {DEPTH_MAX} levels deep");
            return Err(Refused::limit(line, reason));
        }
        Ok(())
    }
}

fn short(tag: String) -> String {
    match tag.strip_prefix(LONG_TAG) {
        Some(rest) => format!("!!{rest}"),
        None => tag,
    }
}
