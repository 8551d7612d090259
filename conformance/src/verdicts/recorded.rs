//! One event and what a server made of it, as its file has them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::VerdictsError;
use super::job::Job;

/// Largest file of events that is read, in bytes: some ten thousand jobs.
const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// One event.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    pub(super) n: u32,
    pub(super) step: String,
    /// The forge's finer name of it.
    pub(super) event: String,
    /// The repository, where it is not the large one.
    #[serde(default)]
    pub(super) repo: String,
    /// What its branches and tags led to once the step was done.
    #[serde(default)]
    pub(super) refs: BTreeMap<String, String>,
    /// Which branch of the bundle is its `main`, if it is a small one.
    #[serde(default)]
    bundle_ref: String,
    /// The delivery.
    pub(super) body: serde_json::Value,
    expected: Vec<Expected>,
}

/// A job of the server.
#[derive(Debug, Deserialize)]
struct Expected {
    workflow: String,
    trigger: String,
    job: String,
    job_id: String,
    runs_on: Vec<String>,
    needs: Vec<String>,
    status: String,
    /// It failed before it could run: it is there to show the error.
    error: Option<serde_json::Value>,
    /// It calls a workflow, and needs no runner.
    #[serde(default)]
    caller: bool,
    called_by: Option<String>,
}

/// The events of a file.
pub(super) fn read(file: &Path) -> Result<Vec<Case>, VerdictsError> {
    let bad = |error: &dyn std::fmt::Display| VerdictsError::unreadable(file, error);
    let size = std::fs::metadata(file).map_err(|error| bad(&error))?.len();
    if size > FILE_MAX_BYTES {
        return Err(bad(&format!("it has more than {FILE_MAX_BYTES} bytes")));
    }
    let bytes = std::fs::read(file).map_err(|error| bad(&error))?;
    let mut cases: Vec<Case> = serde_json::from_slice(&bytes).map_err(|error| bad(&error))?;
    for case in cases.iter_mut().filter(|case| !case.bundle_ref.is_empty()) {
        let main = std::mem::take(&mut case.bundle_ref);
        case.refs = [("refs/heads/main".to_owned(), main)].into();
    }
    Ok(cases)
}

/// What the READMEs say of the variables.
pub(super) fn variables(repo: &str) -> BTreeMap<String, String> {
    let told: &[(&str, &str)] = match repo {
        "" | "trig" => &[
            ("LABEL", "from-vars"),
            ("LIST", r#"["x","y"]"#),
            ("SPACE", " "),
        ],
        "mini" => &[("LABEL", "from-vars"), ("LIST", r#"["x","y"]"#)],
        _ => &[],
    };
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    told.iter().map(owned).collect()
}

impl Case {
    /// The jobs that the server made and needs a runner for.
    pub(super) fn queued(&self) -> Vec<Job> {
        let calls = |caller: &Expected, job: &Expected| {
            let below = format!("{}.", caller.job_id);
            job.workflow == caller.workflow && job.job_id.starts_with(&below)
        };
        // Of those that call workflows, Gitea says that they do; Forgejo's need what they call.
        let is_caller =
            |job: &Expected| job.caller || self.expected.iter().any(|other| calls(job, other));
        let needs_runner = |job: &&Expected| job.error.is_none() && !is_caller(job);
        let jobs = self.expected.iter().filter(needs_runner).map(|job| Job {
            workflow: job.workflow.clone(),
            trigger: job.trigger.clone(),
            id: match &job.called_by {
                Some(caller) => format!("{caller}/{}", job.job_id),
                None => job.job_id.clone(),
            },
            name: job.job.clone(),
            labels: job.runs_on.clone(),
            needs: job.needs.clone(),
            waits: job.status == "waiting",
        });
        jobs.collect()
    }
}
