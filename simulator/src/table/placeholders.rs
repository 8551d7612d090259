//! What a request gives for the names and values of its expressions: all that they refer to, and no more.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::members::Members;
use super::references::References;
use super::value::{Item, Value};

/// The request's `ExpressionAttributeNames` and `ExpressionAttributeValues`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Placeholders {
    names: BTreeMap<String, String>,
    values: Item,
}

const NAMES: &str = "ExpressionAttributeNames";
const VALUES: &str = "ExpressionAttributeValues";

impl Placeholders {
    pub(super) fn read(request: &Members<'_>) -> Result<Self, Failure> {
        let mut names = BTreeMap::new();
        if let Some(object) = request.object(NAMES)? {
            for (name, stands_for) in object {
                let stands_for = stands_for.as_str();
                let stands_for = stands_for.ok_or_else(|| Failure::not_a(NAMES, "of strings"))?;
                names.insert(name.clone(), stands_for.to_owned());
            }
            refuse_keys(NAMES, '#', names.keys())?;
            if let Some(name) = names.iter().find(|(_, stands_for)| stands_for.is_empty()) {
                return Err(Failure::validation(format!(
                    "{NAMES} contains invalid value: Empty attribute name for key {}",
                    name.0
                )));
            }
        }
        let mut values = Item::new();
        if let Some(item) = request.item(VALUES)? {
            refuse_keys(VALUES, ':', item.keys())?;
            values = item;
        }
        Ok(Self { names, values })
    }

    /// Refuses what an expression refers to and is not given.
    pub(super) fn refuse_undefined(&self, used: &References) -> Result<(), String> {
        if let Some(name) = used.names.iter().find(|one| !self.names.contains_key(*one)) {
            return Err(format!(
                "An expression attribute name used in the document path is not defined; attribute \
                 name: {name}"
            ));
        }
        match used
            .values
            .iter()
            .find(|one| !self.values.contains_key(*one))
        {
            None => Ok(()),
            Some(value) => Err(format!(
                "An expression attribute value used in expression is not defined; attribute value: \
                 {value}"
            )),
        }
    }

    /// Refuses what is given and no expression refers to.
    pub(super) fn refuse_unused(&self, used: &[&References]) -> Result<(), Failure> {
        let is_used = |set: fn(&References) -> &std::collections::BTreeSet<String>, one: &str| {
            used.iter().any(|references| set(references).contains(one))
        };
        let names = self.names.keys();
        let names: Vec<_> = names
            .filter(|one| !is_used(|used| &used.names, one))
            .map(String::as_str)
            .collect();
        refuse_rest(NAMES, &names, used.is_empty())?;
        let values = self.values.keys();
        let values: Vec<_> = values
            .filter(|one| !is_used(|used| &used.values, one))
            .map(String::as_str)
            .collect();
        refuse_rest(VALUES, &values, used.is_empty())
    }

    /// What a name stands for.
    pub(super) fn name<'a>(&'a self, placeholder: &'a str) -> &'a str {
        self.names
            .get(placeholder)
            .expect("undefined names were refused")
    }

    /// What a value stands for.
    pub(super) fn value(&self, placeholder: &str) -> &Value {
        self.values
            .get(placeholder)
            .expect("undefined values were refused")
    }
}

fn refuse_keys<'a>(
    member: &str,
    first: char,
    mut keys: impl ExactSizeIterator<Item = &'a String>,
) -> Result<(), Failure> {
    if keys.len() == 0 {
        return Err(Failure::validation(format!("{member} must not be empty")));
    }
    let is_right = |key: &str| {
        key.strip_prefix(first).is_some_and(|rest| {
            let mut rest = rest.chars().peekable();
            rest.peek().is_some() && rest.all(|one| one.is_ascii_alphanumeric() || one == '_')
        })
    };
    match keys.find(|key| !is_right(key)) {
        None => Ok(()),
        Some(key) => Err(Failure::validation(format!(
            "{member} contains invalid key: Syntax error; key: \"{key}\""
        ))),
    }
}

fn refuse_rest(member: &str, rest: &[&str], has_no_expression: bool) -> Result<(), Failure> {
    if rest.is_empty() {
        return Ok(());
    }
    Err(Failure::Validation(if has_no_expression {
        format!("{member} can only be specified when using expressions")
    } else {
        format!(
            "Value provided in {member} unused in expressions: keys: {{{}}}",
            rest.join(", ")
        )
    }))
}
