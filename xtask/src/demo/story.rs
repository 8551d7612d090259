//! What happened to each job and each machine, put together from what forge, front door and EC2
//! noted. Our own ledger adds when a machine was given its credential, and nothing else.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A delivery, as the lab's front door noted it.
#[derive(Debug, Clone, Deserialize)]
pub struct Delivery {
    /// When it came in, in milliseconds since 1970.
    pub received_ms: u64,
    /// When it was answered.
    pub answered_ms: u64,
    /// The headers as they came.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: String,
    /// The status of the answer.
    pub status: u16,
}

/// The status that the lab answers what only its own watcher is told.
const WITNESSED: u16 = 204;

/// A machine, as the lab's EC2 reports it.
#[derive(Debug, Clone, Deserialize)]
pub struct Machine {
    /// Its id.
    pub id: String,
    /// EC2's state.
    pub state: String,
    /// EC2's reason code for its end.
    pub reason: Option<String>,
    /// Its type.
    pub instance_type: String,
    /// Whether it is a Spot instance.
    pub spot: bool,
    /// What an hour of it costs, in dollars.
    pub usd_per_hour: f64,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was launched.
    pub launched: jiff::Timestamp,
    /// When it ran.
    pub running: Option<jiff::Timestamp>,
    /// When it was over.
    pub ended: Option<jiff::Timestamp>,
}

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
    pub announcement: Option<Delivery>,
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
    deliveries: &[Delivery],
    machines: &[Machine],
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
        job.cost_usd = machine.cost_usd();
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

fn take_delivery(jobs: &mut BTreeMap<u64, JobStory>, delivery: &Delivery) {
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
            if delivery.is_to_dispatcher() {
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

impl Delivery {
    /// Whether the dispatcher got it.
    #[must_use]
    pub fn is_to_dispatcher(&self) -> bool {
        self.status != WITNESSED
    }
}

/// A timestamp in milliseconds since 1970.
#[must_use]
pub fn millis(at: jiff::Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}

impl Machine {
    /// Whether EC2 says that it is over.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state == "terminated"
    }

    /// What it cost up to its end, in dollars. EC2 bills by the second, a minute at least.
    #[must_use]
    pub fn cost_usd(&self) -> f64 {
        let end = self.ended.map_or(0, millis);
        let billed_s = (end.saturating_sub(millis(self.launched)) / 1000).max(60);
        #[expect(clippy::cast_precision_loss, reason = "seconds of a demo")]
        let hours = billed_s as f64 / 3600.0;
        hours * self.usd_per_hour
    }
}

impl JobStory {
    /// Seconds between two marks, when both are known.
    #[must_use]
    pub fn seconds(&self, from: usize, to: usize) -> Option<f64> {
        let (from, to) = (self.marks.get(&from)?, self.marks.get(&to)?);
        #[expect(
            clippy::cast_precision_loss,
            reason = "durations of seconds in milliseconds"
        )]
        Some(to.saturating_sub(*from) as f64 / 1000.0)
    }
}
