//! The runs that an event starts, as the trigger rules have them ([`workflow`]), and for each job the
//! document that its runner gets.
//!
//! Invariant: pure. Names, labels and matrix are settled here; everything inside a job is left to its
//! runner, which gets the workflow with this one job and one combination of the matrix.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use workflow::ForgeKind;
use workflow::discovery::FoundFiles;
use workflow::evaluation::{self, Evaluation, Run};
use workflow::event::{Body, Event, EventKind};
use workflow::expression::{self, Resolved};
use workflow::jobs::ExpandedJob;
use workflow::jobs::concurrency::Effect;
use workflow::jobs::workflow_set::WorkflowSet;
use workflow::trigger::Changed;

use super::version::Version;

/// Longest name of a step that the forge keeps.
const STEP_NAME_MAX_CHARS: usize = 255;

/// A run that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct PlannedRun {
    /// Path of its file, `.gitea/workflows/ci.yml`.
    pub(crate) path: String,
    /// The workflow's own name, if it has one.
    pub(crate) name: Option<String>,
    /// The group whose other runs it ends; of a Gitea that is not played.
    pub(crate) group: Option<String>,
    pub(crate) jobs: Vec<PlannedJob>,
}

/// One job as the forge stores it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedJob {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) needs: Vec<String>,
    pub(crate) condition: Option<String>,
    pub(crate) matrix: expression::Value,
    pub(crate) steps: Vec<String>,
    pub(crate) payload: String,
}

/// Why a run can't be made here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("not YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
    #[error("job {0:?} of a called workflow: the stand-in forge follows no calls")]
    Called(String),
    #[error("job {job:?} can't be known before others have ended: {because}")]
    Unknown { job: String, because: String },
}

/// What the rules look at beside event and files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// Of the commit.
    pub(super) message: &'a str,
    /// Files that differ from what was there before.
    pub(super) changed: &'a [String],
    pub(super) variables: &'a BTreeMap<String, String>,
    /// Workflows by their paths below their folder.
    pub(super) disabled: &'a BTreeSet<String>,
}

/// The runs that a push starts, and in words what keeps others from starting. `event` is its delivery.
pub(super) fn started(
    version: Version,
    event: &Value,
    files: FoundFiles,
    facts: Facts<'_>,
) -> (Vec<PlannedRun>, Vec<String>) {
    let body: Body = match serde_json::from_value(event.clone()) {
        Ok(body) => body,
        Err(error) => return (Vec::new(), vec![error.to_string()]),
    };
    let event = Event {
        kind: EventKind::Push,
        body,
    };
    let server = version.server();
    let bytes = files.files.iter().filter_map(|file| {
        let bytes = file.bytes.as_ref().ok()?;
        Some((file.path.clone(), bytes.clone()))
    });
    let bytes: BTreeMap<String, Vec<u8>> = bytes.collect();
    let facts = workflow::Facts {
        sha: event.commit().to_owned(),
        message: facts.message.to_owned(),
        changed: Changed::Files(facts.changed.to_vec()),
        variables: Some(facts.variables.clone()),
        disabled: facts.disabled.clone(),
        ..workflow::Facts::of(WorkflowSet::of(files, server), server)
    };
    let evaluation = facts.evaluate(&event);
    planned(&evaluation, &bytes, server.kind)
}

/// The runs of `evaluation`, and in words why some files start none that might. `files` has the bytes
/// of each workflow file by its path.
fn planned(
    evaluation: &Evaluation,
    files: &BTreeMap<String, Vec<u8>>,
    kind: ForgeKind,
) -> (Vec<PlannedRun>, Vec<String>) {
    let (mut runs, mut refused) = (Vec::new(), Vec::new());
    for workflow in &evaluation.workflows {
        let mut refuse = |why: &dyn std::fmt::Display| {
            refused.push(format!("{}: {why}", workflow.path));
        };
        if let Some(why) = &workflow.refused {
            refuse(why);
        }
        let file = files.get(&workflow.path).map_or(&[][..], Vec::as_slice);
        for run in workflow
            .events
            .iter()
            .filter_map(|event| event.run.as_ref())
        {
            match run {
                Ok(run) => match plan(&workflow.path, file, run, kind) {
                    Ok(run) => runs.push(run),
                    Err(error) => refuse(&error),
                },
                Err(why) => refuse(why),
            }
        }
    }
    (runs, refused)
}

fn plan(path: &str, file: &[u8], run: &Run, kind: ForgeKind) -> Result<PlannedRun, Error> {
    let document = Document::read(file)?;
    let jobs = run
        .jobs
        .iter()
        .map(|planned| document.job(planned))
        .collect::<Result<_, _>>()?;
    let group = run.group.clone().known().flatten();
    let group = group.filter(|group| group.effect == Effect::CancelsOthers);
    Ok(PlannedRun {
        path: path.to_owned(),
        name: document.name,
        group: group
            .filter(|_| kind == ForgeKind::Forgejo)
            .map(|group| group.name),
        jobs,
    })
}

