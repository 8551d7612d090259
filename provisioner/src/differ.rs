//! What differs between two templates, property by property. Pure.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::render::flatten;
use crate::world::holds_data;

/// A resource that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourceChange {
    /// Its id in the template.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// What happens to it.
    pub effect: Effect,
    /// Whether its loss would be a loss of data.
    pub holds_data: bool,
    /// What differs; empty for resources that come or go.
    pub properties: Vec<PropertyChange>,
}

/// What CloudFormation does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is made.
    Create,
    /// It is changed as it stands.
    InPlace,
    /// Another one may be made in its place.
    MayReplace,
    /// Another one is made in its place.
    Replace,
    /// It is deleted.
    Delete,
    /// It leaves the stack and stays.
    Keep,
    /// CloudFormation was not asked yet.
    Unknown,
}

/// One property that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PropertyChange {
    /// Where it is: `Value.instance_types[0]`.
    pub path: String,
    /// What is deployed; `None` when nothing is.
    pub before: Option<Value>,
    /// What would be deployed; `None` when nothing would.
    pub after: Option<Value>,
}

/// What stands in the place of a secret.
pub const MASK: &str = "(secret)";

/// The resources that differ between two templates.
#[must_use]
pub fn resources(before: &Value, after: &Value) -> Vec<ResourceChange> {
    let empty = Map::new();
    let before = before["Resources"].as_object().unwrap_or(&empty);
    let after = after["Resources"].as_object().unwrap_or(&empty);
    let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    ids.into_iter()
        .filter_map(|id| resource(id, before.get(id), after.get(id)))
        .collect()
}

fn resource(id: &str, before: Option<&Value>, after: Option<&Value>) -> Option<ResourceChange> {
    let mut properties = Vec::new();
    let effect = match (before, after) {
        (None, _) => Effect::Create,
        (Some(before), None) => match before["DeletionPolicy"].as_str() {
            Some("Retain" | "RetainExceptOnCreate") => Effect::Keep,
            Some(_) | None => Effect::Delete,
        },
        (Some(before), Some(after)) => {
            compare("", before, after, &mut properties);
            Effect::Unknown
        }
    };
    if effect == Effect::Unknown && properties.is_empty() {
        return None;
    }
    let kind = after.or(before)?["Type"].as_str().unwrap_or_default();
    for property in &mut properties {
        // `Properties.MemorySize` is what people call MemorySize.
        if let Some(path) = property.path.strip_prefix("Properties.") {
            property.path = path.to_owned();
        }
    }
    Some(ResourceChange {
        id: id.to_owned(),
        kind: kind.to_owned(),
        effect,
        holds_data: holds_data(kind),
        properties,
    })
}

/// The properties that differ between two values that both exist.
pub(crate) fn compare(
    path: &str,
    before: &Value,
    after: &Value,
    changes: &mut Vec<PropertyChange>,
) {
    if before == after {
        return;
    }
    // A document or a list of tags is compared as what it means, not as the text it is.
    let (meant_before, meant_after) = (meaning(before), meaning(after));
    match (
        meant_before.as_ref().unwrap_or(before),
        meant_after.as_ref().unwrap_or(after),
    ) {
        (Value::Object(old), Value::Object(new)) if !is_intrinsic(old) && !is_intrinsic(new) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => compare(&path, old, new, changes),
                    (old, new) => changes.push(change(&path, old, new)),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{index}]"), old, new, changes);
            }
        }
        (old, new) => changes.push(change(path, Some(old), Some(new))),
    }
}

pub(crate) fn change(path: &str, before: Option<&Value>, after: Option<&Value>) -> PropertyChange {
    let shown = |value: &Value| {
        if value.is_string() && is_secret(path) {
            return Value::from(MASK);
        }
        flatten(value).map_or_else(|| value.clone(), Value::from)
    };
    PropertyChange {
        path: path.to_owned(),
        before: before.map(shown),
        after: after.map(shown),
    }
}

/// Whether the last word of a path names something that is not to be shown. Our templates hold no
/// secrets; what somebody else deployed under these names may.
fn is_secret(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path).to_lowercase();
    ["secret", "token", "password", "private"]
        .iter()
        .any(|word| last.contains(word))
}

/// A JSON document in a text becomes the document, a list of tags becomes a table.
fn meaning(value: &Value) -> Option<Value> {
    if let Some(items) = value.as_array() {
        let mut table = Map::new();
        for item in items {
            let tag = item.as_object().filter(|tag| tag.len() == 2)?;
            let key = tag.get("Key")?.as_str()?;
            table.insert(key.to_owned(), tag.get("Value")?.clone());
        }
        return (!items.is_empty()).then_some(Value::Object(table));
    }
    let text = flatten(value).filter(|text| text.starts_with('{'))?;
    serde_json::from_str(&text).ok().filter(Value::is_object)
}

/// `{"Ref": …}` and `{"Fn::…": …}` are values, not tables.
fn is_intrinsic(object: &Map<String, Value>) -> bool {
    object.len() == 1
        && object
            .keys()
            .all(|key| key == "Ref" || key.starts_with("Fn::"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(before: &Value, after: &Value) -> Vec<String> {
        let mut changes = Vec::new();
        compare("", before, after, &mut changes);
        changes.into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn only_what_differs_is_named() {
        let table: &[(Value, Value, &[&str])] = &[
            (json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3}), &["b"]),
            (
                json!({"a": {"b": [1, 2]}}),
                json!({"a": {"b": [1, 3]}}),
                &["a.b[1]"],
            ),
            (json!({"a": [1]}), json!({"a": [1, 2]}), &["a"]),
            (json!({"a": 1}), json!({}), &["a"]),
            (
                json!({"a": {"Ref": "X"}}),
                json!({"a": {"Ref": "Y"}}),
                &["a"],
            ),
            (
                json!({"Value": {"Fn::Join": ["", ["{\"types\":[\"t3.small\"],\"id\":\"", {"Ref": "T"}, "\"}"]]}}),
                json!({"Value": {"Fn::Join": ["", ["{\"types\":[\"t3.large\"],\"id\":\"", {"Ref": "T"}, "\"}"]]}}),
                &["Value.types[0]"],
            ),
            (
                json!({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}),
                json!({"Tags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "9"}]}),
                &["Tags.a"],
            ),
        ];
        for (before, after, expected) in table {
            assert_eq!(paths(before, after), *expected, "{before} to {after}");
        }
    }

    #[test]
    fn resources_come_go_stay_and_change() {
        let before = json!({"Resources": {
            "Gone": {"Type": "AWS::SNS::Topic"},
            "Kept": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain"},
            "Same": {"Type": "AWS::SNS::Topic"},
            "Function": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 256}},
        }});
        let after = json!({"Resources": {
            "Same": {"Type": "AWS::SNS::Topic"},
            "New": {"Type": "AWS::SNS::Topic"},
            "Function": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 512}},
        }});
        let changes: Vec<(String, Effect)> = resources(&before, &after)
            .into_iter()
            .map(|change| (change.id, change.effect))
            .collect();
        assert_eq!(
            changes,
            [
                ("Function".to_owned(), Effect::Unknown),
                ("Gone".to_owned(), Effect::Delete),
                ("Kept".to_owned(), Effect::Keep),
                ("New".to_owned(), Effect::Create),
            ]
        );
    }

    #[test]
    fn what_a_name_calls_secret_is_not_shown() {
        let change = change(
            "Environment.Variables.RUNNER_TOKEN",
            Some(&json!("abc")),
            None,
        );
        assert_eq!(change.before, Some(json!(MASK)));
    }
}
