//! The jobs of a workflow: matrix, labels, what they wait for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use workflow::document::Workflow;
use workflow::expression::{self, Resolved};
use workflow::jobs::contexts::{Contexts, github};
use workflow::jobs::labels;
use workflow::jobs::matrix::{self, Combination, Include};
use workflow::jobs::needs::{self, JobNode, Next, Status};
use workflow::jobs::{self, ExpandedJob};
use workflow::yaml::{self, Node};

use super::{server, texts};

/// A value of a case as the node that a workflow file would have: JSON is YAML.
fn node(value: &Value) -> Option<Node> {
    yaml::parse(value.to_string().as_bytes()).ok()?
}

pub(super) fn expand(case: &Value) -> Option<Value> {
    let given = case["jobs_in"].as_array()?;
    let server = server(case);
    let text = workflow_of(given)?;
    let expanded = Workflow::read(text.as_bytes(), server)
        .and_then(|workflow| jobs::expand(&workflow, &contexts(&case["context"]), server));
    let Ok(expanded) = expanded else {
        return Some(json!("error"));
    };
    Some(expanded.iter().map(|job| job_json(job, given)).collect())
}

/// The workflow with these jobs, in their order.
pub(crate) fn workflow_of(given: &[Value]) -> Option<String> {
    let mut jobs = Vec::new();
    for job in given {
        let mut fields = job.as_object()?.clone();
        let id = fields.remove("id")?;
        if let Some(matrix) = fields.remove("matrix") {
            fields.insert("strategy".to_owned(), json!({ "matrix": matrix }));
        }
        jobs.push(format!("{id}: {}", Value::Object(fields)));
    }
    Some(format!(
        "{{\"on\": \"push\", \"jobs\": {{{}}}}}",
        jobs.join(", ")
    ))
}

fn contexts(given: &Value) -> Contexts {
    let texts_of = |value: &Value| -> BTreeMap<String, String> {
        let pairs = value.as_object().into_iter().flatten();
        pairs
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    };
    let known: BTreeMap<&str, expression::Value> = given["github"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), expression::Value::json(value)))
        .collect();
    let outputs = given["job_outputs"].as_object().into_iter().flatten();
    Contexts {
        github: github(&known),
        vars: given.get("vars").map(texts_of),
        inputs: match given.get("inputs") {
            Some(inputs) => expression::Value::json(inputs),
            None => expression::Value::Map(None),
        },
        job_outputs: outputs
            .map(|(id, outputs)| (id.clone(), texts_of(outputs)))
            .collect(),
        workflow_needs: texts(&given["workflow_needs"]),
        ..Contexts::default()
    }
}

/// A job, each field in the form in which the case gave it.
fn job_json(job: &ExpandedJob, given: &[Value]) -> Value {
    let nothing = Value::Null;
    let own = given.iter().find(|own| own["id"] == job.id.as_str());
    let own = own.unwrap_or(&nothing);
    let mut fields = Map::from_iter([("id".to_owned(), json!(job.id))]);
    let name = match &job.name {
        Resolved::Known(name) => json!(name),
        Resolved::Unknown(_) => own["name"].clone(),
    };
    fields.insert("name".to_owned(), name);
    if !job.needs.is_empty() {
        fields.insert("needs".to_owned(), as_given(&job.needs, &own["needs"]));
    }
    match &job.labels {
        Resolved::Known(labels) if labels.is_empty() => {}
        Resolved::Known(labels) => {
            fields.insert("runs-on".to_owned(), as_given(labels, &own["runs-on"]));
        }
        Resolved::Unknown(_) => {
            fields.insert("runs-on".to_owned(), own["runs-on"].clone());
            fields.insert("incomplete_runs_on".to_owned(), json!(true));
        }
    }
    if !job.uses.is_empty() {
        fields.insert("uses".to_owned(), json!(job.uses));
    }
    if job.incomplete_matrix.is_some() {
        fields.insert("matrix".to_owned(), own["matrix"].clone());
        fields.insert("incomplete_matrix".to_owned(), json!(true));
    } else if !job.combination.is_empty() {
        let values = job.combination.values();
        let values = values.map(|(key, value)| (key.to_owned(), json!([Value::from(value)])));
        fields.insert("matrix".to_owned(), Value::Object(values.collect()));
    }
    if let Some(Resolved::Known(value)) = &job.continue_on_error {
        fields.insert("continue-on-error".to_owned(), value.into());
    }
    Value::Object(fields)
}

