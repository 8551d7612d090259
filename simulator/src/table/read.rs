//! Items as requests have them, in JSON.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::failure::Failure;
use super::number::Number;
use super::value::{Item, LEVELS_MAX, Value};

const LEVELS_EXCEEDED: &str = "Nesting Levels have exceeded supported limits: Attributes in the item have \
                               nested levels beyond supported limit";

/// Reads a map of attributes.
pub(super) fn read_item(json: &Json, what: &str) -> Result<Item, Failure> {
    let object = json
        .as_object()
        .ok_or_else(|| Failure::not_a(what, "a map"))?;
    let mut item = Item::new();
    for (name, value) in object {
        if name.is_empty() {
            return Err(Failure::validation("Empty attribute name"));
        }
        let value = read_value(value)?;
        if value.is_deeper_than(LEVELS_MAX) {
            return Err(Failure::validation(LEVELS_EXCEEDED));
        }
        item.insert(name.clone(), value);
    }
    Ok(item)
}

fn read_value(json: &Json) -> Result<Value, Failure> {
    let object = json
        .as_object()
        .ok_or_else(|| Failure::not_a("an attribute's value", "a map"))?;
    let mut entries = object.iter();
    let (Some((kind, json)), other) = (entries.next(), entries.next()) else {
        return Err(Failure::validation(
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ));
    };
    if other.is_some() {
        return Err(Failure::validation(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of \
             the supported datatypes",
        ));
    }
    match kind.as_str() {
        "S" => Ok(Value::S(text_in(json)?.to_owned())),
        "N" => Ok(Value::N(number_in(json)?)),
        "BOOL" => json
            .as_bool()
            .map(Value::Bool)
            .ok_or_else(|| Failure::not_a("a BOOL", "a boolean")),
        "NULL" if json.as_bool() == Some(true) => Ok(Value::Null),
        "NULL" => Err(Failure::invalid(
            "Null attribute value types must have the value of true",
        )),
        "SS" => {
            let texts = list_in(json)?.iter();
            let texts = texts.map(|one| text_in(one).map(str::to_owned));
            read_set(texts.collect::<Result<_, _>>()?, "string").map(Value::Ss)
        }
        "NS" => {
            let numbers = list_in(json)?.iter().map(number_in);
            read_set(numbers.collect::<Result<_, _>>()?, "number").map(Value::Ns)
        }
        "L" => {
            let values = list_in(json)?.iter().map(read_value);
            values.collect::<Result<_, _>>().map(Value::L)
        }
        "M" => {
            let object = json.as_object();
            let entries = object.ok_or_else(|| Failure::not_a("an M", "a map"))?;
            let entries = entries
                .iter()
                .map(|(name, value)| Ok((name.clone(), read_value(value)?)));
            entries.collect::<Result<_, _>>().map(Value::M)
        }
        other => Err(Failure::unknown("an attribute's value", other)),
    }
}

fn read_set<T: Ord>(members: Vec<T>, what: &str) -> Result<BTreeSet<T>, Failure> {
    let count = members.len();
    let set: BTreeSet<T> = members.into_iter().collect();
    if set.is_empty() {
        return Err(Failure::invalid(&format!(
            "An {what} set  may not be empty"
        )));
    }
    if set.len() < count {
        return Err(Failure::invalid("Input collection contains duplicates."));
    }
    Ok(set)
}

fn text_in(json: &Json) -> Result<&str, Failure> {
    json.as_str()
        .ok_or_else(|| Failure::not_a("an attribute's value", "a string"))
}

fn number_in(json: &Json) -> Result<Number, Failure> {
    Number::parse(text_in(json)?).map_err(|error| Failure::validation(error.to_string()))
}

fn list_in(json: &Json) -> Result<&Vec<Json>, Failure> {
    json.as_array()
        .ok_or_else(|| Failure::not_a("an attribute's value", "a list"))
}

#[cfg(test)]
mod tests {
    use super::super::value::{bytes_of, write_item};
    use super::*;

    fn item(text: &str) -> Result<Item, Failure> {
        read_item(&serde_json::from_str(text).unwrap(), "Item")
    }

    #[test]
    fn an_item_is_written_as_it_was_read() {
        let text = r#"{"a":{"S":"x\"\\\n\u0001ä"},"b":{"N":"1"},"c":{"BOOL":false},"d":{"NULL":true},"e":{"SS":["x","y"]},"f":{"NS":["-1","2.5"]},"g":{"L":[{"S":""},{"M":{}}]},"h":{"M":{"i":{"L":[]}}}}"#;
        let read = item(text).unwrap();
        let mut again = String::new();
        write_item(&read, &mut again);
        assert_eq!(again, text);
    }

    #[test]
    fn values_that_dynamodb_refuses_are_refused() {
        for (text, why) in [
            (r"{}", "is empty"),
            (r#"{"S":"a","N":"1"}"#, "more than one"),
            (r#"{"S":1}"#, "not a string"),
            (r#"{"N":1}"#, "not a string"),
            (r#"{"N":"x"}"#, "numeric value: x"),
            (r#"{"BOOL":"true"}"#, "not a boolean"),
            (r#"{"NULL":false}"#, "value of true"),
            (r#"{"SS":[]}"#, "may not be empty"),
            (r#"{"SS":["a","a"]}"#, "duplicates"),
            (r#"{"NS":["1","1.0"]}"#, "duplicates"),
            (r#"{"L":{}}"#, "not a list"),
            (r#"{"M":[]}"#, "not a map"),
            (r#"{"B":"AA=="}"#, "not known here: B"),
            (r#"{"L":[{"S":"a"},{}]}"#, "is empty"),
            (r#""a""#, "not a map"),
        ] {
            let refused = item(&format!(r#"{{"a":{text}}}"#)).unwrap_err().to_string();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        assert!(item(r#"{"":{"S":"a"}}"#).is_err());
    }

    #[test]
    fn a_value_has_at_most_32_levels() {
        let nested = |levels: usize| {
            let text = r#"{"L":["#.repeat(levels - 1) + r#"{"S":"x"}"# + &"]}".repeat(levels - 1);
            item(&format!(r#"{{"a":{text}}}"#))
        };
        assert!(nested(32).is_ok());
        assert!(nested(33).unwrap_err().to_string().contains("Nesting"));
    }

    #[test]
    fn sizes_count_names_and_values() {
        for (text, bytes) in [
            (r#"{"abc":{"S":"ä"}}"#, 5),
            (r#"{"a":{"N":"123"}}"#, 4),
            (r#"{"a":{"BOOL":true},"b":{"NULL":true}}"#, 4),
            (r#"{"a":{"L":[{"S":"xy"}]}}"#, 7),
            (r#"{"a":{"M":{"b":{"S":"xy"}}}}"#, 8),
            (r#"{"a":{"SS":["x","yz"]}}"#, 4),
        ] {
            assert_eq!(bytes_of(&item(text).unwrap()), bytes, "{text}");
        }
    }
}
