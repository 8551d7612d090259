//! What front door and EC2 saw meanwhile: who took which attempt, how fast, and what idled.

use std::collections::{BTreeMap, BTreeSet};

use lab::{Entry, InstanceReport};
use serde::Serialize;
use serde_json::Value;

use super::reruns::Reruns;
use crate::forge::{Error, Forge};
use crate::output::seconds;

/// Longest that a machine outlives the end of its job, cancelled or not, in seconds: a tick of the lab's
/// deployment.
const GONE_MAX_S: f64 = 60.0;

/// One attempt of one job.
type Attempt = (String, u64, u64);

/// What was seen, as figures.
#[derive(Debug, Default, Serialize)]
pub struct Seen {
    /// Attempts that a runner took.
    pub attempts: usize,
    /// Machines that were launched.
    pub machines: usize,
    /// Machines that ended without having had a job.
    pub idle_machines: usize,
    /// Attempts that were cancelled before a runner had them: their machines may have been on the way.
    pub cancelled_waiting: usize,
    /// Starts that the forge told of, of attempts that another runner ended.
    pub taken_back: usize,
    /// From announced to started, the median, in seconds.
    pub queued_to_started_p50_s: f64,
    /// Ninety-five of a hundred were faster.
    pub queued_to_started_p95_s: f64,
    /// The slowest.
    pub queued_to_started_max_s: f64,
    /// Longest from a job's end to that of its machine, in seconds.
    pub ended_to_gone_max_s: f64,
    /// The same where somebody cancelled it while it ran.
    pub cancelled_to_gone_max_s: f64,
}

/// The watcher.
#[derive(Debug)]
pub struct Watch {
    reruns: Reruns,
    since_ms: u64,
    heard: BTreeSet<String>,
    queued: BTreeMap<Attempt, u64>,
    started: BTreeMap<Attempt, BTreeMap<String, u64>>,
    ended: BTreeMap<Attempt, BTreeSet<String>>,
    /// When each machine's job ended, and whether it was cancelled.
    over: BTreeMap<String, (u64, bool)>,
    cancelled_waiting: BTreeSet<Attempt>,
    instances: Vec<InstanceReport>,
}

impl Watch {
    /// A watcher of the lab of `forge`.
    #[must_use]
    pub fn new(forge: &Forge) -> Self {
        Self {
            reruns: Reruns::of(&forge.lab().forge_version),
            since_ms: 0,
            heard: BTreeSet::new(),
            queued: BTreeMap::new(),
            started: BTreeMap::new(),
            ended: BTreeMap::new(),
            over: BTreeMap::new(),
            cancelled_waiting: BTreeSet::new(),
            instances: Vec::new(),
        }
    }

    /// The forge is another version from now on, and may number attempts otherwise. A job that ran
    /// meanwhile counts under both numbers.
    pub fn updated(&mut self, version: &str) {
        self.reruns = Reruns::of(version);
    }

    /// Reads what is new.
    pub async fn look(&mut self, forge: &Forge) -> Result<(), Error> {
        for entry in forge.deliveries(self.since_ms).await? {
            self.since_ms = self.since_ms.max(entry.received_ms);
            self.take(&entry);
        }
        self.instances = forge.machines().await?;
        Ok(())
    }

