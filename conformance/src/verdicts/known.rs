//! Where the rules are known to differ from a server: `known.json` beside its verdicts, which the run
//! compares exactly. A difference that is not on the list fails, and so does one that is gone.

use std::path::Path;

use serde::Deserialize;

use super::VerdictsError;
use super::job::Class;

/// The file; a folder without one has no known differences.
const FILE: &str = "known.json";

/// What the server does otherwise, and how many jobs of a workflow show it in all events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    because: String,
    /// The repository; empty for the large one.
    #[serde(default)]
    repo: String,
    workflow: String,
    class: Class,
    times: usize,
}

/// The list, less what was met already.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<Entry>);

impl Known {
    pub(super) fn read(folder: &Path) -> Result<Self, VerdictsError> {
        let file = folder.join(FILE);
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(&file);
        let text = text.map_err(|error| VerdictsError::unreadable(&file, &error))?;
        let entries = serde_json::from_str(&text);
        Ok(Self(entries.map_err(|error| {
            VerdictsError::unreadable(&file, &error)
        })?))
    }

    /// Whether such a difference is on the list; it is met then.
    pub(super) fn meet(&mut self, repo: &str, workflow: &str, class: Class) -> bool {
        let is_one = |entry: &&mut Entry| {
            let is_same = entry.repo == repo && entry.workflow == workflow;
            is_same && entry.class == class && entry.times > 0
        };
        let entry = self.0.iter_mut().find(is_one);
        let is_known = entry.is_some();
        if let Some(entry) = entry {
            entry.times -= 1;
        }
        is_known
    }

    /// What was not met, in words.
    pub(super) fn gone(&self) -> Vec<String> {
        let left = self.0.iter().filter(|entry| entry.times > 0);
        let words = left.map(|entry| {
            let Entry {
                because,
                repo,
                workflow,
                class,
                times,
            } = entry;
            format!(
                "known, and gone (take it off {FILE}): {repo} {workflow}: {class:?}, {times} times: {because}"
            )
        });
        words.collect()
    }
}
