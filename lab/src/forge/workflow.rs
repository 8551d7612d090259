//! Workflow files: what a push starts, and the jobs that come of it.
//!
//! Invariant: pure. The forge settles names, labels and matrix; everything inside a job is left to
//! its runner, which gets the workflow with this one job and one combination of the matrix.

use serde_json::{Map, Value, json};
use serde_yaml::Mapping;

use super::expression::{self, Standing, View, interpolate};

mod matrix;
mod trigger;

pub(crate) use trigger::Push;

/// Most jobs of one run: what a matrix may grow to on the forges that limit it.
const JOBS_MAX: usize = 256;

/// Why a workflow file starts nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("not YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
    #[error("{0}")]
    Expression(#[from] expression::Error),
    #[error("the workflow has no jobs")]
    NoJobs,
    #[error("job {0:?} is not a map")]
    NoMap(String),
    #[error("more than {JOBS_MAX} jobs")]
    TooMany,
}

/// A workflow file, read.
#[derive(Debug)]
pub(crate) struct Workflow {
    pub(crate) name: Option<String>,
    on: Value,
    /// `env` and `defaults` of the whole workflow.
    common: Map<String, Value>,
    jobs: Vec<(String, Map<String, Value>)>,
}

/// One job as the forge stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedJob {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) needs: Vec<String>,
    pub(crate) condition: Option<String>,
    pub(crate) steps: Vec<String>,
    pub(crate) payload: String,
}

impl Workflow {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let file: Mapping = serde_yaml::from_str(text)?;
        let value = |key: &str| -> Result<Value, Error> {
            Ok(file
                .get(key)
                .cloned()
                .map(serde_yaml::from_value)
                .transpose()?
                .unwrap_or_default())
        };
        let mut common = Map::new();
        for key in ["env", "defaults"] {
            common.insert(key.to_owned(), value(key)?);
        }
        let jobs = file
            .get("jobs")
            .and_then(serde_yaml::Value::as_mapping)
            .ok_or(Error::NoJobs)?
            .iter()
            .map(|(key, job)| {
                let key = key.as_str().unwrap_or_default().to_owned();
                if !job.is_mapping() {
                    return Err(Error::NoMap(key));
                }
                Ok((key, serde_yaml::from_value(job.clone())?))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            name: value("name")?.as_str().map(str::to_owned),
            on: value("on")?,
            common,
            jobs,
        })
    }

    pub(crate) fn starts_on(&self, push: &Push<'_>) -> bool {
        trigger::matches(&self.on, push)
    }

    /// Its jobs in the file's order, one per combination of the matrix.
    pub(crate) fn plan(&self, github: &Value) -> Result<Vec<PlannedJob>, Error> {
        let mut planned = Vec::new();
        for (key, job) in &self.jobs {
            for combination in matrix::combinations(job.get("strategy")) {
                if planned.len() >= JOBS_MAX {
                    return Err(Error::TooMany);
                }
                planned.push(self.plan_one(key, job, &combination, github)?);
            }
        }
        if planned.is_empty() {
            return Err(Error::NoJobs);
        }
        Ok(planned)
    }

    fn plan_one(
        &self,
        key: &str,
        job: &Map<String, Value>,
        combination: &Map<String, Value>,
        github: &Value,
    ) -> Result<PlannedJob, Error> {
        let contexts = json!({"github": github, "matrix": combination});
        let view = View {
            contexts: &contexts,
            standing: Standing::Success,
        };
        let given = job.get("name").and_then(Value::as_str).unwrap_or(key);
        let name = if combination.is_empty() || given.contains("${{") {
            interpolate(given, view)?
        } else {
            format!("{given} {}", matrix::name(combination))
        };
        Ok(PlannedJob {
            key: key.to_owned(),
            name,
            labels: labels(job.get("runs-on"), view)?,
            needs: strings(job.get("needs")),
            condition: job.get("if").map(scalar),
            steps: steps(job),
            payload: self.payload(key, job, combination)?,
        })
    }

    /// The document for the runner: its matrix has one value per key.
    fn payload(
        &self,
        key: &str,
        job: &Map<String, Value>,
        combination: &Map<String, Value>,
    ) -> Result<String, Error> {
        let mut job = job.clone();
        job.remove("needs");
        let single: Map<String, Value> = combination
            .iter()
            .map(|(key, value)| (key.clone(), json!([value])))
            .collect();
        job.insert("strategy".to_owned(), json!({"matrix": single}));
        let mut file = self.common.clone();
        file.insert("name".to_owned(), json!(self.name));
        file.insert("jobs".to_owned(), json!({key: job}));
        Ok(serde_yaml::to_string(&file)?)
    }
}

