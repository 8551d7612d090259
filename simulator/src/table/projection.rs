//! Projections: the parts of an item that a query asks for.

use std::collections::BTreeMap;

use super::path::{Part, Path, refuse_overlaps};
use super::placeholders::Placeholders;
use super::references::References;
use super::tokens::Tokens;
use super::value::{Item, Value};

/// A projection.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Projection {
    paths: Vec<Path>,
    pub(super) references: References,
}

impl Projection {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens::of(text)?;
        let mut paths = vec![tokens.path()?];
        while tokens.takes(",") {
            paths.push(tokens.path()?);
        }
        let references = tokens.finished()?;
        Ok(Self { paths, references })
    }

    /// Refuses what can't be right whatever the item is.
    pub(super) fn check(&self, given: &Placeholders) -> Result<(), String> {
        given.refuse_undefined(&self.references)?;
        refuse_overlaps(&self.paths, given)
    }

    /// Those parts of `item`.
    pub(super) fn of(&self, item: &Item, given: &Placeholders) -> Item {
        let mut wanted = Wanted::default();
        for path in &self.paths {
            let mut at = &mut wanted;
            for part in path.parts(given) {
                at = at.0.entry(part).or_default();
            }
        }
        wanted.of_map(item)
    }
}

/// What is wanted of a value, by its parts; all of it where there are none.
#[derive(Default)]
struct Wanted<'a>(BTreeMap<Part<'a>, Wanted<'a>>);

impl Wanted<'_> {
    fn of_map(&self, map: &Item) -> Item {
        let found = self.0.iter().filter_map(|(part, wanted)| {
            let Part::Name(name) = part else {
                return None;
            };
            let value = wanted.of(map.get(*name)?)?;
            Some(((*name).to_owned(), value))
        });
        found.collect()
    }

    fn of(&self, value: &Value) -> Option<Value> {
        if self.0.is_empty() {
            return Some(value.clone());
        }
        let found = match value {
            Value::M(map) => Value::M(self.of_map(map)),
            Value::L(list) => {
                let found = self.0.iter().filter_map(|(part, wanted)| {
                    let Part::Index(index) = part else {
                        return None;
                    };
                    wanted.of(list.get(*index)?)
                });
                Value::L(found.collect())
            }
            Value::S(_)
            | Value::N(_)
            | Value::Bool(_)
            | Value::Null
            | Value::Ss(_)
            | Value::Ns(_) => return None,
        };
        (found.size() > Some(0)).then_some(found)
    }
}
