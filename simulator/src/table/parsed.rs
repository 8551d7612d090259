//! Expressions that were read before, by their text: a program has few.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::condition::Condition;
use super::failure::Failure;
use super::update::Update;

/// Most expressions of a kind that are remembered.
const REMEMBERED_MAX: usize = 1000;

/// Expressions that were read.
#[derive(Debug, Clone, Default)]
pub(super) struct Parsed {
    conditions: BTreeMap<String, Arc<Condition>>,
    updates: BTreeMap<String, Arc<Update>>,
}

impl Parsed {
    /// The condition that the member `what` of a request says.
    pub(super) fn condition(&mut self, text: &str, what: &str) -> Result<Arc<Condition>, Failure> {
        remembered(&mut self.conditions, text, what, Condition::parse)
    }

    pub(super) fn update(&mut self, text: &str) -> Result<Arc<Update>, Failure> {
        remembered(&mut self.updates, text, "UpdateExpression", Update::parse)
    }
}

fn remembered<T>(
    known: &mut BTreeMap<String, Arc<T>>,
    text: &str,
    what: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Arc<T>, Failure> {
    if let Some(parsed) = known.get(text) {
        return Ok(Arc::clone(parsed));
    }
    if known.len() == REMEMBERED_MAX {
        known.clear();
    }
    let parsed = Arc::new(parse(text).map_err(|why| refused(what, &why))?);
    known.insert(text.to_owned(), Arc::clone(&parsed));
    Ok(parsed)
}

/// That the expression `what` is not right.
pub(super) fn refused(what: &str, why: &str) -> Failure {
    Failure::Validation(format!("Invalid {what}: {why}"))
}
