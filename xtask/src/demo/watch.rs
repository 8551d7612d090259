//! Watches forge, front door and EC2, prints each mark once, and does the demo's two misdeeds: one
//! machine is destroyed while it boots, and one delivery is sent again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Method;
use lab::http::send;
use lab::{Entry, Folder, InstanceReport, LabFile};
use serde_json::Value;

use super::report::Promise;
use super::story::{
    ANNOUNCED, ENDED, JobStory, STARTED, cost_usd, is_to_dispatcher, millis, stories,
};
use crate::forge::{Forge, ForgeJob};
use crate::lab_deployment::{LabDeployment, PlayError};
use crate::output::{say, seconds};

/// EC2's reason code for an instance whose host failed.
const HOST_FAILED: &str = "Server.InternalError";

/// The watcher.
#[derive(Debug, Default)]
pub struct Watch {
    pushed_ms: u64,
    told: BTreeSet<String>,
    deliveries: Vec<Entry>,
    machines: Vec<InstanceReport>,
    registered: BTreeMap<String, u64>,
    forge_jobs: Vec<ForgeJob>,
    /// Every job.
    pub jobs: BTreeMap<u64, JobStory>,
    destroyed: Option<String>,
    replayed: Option<Vec<String>>,
    secrets_found: Option<Vec<String>>,
    searched: usize,
}

impl Watch {
    /// The push is done: all times count from here.
    pub fn pushed(&mut self) {
        self.pushed_ms = now_ms();
    }

    /// Looks once, and tells what is new.
    pub async fn look(
        &mut self,
        forge: &Forge,
        deployment: &LabDeployment,
    ) -> Result<(), PlayError> {
        self.deliveries = forge.deliveries(0).await?;
        self.machines = forge.machines().await?;
        self.forge_jobs = forge.jobs(super::REPOSITORY).await?;
        for runner in deployment.ledger.live().await?.runners {
            if let Some(at) = runner.timeline.get("registering").copied() {
                self.registered.insert(runner.instance, at);
            }
        }
        self.jobs = stories(
            self.pushed_ms,
            &self.deliveries,
            &self.machines,
            &self.registered,
        );
        // A job that the server skips is announced to nobody; the forge's own list has it.
        for job in &self.forge_jobs {
            let story = self.jobs.entry(job.id).or_default();
            story.id = job.id;
            story.name.clone_from(&job.name);
            story.conclusion.clone_from(&job.conclusion);
        }
        self.tell(&deployment.names.tag);
        self.find_destroyed();
        Ok(())
    }

    fn tell(&mut self, tag: &str) {
        let mut lines = Vec::new();
        for machine in &self.machines {
            let pool = machine.tags.get(tag).map_or("", String::as_str);
            let market = if machine.spot { "Spot" } else { "On-Demand" };
            let launched = millis(machine.launched);
            let what = format!(
                "{} launched for pool {pool} ({} {market})",
                machine.id, machine.instance_type
            );
            lines.push((launched, what));
            if let Some(ended) = machine.ended {
                lines.push((millis(ended), format!("{} gone", machine.id)));
            }
        }
        for job in self.jobs.values() {
            for (&mark, &at) in &job.marks {
                let name = &job.name;
                let on = job.machine.as_deref().unwrap_or("a machine");
                let conclusion = job.conclusion.as_deref().unwrap_or("?");
                let what = match mark {
                    ANNOUNCED => format!("{name} needs a runner"),
                    STARTED => format!("{name} started on {on}"),
                    ENDED => format!("{name} ended: {conclusion}"),
                    _ => continue,
                };
                lines.push((at, what));
            }
        }
        lines.sort();
        for (at, what) in lines {
            if self.told.insert(what.clone()) {
                let after = seconds(self.pushed_ms, at);
                say(&format!("  {after:6.1} s  {what}"));
            }
        }
    }

    /// Notes which machine was broken.
    fn find_destroyed(&mut self) {
        let destroyed = self.machines.iter().find(|machine| {
            machine.ended.is_some()
                && machine.reason.as_deref() == Some(HOST_FAILED)
                && !self.registered.contains_key(&machine.id)
        });
        if let (None, Some(machine)) = (&self.destroyed, destroyed) {
            say(&format!(
                "           {} was destroyed while it booted",
                machine.id
            ));
            self.destroyed = Some(machine.id.clone());
        }
    }

    /// Sends the first announcement again, `times` times at once.
    pub async fn replay_once(&mut self, forge: &Forge, times: usize) -> Result<(), PlayError> {
        let delivery = self.to_replay().filter(|_| self.replayed.is_none());
        let Some(delivery) = delivery else {
            return Ok(());
        };
        let url = format!("{}/dispatch", forge.lab().front_door);
        let headers = passed_on(&delivery.headers);
        let body = Bytes::from(delivery.body);
        let mut sends = tokio::task::JoinSet::new();
        for _ in 0..times {
            let (url, headers, body) = (url.clone(), headers.clone(), body.clone());
            sends.spawn(async move { send(Method::POST, &url, &headers, body).await });
        }
        let mut decisions = Vec::new();
        while let Some(answer) = sends.join_next().await {
            let (_, body) = answer
                .map_err(|error| PlayError::TooLong(0, format!("a replay was lost: {error}")))??;
            let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            decisions.push(answer["decision"].as_str().unwrap_or("?").to_owned());
        }
        say(&format!(
            "           the same delivery {times} times more: {}",
            counted(&decisions)
        ));
        self.replayed = Some(decisions);
        Ok(())
    }

