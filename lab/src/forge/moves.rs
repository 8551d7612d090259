//! What becomes of a repository that gets another name, or is deleted (read in Gitea's source).

use std::collections::BTreeSet;

use super::model::{Scope, Task};
use super::state::State;

impl State {
    /// Its old name leads to it from now on, until another repository has that.
    pub(crate) fn rename(&mut self, repository: i64, name: &str) {
        if let Some(known) = self.repositories.get_mut(&repository) {
            let old = std::mem::replace(&mut known.name, name.to_owned());
            let old = (known.owner, old.to_lowercase());
            self.renamed.insert(old, repository);
        }
    }

    /// The repository that had this name, if none has it now.
    pub(crate) fn renamed(&self, owner: &str, name: &str) -> Option<i64> {
        if self.repository(owner, name).is_some() {
            return None;
        }
        let old = (self.account(owner)?.id, name.to_lowercase());
        self.renamed.get(&old).copied()
    }

    /// Deletes it with all that hangs on it, and tells nobody. Ephemeral runners that ever had a job of it go
    /// too, whatever they are at.
    pub(crate) fn delete(&mut self, repository: i64) {
        let scope = Scope::Repository(repository);
        self.jobs.retain(|_, job| job.repository != repository);
        let jobs = &self.jobs;
        let is_gone = |task: &&Task| !jobs.contains_key(&task.job);
        let had = self.tasks.values().filter(is_gone);
        let had: BTreeSet<i64> = had.map(|task| task.runner).collect();
        self.tasks.retain(|_, task| jobs.contains_key(&task.job));
        self.runners
            .retain(|id, runner| runner.scope != scope && !(runner.ephemeral && had.contains(id)));
        self.runs.retain(|_, run| run.repository != repository);
        self.hooks.retain(|_, hook| hook.scope != scope);
        self.statuses
            .retain(|status| status.repository != repository);
        self.variables.retain(|(of, _), _| *of != scope);
        self.disabled.retain(|(of, _)| *of != repository);
        self.registration.remove(&scope);
        self.renamed.retain(|_, to| *to != repository);
        self.repositories.remove(&repository);
    }
}
