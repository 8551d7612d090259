//! YAML with CloudFormation's short tags to JSON.

use serde_json::{Map, Value};
use serde_yaml::value::TaggedValue;

/// The document as JSON, with `!Ref X` as `{"Ref": "X"}` and `!Sub X` as `{"Fn::Sub": "X"}`.
pub(super) fn to_json(text: &str) -> Result<Value, serde_yaml::Error> {
    convert(serde_yaml::from_str(text)?)
}

fn convert(value: serde_yaml::Value) -> Result<Value, serde_yaml::Error> {
    Ok(match value {
        serde_yaml::Value::Sequence(items) => {
            Value::Array(items.into_iter().map(convert).collect::<Result<_, _>>()?)
        }
        serde_yaml::Value::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                object.insert(serde_yaml::from_value(key)?, convert(value)?);
            }
            Value::Object(object)
        }
        serde_yaml::Value::Tagged(tagged) => intrinsic(*tagged)?,
        scalar @ (serde_yaml::Value::Null
        | serde_yaml::Value::Bool(_)
        | serde_yaml::Value::Number(_)
        | serde_yaml::Value::String(_)) => serde_yaml::from_value(scalar)?,
    })
}

fn intrinsic(tagged: TaggedValue) -> Result<Value, serde_yaml::Error> {
    let tag = tagged.tag.to_string();
    let word = tag.trim_start_matches('!');
    let argument = convert(tagged.value)?;
    let (key, argument) = match (word, argument) {
        ("Ref" | "Condition", argument) => (word.to_owned(), argument),
        ("GetAtt", Value::String(path)) => {
            let parts = path.split('.').map(Value::from).collect();
            ("Fn::GetAtt".to_owned(), Value::Array(parts))
        }
        (_, argument) => (format!("Fn::{word}"), argument),
    };
    Ok(Value::Object(Map::from_iter([(key, argument)])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_tags_become_what_cloudformation_calls_them_in_json() {
        let yaml = "a: !Ref X\nb: !GetAtt X.Arn\nc: !Sub \"${X}\"\nd: !Join [\"\", [!Ref X, y]]\n\"Null\": \"false\"\n";
        assert_eq!(
            to_json(yaml).unwrap(),
            json!({
                "a": {"Ref": "X"},
                "b": {"Fn::GetAtt": ["X", "Arn"]},
                "c": {"Fn::Sub": "${X}"},
                "d": {"Fn::Join": ["", [{"Ref": "X"}, "y"]]},
                "Null": "false",
            })
        );
    }
}