/// `runs-on` in each of its forms; a group becomes one more label (measured).
fn labels(runs_on: Option<&Value>, view: View<'_>) -> Result<Vec<String>, Error> {
    let raw = match runs_on {
        Some(Value::Object(object)) => {
            let mut raw = strings(object.get("labels"));
            raw.extend(strings(object.get("group")));
            raw
        }
        other => strings(other),
    };
    Ok(raw
        .iter()
        .map(|label| interpolate(label, view))
        .collect::<Result<_, _>>()?)
}

/// A YAML scalar as text.
fn scalar(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A string or a list of them.
pub(crate) fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list.iter().map(scalar).collect(),
        _ => Vec::new(),
    }
}

/// The names under which the forge shows the steps.
fn steps(job: &Map<String, Value>) -> Vec<String> {
    const NAME_MAX_CHARS: usize = 255;
    let steps = job.get("steps").and_then(Value::as_array);
    steps
        .into_iter()
        .flatten()
        .map(|step| {
            let field = |key: &str| step.get(key).and_then(Value::as_str).map(str::trim);
            let name = match (field("name"), field("uses").or(field("run"))) {
                (Some(name), _) => name.to_owned(),
                (None, Some(does)) => format!("Run {does}"),
                (None, None) => String::new(),
            };
            name.chars().take(NAME_MAX_CHARS).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
name: ci
on: push
env: {A: "1"}
jobs:
  build:
    runs-on: [self-hosted, base]
    steps:
      - run: echo "build $(uname -m)"
      - name: two
        run: true
  test:
    needs: build
    runs-on: ${{ matrix.on }}
    strategy:
      matrix:
        on: [go]
        part: [b, a]
    steps:
      - run: echo ${{ matrix.part }}
  last:
    needs: [build, test]
    if: always()
    name: last of ${{ github.ref_name }}
    steps: [{uses: actions/checkout@v4}]
"#;

    fn planned(text: &str) -> Vec<PlannedJob> {
        let workflow = Workflow::parse(text).unwrap();
        workflow.plan(&json!({"ref_name": "main"})).unwrap()
    }

    #[test]
    fn jobs_come_in_the_files_order_one_per_combination() {
        let jobs = planned(FILE);
        let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(
            names,
            ["build", "test (go, a)", "test (go, b)", "last of main"]
        );
        assert_eq!(jobs[0].labels, ["self-hosted", "base"]);
        assert_eq!(jobs[0].steps, [r#"Run echo "build $(uname -m)""#, "two"]);
        assert_eq!(jobs[1].labels, ["go"]);
        assert_eq!(jobs[1].needs, ["build"]);
        assert_eq!(jobs[3].labels, Vec::<String>::new());
        assert_eq!(jobs[3].condition.as_deref(), Some("always()"));
        assert_eq!(jobs[3].steps, ["Run actions/checkout@v4"]);
        assert!(jobs[1].payload.contains("- a"), "{}", jobs[1].payload);
        assert!(!jobs[1].payload.contains("- b"), "{}", jobs[1].payload);
    }

    #[test]
    fn each_form_of_runs_on_gives_the_measured_labels() {
        for (form, expected) in [
            ("one", vec!["one"]),
            ("[a1, a2]", vec!["a1", "a2"]),
            ("{labels: [o1, o2], group: g1}", vec!["o1", "o2", "g1"]),
            ("lab:host", vec!["lab:host"]),
            ("Lab", vec!["Lab"]),
            ("r-${{ github.ref_name }}", vec!["r-main"]),
            ("${{ vars.UNDEFINED }}", vec![""]),
            ("${{ fromJSON('[\"a\",\"b\"]') }}", vec!["Array"]),
        ] {
            let text = format!("on: push\njobs:\n  j:\n    runs-on: {form}\n    steps: []\n");
            assert_eq!(planned(&text)[0].labels, expected, "{form}");
        }
    }

    #[test]
    fn what_is_no_workflow_is_an_error() {
        for text in ["on: push", "a: [", "on: push\njobs: {a: 1}", "jobs: {}"] {
            let plan = Workflow::parse(text).and_then(|workflow| workflow.plan(&json!({})));
            assert!(plan.is_err(), "{text}");
        }
    }
}
