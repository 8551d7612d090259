//! Where the forge keeps the workflow of a run.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;
use workflow::discovery::workflow_dirs;

use super::{Forge, ForgeError};

#[derive(Deserialize)]
struct RunBody {
    /// `ci.yml@refs/heads/main`: the file below its folder, and what was pushed; Gitea's.
    path: Option<String>,
    /// `ci.yml`; Forgejo's.
    workflow_id: Option<String>,
}

#[derive(Deserialize)]
struct WorkflowList {
    workflows: Option<Vec<WorkflowEntry>>,
}

#[derive(Deserialize)]
struct WorkflowEntry {
    /// Its path below its folder.
    id: String,
    state: String,
}

impl Forge {
    /// The workflow file of run `run` of `repository`, as it is in the commit `sha`. `None` where the
    /// forge does not tell which one it is: servers before 1.25 know no runs.
    pub async fn workflow(
        &self,
        repository: &str,
        run: u64,
        sha: &str,
    ) -> Result<Option<Bytes>, ForgeError> {
        let get = async |call: &'static str, path: String| match self.get(call, &path).await {
            Err(error) if error.is_own_404() => Ok(None),
            other => other.map(Some),
        };
        let path = format!("/api/v1/repos/{repository}/actions/runs/{run}");
        let Some(answer) = get("GET run", path).await? else {
            return Ok(None);
        };
        let RunBody { path, workflow_id } = answer.json()?;
        let path = path.or(workflow_id).unwrap_or_default();
        let Some(file) = file_of(&path) else {
            return Ok(None);
        };
        for folder in workflow_dirs(self.server().await?) {
            let path = format!("/api/v1/repos/{repository}/raw/{folder}/{file}?ref={sha}");
            if let Some(answer) = get("GET raw", path).await? {
                return Ok(Some(answer.body));
            }
        }
        Ok(None)
    }

    /// The workflows of `repository` that somebody disabled, by their paths below their folder; those
    /// of the default branch, since only they can be. A server that has no such list (Gitea before
    /// 1.24, Forgejo), or does not show it to the token's owner, counts as having disabled none.
    pub async fn disabled_workflows(
        &self,
        repository: &str,
    ) -> Result<BTreeSet<String>, ForgeError> {
        let path = format!("/api/v1/repos/{repository}/actions/workflows");
        let answer = match self.get("GET workflows", &path).await {
            Err(
                ForgeError::Refused {
                    status: 403 | 404, ..
                }
                | ForgeError::BadAnswer {
                    status: 404 | 405, ..
                },
            ) => return Ok(BTreeSet::new()),
            other => other?,
        };
        let WorkflowList { workflows } = answer.json()?;
        let disabled = workflows.into_iter().flatten();
        let disabled = disabled.filter(|workflow| workflow.state.starts_with("disabled"));
        let mut ids = BTreeSet::new();
        ids.extend(disabled.map(|workflow| workflow.id));
        Ok(ids)
    }
}

/// The file's path below its folder, if it can stand in an address as it is.
fn file_of(path: &str) -> Option<&str> {
    let file = path.split('@').next()?;
    let plain = |part: &str| {
        let mut bytes = part.bytes();
        !part.starts_with('.') && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    (!file.is_empty() && file.split('/').all(|part| !part.is_empty() && plain(part)))
        .then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_become_a_part_of_an_address() {
        assert_eq!(file_of("ci.yml@refs/heads/main"), Some("ci.yml"));
        assert_eq!(file_of("deep/er/ci_2.yaml@x@y"), Some("deep/er/ci_2.yaml"));
        for odd in [
            "",
            "@refs/heads/main",
            "a b.yml@x",
            "../../admin@x",
            "a//b.yml",
            "a?x.yml",
            "a%2e.yml",
            "ä.yml",
        ] {
            assert_eq!(file_of(odd), None, "{odd}");
        }
    }
}
