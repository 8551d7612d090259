//! The forge as a source of what the trigger rules look at.

use std::collections::{BTreeMap, BTreeSet};

use workflow::discovery::FoundFiles;
use workflow::jobs::uses::Uses;
use workflow::trigger::Changed;
use workflow::yaml::Refused;
use workflow::{Commit, Source};

use super::{Forge, ForgeError};

impl Source for Forge {
    type Error = ForgeError;

    fn is_missing(error: &ForgeError) -> bool {
        error.is_own_404()
    }

    async fn resolve(&self, repository: &str, reference: &str) -> Result<String, ForgeError> {
        self.resolved(repository, reference).await
    }

    async fn commit(&self, repository: &str, id: &str) -> Result<Commit, ForgeError> {
        let commit = self.commit(repository, id).await?;
        Ok(Commit {
            sha: commit.sha,
            message: commit.message,
        })
    }

    async fn workflow_files(
        &self,
        repository: &str,
        commit: &str,
        dirs: &[String],
    ) -> Result<FoundFiles, ForgeError> {
        self.workflow_files(repository, commit, dirs).await
    }

    async fn called_file(
        &self,
        repository: &str,
        commit: &str,
        uses: &Uses,
    ) -> Result<Result<Vec<u8>, Refused>, ForgeError> {
        self.called_file(repository, commit, uses).await
    }

    async fn changed_files(
        &self,
        repository: &str,
        before: &str,
        after: &str,
    ) -> Result<Changed, ForgeError> {
        let before = self.resolved(repository, before).await?;
        self.changed_files(repository, &before, after).await
    }

    async fn variables(
        &self,
        repository: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ForgeError> {
        self.variables(repository).await
    }

    async fn disabled_workflows(&self, repository: &str) -> Result<BTreeSet<String>, ForgeError> {
        self.disabled_workflows(repository).await
    }
}
