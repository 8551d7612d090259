//! What the forge itself says of jobs on their commits.
//!
//! A word is replaced when the *state* changes, not when the words do: a job that waited, was freed
//! and runs is pending all the time, and keeps the words of its beginning (measured on 1.26).

use super::model::{CommitStatus, Conclusion, Job, Status};
use super::payload::time;
use super::state::{Kind, State};
use super::version::Version;
use workflow::Capability;

impl State {
    /// The word on a job, where its state is another than before.
    pub(crate) fn check(&mut self, job: i64, now: i64) {
        let job = &self.jobs[&job];
        let run = &self.runs[&job.run];
        let state = self.check_word(job.status);
        let name = if self.version.server().has(Capability::NamesChecksByFile) {
            run.workflow.as_str()
        } else {
            run.name.as_deref().unwrap_or("")
        };
        let context = format!("{name} / {} (push)", job.name);
        let context = context.trim().to_owned();
        let (repository, sha) = (job.repository, run.sha.clone());
        let last = self.statuses.iter().rev().find(|last| {
            last.repository == repository && last.sha == sha && last.context == context
        });
        if last.is_some_and(|last| last.status == state) {
            return;
        }
        let hosted = self.hosted(repository);
        let path = format!("/{}/actions/runs", hosted.full_name());
        let target_url = if self.version.is_gitea_since(Version::Gitea1_26) {
            format!("{path}/{}/jobs/{}", run.id, job.id)
        } else {
            let index = self.jobs_of(run.id).iter().position(|id| *id == job.id);
            format!("{path}/{}/jobs/{}", run.number, index.unwrap_or_default())
        };
        let description = words(job);
        let status = CommitStatus {
            id: self.number(Kind::Status),
            repository,
            sha,
            status: state.to_owned(),
            target_url,
            description,
            context,
            created_at: time(now),
        };
        self.statuses.push(status);
    }

    /// A skipped job is a success before #34507.
    fn check_word(&self, status: Status) -> &'static str {
        let skipped = self.version.is_gitea_since(Version::Gitea1_25);
        match status {
            Status::Waiting | Status::Blocked | Status::Running => "pending",
            Status::Done(Conclusion::Skipped) if skipped => "skipped",
            Status::Done(Conclusion::Success | Conclusion::Skipped) => "success",
            Status::Done(Conclusion::Failure | Conclusion::Cancelled) => "failure",
        }
    }
}

fn words(job: &Job) -> String {
    let took = duration(job.stopped - job.started);
    match job.status {
        Status::Waiting => "Waiting to run".to_owned(),
        Status::Blocked => "Blocked by required conditions".to_owned(),
        Status::Running => "Has started running".to_owned(),
        Status::Done(Conclusion::Success) => format!("Successful in {took}"),
        Status::Done(Conclusion::Failure) => format!("Failing after {took}"),
        Status::Done(Conclusion::Cancelled) => "Has been cancelled".to_owned(),
        Status::Done(Conclusion::Skipped) => "Has been skipped".to_owned(),
    }
}

/// As the forge's language prints a duration: `0s`, `1m5s`, `2h0m0s`.
fn duration(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_the_forges() {
        let printed = [0, 59, 65, 7200].map(duration);
        assert_eq!(printed, ["0s", "59s", "1m5s", "2h0m0s"]);
    }
}
