//! What happens to jobs: they are made, wait, are handed out, end, free others, are run again.
//!
//! Invariant: every change of a job's status goes through here and is announced here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use workflow::expression;
use workflow::jobs::contexts::Contexts;
use workflow::jobs::needs::{self, JobNode, Next};

use super::model::{Conclusion, Job, Run, Scope, Status, StepTimes, Task};
use super::payload::actions::run_action;
use super::runs::PlannedJob;
use super::state::{Kind, State};

/// One workflow file that a push starts.
#[derive(Debug, Clone)]
pub(crate) struct NewRun {
    pub(crate) repository: i64,
    pub(crate) actor: i64,
    pub(crate) path: String,
    /// Its own name, if it has one.
    pub(crate) name: Option<String>,
    pub(crate) workflow: String,
    pub(crate) title: String,
    pub(crate) reference: String,
    pub(crate) sha: String,
    pub(crate) committed: i64,
    pub(crate) github: Value,
    pub(crate) group: Option<String>,
    pub(crate) jobs: Vec<PlannedJob>,
}

impl State {
    /// A run and its jobs; those that need others wait for them.
    pub(crate) fn start_run(&mut self, new: NewRun, now: i64) -> i64 {
        let run = self.number(Kind::Run);
        let number = 1 + self
            .runs
            .values()
            .filter(|run| run.repository == new.repository)
            .count();
        let attempt = i64::from(self.version.remakes_jobs());
        let mut github = new.github;
        github["run_id"] = json!(run.to_string());
        github["run_number"] = json!(number.to_string());
        self.runs.insert(
            run,
            Run {
                id: run,
                repository: new.repository,
                number: i64::try_from(number).unwrap_or(i64::MAX),
                path: new.path,
                name: new.name,
                workflow: new.workflow,
                title: new.title,
                reference: new.reference,
                sha: new.sha,
                actor: new.actor,
                status: Status::Waiting,
                said_running: false,
                started: 0,
                stopped: 0,
                committed: new.committed,
                github,
                group: new.group,
                attempt,
            },
        );
        for planned in new.jobs {
            let id = self.number(Kind::Job);
            let status = if planned.needs.is_empty() {
                Status::Waiting
            } else {
                Status::Blocked
            };
            self.jobs.insert(
                id,
                Job {
                    id,
                    run,
                    repository: new.repository,
                    key: planned.key,
                    name: planned.name,
                    labels: planned.labels,
                    needs: planned.needs,
                    condition: planned.condition,
                    matrix: planned.matrix,
                    steps: planned.steps,
                    payload: planned.payload,
                    status,
                    attempt,
                    task: None,
                    outputs: std::collections::BTreeMap::new(),
                    created: now,
                    started: 0,
                    stopped: 0,
                    queued: now,
                },
            );
        }
        self.announce_round(run, &self.jobs_of(run), now);
        run
    }

    /// The oldest waiting job in the runner's scope whose labels it has; a job without labels goes
    /// to any runner at a Gitea (measured), and to none at a Forgejo. An ephemeral runner that has a
    /// job gets no other.
    pub(crate) fn hand_out(&mut self, runner: i64, now: i64) -> Option<i64> {
        let runner = self.runners.get(&runner)?;
        if runner.disabled || (runner.ephemeral && self.is_busy(runner.id)) {
            return None;
        }
        let unlabelled = self.version.gives_unlabelled_jobs();
        let job = self
            .jobs
            .values()
            .filter(|job| {
                job.status == Status::Waiting
                    && runner.scope.covers(&self.repositories[&job.repository])
                    && (unlabelled || !job.labels.is_empty())
                    && job.labels.iter().all(|label| runner.labels.contains(label))
            })
            .min_by_key(|job| (job.queued, job.id))?;
        let (runner, runner_name, job) = (runner.id, runner.name.clone(), job.id);
        let id = self.number(Kind::Task);
        let counts = !self.version.remakes_jobs();
        let job = self.jobs.get_mut(&job)?;
        job.status = Status::Running;
        job.attempt += i64::from(counts);
        job.started = now;
        job.task = Some(id);
        let task = Task {
            id,
            job: job.id,
            runner,
            runner_name,
            token: crate::ids::random_hex(20),
            steps: vec![StepTimes::default(); job.steps.len()],
            log: Vec::new(),
            heartbeat: now,
            running: true,
        };
        let (job, run) = (job.id, job.run);
        self.tasks.insert(id, task);
        self.settle_run(run, now);
        self.announce_job(job, now);
        Some(id)
    }

