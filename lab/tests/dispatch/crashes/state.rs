//! What is left of a story, but for ids and times: the same, whatever crashed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::delivery::Job;
use crate::world::World;

/// From here on a number is a time: ids and counts are smaller.
const TIME_FROM: u64 = 1_000_000_000;
/// The row of the drain's lease, on which nothing rests.
const LEASE: &str = "lease";
/// Attributes with something that has another value each time.
const OWN: [&str; 13] = [
    "alias",
    "bare_alias",
    "forge_id",
    "head_sha",
    "holder",
    "html_url",
    "id",
    "instance",
    "instance_id",
    "job_id",
    "launch",
    "repository",
    "run_id",
];
/// Attributes of a job's history that only people read: a crash may keep them from being written.
const FOR_PEOPLE: [&str; 3] = ["launch", "launched_ms", "released_ms"];
/// How a machine ended that ended by itself: by EC2's event, or for want of it by a look.
const BY_ITSELF: [&str; 2] = ["ended", "gone"];

/// What is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// How each job ended at the forge.
    pub(super) conclusions: Vec<String>,
    /// Machines that were launched.
    pub(super) machines: usize,
    /// Machines that ran a job.
    pub(super) served: usize,
    /// Runners that are registered at the forge.
    pub(super) registered: usize,
    /// Rows of the ledger: those of now, of the jobs, and of machines that had one.
    pub(super) rows: Vec<String>,
    /// Rows of machines that had no job.
    pub(super) unused: Vec<String>,
}

impl State {
    /// The state after a story of `jobs`, for which `machines` were launched.
    pub(super) async fn of(
        world: &World,
        jobs: &[Job],
        machines: &BTreeSet<String>,
        served: usize,
    ) -> Self {
        let repository = format!("repo#{}", jobs[0].repository);
        let is_of_machine = |pk: &str| {
            let instance = pk.strip_prefix("runner#");
            instance.is_some_and(|instance| machines.contains(instance))
        };
        let (mut rows, mut unused) = (Vec::new(), Vec::new());
        for row in world.rows().await {
            let pk = row["pk"].as_str().unwrap();
            let is_machine = is_of_machine(pk);
            let is_told = pk == "live" && row["sk"] != LEASE;
            if !(is_told || is_machine || pk == repository) {
                continue;
            }
            let list = if is_machine && row["job"].is_null() {
                &mut unused
            } else {
                &mut rows
            };
            list.push(without_own(&row).to_string());
        }
        rows.sort();
        unused.sort();
        let mut conclusions = Vec::new();
        for job in jobs {
            let path = format!("repos/{}/actions/jobs/{}", job.repository, job.id);
            let answer = world.forge("GET", &path, &Value::Null).await;
            conclusions.push(answer["conclusion"].as_str().unwrap_or_default().to_owned());
        }
        let registered = world.registered("admin").await.into_iter();
        let is_of_story =
            |runner: &Value| machines.contains(runner["name"].as_str().unwrap_or_default());
        Self {
            conclusions,
            machines: machines.len(),
            served,
            registered: registered.filter(is_of_story).count(),
            rows,
            unused,
        }
    }
}

/// `row` without what differs each time.
fn without_own(row: &Value) -> Value {
    let mut plain = serde_json::Map::new();
    let (pk, sk) = (row["pk"].as_str().unwrap(), row["sk"].as_str().unwrap());
    let kind = |key: &str| key.split('#').next().unwrap().to_owned();
    // Counters have names, all else has ids.
    let is_counter = sk.starts_with("counter#");
    let place = if is_counter { sk.to_owned() } else { kind(sk) };
    let is_job = kind(pk) == "repo";
    let place = if is_job { "job".to_owned() } else { place };
    plain.insert("key".to_owned(), json!(format!("{} {place}", kind(pk))));
    for (name, value) in row.as_object().unwrap() {
        if ["pk", "sk"].contains(&name.as_str()) || is_job && FOR_PEOPLE.contains(&name.as_str()) {
            continue;
        }
        plain.insert(name.clone(), field_without_own(name, value));
    }
    Value::Object(plain)
}

fn field_without_own(name: &str, value: &Value) -> Value {
    if OWN.contains(&name) {
        json!("its own")
    } else if name == "reason" && BY_ITSELF.iter().any(|word| value == word) {
        json!("by itself")
    } else if name.ends_with("_ms") {
        json!("a time")
    } else {
        value_without_own(value)
    }
}

fn value_without_own(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.as_u64().is_some_and(|n| n >= TIME_FROM) => json!("a time"),
        Value::String(text) => json!(without_ids(text)),
        Value::Array(values) => values.iter().map(value_without_own).collect(),
        Value::Object(fields) => {
            let plain =
                |(name, value): (&String, &Value)| (name.clone(), field_without_own(name, value));
            Value::Object(fields.iter().map(plain).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A sentence without the instance that it names.
fn without_ids(text: &str) -> String {
    let word = |word: &str| {
        let is_instance = word.len() == 19 && word.starts_with("i-");
        if is_instance { "i-…" } else { word }.to_owned()
    };
    let words: Vec<String> = text.split(' ').map(word).collect();
    words.join(" ")
}

#[test]
fn rows_of_two_stories_are_the_same_but_for_ids_and_times_and_nothing_else() {
    let row = |id: &str, ms: u64, status: &str| {
        json!({
            "pk": format!("repo#acme/{id}"), "sk": format!("{id}#0000"), "job_status": status,
            "reason": format!("a runner has it: i-{id:0>17}"), "ended_ms": ms, "job_id": 7,
            "launch": id, "timeline": {"idle": ms},
        })
    };
    let one = without_own(&row("1", 1_790_000_000_000, "completed"));
    assert_eq!(one, without_own(&row("22", 1_790_000_000_001, "completed")));
    assert_ne!(one, without_own(&row("1", 1_790_000_000_000, "failed")));
}
