//! One kind of trouble played, and how every job of it must end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::kind::Kind;
use super::reruns::Reruns;
use crate::forge::{Checkout, Forge, ForgeJob};
use crate::lab_deployment::PlayError;

/// Longest for one scenario: a machine that found no job idles a minute before another comes.
const LIMIT: Duration = Duration::from_mins(5);
/// Longest until the forge admits a rerun of what is still being cancelled.
const ADMIT_LIMIT: Duration = Duration::from_secs(15);
/// Longest until a cancelled run is over; then it is cancelled again.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);
/// Longest until a hook has come: they wait for those before them.
const HOOK_LIMIT: Duration = Duration::from_mins(1);
/// How long ahead EC2 tells that it takes a machine back, in seconds.
const NOTICE_S: u64 = 25;
/// Longest from then until the job has failed at the forge. Once EC2 has ended the machine nobody reports it any
/// more, and it fails ten minutes later.
const FAILED_LIMIT: Duration = Duration::from_secs(NOTICE_S);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// What is pushed.
pub const FILE: &str = ".gitea/workflows/soak.yml";

/// What a scenario came to.
#[derive(Debug)]
pub struct Told {
    /// Which kind it was.
    pub kind: Kind,
    /// Where.
    pub repository: String,
    /// The jobs at its end.
    pub jobs: usize,
    /// What is not as it should be.
    pub problems: Vec<String>,
}

/// One scenario in a repository of its own.
struct Scene<'a> {
    forge: &'a Forge,
    reruns: Reruns,
    repository: &'a str,
    checkout: Checkout,
    kind: Kind,
}

/// Plays `kind` in `repository`, which is there and empty.
pub async fn play(forge: &Forge, repository: &str, kind: Kind) -> Result<Told, PlayError> {
    let scene = Scene {
        forge,
        reruns: Reruns::of(&forge.lab().forge_version),
        repository,
        checkout: forge.checkout(repository).await?,
        kind,
    };
    let mut told = Told {
        kind,
        repository: repository.to_owned(),
        jobs: 0,
        problems: Vec::new(),
    };
    if let Ok(played) = tokio::time::timeout(LIMIT, scene.play(&mut told)).await {
        played?;
        return Ok(told);
    }
    let jobs = forge.jobs(repository).await?;
    told.problems = jobs
        .iter()
        .filter(|job| job.status != "completed")
        .map(|job| format!("{} is {}", job.name, job.status))
        .collect();
    told.problems
        .push(format!("not over after {} s", LIMIT.as_secs()));
    Ok(told)
}

