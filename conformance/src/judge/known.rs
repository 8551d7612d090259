//! Differences that are known, each with its reason and its input: one that is not there fails a run, and
//! so does one that is gone.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use workflow::EventKind;

use super::Error;
use super::case::Case;
use super::verdict::{Class, Difference};

/// The file of them.
const FILE: &str = include_str!("../../judge/known.json");

/// A difference that is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    /// The judge's version.
    pub(super) version: String,
    pub(super) class: Class,
    /// As a run prints it: others of the same kind are known by it too.
    pub(super) kind: String,
    /// Why it is left.
    pub(super) because: String,
    /// An input that shows it.
    event: EventKind,
    payload: Value,
    file: String,
}

impl Known {
    /// What is unknown may stand behind the words of what rests on it.
    pub(super) fn is(&self, difference: &Difference) -> bool {
        let is_kind = match self.class {
            Class::Unknown => difference.kind.ends_with(&self.kind),
            Class::Missed | Class::Foreign | Class::Labels | Class::Names | Class::After => {
                difference.kind == self.kind
            }
        };
        self.class == difference.class && is_kind
    }
}

/// What is known of one version.
pub(super) struct KnownOf {
    known: Vec<Known>,
}

impl KnownOf {
    pub(super) fn of(version: &str) -> Result<Self, Error> {
        let mut known: Vec<Known> =
            serde_json::from_str(FILE).map_err(|error| Error::Known(error.to_string()))?;
        known.retain(|known| known.version == version);
        Ok(Self { known })
    }

    pub(super) fn has(&self, difference: &Difference) -> bool {
        self.known.iter().any(|known| known.is(difference))
    }

    /// Their inputs, which are cases of every run.
    pub(super) fn cases(&self) -> impl Iterator<Item = (&Known, Case)> {
        self.known.iter().map(|known| {
            let case = Case {
                origin: format!("known: {}", known.because),
                event: known.event,
                payload: known.payload.clone(),
                files: vec![("a.yml".to_owned(), known.file.clone().into_bytes())],
                base: Vec::new(),
                changed: Vec::new(),
            };
            (known, case)
        })
    }

    /// What is known twice.
    pub(super) fn doubled(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let known = self.known.iter();
        let doubled = known.filter(|known| !seen.insert((known.class, &known.kind)));
        doubled.map(|known| known.kind.clone()).collect()
    }
}
