//! The tags of what a deployment makes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stacks::names::Names;

use super::Stack;
use crate::environment::Environment;

/// The deployment's own tag with `value`, and the environment's.
pub(super) fn of(
    environment: &Environment,
    names: &Names,
    value: &str,
) -> BTreeMap<String, String> {
    let mut tags = environment.tags.clone();
    tags.insert(names.tag.clone(), value.to_owned());
    tags
}

/// As most resources take them.
pub(super) fn list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

/// Tags of the stack `stack` itself.
pub(crate) fn stack_tags(environment: &Environment, stack: Stack) -> BTreeMap<String, String> {
    of(environment, &environment.names(), stack.word())
}
