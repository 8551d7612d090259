//! Where in an item something is.

use super::placeholders::Placeholders;
use super::value::{Item, Value};

/// A place in an item, as an expression has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path(pub(super) Vec<Step>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Into a map, by name.
    Name(String),
    /// The same, by a name such as `#name`.
    Placeholder(String),
    /// Into a list.
    Index(usize),
}

/// One step of a path whose names are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part<'a> {
    Name(&'a str),
    Index(usize),
}

impl Path {
    pub(super) fn parts<'a>(&'a self, given: &'a Placeholders) -> Vec<Part<'a>> {
        self.0.iter().map(|step| step.part(given)).collect()
    }

    /// What is there.
    pub(super) fn find<'i>(&self, item: &'i Item, given: &Placeholders) -> Option<&'i Value> {
        let mut steps = self.0.iter().map(|step| step.part(given));
        let Some(Part::Name(name)) = steps.next() else {
            return None;
        };
        let mut found = item.get(name)?;
        for step in steps {
            found = match (step, found) {
                (Part::Name(name), Value::M(map)) => map.get(name)?,
                (Part::Index(index), Value::L(list)) => list.get(index)?,
                _ => return None,
            };
        }
        Some(found)
    }

    /// Whether the path is this attribute.
    pub(super) fn is(&self, name: &str, given: &Placeholders) -> bool {
        self.0.len() == 1 && self.starts_with(name, given)
    }

    /// Whether the path is in this attribute.
    pub(super) fn starts_with(&self, name: &str, given: &Placeholders) -> bool {
        self.0.first().map(|step| step.part(given)) == Some(Part::Name(name))
    }
}

impl Step {
    fn part<'a>(&'a self, given: &'a Placeholders) -> Part<'a> {
        match self {
            Self::Name(name) => Part::Name(name),
            Self::Placeholder(name) => Part::Name(given.name(name)),
            Self::Index(index) => Part::Index(*index),
        }
    }
}

/// Refuses two paths of which one is in the other, or that want a map and a list at the same place.
pub(super) fn refuse_overlaps<'a>(
    paths: impl IntoIterator<Item = &'a Path>,
    given: &Placeholders,
) -> Result<(), String> {
    let mut seen: Vec<Vec<Part<'_>>> = Vec::new();
    for path in paths {
        let path = path.parts(given);
        for other in &seen {
            let differ = path.iter().zip(other).find(|(one, two)| one != two);
            let how = match differ {
                None => "overlap",
                Some((Part::Name(_), Part::Index(_)) | (Part::Index(_), Part::Name(_))) => {
                    "conflict"
                }
                Some(_) => continue,
            };
            return Err(format!(
                "Two document paths {how} with each other; must remove or rewrite one of these \
                 paths; path one: {}, path two: {}",
                shown(other),
                shown(&path)
            ));
        }
        seen.push(path);
    }
    Ok(())
}

pub(super) fn shown(path: &[Part<'_>]) -> String {
    let parts = path.iter().map(|part| match part {
        Part::Name(name) => (*name).to_owned(),
        Part::Index(index) => format!("[{index}]"),
    });
    format!("[{}]", parts.collect::<Vec<_>>().join(", "))
}
