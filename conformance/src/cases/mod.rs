//! `cargo xtask conformance`: cases of what forges do, each put to the rules of
//! [`workflow`]. One line of JSON a case, and a sum.

mod events;
mod jobs;
mod patterns;

pub(crate) use jobs::workflow_of;

use std::path::Path;

use serde_json::{Value, json};
use workflow::Server;

/// Largest file that is read, in bytes: some hundred thousand cases.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Why no case was tried.
#[derive(Debug, thiserror::Error)]
#[error("{path} can't be read: {message}")]
pub struct ConformanceError {
    path: String,
    message: String,
}

/// Tries every case of `file` and hands each line to `print`: whether none failed.
pub fn run(file: &Path, mut print: impl FnMut(&str)) -> Result<bool, ConformanceError> {
    let (mut passed, mut failed, mut unsupported) = (0, 0, 0);
    for case in read(file)? {
        let answer = answer(&case);
        let pass = answer.as_ref().is_some_and(|it| is_expected(&case, it));
        *match answer {
            Some(_) if pass => &mut passed,
            Some(_) => &mut failed,
            None => &mut unsupported,
        } += 1;
        let actual = answer.unwrap_or_else(|| json!("unsupported"));
        let line = json!({
            "id": case["id"], "kind": case["kind"], "actual": actual, "pass": pass,
        });
        print(&line.to_string());
    }
    print(&format!(
        "{passed} passed, {failed} failed, {unsupported} unsupported"
    ));
    Ok(failed == 0)
}

fn read(file: &Path) -> Result<Vec<Value>, ConformanceError> {
    let bad = |message: String| ConformanceError {
        path: file.display().to_string(),
        message,
    };
    let size = std::fs::metadata(file).map_err(|error| bad(error.to_string()))?;
    if size.len() > FILE_MAX_BYTES {
        return Err(bad(format!("it has more than {FILE_MAX_BYTES} bytes")));
    }
    let bytes = std::fs::read(file).map_err(|error| bad(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))
}

/// The answer of our rules; `None` if the kind of the case is unknown, or its input does not fit it.
fn answer(case: &Value) -> Option<Value> {
    match case["kind"].as_str().unwrap_or_default() {
        "pattern" => patterns::both_alike(case),
        "pattern_derived" => patterns::each(case),
        "glob" => patterns::glob(case),
        "webhook_branch_filter" => patterns::branch_filter(case),
        "on_parse" => events::on(case),
        "trigger" => events::trigger(case),
        "event_match" => events::event_match(case),
        "workflow_path" => events::workflow_path(case),
        "workflow_dirs" => events::workflow_dirs(case),
        "job_expand" => jobs::expand(case),
        "matrix" => jobs::matrix(case),
        "matrix_normalize" => jobs::normal_matrix(case),
        "matrix_value" => jobs::normal_value(case),
        "runs_on" => jobs::runs_on(case),
        "runner_match" => jobs::runner_match(case),
        "needs_resolve" => jobs::needs(case),
        _ => None,
    }
}

/// Whether that is what the case says; a pattern may have one answer for each dialect.
fn is_expected(case: &Value, actual: &Value) -> bool {
    match case.get("expected") {
        // A set: the forge sorts combinations by their names, the cases by where they come from.
        Some(expected) if case["kind"] == "matrix" => is_same_set(expected, actual),
        Some(expected) => is_same(expected, actual),
        None => ["gitea_1_27", "nektos"]
            .into_iter()
            .all(|dialect| case[dialect] == actual[dialect]),
    }
}

/// Whether two values are the same; a number is the same however it is written.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| is_same(value, other)))
        }
        _ => one == other,
    }
}

/// Whether two lists have the same items, each as often.
fn is_same_set(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_array(), other.as_array()) else {
        return is_same(one, other);
    };
    let count = |list: &[Value], item: &Value| list.iter().filter(|own| is_same(own, item)).count();
    one.len() == other.len()
        && one
            .iter()
            .all(|item| count(one, item) == count(other, item))
}

/// The server whose rules a case is about; a case without one is about all, and about the newest
/// Gitea where they differ, which is where the cases come from.
fn server(case: &Value) -> Server {
    match case["flavour"].as_str() {
        Some("forgejo") => Server::forgejo(14, 0, 0),
        Some("nektos") => Server::GITEA_1_26,
        _ => Server::gitea(1, 28, 0),
    }
}

/// A list of texts; `None` for anything else.
fn texts(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?.iter();
    items.map(|item| Some(item.as_str()?.to_owned())).collect()
}