    /// The end of a task by whatever cause. The row of an ephemeral runner goes with it.
    pub(crate) fn finish(&mut self, task: i64, conclusion: Conclusion, now: i64) {
        let Some(task) = self.tasks.get_mut(&task).filter(|task| task.running) else {
            return;
        };
        task.running = false;
        for step in task.steps.iter_mut().filter(|step| step.started > 0) {
            if step.stopped == 0 {
                step.stopped = now;
            }
        }
        let (job, runner) = (task.job, task.runner);
        if self
            .runners
            .get(&runner)
            .is_some_and(|runner| runner.ephemeral)
        {
            self.runners.remove(&runner);
        }
        self.end_job(job, conclusion, now);
        let run = self.jobs[&job].run;
        self.settle_run(run, now);
        self.unblock(run, now);
    }

    /// Ends every job of the run that has not ended. A runner that is at work is not told: its row
    /// is gone, so its next report is refused (measured).
    pub(crate) fn cancel(&mut self, run: i64, now: i64) {
        for job in self.jobs_of(run) {
            if self.jobs[&job].status.is_done() {
                continue;
            }
            match self.jobs[&job].task.filter(|task| self.tasks[task].running) {
                Some(task) => self.finish(task, Conclusion::Cancelled, now),
                None => self.end_job(job, Conclusion::Cancelled, now),
            }
        }
        self.settle_run(run, now);
    }

    /// Tasks whose runner has fallen silent have failed; their jobs are not queued again.
    pub(crate) fn fail_zombies(&mut self, silent_s: i64, now: i64) {
        let lost: Vec<i64> = self
            .tasks
            .values()
            .filter(|task| task.running && now - task.heartbeat > silent_s)
            .map(|task| task.id)
            .collect();
        for task in lost {
            self.finish(task, Conclusion::Failure, now);
        }
    }

    /// The results and outputs of what a job needs, as its runner gets them.
    pub(crate) fn needs_of(&self, job: &Job) -> Map<String, Value> {
        let mut needs = Map::new();
        for need in &job.needs {
            let mut outputs = Map::new();
            let mut states = Vec::new();
            for other in self.jobs_of(job.run).iter().map(|id| &self.jobs[id]) {
                if other.key == *need {
                    states.push(other.status);
                    outputs.extend(
                        other
                            .outputs
                            .iter()
                            .map(|(key, value)| (key.clone(), json!(value))),
                    );
                }
            }
            let result = Status::of_jobs(&states).conclusion().unwrap_or("");
            needs.insert(need.clone(), json!({"result": result, "outputs": outputs}));
        }
        needs
    }

    /// The jobs of a run, in its newest attempt where each has jobs of its own.
    pub(crate) fn jobs_of(&self, run: i64) -> Vec<i64> {
        let attempt = self.runs.get(&run).map_or(0, |run| run.attempt);
        self.jobs
            .values()
            .filter(|job| job.run == run && (attempt == 0 || job.attempt == attempt))
            .map(|job| job.id)
            .collect()
    }

    /// A round begins: the run is requested, then each job says how it stands.
    pub(super) fn announce_round(&mut self, run: i64, jobs: &[i64], now: i64) {
        self.tasks_version += 1;
        self.announce_run(run, "requested");
        for job in jobs {
            self.announce_job(*job, now);
        }
    }