    /// The delivery that told the dispatcher of a job: the job's own, or the push that started it.
    fn to_replay(&self) -> Option<Entry> {
        let announced = self
            .jobs
            .values()
            .find_map(|job| job.announcement.clone())?;
        if is_to_dispatcher(&announced) {
            return Some(announced);
        }
        let mut told = self.deliveries.iter().filter(|one| is_to_dispatcher(one));
        told.next().cloned()
    }

    /// Whether every job has ended and every machine is gone.
    pub fn is_over(&self) -> bool {
        let ended = self.forge_jobs.iter().all(|job| job.status == "completed");
        let told = self.jobs.values().all(|job| job.conclusion.is_some());
        let gone = self.machines.iter().all(is_gone);
        !self.forge_jobs.is_empty() && ended && told && gone
    }

    /// What keeps the demo from its end.
    pub fn what_is_open(&self) -> String {
        let jobs = self
            .forge_jobs
            .iter()
            .filter(|job| job.status != "completed")
            .map(|job| format!("{} is {}", job.name, job.status));
        let machines = self
            .machines
            .iter()
            .filter(|machine| !is_gone(machine))
            .map(|machine| format!("{} is {}", machine.id, machine.state));
        jobs.chain(machines).collect::<Vec<_>>().join(", ")
    }

    /// Looks for every secret in all that the lab wrote: logs, consoles, templates, user-data.
    pub fn search_for_secrets(
        &mut self,
        lab: &LabFile,
        deployment: &LabDeployment,
        folder: &Folder,
    ) -> Result<(), PlayError> {
        let secrets = [
            &lab.forge_token,
            &lab.registration_token,
            &lab.webhook_secret,
        ];
        let written = deployment.written(folder);
        let written = written.map_err(|source| PlayError::File { source })?;
        self.searched = written.len();
        let found = written
            .into_iter()
            .filter(|(_, bytes)| secrets.iter().any(|secret| holds(bytes, secret)))
            .map(|(name, _)| name)
            .collect();
        self.secrets_found = Some(found);
        Ok(())
    }

    /// What all machines together cost.
    pub fn cost_usd(&self) -> f64 {
        self.machines.iter().map(cost_usd).sum()
    }

    /// The promises that this watcher can judge.
    pub fn promises(&self) -> [Promise; 4] {
        [
            self.served_once(),
            self.replays_held(),
            self.destroyed_was_replaced(),
            self.no_secret_found(),
        ]
    }

    /// The machine of each job that had one.
    fn served(&self) -> impl Iterator<Item = &String> {
        self.jobs.values().filter_map(|job| job.machine.as_ref())
    }

    fn served_once(&self) -> Promise {
        let started = self.served().count();
        let served: BTreeSet<&String> = self.served().collect();
        let launched = self.machines.len() - usize::from(self.destroyed.is_some());
        Promise {
            name: "one machine for each job, and no more",
            held: served.len() == started && launched == started,
            seen: format!("{started} jobs, {launched} machines"),
        }
    }

    fn replays_held(&self) -> Promise {
        let decisions = self.replayed.clone().unwrap_or_default();
        Promise {
            name: "the same delivery ten times changes nothing",
            held: !decisions.is_empty() && decisions.iter().all(|d| d == "duplicate"),
            seen: counted(&decisions),
        }
    }

    fn destroyed_was_replaced(&self) -> Promise {
        let mut served = self.served();
        let served = served.any(|machine| Some(machine) == self.destroyed.as_ref());
        Promise {
            name: "a machine destroyed while booting is replaced",
            held: self.destroyed.is_some() && !served,
            seen: self
                .destroyed
                .clone()
                .unwrap_or_else(|| "none was destroyed".to_owned()),
        }
    }

    fn no_secret_found(&self) -> Promise {
        let found = self.secrets_found.clone().unwrap_or_default();
        Promise {
            name: "no secret in logs, consoles or templates",
            held: self.secrets_found.is_some() && found.is_empty(),
            seen: if found.is_empty() {
                format!("none in {} files", self.searched)
            } else {
                found.join(", ")
            },
        }
    }
}

fn is_gone(machine: &InstanceReport) -> bool {
    machine.state == "terminated"
}

/// The headers that make a delivery what it is; the others belong to one connection.
fn passed_on(headers: &[(String, String)]) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name.starts_with("x-") || name == "content-type"
        })
        .cloned()
        .collect()
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes
        .windows(secret.len())
        .any(|part| part == secret.as_bytes())
}

fn counted(words: &[String]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    counts.join(", ")
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
