//! One commit: its message, its parents, and what the forge's own checks say of it.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::path::{is_object, path};
use super::{Forge, ForgeError};

/// Entries of one page of statuses: the most that a forge gives.
const PAGE: usize = 50;
/// Most pages of them: every job of a push has one, and a push has some hundred jobs at most.
const PAGES_MAX: usize = 20;

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub sha: String,
    /// All of its message.
    pub message: String,
    /// Its parents, the first one first; a merge has several.
    pub parents: Vec<String>,
}

/// The latest word of one check on a commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CommitState {
    /// Which check: a job is `WORKFLOW / JOB (EVENT)`, without a name of the workflow `/ JOB (EVENT)`.
    pub context: String,
    /// Where it stands.
    #[serde(rename = "status")]
    pub state: CheckState,
    /// Its words. Of a job they are those of the moment when `state` became what it is: one that
    /// waited, was freed and runs is pending all the time, and says still why it waited first
    /// (Gitea 1.26 and Forgejo, `services/actions/commit_status.go`; measured).
    pub description: String,
    /// Where a click leads; of a job a path below the forge's address that ends with its number.
    pub target_url: String,
}

/// Where a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// It has not ended.
    Pending,
    /// It is content.
    Success,
    /// It could not be done.
    Error,
    /// It is not content; a cancelled job too.
    Failure,
    /// It is content, with reservations.
    Warning,
    /// It was not done. Older servers call that a success.
    Skipped,
}

#[derive(Deserialize)]
struct CommitBody {
    sha: String,
    commit: InnerBody,
    /// `null` or a list.
    parents: Option<Vec<ParentBody>>,
}

#[derive(Deserialize)]
struct InnerBody {
    message: String,
}

#[derive(Deserialize)]
struct ParentBody {
    sha: String,
}

#[derive(Deserialize)]
struct ReferenceBody {
    commit: Tip,
}

#[derive(Deserialize)]
struct Tip {
    /// `id` of a branch, `sha` of a tag.
    #[serde(alias = "id")]
    sha: String,
}

#[derive(Deserialize)]
struct CombinedBody {
    sha: String,
    /// `null` where there is none.
    statuses: Option<Vec<CommitState>>,
}

impl Forge {
    /// The commit `sha` of `repository`; of a tag's own object, the commit that it stands for.
    pub async fn commit(&self, repository: &str, sha: &str) -> Result<Commit, ForgeError> {
        // What costs the server a diff and a check of signatures is left out.
        let path = format!(
            "/api/v1/repos/{repository}/git/commits/{}?stat=false&verification=false&files=false",
            path(sha)
        );
        let answer = self.get("GET commit", &path).await?;
        let body: CommitBody = answer.json()?;
        let parents: Vec<String> = body.parents.into_iter().flatten().map(|p| p.sha).collect();
        if !is_object(&body.sha) || !parents.iter().all(|sha| is_object(sha)) {
            return Err(answer.unreadable());
        }
        Ok(Commit {
            sha: body.sha,
            message: body.commit.message,
            parents,
        })
    }

    /// The commit that `reference` names: itself, or the tip of the branch of that name.
    pub(crate) async fn resolved(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<String, ForgeError> {
        if is_object(reference) {
            return Ok(reference.to_owned());
        }
        let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference);
        let (call, list, name) = reference
            .strip_prefix("refs/tags/")
            .map_or(("GET branch", "branches", branch), |tag| {
                ("GET tag", "tags", tag)
            });
        let path = format!("/api/v1/repos/{repository}/{list}/{}", path(name));
        let answer = self.get(call, &path).await?;
        let ReferenceBody { commit } = answer.json()?;
        if is_object(&commit.sha) {
            Ok(commit.sha)
        } else {
            Err(answer.unreadable())
        }
    }

    /// The latest word of every check on a commit. Servers that can't list jobs tell this way what
    /// became of them.
    pub async fn commit_states(
        &self,
        repository: &str,
        sha: &str,
    ) -> Result<Vec<CommitState>, ForgeError> {
        const CALL: &str = "GET commit statuses";
        let mut states = Vec::new();
        let mut contexts = BTreeSet::new();
        for page in 1..=PAGES_MAX {
            let path = format!(
                "/api/v1/repos/{repository}/commits/{}/status?limit={PAGE}&page={page}",
                path(sha)
            );
            let answer = self.get(CALL, &path).await?;
            let body: CombinedBody = answer.json()?;
            if !is_object(&body.sha) {
                return Err(answer.unreadable());
            }
            let statuses = body.statuses.unwrap_or_default();
            let is_last = statuses.is_empty();
            for status in statuses {
                if contexts.insert(status.context.clone()) {
                    states.push(status);
                }
            }
            if is_last || answer.is_last(states.len()) {
                return Ok(states);
            }
        }
        Err(ForgeError::TooMuch(CALL))
    }
}