    fn end_job(&mut self, job: i64, conclusion: Conclusion, now: i64) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.status = Status::Done(conclusion);
            job.stopped = now;
        }
        self.announce_job(job, now);
    }

    /// The run's status follows from its jobs'; what changed is announced.
    fn settle_run(&mut self, run: i64, now: i64) {
        let of_jobs: Vec<Status> = self
            .jobs_of(run)
            .iter()
            .map(|job| self.jobs[job].status)
            .collect();
        let Some(of) = self.runs.get_mut(&run) else {
            return;
        };
        let status = Status::of_jobs(&of_jobs);
        if of.status == status {
            return;
        }
        of.status = status;
        let announced = match status {
            Status::Waiting | Status::Blocked => false,
            Status::Running => !std::mem::replace(&mut of.said_running, true),
            Status::Done(_) => true,
        };
        match status {
            Status::Running if of.started == 0 => of.started = now,
            Status::Done(_) => of.stopped = now,
            Status::Running | Status::Waiting | Status::Blocked => {}
        }
        if let (true, Some(action)) = (announced, run_action(status)) {
            self.announce_run(run, action);
        }
    }

    /// Jobs whose needs have all ended are queued or skipped, as the trigger rules have it.
    fn unblock(&mut self, run: i64, now: i64) {
        let jobs = self.jobs_of(run);
        let nodes: Vec<JobNode> = jobs.iter().map(|job| node(&self.jobs[job])).collect();
        let outputs = jobs.iter().map(|job| {
            let job = &self.jobs[job];
            (job.key.clone(), job.outputs.clone())
        });
        let mut of_ids: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (id, outputs) in outputs {
            of_ids.entry(id).or_default().extend(outputs);
        }
        let contexts = Contexts {
            github: expression::Value::json(&self.runs[&run].github),
            job_outputs: of_ids,
            ..Contexts::default()
        };
        let becomes = needs::resolve(&nodes, &contexts, self.version.server());
        for (place, next) in &becomes {
            let id = jobs[*place];
            match next {
                Next::Waiting => {
                    self.tasks_version += 1;
                    if let Some(job) = self.jobs.get_mut(&id) {
                        (job.status, job.queued) = (Status::Waiting, now);
                    }
                    self.announce_job(id, now);
                }
                Next::Skipped => self.end_job(id, Conclusion::Skipped, now),
                Next::Stuck(why) | Next::Unknown(why) => {
                    tracing::warn!(job = id, why, "a job stays blocked");
                }
            }
        }
        if !becomes.is_empty() {
            self.settle_run(run, now);
        }
    }
}

/// A job as the rules of `needs` look at it.
fn node(job: &Job) -> JobNode {
    JobNode {
        id: job.key.clone(),
        status: match job.status {
            Status::Waiting => needs::Status::Waiting,
            Status::Blocked => needs::Status::Blocked,
            Status::Running => needs::Status::Running,
            Status::Done(Conclusion::Success) => needs::Status::Success,
            Status::Done(Conclusion::Failure) => needs::Status::Failure,
            Status::Done(Conclusion::Cancelled) => needs::Status::Cancelled,
            Status::Done(Conclusion::Skipped) => needs::Status::Skipped,
        },
        needs: job.needs.clone(),
        condition: job.condition.clone(),
        continue_on_error: false,
        matrix: job.matrix.clone(),
    }
}

impl State {
    /// A runner of this scope, with a credential of its own.
    pub(crate) fn register(&mut self, scope: Scope, new: NewRunner, now: i64) -> i64 {
        let id = self.number(Kind::Runner);
        self.runners.insert(
            id,
            super::model::Runner {
                id,
                uuid: crate::ids::uuid(),
                token: crate::ids::random_hex(20),
                name: new.name,
                version: new.version,
                labels: new.labels,
                ephemeral: new.ephemeral,
                disabled: false,
                scope,
                online: now,
                active: 0,
            },
        );
        id
    }
}

/// What a registration says.
#[derive(Debug, Clone)]
pub(crate) struct NewRunner {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) labels: Vec<String>,
    pub(crate) ephemeral: bool,
}

#[cfg(test)]
mod tests;
