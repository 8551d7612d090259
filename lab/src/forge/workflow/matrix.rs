//! `strategy.matrix`: lists, `include` and `exclude`, as the forge expands them.

use serde_json::{Map, Value};

/// Most combinations that are kept: more than a run may have jobs, so that the caller sees it.
const COMBINATIONS_MAX: usize = 300;

/// Every combination, ordered by name; one empty combination without a matrix.
pub(super) fn combinations(strategy: Option<&Value>) -> Vec<Map<String, Value>> {
    let Some(matrix) = strategy
        .and_then(|strategy| strategy.get("matrix"))
        .and_then(Value::as_object)
    else {
        return vec![Map::new()];
    };
    let mut all = vec![Map::new()];
    for (key, values) in matrix.iter().filter(|(key, _)| !is_rule(key)) {
        let values = values
            .as_array()
            .map_or_else(|| vec![values.clone()], Clone::clone);
        all = all
            .iter()
            .flat_map(|combination| {
                values.iter().map(move |value| {
                    let mut combination = combination.clone();
                    combination.insert(key.clone(), value.clone());
                    combination
                })
            })
            .take(COMBINATIONS_MAX)
            .collect();
    }
    all.retain(|combination| {
        !entries(matrix, "exclude").any(|rule| {
            rule.iter()
                .all(|(key, value)| combination.get(key) == Some(value))
        })
    });
    include(matrix, &mut all);
    all.retain(|combination| !combination.is_empty());
    if all.is_empty() {
        all.push(Map::new());
    }
    all.sort_by_key(name);
    all
}

/// The name that a combination adds to its job's: values by the order of their keys.
pub(super) fn name(combination: &Map<String, Value>) -> String {
    let values: Vec<String> = combination
        .values()
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .collect();
    format!("({})", values.join(", "))
}

/// An entry that agrees with combinations in the keys that they share extends those; one that shares
/// no key, or agrees with none, is a combination of its own (the forge's way, not GitHub's).
fn include(matrix: &Map<String, Value>, all: &mut Vec<Map<String, Value>>) {
    let mut extra = Vec::new();
    for entry in entries(matrix, "include") {
        let shares = entry
            .keys()
            .any(|key| !is_rule(key) && matrix.contains_key(key));
        let mut extended = false;
        for combination in all.iter_mut().filter(|_| shares) {
            let agrees = entry
                .iter()
                .filter(|(key, _)| matrix.contains_key(*key))
                .all(|(key, value)| combination.get(key) == Some(value));
            if agrees {
                extended = true;
                combination.extend(entry.clone());
            }
        }
        if !extended {
            extra.push(entry.clone());
        }
    }
    all.extend(extra);
}

fn entries<'a>(
    matrix: &'a Map<String, Value>,
    rule: &str,
) -> impl Iterator<Item = &'a Map<String, Value>> {
    matrix
        .get(rule)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}

fn is_rule(key: &str) -> bool {
    key == "include" || key == "exclude"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn combinations_follow_lists_rules_and_order() {
        for (matrix, expected) in [
            (json!({"a": [2, 1]}), vec!["(1)", "(2)"]),
            (
                json!({"a": ["x"], "b": ["p", "q"]}),
                vec!["(x, p)", "(x, q)"],
            ),
            (
                json!({"a": ["x", "y"], "exclude": [{"a": "x"}]}),
                vec!["(y)"],
            ),
            (
                json!({"a": ["x", "y"], "include": [{"a": "x", "n": 7}]}),
                vec!["(x, 7)", "(y)"],
            ),
            (
                json!({"a": ["x"], "include": [{"other": 1}]}),
                vec!["(1)", "(x)"],
            ),
            (json!({"include": [{"os": "l"}]}), vec!["(l)"]),
        ] {
            let strategy = json!({"matrix": matrix});
            let names: Vec<String> = combinations(Some(&strategy)).iter().map(name).collect();
            assert_eq!(names, expected, "{matrix}");
        }
        assert_eq!(combinations(None), vec![Map::new()]);
    }
}
