//! Jobs that the forge can't pass on: Gitea writes each job out as YAML of its own and reads that again
//! (1.26, `jobparser.SetJob`), which not every job survives. Then the whole file is skipped.
//!
//! Two things don't survive. Raw nodes are written as they stand, an alias as an alias; its anchor
//! must stand before it in the same job, in the order in which Gitea writes the fields. And a text of
//! several lines is written as a block, whose first line can't begin with a tab.

use std::collections::{BTreeMap, HashSet};

use super::shape::{SINGLE_JOB_FIELDS, SINGLE_STEP_FIELDS};
use crate::server::{Capability, Server};
use crate::yaml::blocks::{self, breaks_as_block};
use crate::yaml::{Decoded, Node, Refused, Shape, Value};

/// Whether the job can be read again as it is stored (Gitea before 1.27.1, `SingleWorkflow.Marshal`): blocks
/// in lists are told to stand further in than they do.
pub(super) fn is_lost(job: &BTreeMap<String, Decoded<'_>>) -> bool {
    fn lost(decoded: &Decoded<'_>, in_list: bool) -> bool {
        match decoded {
            Decoded::Plain(Value::Text(text)) => in_list && blocks::in_list(text).is_none(),
            Decoded::Raw(_) | Decoded::Nothing | Decoded::Plain(_) => false,
            Decoded::List(items) => items.iter().any(|item| lost(item, true)),
            Decoded::Map(map) => map.values().any(|value| lost(value, in_list)),
            Decoded::Keyed(map) => map.values().any(|(_, value)| lost(value, in_list)),
        }
    }
    job.values().any(|field| lost(field, false))
}

/// Whether the job survives that. `has_needs`: it is written once with its `needs`, and when the run is
/// made without them.
pub(super) fn check(
    job: &BTreeMap<String, Decoded<'_>>,
    (line, has_needs): (usize, bool),
    server: Server,
) -> Result<(), Refused> {
    let mut written = Written {
        anchors: HashSet::new(),
        line,
    };
    let is_written = |field: &&str| match *field {
        // Written anew, from their values.
        "runs-on" | "strategy" => false,
        "needs" => has_needs,
        "continue-on-error" => server.has(Capability::ContinueOnError),
        _ => true,
    };
    written.record(job, names(SINGLE_JOB_FIELDS).filter(is_written))
}

/// The names of fields.
fn names(fields: &'static [(&'static str, Shape)]) -> impl Iterator<Item = &'static str> {
    fields.iter().map(|(name, _)| *name)
}

struct Written<'a> {
    anchors: HashSet<&'a str>,
    line: usize,
}

impl<'a> Written<'a> {
    fn record(
        &mut self,
        record: &'a BTreeMap<String, Decoded<'a>>,
        order: impl Iterator<Item = &'static str>,
    ) -> Result<(), Refused> {
        for field in order {
            match (field, record.get(field)) {
                ("steps", Some(Decoded::List(steps))) => {
                    for step in steps {
                        if let Decoded::Map(step) = step {
                            self.record(step, names(SINGLE_STEP_FIELDS))?;
                        }
                    }
                }
                (_, Some(decoded)) => self.decoded(decoded)?,
                (_, None) => {}
            }
        }
        Ok(())
    }

    fn decoded(&mut self, decoded: &'a Decoded<'a>) -> Result<(), Refused> {
        match decoded {
            Decoded::Raw(node) => self.node(node),
            Decoded::Plain(Value::Text(text)) => self.text(text),
            Decoded::Nothing | Decoded::Plain(_) => Ok(()),
            Decoded::List(items) => items.iter().try_for_each(|item| self.decoded(item)),
            Decoded::Map(map) => map.iter().try_for_each(|(key, value)| {
                self.text(key)?;
                self.decoded(value)
            }),
            Decoded::Keyed(map) => map.values().try_for_each(|(_, value)| self.decoded(value)),
        }
    }

    fn node(&mut self, node: &'a Node) -> Result<(), Refused> {
        let Some(alias) = node.loose_alias(&mut self.anchors) else {
            return Ok(());
        };
        let name = alias.anchor.as_deref().unwrap_or_default();
        let reason = format!(
            "`*{name}` stands where the forge keeps it as it is, and `&{name}` is not before it in this job; write it out"
        );
        Err(Refused::new(alias.line, reason))
    }

    fn text(&self, text: &str) -> Result<(), Refused> {
        if breaks_as_block(text) {
            let reason =
                "a text of several lines in this job begins with a tab; begin it otherwise";
            return Err(Refused::new(self.line, reason));
        }
        Ok(())
    }
}
