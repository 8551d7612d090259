//! What happened to each job and each machine, put together from what forge, front door and EC2
//! noted. Our own ledger adds when a machine was given its credential, and nothing else.

use std::collections::BTreeMap;

use lab::{Entry, InstanceReport};
use serde_json::Value;

use crate::output::seconds;

/// The status that the lab answers what only its own watcher is told.
const WITNESSED: u16 = 204;

/// One job from push to nothing.
#[derive(Debug, Clone, Default)]
pub struct JobStory {
    /// The forge's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The marks in order, in milliseconds since 1970; see [`MARKS`].
    pub marks: BTreeMap<usize, u64>,
    /// The machine that ran it.
    pub machine: Option<String>,
    /// What that machine cost up to its end, in dollars.
    pub cost_usd: f64,
    /// The forge's conclusion.
    pub conclusion: Option<String>,
    /// The delivery that announced it.
    pub announcement: Option<Entry>,
}

/// The marks in the life of a job, in order.
pub const MARKS: [&str; 9] = [
    "pushed",
    "announced",
    "recorded",
    "launched",
    "running",
    "registered",
    "started",
    "ended",
    "gone",
];
/// Index of a mark in [`MARKS`].
pub const PUSHED: usize = 0;
/// See [`PUSHED`].
pub const ANNOUNCED: usize = 1;
const RECORDED: usize = 2;
const LAUNCHED: usize = 3;
const RUNNING: usize = 4;
const REGISTERED: usize = 5;
/// See [`PUSHED`].
pub const STARTED: usize = 6;
/// See [`PUSHED`].
pub const ENDED: usize = 7;
/// See [`PUSHED`].
pub const GONE: usize = 8;

/// The stories of all jobs that were announced or ended, by id.
#[must_use]
pub fn stories(
    pushed_ms: u64,
    deliveries: &[Entry],
    machines: &[InstanceReport],
    registered: &BTreeMap<String, u64>,
) -> BTreeMap<u64, JobStory> {
    let mut jobs: BTreeMap<u64, JobStory> = BTreeMap::new();
    for delivery in deliveries {
        take_delivery(&mut jobs, delivery);
    }
    for job in jobs.values_mut() {
        job.marks.insert(PUSHED, pushed_ms);
        let Some(machine) = machines
            .iter()
            .find(|machine| Some(&machine.id) == job.machine.as_ref())
        else {
            continue;
        };
        job.marks.insert(LAUNCHED, millis(machine.launched));
        job.cost_usd = cost_usd(machine);
        if let Some(at) = machine.running {
            job.marks.insert(RUNNING, millis(at));
        }
        if let Some(&at) = registered.get(&machine.id) {
            job.marks.insert(REGISTERED, at);
        }
        if let Some(at) = machine.ended {
            job.marks.insert(GONE, millis(at));
        }
    }
    jobs
}

fn take_delivery(jobs: &mut BTreeMap<u64, JobStory>, delivery: &Entry) {
    let Ok(body) = serde_json::from_str::<Value>(&delivery.body) else {
        return;
    };
    let job = &body["workflow_job"];
    let (Some(action), Some(id)) = (body["action"].as_str(), job["id"].as_u64()) else {
        return;
    };
    let story = jobs.entry(id).or_default();
    story.id = id;
    job["name"]
        .as_str()
        .unwrap_or_default()
        .clone_into(&mut story.name);
    match action {
        "queued" if story.announcement.is_none() => {
            story.marks.insert(ANNOUNCED, delivery.received_ms);
            if is_to_dispatcher(delivery) {
                story.marks.insert(RECORDED, delivery.answered_ms);
            }
            story.announcement = Some(delivery.clone());
        }
        "in_progress" => {
            story.marks.entry(STARTED).or_insert(delivery.received_ms);
            story.machine = job["runner_name"].as_str().map(str::to_owned);
        }
        "completed" => {
            story.marks.entry(ENDED).or_insert(delivery.received_ms);
            story.conclusion = job["conclusion"].as_str().map(str::to_owned);
        }
        _ => {}
    }
}

/// Whether the dispatcher got it.
#[must_use]
pub fn is_to_dispatcher(delivery: &Entry) -> bool {
    delivery.status != WITNESSED
}

/// A timestamp in milliseconds since 1970.
#[must_use]
pub fn millis(at: jiff::Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}

/// What a machine cost up to its end, in dollars. EC2 bills by the second, a minute at least.
#[must_use]
pub fn cost_usd(machine: &InstanceReport) -> f64 {
    let end = machine.ended.map_or(0, millis);
    let billed_s = seconds(millis(machine.launched), end).trunc().max(60.0);
    billed_s / 3600.0 * machine.usd_per_hour
}

impl JobStory {
    /// Seconds between two marks, when both are known.
    #[must_use]
    pub fn seconds(&self, from: usize, to: usize) -> Option<f64> {
        Some(seconds(*self.marks.get(&from)?, *self.marks.get(&to)?))
    }
}