    fn take(&mut self, entry: &Entry) {
        let id = entry
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("x-gitea-delivery"));
        if !id.is_some_and(|(_, id)| self.heard.insert(id.clone())) {
            return;
        }
        let Ok(body) = serde_json::from_str::<Value>(&entry.body) else {
            return;
        };
        let job = &body["workflow_job"];
        let Some(id) = job["id"].as_u64() else {
            return;
        };
        let runner = job["runner_name"].as_str().filter(|name| !name.is_empty());
        let attempt = job["run_attempt"].as_u64().unwrap_or_default();
        let attempt = self.reruns.announced(attempt, runner.is_some());
        let repository = body["repository"]["full_name"].as_str().unwrap_or_default();
        let key = (repository.to_owned(), id, attempt);
        match (body["action"].as_str(), runner) {
            (Some("queued"), _) => {
                // A job that no runner had is queued again under the same attempt.
                self.queued.insert(key, entry.received_ms);
            }
            (Some("in_progress"), Some(runner)) => {
                let by = self.started.entry(key).or_default();
                by.entry(runner.to_owned()).or_insert(entry.received_ms);
            }
            (Some("completed"), Some(runner)) => {
                let end = (entry.received_ms, job["conclusion"] == "cancelled");
                self.over.entry(runner.to_owned()).or_insert(end);
                let by = self.ended.entry(key).or_default();
                by.insert(runner.to_owned());
            }
            (Some("completed"), None) if job["conclusion"] == "cancelled" => {
                self.cancelled_waiting.insert(key);
            }
            _ => {}
        }
    }

    /// How many machines were launched.
    #[must_use]
    pub fn machines(&self) -> usize {
        self.instances.len()
    }

    /// How many machines are not gone.
    #[must_use]
    pub fn alive(&self) -> usize {
        let gone = |instance: &&InstanceReport| instance.state != "terminated";
        self.instances.iter().filter(gone).count()
    }

    /// Attempts that two runners ended, and runners that ended two attempts.
    #[must_use]
    pub fn doubled(&self) -> Vec<String> {
        let mut had: BTreeMap<&String, usize> = BTreeMap::new();
        let mut problems = Vec::new();
        for ((repository, id, attempt), runners) in &self.ended {
            if runners.len() > 1 {
                problems.push(format!("{repository}#{id}#{attempt} ran on {runners:?}"));
            }
            for runner in runners {
                *had.entry(runner).or_default() += 1;
            }
        }
        let twice = had.into_iter().filter(|(_, count)| *count > 1);
        problems.extend(twice.map(|(runner, count)| format!("{runner} had {count} jobs")));
        problems
    }

    /// Machines that had no job, if more than jobs that were cancelled before they had a machine.
    #[must_use]
    pub fn idled(&self) -> Option<String> {
        let (idle, cancelled) = (self.idle().count(), self.cancelled_waiting.len());
        let problem = || {
            let ids: Vec<&str> = self.idle().map(|instance| &*instance.id).collect();
            let ids = ids.join(", ");
            format!(
                "{idle} machines had no job ({ids}), but {cancelled} waiting jobs were cancelled"
            )
        };
        (idle > cancelled).then(problem)
    }

    fn idle(&self) -> impl Iterator<Item = &InstanceReport> {
        let busy: BTreeSet<&String> = self.started.values().flat_map(BTreeMap::keys).collect();
        let instances = self.instances.iter();
        instances.filter(move |instance| !busy.contains(&instance.id))
    }

    /// Machines that outlived their jobs for too long.
    #[must_use]
    pub fn late(&self) -> Vec<String> {
        let outlived = self.outlived().filter(|(_, _, after)| *after > GONE_MAX_S);
        let told = outlived.map(|(machine, _, after)| {
            format!("{machine} was gone {after:.1} s after its job's end")
        });
        told.collect()
    }

    /// Each machine that is gone, whether its job was cancelled, and by how many seconds it outlived that.
    fn outlived(&self) -> impl Iterator<Item = (&str, bool, f64)> {
        self.instances.iter().filter_map(|instance| {
            let (over, cancelled) = self.over.get(&instance.id)?;
            let gone = u64::try_from(instance.ended?.as_millisecond()).ok()?;
            Some((instance.id.as_str(), *cancelled, seconds(*over, gone)))
        })
    }

    fn longest(&self, of_cancelled: bool) -> f64 {
        let those = self.outlived().filter(|one| one.1 == of_cancelled);
        those.map(|(_, _, after)| after).fold(0.0, f64::max)
    }

    /// The figures.
    #[must_use]
    pub fn into_seen(self) -> Seen {
        let mut waits: Vec<f64> = self
            .started
            .iter()
            .filter_map(|(attempt, runners)| {
                let queued = self.queued.get(attempt)?;
                let started = runners.values().min()?;
                Some(seconds(*queued, *started))
            })
            .collect();
        waits.sort_by(f64::total_cmp);
        let at = |per_cent: usize| {
            let index = (waits.len() * per_cent / 100).min(waits.len().saturating_sub(1));
            waits.get(index).copied().unwrap_or_default()
        };
        // From 1.27 on Gitea tells of a start before the runner has heard of it, and takes the job back
        // without a word where that fails.
        let taken_back = self.started.iter().map(|(attempt, by)| {
            let ended = self.ended.get(attempt);
            let by = by.keys();
            by.filter(|runner| ended.is_some_and(|ended| !ended.contains(*runner)))
                .count()
        });
        Seen {
            taken_back: taken_back.sum(),
            attempts: self.started.len(),
            machines: self.instances.len(),
            idle_machines: self.idle().count(),
            cancelled_waiting: self.cancelled_waiting.len(),
            queued_to_started_p50_s: at(50),
            queued_to_started_p95_s: at(95),
            queued_to_started_max_s: at(100),
            ended_to_gone_max_s: self.longest(false),
            cancelled_to_gone_max_s: self.longest(true),
        }
    }
}