/// A workflow file as plain data.
struct Document {
    name: Option<String>,
    /// `env` and `defaults` of the whole workflow.
    common: Map<String, Value>,
    jobs: Map<String, Value>,
}

impl Document {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let file: serde_yaml::Mapping = serde_yaml::from_slice(bytes)?;
        let value = |key: &str| -> Result<Value, Error> {
            let value = file.get(key).cloned().unwrap_or_default();
            Ok(serde_yaml::from_value(value)?)
        };
        let mut common = Map::new();
        for key in ["env", "defaults"] {
            common.insert(key.to_owned(), value(key)?);
        }
        let Value::Object(jobs) = value("jobs")? else {
            return Ok(Self {
                name: None,
                common,
                jobs: Map::new(),
            });
        };
        Ok(Self {
            name: value("name")?.as_str().map(str::to_owned),
            common,
            jobs,
        })
    }

    fn job(&self, planned: &evaluation::PlannedJob) -> Result<PlannedJob, Error> {
        let job = &planned.job;
        let known = |value: &Resolved<String>| match value {
            Resolved::Known(name) => Ok(name.clone()),
            Resolved::Unknown(because) => Err(Error::Unknown {
                job: job.id.clone(),
                because: because.clone(),
            }),
        };
        if let Some(because) = job.unknown() {
            known(&Resolved::Unknown(because.to_owned()))?;
        }
        let body = self.jobs.get(&job.id).and_then(Value::as_object);
        let body = body.ok_or_else(|| Error::Called(job.id.clone()))?;
        Ok(PlannedJob {
            key: job.id.clone(),
            name: known(&job.name)?,
            labels: job.labels.clone().known().unwrap_or_default(),
            needs: job.needs.clone(),
            condition: job.condition.clone(),
            matrix: job.combination.context(),
            steps: steps(body),
            payload: self.payload(job, body)?,
        })
    }

    /// The document for the runner: its matrix has one value per key.
    fn payload(&self, job: &ExpandedJob, body: &Map<String, Value>) -> Result<String, Error> {
        let mut body = body.clone();
        body.remove("needs");
        let values = job.combination.values();
        let single: Map<String, Value> = values
            .map(|(key, value)| (key.to_owned(), json!([Value::from(value)])))
            .collect();
        body.insert("strategy".to_owned(), json!({"matrix": single}));
        let mut file = self.common.clone();
        file.insert("name".to_owned(), json!(self.name));
        file.insert("jobs".to_owned(), json!({&job.id: body}));
        Ok(serde_yaml::to_string(&file)?)
    }
}

/// The names under which the forge shows the steps.
fn steps(job: &Map<String, Value>) -> Vec<String> {
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
            name.chars().take(STEP_NAME_MAX_CHARS).collect()
        })
        .collect()
}

/// What a push to `main` starts whose one workflow is `text`.
#[cfg(test)]
pub(super) fn started_by_a_push(version: Version, text: &str) -> (Vec<PlannedRun>, Vec<String>) {
    use workflow::discovery::FoundFile;

    let dir = workflow::discovery::workflow_dirs(version.server()).remove(0);
    let files = vec![FoundFile {
        path: format!("{dir}/ci.yml"),
        bytes: Ok(text.as_bytes().to_vec()),
    }];
    let found = FoundFiles {
        dir: Some(dir),
        files,
        refused: None,
    };
    let event = json!({
        "ref": "refs/heads/main",
        "before": "1".repeat(40),
        "after": "2".repeat(40),
        "repository": {"full_name": "acme/app", "default_branch": "main"},
    });
    let facts = Facts {
        message: "a commit",
        changed: &[],
        variables: &BTreeMap::new(),
        disabled: &BTreeSet::new(),
    };
    started(version, &event, found, facts)
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
    steps: [{uses: actions/checkout@v4}]
"#;

    fn planned_of(text: &str) -> (Vec<PlannedRun>, Vec<String>) {
        started_by_a_push(Version::default(), text)
    }

    #[test]
    fn jobs_come_in_the_files_order_one_per_combination() {
        let (runs, refused) = planned_of(FILE);
        assert_eq!(refused, [""; 0]);
        assert_eq!(runs[0].name.as_deref(), Some("ci"));
        let jobs = &runs[0].jobs;
        let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["build", "test (go, a)", "test (go, b)", "last"]);
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
    fn what_starts_nothing_says_why() {
        for text in ["on: push", "a: [", "on: push\njobs: {a: 1}"] {
            let (runs, refused) = planned_of(text);
            assert!(runs.is_empty() && refused.len() == 1, "{text}: {refused:?}");
        }
    }
}