/// One text alone where the case gave one, else a list.
fn as_given(texts: &[String], given: &Value) -> Value {
    match texts {
        [one] if !given.is_array() => json!(one),
        texts => json!(texts),
    }
}

pub(super) fn matrix(case: &Value) -> Option<Value> {
    let given = &case["matrix"];
    let combinations = if case["flavour"] == "nektos" && !given.is_null() {
        let lists = matrix::normal_form(&map(given)?);
        let all = lists.and_then(|lists| matrix::multiply(lists, Include::Merged));
        // To nektos/act, too, a matrix without a combination is one job.
        all.map(|all| {
            if all.is_empty() {
                vec![Combination::default()]
            } else {
                all
            }
        })
    } else {
        let node = node(given).filter(|_| !given.is_null());
        matrix::combinations(node.as_ref(), server(case))
    };
    Some(match combinations {
        Ok(combinations) => combinations.iter().map(combination_json).collect(),
        Err(_) => json!("error"),
    })
}

/// The map that a case gives.
fn map(value: &Value) -> Option<BTreeMap<String, yaml::Value>> {
    let yaml::Value::Map(map) = node(value)?.value().ok()? else {
        return None;
    };
    Some(map)
}

fn combination_json(combination: &Combination) -> Value {
    let values = combination.values();
    let values: Map<String, Value> = values
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    Value::Object(values)
}

pub(super) fn normal_matrix(case: &Value) -> Option<Value> {
    let given = case.get("matrix")?;
    if given.is_null() {
        return Some(Value::Null);
    }
    Some(match matrix::normal_form(&map(given)?) {
        Ok(lists) => lists
            .iter()
            .map(|(key, values)| (key.clone(), values.iter().map(Value::from).collect()))
            .collect::<Map<_, _>>()
            .into(),
        Err(_) => json!("invalid"),
    })
}

pub(super) fn normal_value(case: &Value) -> Option<Value> {
    let value = node(case.get("value")?)?.value().ok()?;
    Some(match matrix::normal_value("value", &value) {
        Ok(values) => values.iter().map(Value::from).collect(),
        Err(_) => json!("invalid"),
    })
}

pub(super) fn runs_on(case: &Value) -> Option<Value> {
    Some(json!(labels::labels(&node(case.get("runs_on")?)?)))
}

pub(super) fn runner_match(case: &Value) -> Option<Value> {
    let (runs_on, own) = (texts(&case["runs_on"])?, texts(&case["runner_labels"])?);
    Some(json!(labels::may_take(&runs_on, &own, server(case))))
}

/// Which jobs change, by their ids.
pub(super) fn needs(case: &Value) -> Option<Value> {
    let jobs: Vec<JobNode> = case["jobs"]
        .as_array()?
        .iter()
        .map(|job| {
            Some(JobNode {
                id: job["id"].as_str()?.to_owned(),
                status: serde_json::from_value(job["status"].clone()).ok()?,
                needs: texts(&job["needs"])?,
                condition: job["if"].as_str().map(str::to_owned),
                continue_on_error: job["continue_on_error"] == true,
                matrix: expression::Value::Map(None),
            })
        })
        .collect::<Option<_>>()?;
    let next = needs::resolve(&jobs, &Contexts::default(), server(case));
    let changed: Map<String, Value> = next
        .iter()
        .filter_map(|(place, next)| {
            let word = match next {
                Next::Waiting => Status::Waiting.word(),
                Next::Skipped => Status::Skipped.word(),
                // It stays as it is.
                Next::Stuck(_) | Next::Unknown(_) => return None,
            };
            Some((jobs.get(*place)?.id.clone(), json!(word)))
        })
        .collect();
    Some(Value::Object(changed))
}
