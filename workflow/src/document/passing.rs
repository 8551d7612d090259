//! Jobs that the forge can't pass on: Gitea writes each job out as YAML of its own and reads that again
//! (1.26, `jobparser.SetJob`), which not every job survives. Then the whole file is skipped.
//!
//! Two things don't survive. Raw nodes are written as they stand, an alias as an alias; its anchor
//! must stand before it in the same job, in the order in which Gitea writes the fields. And a text of
//! several lines is written as a block, whose first line can't begin with a tab.

use std::collections::{BTreeMap, HashSet};

use super::shape::{SINGLE_JOB_FIELDS, SINGLE_STEP_FIELDS};
use crate::server::{Capability, Server};
use crate::yaml::{Decoded, Node, Refused, Shape, Value};

/// Whether the job survives that.
pub(super) fn check(
    job: &BTreeMap<String, Decoded<'_>>,
    line: usize,
    server: Server,
) -> Result<(), Refused> {
    let mut written = Written {
        anchors: HashSet::new(),
        line,
    };
    let is_written = |field: &&str| match *field {
        // Written anew, from their values.
        "runs-on" | "strategy" => false,
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

/// Whether Gitea's YAML writes the text as a block that it can't read: one that begins with a tab. Texts
/// with a blank before a line break or at the end, or with what it takes for unprintable (emoji are, to
/// it), are written in quotes.
fn breaks_as_block(text: &str) -> bool {
    let is_blank = text.chars().all(char::is_whitespace);
    let blank_ends = [" \n", " \u{2028}", " \u{2029}"]
        .iter()
        .any(|end| text.contains(end));
    let is_quoted = text.ends_with(' ') || blank_ends || !text.chars().all(is_printable);
    text.starts_with('\t') && text.contains('\n') && !is_blank && !is_quoted
}

fn is_printable(char: char) -> bool {
    matches!(char, '\t' | '\n' | ' '..='~' | '\u{a0}'..='\u{fffd}') && char != '\u{feff}'
}
