//! What running again makes of a run's jobs, which differs between versions of Gitea (measured on
//! 1.26.0 and 1.27.3).

use std::collections::{BTreeMap, BTreeSet};

use workflow::{Capability, Server};

use crate::forge::ForgeJob;

/// What running again makes of a run's jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reruns {
    /// Up to 1.26 the same jobs once more. Their attempt is 0 at first, and one more each time that a
    /// runner gets them.
    SameJobs,
    /// From 1.27 on new jobs with the next attempt, which counts from 1. Those that are not run again
    /// are carried over: they come as completed, at once, with their old result.
    NewJobs,
}

impl Reruns {
    /// What the forge does that answers this at `/api/v1/version`.
    #[must_use]
    pub fn of(version: &str) -> Self {
        let from_one = Capability::NumbersAttemptsFromOne;
        if Server::parse(version).is_some_and(|server| server.has(from_one)) {
            Self::NewJobs
        } else {
            Self::SameJobs
        }
    }

    /// The attempt that a job was announced with, from what an event of it says.
    #[must_use]
    pub fn announced(self, attempt: u64, has_runner: bool) -> u64 {
        match self {
            Self::SameJobs => attempt.saturating_sub(u64::from(has_runner)),
            Self::NewJobs => attempt,
        }
    }

    /// Of all jobs of a repository those that are of the last attempt of their run.
    #[must_use]
    pub fn last(self, jobs: Vec<ForgeJob>) -> Vec<ForgeJob> {
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        if self == Self::NewJobs {
            for job in &jobs {
                let attempt = last.entry(job.run_id).or_default();
                *attempt = job.run_attempt.max(*attempt);
            }
        }
        let is_last = |job: &ForgeJob| {
            last.get(&job.run_id)
                .is_none_or(|it| *it == job.run_attempt)
        };
        jobs.into_iter().filter(is_last).collect()
    }

    /// What is not as it should be, after the jobs called `again` of a run were run again.
    #[must_use]
    pub fn problems(self, before: &[ForgeJob], after: &[ForgeJob], again: &[&str]) -> Vec<String> {
        let ids = |jobs: &[ForgeJob]| jobs.iter().map(|job| job.id).collect::<BTreeSet<_>>();
        let (old, new) = (ids(before), ids(after));
        let mut problems = Vec::new();
        match self {
            Self::SameJobs if old != new => {
                problems.push(format!("the jobs {old:?} became {new:?}"));
            }
            Self::NewJobs if !old.is_disjoint(&new) => {
                problems.push(format!("of the jobs {old:?} some are among {new:?}"));
            }
            Self::SameJobs | Self::NewJobs => {}
        }
        for then in before.iter().filter(|job| !again.contains(&&*job.name)) {
            let now = after.iter().find(|job| job.name == then.name);
            let is_carried_over = now.is_some_and(|now| {
                let is_next = match self {
                    Self::SameJobs => now.run_attempt == then.run_attempt,
                    Self::NewJobs => now.run_attempt == then.run_attempt + 1,
                };
                is_next && now.status == "completed" && now.conclusion == then.conclusion
            });
            if !is_carried_over {
                problems.push(format!(
                    "{} was not to be run again, and is {now:?}",
                    then.name
                ));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u64, name: &str, attempt: u64) -> ForgeJob {
        ForgeJob {
            id,
            run_id: 1,
            run_attempt: attempt,
            name: name.to_owned(),
            status: "completed".to_owned(),
            conclusion: Some("success".to_owned()),
        }
    }

    #[test]
    fn giteas_are_told_apart_by_their_version() {
        for (version, expected) in [
            ("1.26.4", Reruns::SameJobs),
            ("1.27.0-rc1", Reruns::NewJobs),
            ("1.27.3", Reruns::NewJobs),
            ("2.0.0", Reruns::NewJobs),
        ] {
            assert_eq!(Reruns::of(version), expected, "{version}");
        }
    }

    #[test]
    fn all_events_of_an_attempt_come_to_one_number() {
        assert_eq!(Reruns::SameJobs.announced(0, false), 0);
        assert_eq!(Reruns::SameJobs.announced(1, true), 0);
        assert_eq!(Reruns::NewJobs.announced(1, false), 1);
        assert_eq!(Reruns::NewJobs.announced(1, true), 1);
    }

    #[test]
    fn the_jobs_of_earlier_attempts_are_left_out_where_they_stay() {
        let of = |reruns: Reruns, jobs: &[ForgeJob]| -> Vec<u64> {
            let last = reruns.last(jobs.to_vec());
            last.iter().map(|job| job.id).collect()
        };
        let new = [
            job(1, "a", 1),
            job(2, "b", 1),
            job(3, "a", 2),
            job(4, "b", 2),
        ];
        assert_eq!(of(Reruns::NewJobs, &new), [3, 4]);
        let same = [job(1, "a", 2), job(2, "b", 1)];
        assert_eq!(of(Reruns::SameJobs, &same), [1, 2]);
    }

    #[test]
    fn a_job_that_is_not_run_again_keeps_its_result() {
        let before = [job(1, "a", 1), job(2, "b", 1)];
        let same = [job(1, "a", 2), job(2, "b", 1)];
        let new = [job(3, "a", 2), job(4, "b", 2)];
        let problems = |reruns: Reruns, after| reruns.problems(&before, after, &["a"]).len();
        assert_eq!(problems(Reruns::SameJobs, &same), 0);
        assert_eq!(problems(Reruns::NewJobs, &new), 0);
        assert_eq!(problems(Reruns::NewJobs, &same), 2);
        assert_eq!(problems(Reruns::SameJobs, &new), 2);
        let mut ran = new.clone();
        ran[1].status = "queued".to_owned();
        assert_eq!(problems(Reruns::NewJobs, &ran), 1);
    }
}
