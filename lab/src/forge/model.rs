//! What the forge knows, as plain data.
//!
//! Invariant: nothing here does I/O or reads a clock. Times are seconds since the epoch, 0 = unset,
//! as in the forge's own database.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// The administrator, the only one who signs in.
pub(crate) const ADMIN: &str = "labadmin";

/// Where this forge says it is.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// Root URL without a slash at its end.
    pub(crate) root: String,
    /// `user@host` of ssh addresses; nothing listens there.
    pub(crate) ssh: String,
}

/// A user or an organization.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: i64,
    pub(crate) login: String,
    pub(crate) organization: bool,
    /// Address in commits; what payloads show is made from id and login.
    pub(crate) email: String,
    pub(crate) avatar: String,
    pub(crate) created: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) id: i64,
    pub(crate) owner: i64,
    pub(crate) name: String,
    pub(crate) private: bool,
    pub(crate) default_branch: String,
    pub(crate) size_kb: u64,
    pub(crate) language: String,
    pub(crate) branches: usize,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

/// Where a hook hangs or a runner is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Global,
    /// An organization or a user.
    Owner(i64),
    Repository(i64),
}

impl Scope {
    /// Whether something of this scope concerns `repository`.
    pub(crate) fn covers(self, repository: &Repository) -> bool {
        match self {
            Self::Global => true,
            Self::Owner(id) => repository.owner == id,
            Self::Repository(id) => repository.id == id,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) id: i64,
    pub(crate) scope: Scope,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) authorization: String,
    pub(crate) events: Vec<String>,
    pub(crate) active: bool,
    pub(crate) created: i64,
    /// Whether references that come or go are told by their full names.
    pub(crate) full_names: bool,
}

/// How a job or a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conclusion {
    Success,
    Failure,
    Cancelled,
    Skipped,
}

impl Conclusion {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    /// The runner protocol's word for it.
    pub(crate) fn result(self) -> String {
        format!("RESULT_{}", self.word().to_uppercase())
    }

    pub(crate) fn of_result(result: &str) -> Option<Self> {
        let all = [Self::Success, Self::Failure, Self::Cancelled, Self::Skipped];
        all.into_iter().find(|one| one.result() == result)
    }
}

/// Of a job, and of a run as the sum of its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Needs a runner now.
    Waiting,
    /// Waits for the jobs that it needs.
    Blocked,
    Running,
    Done(Conclusion),
}

impl Status {
    /// The word in payloads and answers; also the action of a job's event.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "queued",
            Self::Blocked => "waiting",
            Self::Running => "in_progress",
            Self::Done(_) => "completed",
        }
    }

    pub(crate) const fn conclusion(self) -> Option<&'static str> {
        match self {
            Self::Done(conclusion) => Some(conclusion.word()),
            Self::Waiting | Self::Blocked | Self::Running => None,
        }
    }

    pub(crate) const fn is_done(self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Of a run: the order of the questions is the forge's own. A failed run with a job that is
    /// still blocked counts as failed already.
    pub(crate) fn of_jobs(jobs: &[Self]) -> Self {
        let any = |status| jobs.contains(&status);
        let all_skipped = jobs
            .iter()
            .all(|status| *status == Self::Done(Conclusion::Skipped));
        let all_fine = jobs.iter().all(|status| {
            matches!(
                status,
                Self::Done(Conclusion::Success | Conclusion::Skipped)
            )
        });
        if all_skipped {
            Self::Done(Conclusion::Skipped)
        } else if all_fine {
            Self::Done(Conclusion::Success)
        } else if any(Self::Done(Conclusion::Cancelled)) {
            Self::Done(Conclusion::Cancelled)
        } else if any(Self::Running) {
            Self::Running
        } else if any(Self::Waiting) {
            Self::Waiting
        } else if any(Self::Done(Conclusion::Failure)) {
            Self::Done(Conclusion::Failure)
        } else {
            Self::Blocked
        }
    }
}