impl Scene<'_> {
    async fn play(&self, told: &mut Told) -> Result<(), PlayError> {
        self.push("first").await?;
        let first = self.jobs_where(|jobs| !jobs.is_empty()).await?;
        let run = first[0].run_id;
        let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        match self.kind {
            Kind::RerunJob => {
                let ended = self.all_ended().await?;
                self.forge.rerun_job(self.repository, &ended[0]).await?;
                told.problems
                    .extend(self.again(&ended, &[&ended[0].name]).await?);
                expected.extend([("a", vec!["success"]), ("b", vec!["success"])]);
            }
            Kind::RerunRun => {
                let ended = self.all_ended().await?;
                self.forge.rerun_run(self.repository, run).await?;
                told.problems.extend(self.again(&ended, &["a", "b"]).await?);
                expected.extend([("a", vec!["success"]), ("b", vec!["success"])]);
            }
            Kind::RerunFailed => {
                let ended = self.all_ended().await?;
                self.forge.rerun_failed(self.repository, run).await?;
                told.problems.extend(self.again(&ended, &["b"]).await?);
                expected.extend([("a", vec!["success"]), ("b", vec!["failure"])]);
            }
            Kind::CancelWaiting => {
                self.cancel(run).await?;
                expected.insert("long", vec!["cancelled"]);
            }
            Kind::CancelRunning => {
                self.jobs_where(|jobs| jobs[0].status == "in_progress")
                    .await?;
                self.cancel(run).await?;
                expected.insert("long", vec!["cancelled"]);
            }
            Kind::CancelAndRerun => {
                self.cancel(run).await?;
                self.rerun_when_admitted(run).await?;
                expected.extend([("a", vec!["success"]), ("b", vec!["success"])]);
            }
            Kind::Concurrency => {
                self.push("second").await?;
                self.jobs_where(|jobs| jobs.len() == 2).await?;
                expected.insert("only", vec!["cancelled", "success"]);
            }
            Kind::Needs => expected.extend([
                ("build", vec!["success"]),
                ("fails", vec!["failure"]),
                ("after", vec!["skipped"]),
                ("always", vec!["success"]),
                ("never", vec!["skipped"]),
            ]),
            Kind::Matrix => {
                self.jobs_where(|jobs| jobs.len() == 20).await?;
                expected.insert("many", vec!["success"; 20]);
            }
            Kind::Swap => {
                expected.extend([("base", vec!["success"]), ("lab", vec!["success"])]);
            }
            Kind::Leavings => {
                expected.insert("leaves", vec!["success"]);
            }
            Kind::Interrupted => {
                told.problems.extend(self.interrupted().await?);
                expected.insert("long", vec!["failure"]);
            }
            Kind::Scope => {
                told.problems.extend(self.scope(run).await?);
                expected.insert("ours", vec!["cancelled"]);
            }
        }
        let ended = self.all_ended().await?;
        told.jobs = ended.len();
        told.problems.extend(differences(&expected, &ended));
        Ok(())
    }

    /// The same push in the organization that the pool serves, and what becomes of the two.
    async fn scope(&self, run: u64) -> Result<Vec<String>, PlayError> {
        let name = self.repository.split('/').next_back().unwrap_or_default();
        self.forge.make_repository(super::TEAM, name).await?;
        let served = format!("{}/{name}", super::TEAM);
        let scene = Scene {
            forge: self.forge,
            reruns: self.reruns,
            repository: &served,
            checkout: self.forge.checkout(&served).await?,
            kind: self.kind,
        };
        scene.push("first").await?;
        let ours = scene.all_ended().await?;
        let mut problems = differences(&BTreeMap::from([("ours", vec!["success"])]), &ours);
        let theirs = self.jobs_where(|_| true).await?;
        if theirs[0].status != "queued" {
            problems.push(format!("the stranger's job is {}", theirs[0].status));
        }
        problems.extend(self.refused().await?);
        self.cancel(run).await?;
        Ok(problems)
    }

    /// EC2 takes the machine of the one job back: what is wrong with what the job's owner sees of that.
    async fn interrupted(&self) -> Result<Vec<String>, PlayError> {
        self.jobs_where(|jobs| jobs[0].status == "in_progress")
            .await?;
        let machine = loop {
            if let Some(machine) = self.forge.machine_of(self.repository).await? {
                break machine;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        self.forge.interrupt(&machine, NOTICE_S).await?;
        let warned = Instant::now();
        let ended = self.all_ended().await?;
        let after = warned.elapsed();
        let log = self.forge.log(self.repository, &ended[0]).await?;
        let mut problems = Vec::new();
        if after > FAILED_LIMIT {
            let after = after.as_secs_f64();
            problems.push(format!("failed {after:.1} s after EC2's warning"));
        }
        if !log.contains("interrupted: EC2 took this Spot machine back") {
            problems.push("its log does not say that it was interrupted".to_owned());
        }
        Ok(problems)
    }

    /// Waits until the dispatcher has said that the scope is why; what it said instead otherwise. The
    /// forge's hooks go one after the other, those of the other scenarios before this one.
    async fn refused(&self) -> Result<Option<String>, PlayError> {
        let start = Instant::now();
        loop {
            let answers = self.forge.answers(self.repository).await?;
            let is_refused = answers.iter().any(|answer| {
                let reason = answer["reason"].as_str().unwrap_or_default();
                answer["decision"] == "refused" && reason.contains("scope")
            });
            if is_refused {
                return Ok(None);
            }
            if start.elapsed() > HOOK_LIMIT {
                return Ok(Some(format!("the stranger was told {answers:?}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn push(&self, message: &str) -> Result<(), PlayError> {
        let stamp = ("stamp", message);
        let files = [(FILE, self.kind.workflow()), stamp];
        Ok(self.checkout.push(message, &files).await?)
    }

    /// Cancels, until it is so: Gitea loses a cancellation that meets the runner which takes the job
    /// (seen on 1.27.3: answered 200, and the job ran on).
    async fn cancel(&self, run: u64) -> Result<(), PlayError> {
        loop {
            self.forge.cancel_run(self.repository, run).await?;
            let ended = self.all_ended();
            if let Ok(ended) = tokio::time::timeout(CANCEL_LIMIT, ended).await {
                return ended.map(drop);
            }
        }
    }

    /// The forge refuses to run again what is not over, and a cancelled run is over a moment later.
    async fn rerun_when_admitted(&self, run: u64) -> Result<(), PlayError> {
        let start = Instant::now();
        loop {
            match self.forge.rerun_run(self.repository, run).await {
                Ok(()) => return Ok(()),
                Err(error) if start.elapsed() > ADMIT_LIMIT => return Err(error.into()),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Waits until the jobs called `again` have their next attempt, and says what is wrong with the run
    /// then.
    async fn again(&self, ended: &[ForgeJob], again: &[&str]) -> Result<Vec<String>, PlayError> {
        let has_next = |now: &[ForgeJob], then: &ForgeJob| {
            let mut same = now.iter().filter(|job| job.name == then.name);
            same.any(|job| job.run_attempt > then.run_attempt)
        };
        let jobs = self
            .jobs_where(|now| {
                let mut then = ended.iter().filter(|job| again.contains(&&*job.name));
                then.all(|then| has_next(now, then))
            })
            .await?;
        Ok(self.reruns.problems(ended, &jobs, again))
    }

    async fn all_ended(&self) -> Result<Vec<ForgeJob>, PlayError> {
        self.jobs_where(|jobs| jobs.iter().all(|job| job.status == "completed"))
            .await
    }

    /// Looks until it is so; the scenario's own limit bounds it.
    async fn jobs_where(
        &self,
        holds: impl Fn(&[ForgeJob]) -> bool,
    ) -> Result<Vec<ForgeJob>, PlayError> {
        loop {
            let jobs = self.reruns.last(self.forge.jobs(self.repository).await?);
            if !jobs.is_empty() && holds(&jobs) {
                return Ok(jobs);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Where the conclusions, by job and in the order of their runs, are not as they should be.
fn differences(expected: &BTreeMap<&str, Vec<&str>>, jobs: &[ForgeJob]) -> Vec<String> {
    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for job in jobs {
        let name = job.name.split(" (").next().unwrap_or(&job.name);
        let conclusion = job.conclusion.as_deref().unwrap_or("none");
        seen.entry(name).or_default().push(conclusion);
    }
    let names: std::collections::BTreeSet<&&str> = expected.keys().chain(seen.keys()).collect();
    names
        .into_iter()
        .filter(|name| expected.get(**name) != seen.get(**name))
        .map(|name| {
            format!(
                "{name} ended as {:?}, not {:?}",
                seen.get(*name).cloned().unwrap_or_default(),
                expected.get(*name).cloned().unwrap_or_default()
            )
        })
        .collect()
}
