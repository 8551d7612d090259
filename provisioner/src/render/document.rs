//! Texts with holes that only CloudFormation can fill: user-data and the pools' documents.

use serde::Serialize;
use serde_json::{Value, json};

/// A hole and what fills it.
pub(super) type Hole = (&'static str, Value);

/// `text` as `Fn::Join` of its pieces and of what fills the holes between them.
pub(super) fn join(text: &str, holes: &[Hole]) -> Value {
    let mut parts = vec![Value::from(text)];
    for (mark, filling) in holes {
        parts = parts
            .into_iter()
            .flat_map(|part| match part.as_str() {
                None => vec![part],
                Some(text) => split(text, mark, filling),
            })
            .collect();
    }
    parts.retain(|part| part.as_str() != Some(""));
    json!({"Fn::Join": ["", parts]})
}

fn split(text: &str, mark: &str, filling: &Value) -> Vec<Value> {
    let mut parts = Vec::new();
    for (index, piece) in text.split(mark).enumerate() {
        if index > 0 {
            parts.push(filling.clone());
        }
        parts.push(Value::from(piece));
    }
    parts
}

/// `document` as JSON, ready for [`join`].
pub(super) fn text(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("documents are plain structs of strings and numbers")
}

/// The other way, for people and for comparing: a text, or a `Fn::Join` of one (also under
/// `Fn::Base64`), with each hole shown as `${…}`. `None` for anything else.
#[must_use]
pub fn flatten(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let object = value.as_object().filter(|object| object.len() == 1)?;
    if let Some(inner) = object.get("Fn::Base64") {
        return flatten(inner);
    }
    let [separator, parts] = object.get("Fn::Join")?.as_array()?.as_slice() else {
        return None;
    };
    let parts: Vec<String> = parts.as_array()?.iter().map(flatten_part).collect();
    Some(parts.join(separator.as_str()?))
}

fn flatten_part(part: &Value) -> String {
    if let Some(text) = part.as_str() {
        return text.to_owned();
    }
    let reference = part.get("Ref").and_then(Value::as_str).map(str::to_owned);
    let attribute = part
        .get("Fn::GetAtt")
        .and_then(Value::as_array)
        .map(|path| {
            path.iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(".")
        });
    match reference.or(attribute) {
        Some(name) => format!("${{{name}}}"),
        None => part.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_holes_is_joined_and_shown_again() {
        let joined = join("a<x>b<x>", &[("<x>", json!({"Ref": "X"}))]);
        assert_eq!(
            joined,
            json!({"Fn::Join": ["", ["a", {"Ref": "X"}, "b", {"Ref": "X"}]]})
        );
        assert_eq!(flatten(&joined).unwrap(), "a${X}b${X}");
        assert_eq!(
            flatten(&json!({"Fn::Base64": joined})).unwrap(),
            "a${X}b${X}"
        );
        assert_eq!(flatten(&json!({"Ref": "X"})), None);
    }
}