/// One workflow file that a push started.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: i64,
    pub(crate) repository: i64,
    /// Counts in its repository.
    pub(crate) number: i64,
    /// Path of the file, `.gitea/workflows/ci.yml`.
    pub(crate) path: String,
    /// The workflow's own name.
    pub(crate) name: Option<String>,
    /// The same; its file's name when it has none.
    pub(crate) workflow: String,
    pub(crate) title: String,
    pub(crate) reference: String,
    pub(crate) sha: String,
    pub(crate) actor: i64,
    pub(crate) status: Status,
    /// Whether this round's `in_progress` was sent.
    pub(crate) said_running: bool,
    pub(crate) started: i64,
    pub(crate) stopped: i64,
    /// When the pushed commit was made.
    pub(crate) committed: i64,
    /// The `github` context that its jobs get.
    pub(crate) github: Value,
    /// The group whose newest run ends the others.
    pub(crate) group: Option<String>,
    /// Which attempt its jobs are of, from 1 on; 0 where each job counts its own.
    pub(crate) attempt: i64,
}

impl Run {
    /// The branch, absent for tags.
    pub(crate) fn branch(&self) -> Option<&str> {
        self.reference.strip_prefix("refs/heads/")
    }

    /// The workflow file's own name.
    pub(crate) fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) run: i64,
    pub(crate) repository: i64,
    /// Its key in the workflow, which `needs` names; combinations of a matrix share it.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) needs: Vec<String>,
    pub(crate) condition: Option<String>,
    /// The context `matrix`: its one combination.
    pub(crate) matrix: workflow::expression::Value,
    pub(crate) steps: Vec<String>,
    /// What its runner gets: the workflow with this one job.
    pub(crate) payload: String,
    pub(crate) status: Status,
    /// That of its run; where that is 0, how often a runner took it.
    pub(crate) attempt: i64,
    pub(crate) task: Option<i64>,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) created: i64,
    pub(crate) started: i64,
    pub(crate) stopped: i64,
    /// Since when it waits: the forge hands out the oldest first.
    pub(crate) queued: i64,
}

/// One attempt of a job on a runner.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) id: i64,
    pub(crate) job: i64,
    pub(crate) runner: i64,
    /// Kept, because the runner's row goes when the task ends.
    pub(crate) runner_name: String,
    /// Reads the job's repository while the task runs.
    pub(crate) token: String,
    pub(crate) steps: Vec<StepTimes>,
    pub(crate) log: Vec<String>,
    pub(crate) heartbeat: i64,
    pub(crate) running: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StepTimes {
    pub(crate) started: i64,
    pub(crate) stopped: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) id: i64,
    pub(crate) uuid: String,
    pub(crate) token: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) labels: Vec<String>,
    pub(crate) ephemeral: bool,
    pub(crate) disabled: bool,
    pub(crate) scope: Scope,
    pub(crate) online: i64,
    /// When it last told of a job.
    pub(crate) active: i64,
}

/// Who calls, and what for.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) account: i64,
    pub(crate) admin: bool,
    pub(crate) write: bool,
    /// A task's token: only this repository, only by git.
    pub(crate) only: Option<i64>,
    /// No token at all, but the account's password.
    pub(crate) password: bool,
}

/// A commit status, as set through the API.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CommitStatus {
    pub(crate) id: i64,
    #[serde(skip)]
    pub(crate) repository: i64,
    #[serde(skip)]
    pub(crate) sha: String,
    pub(crate) status: String,
    pub(crate) target_url: String,
    pub(crate) description: String,
    pub(crate) context: String,
    pub(crate) created_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_the_sum_of_its_jobs() {
        let (success, failure) = (
            Status::Done(Conclusion::Success),
            Status::Done(Conclusion::Failure),
        );
        let skipped = Status::Done(Conclusion::Skipped);
        let cancelled = Status::Done(Conclusion::Cancelled);
        for (jobs, expected) in [
            (vec![success, skipped], success),
            (vec![skipped, skipped], skipped),
            (vec![Status::Waiting, Status::Blocked], Status::Waiting),
            (vec![success, Status::Running], Status::Running),
            (vec![success, Status::Blocked], Status::Blocked),
            // Measured: the run is reported failed before its `always()` job is queued.
            (vec![failure, Status::Blocked], failure),
            (vec![failure, Status::Waiting], Status::Waiting),
            (vec![cancelled, Status::Running], cancelled),
        ] {
            assert_eq!(Status::of_jobs(&jobs), expected, "{jobs:?}");
        }
    }
}
