//! Jobs are run again: the same ones, or new ones in their place where a version makes these.

use super::model::{Job, Status};
use super::state::{Kind, State};

impl State {
    /// All jobs once more, or `job` with all that depend on it.
    pub(crate) fn rerun(
        &mut self,
        run: i64,
        job: Option<i64>,
        now: i64,
    ) -> Result<(), &'static str> {
        let jobs = self.jobs_of(run);
        if !jobs.iter().all(|job| self.jobs[job].status.is_done()) {
            return Err("this workflow run is not done");
        }
        let chosen = match job {
            None => jobs,
            Some(job) => {
                let job = self.newest(job, &jobs).ok_or("there is no such job")?;
                self.with_dependents(job, &jobs)
            }
        };
        let round = if self.version.remakes_jobs() {
            self.remake(run, &chosen, now)
        } else {
            let keys = self.keys_of(&chosen);
            for job in &chosen {
                if let Some(job) = self.jobs.get_mut(job) {
                    reset(job, &keys, now);
                }
            }
            chosen
        };
        if let Some(run) = self.runs.get_mut(&run) {
            (run.status, run.said_running, run.stopped) = (Status::Waiting, false, 0);
        }
        self.announce_round(run, &round, now);
        Ok(())
    }

    /// Which of `jobs` stands for `job`, which may be of an older attempt.
    fn newest(&self, job: i64, jobs: &[i64]) -> Option<i64> {
        if jobs.contains(&job) {
            return Some(job);
        }
        let name = &self.jobs.get(&job)?.name;
        jobs.iter()
            .copied()
            .find(|job| self.jobs[job].name == *name)
    }

    /// `job` and those of `jobs` that need it, or need one that does.
    fn with_dependents(&self, job: i64, jobs: &[i64]) -> Vec<i64> {
        let mut chosen = vec![job];
        // Jobs stand behind what they need or not; so until nothing is added, at most once a job.
        for _ in 0..jobs.len() {
            let keys = self.keys_of(&chosen);
            let more: Vec<i64> = jobs
                .iter()
                .copied()
                .filter(|job| {
                    let mut needs = self.jobs[job].needs.iter();
                    !chosen.contains(job) && needs.any(|need| keys.contains(need))
                })
                .collect();
            if more.is_empty() {
                break;
            }
            chosen.extend(more);
        }
        chosen.sort_unstable();
        chosen
    }

    fn keys_of(&self, jobs: &[i64]) -> Vec<String> {
        jobs.iter().map(|job| self.jobs[job].key.clone()).collect()
    }

    /// The jobs of a new attempt. Those that are not `chosen` have ended in it, as before and on the same
    /// runner (measured on 1.27.3).
    fn remake(&mut self, run: i64, chosen: &[i64], now: i64) -> Vec<i64> {
        let keys = self.keys_of(chosen);
        let old = self.jobs_of(run);
        let mut attempt = 1;
        if let Some(run) = self.runs.get_mut(&run) {
            run.attempt += 1;
            attempt = run.attempt;
        }
        let mut made = Vec::new();
        for id in old {
            let mut job = self.jobs[&id].clone();
            if chosen.contains(&id) {
                reset(&mut job, &keys, now);
            }
            job.id = self.number(Kind::Job);
            (job.attempt, job.created) = (attempt, now);
            made.push(job.id);
            self.jobs.insert(job.id, job);
        }
        made
    }
}

/// As if it had never run; it waits if others of its round must end first.
fn reset(job: &mut Job, round: &[String], now: i64) {
    job.status = if job.needs.iter().any(|need| round.contains(need)) {
        Status::Blocked
    } else {
        Status::Waiting
    };
    (job.task, job.started, job.stopped, job.queued) = (None, 0, 0, now);
    job.outputs.clear();
}
