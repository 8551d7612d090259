//! What the forge hands out: one task with its workflow, cut down to one job.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Task {
    /// A 64-bit number, hence text.
    pub(super) id: String,
    workflow_payload: String,
    pub(super) context: Value,
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, String>,
    #[serde(default)]
    needs: Map<String, Value>,
}

impl Task {
    /// The job of this task, with the environment of its whole workflow.
    pub(super) fn job(&self) -> Result<Job, String> {
        let bytes = STANDARD
            .decode(&self.workflow_payload)
            .map_err(|error| format!("the workflow is not base64: {error}"))?;
        let file: Workflow = serde_yaml::from_slice(&bytes)
            .map_err(|error| format!("the workflow cannot be read: {error}"))?;
        let mut job = file
            .jobs
            .into_values()
            .next()
            .ok_or("the workflow has no job")?;
        let mut env = file.env.unwrap_or_default();
        env.extend(job.env.take().unwrap_or_default());
        job.env = Some(env);
        if job.defaults.is_null() {
            job.defaults = file.defaults;
        }
        Ok(job)
    }

    /// Results in the words of expressions.
    pub(super) fn needs(&self) -> Value {
        let mut needs = self.needs.clone();
        for need in needs.values_mut() {
            let result = need["result"].as_str().unwrap_or_default();
            need["result"] = json!(result.trim_start_matches("RESULT_").to_lowercase());
        }
        Value::Object(needs)
    }
}

#[derive(Debug, Deserialize)]
struct Workflow {
    env: Option<Map<String, Value>>,
    #[serde(default)]
    defaults: Value,
    jobs: BTreeMap<String, Job>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Job {
    #[serde(rename = "if")]
    pub(super) condition: Option<Value>,
    pub(super) env: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) defaults: Value,
    #[serde(default)]
    pub(super) strategy: Value,
    #[serde(default)]
    pub(super) outputs: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) container: Value,
    #[serde(default)]
    pub(super) services: Value,
    pub(super) timeout_minutes: Option<f64>,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
}

impl Job {
    /// Its one combination of the matrix.
    pub(super) fn matrix(&self) -> Value {
        let lists = self.strategy.get("matrix").and_then(Value::as_object);
        let single: Map<String, Value> = lists
            .into_iter()
            .flatten()
            .map(|(key, values)| (key.clone(), values.get(0).cloned().unwrap_or_default()))
            .collect();
        Value::Object(single)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Step {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    #[serde(rename = "if")]
    pub(super) condition: Option<Value>,
    pub(super) uses: Option<String>,
    pub(super) run: Option<String>,
    pub(super) shell: Option<String>,
    pub(super) working_directory: Option<String>,
    #[serde(default)]
    pub(super) env: Map<String, Value>,
    #[serde(default)]
    pub(super) continue_on_error: Value,
}

/// A YAML scalar as the text that expressions and environments see.
pub(super) fn scalar(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
