//! A job as deliveries and lists have it in JSON. Fields that we don't keep may hold anything; fields
//! that we keep are bounded here, so that nothing which was read can fail to be written.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::aws::milliseconds_of;
use crate::model::job::{AttemptNumbers, ForgeRunner, Job, JobKey, JobSource};

/// Most labels of a job: real ones have a handful.
pub const LABELS_MAX: usize = 32;
/// Longest text that is kept of a delivery, in bytes: names of jobs and branches fit.
pub const TEXT_MAX_BYTES: usize = 1024;
/// Longest text that becomes part of a key, in bytes: DynamoDB takes sort keys of 1024, which also
/// hold a prefix and two numbers; forges keep names of 255 characters at most.
pub const KEY_TEXT_MAX_BYTES: usize = 960;

/// It can't be kept.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OutOfBounds(String);

/// A job as deliveries and lists describe it. Forges leave out what they don't know yet: branch of a
/// tag, conclusion, runner.
#[derive(Default, Deserialize)]
pub(crate) struct WorkflowJob {
    pub(crate) id: u64,
    pub(crate) run_id: u64,
    #[serde(default)]
    pub(crate) run_attempt: u64,
    pub(crate) name: String,
    pub(crate) labels: Option<Labels>,
    #[serde(default)]
    pub(crate) head_sha: String,
    #[serde(default)]
    pub(crate) html_url: String,
    pub(crate) created_at: Option<String>,
    /// How it ended, in the forge's word.
    pub(crate) conclusion: Option<String>,
    pub(crate) runner_id: Option<u64>,
    pub(crate) runner_name: Option<String>,
}

/// Where a job stands that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeenState {
    /// It waits for a runner.
    Waiting,
    /// It waits for other jobs, an approval or its turn. Forgejo does not list such jobs.
    Blocked,
    /// A runner has it.
    Running,
}

impl SeenState {
    /// Gitea's words in its API.
    pub(super) fn of_gitea(word: &str) -> Option<Self> {
        match word {
            "queued" => Some(Self::Waiting),
            "waiting" => Some(Self::Blocked),
            "in_progress" => Some(Self::Running),
            _ => None,
        }
    }
}

/// At most [`LABELS_MAX`]: reading stops there, before a million short labels fill the memory.
#[derive(Default)]
pub(crate) struct Labels(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of labels")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Labels, A::Error> {
                let mut labels = Vec::new();
                while let Some(label) = all.next_element()? {
                    if labels.len() == LABELS_MAX {
                        let why = format!("more than {LABELS_MAX} labels");
                        return Err(A::Error::custom(why));
                    }
                    labels.push(label);
                }
                Ok(Labels(labels))
            }
        }
        deserializer.deserialize_seq(Bounded)
    }
}

impl WorkflowJob {
    /// That job of `repository` and the runner that has it, all within what can be kept.
    pub(crate) fn in_bounds(
        self,
        repository: String,
        source: JobSource,
        numbers: AttemptNumbers,
    ) -> Result<(Job, Option<ForgeRunner>), OutOfBounds> {
        let name = self.runner_name.filter(|name| !name.is_empty());
        let id = self.runner_id.filter(|id| *id > 0);
        let runner = name.map(|name| ForgeRunner { id, name });
        let Labels(labels) = self.labels.unwrap_or_default();
        within(
            KEY_TEXT_MAX_BYTES,
            runner.as_ref().map(|runner| runner.name.as_str()),
        )?;
        within(KEY_TEXT_MAX_BYTES, [repository.as_str()])?;
        within(TEXT_MAX_BYTES, labels.iter().map(String::as_str))?;
        within(
            TEXT_MAX_BYTES,
            [self.name.as_str(), &self.head_sha, &self.html_url],
        )?;
        if !is_full_name(&repository) {
            return Err(OutOfBounds(
                "repository.full_name is not owner/name".to_owned(),
            ));
        }
        let job = Job {
            key: JobKey {
                repository,
                id: self.id,
                attempt: numbers.before(self.run_attempt, runner.is_some()),
            },
            run_id: self.run_id,
            name: self.name,
            labels,
            head_sha: self.head_sha,
            html_url: self.html_url,
            created_ms: self.created_at.as_deref().and_then(milliseconds_of),
            source,
            numbers,
        };
        Ok((job, runner))
    }
}

pub(crate) fn within<'a>(
    limit_bytes: usize,
    texts: impl IntoIterator<Item = &'a str>,
) -> Result<(), OutOfBounds> {
    if texts.into_iter().any(|text| text.len() > limit_bytes) {
        let why = format!("a text of more than {limit_bytes} bytes");
        return Err(OutOfBounds(why));
    }
    Ok(())
}

/// Whether `text` is `owner/name` in the letters that forges allow. It becomes part of addresses
/// that are called with a token, so it must not lead anywhere else.
pub(crate) fn is_full_name(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().any(|c| c != '.')
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_leads_nowhere_but_to_its_repository() {
        for (text, right) in [
            ("acme/app", true),
            ("A-c.m_e/.github", true),
            ("acme", false),
            ("acme/", false),
            ("/app", false),
            ("acme/app/x", false),
            ("../..", false),
            ("acme/..", false),
            ("acme/app?x", false),
            ("acme/app#x", false),
            ("acme/%2e%2e", false),
            ("acme/a b", false),
            ("acme/\u{0}", false),
            ("acme/äpp", false),
        ] {
            assert_eq!(is_full_name(text), right, "{text:?}");
        }
    }
}
