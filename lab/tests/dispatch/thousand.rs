//! A thousand jobs at once, and what one job costs in calls. Times are printed here and never
//! asserted: `benches/load.rs` is the place for them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::delivery::{Job, delivery};
use crate::support::tap::Heard;
use crate::world::{Shape, World};

const JOBS: u64 = 1_000;
/// Most drains until all is launched: one has a minute, and the next one goes on.
const DRAINS_MAX: usize = 3;
/// Most `RunInstances` requests, refused ones among them: twelve launches of at most ninety jobs,
/// and some that meet EC2's empty bucket.
const ATTEMPTS_MAX: u64 = 20;
/// Most calls before the answer to a delivery: the record, and the nudge.
const CALLS_TO_ANSWER_MAX: usize = 2;
/// Most calls from the delivery up to `RunInstances`: record, nudge, look, claim, launch. Where both
/// environments of the function are cold, each reads its parameters.
const CALLS_TO_LAUNCH_MAX: usize = 5;
/// DynamoDB answers a query with one megabyte at most.
const PAGE_BYTES: usize = 1024 * 1024;

/// How often each launch is named in `rows`.
fn by_launch<'a>(rows: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for launch in rows {
        *counts.entry(launch).or_default() += 1;
    }
    counts
}

fn launch_of(row: &Value) -> &str {
    row["launch"].as_str().unwrap_or("none")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_jobs_get_a_machine_each_from_at_most_twenty_requests() {
    let shape = Shape {
        max_runners: 1_000,
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    // A longer name than a forge allows, so that the list is longer than one page of a query.
    let repository = format!("acme/{}", "a".repeat(500));
    let jobs: Vec<Job> = (1..=JOBS)
        .map(|id| Job {
            repository: repository.clone(),
            ..Job::new(id)
        })
        .collect();
    let begun = Instant::now();
    world.queue(&jobs).await;
    let queued = begun.elapsed();
    let listed = serde_json::to_string(&world.live("job").await).unwrap();
    assert!(listed.len() > PAGE_BYTES, "{} bytes", listed.len());

    let begun = Instant::now();
    let mut drains = 0;
    while world.live("runner").await.len() < jobs.len() && drains < DRAINS_MAX {
        world.drain().await;
        drains += 1;
    }
    let calls = world.bench.lab.calls().await.unwrap();
    eprintln!(
        "{JOBS} jobs: recorded in {queued:.1?}, launched in {:.1?} by {drains} drains; {calls:?}",
        begun.elapsed()
    );

    let instances = world.instances().await;
    assert_eq!(instances.len(), jobs.len());
    assert!(
        calls.attempts("RunInstances") <= ATTEMPTS_MAX,
        "at most {ATTEMPTS_MAX} requests: {calls:?}"
    );
    let counters = [("all", JOBS), ("pool#base", JOBS)];
    assert_eq!(
        world.counters().await,
        counters.map(|(name, n)| (name.to_owned(), n)).into()
    );
    assert!(world.live("launch").await.is_empty());
    // Every job is claimed once, and each launch has as many machines as jobs.
    let (jobs, runners) = (world.live("job").await, world.live("runner").await);
    assert!(jobs.iter().all(|job| job["launches"] == 1));
    let claims = by_launch(jobs.iter().map(launch_of));
    assert_eq!(claims, by_launch(runners.iter().map(launch_of)));
    let tag = &world.names.tag_launch;
    let tags = instances.iter().map(|one| one.tags[tag].as_str());
    assert_eq!(claims, by_launch(tags));
    assert!(!claims.contains_key("none"));
    // What people read of them is written as well.
    let rows = world.rows().await;
    let told = rows
        .iter()
        .filter(|row| row["reason"] == "a machine was asked for");
    assert_eq!(told.count() as u64, JOBS);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_is_two_calls_to_its_answer_and_five_to_its_machine() {
    let Some(world) = World::up().await else {
        return;
    };
    let heard = Heard::default();
    // On AWS they are two environments of the function: each has its own clients and parameters.
    let forge = &world.bench.lab.file().forge;
    let answers = world.tapped(&heard, forge).await;
    let drains = world.tapped(&heard, forge).await;
    for (id, cold) in [(1, 1), (2, 0)] {
        let queued = delivery(&Job::new(id).queued());
        world.invoke(&answers, &queued).await.unwrap();
        let to_answer = heard.take_names();
        assert!(
            to_answer.len() <= CALLS_TO_ANSWER_MAX + cold,
            "at most {CALLS_TO_ANSWER_MAX} calls before the answer, and {cold} for a cold start: \
             {to_answer:?}"
        );

        world.drain_by(&drains).await;
        let to_launch = heard.take_names();
        let at = |name: &str| {
            let found = to_launch.iter().position(|one| one == name);
            found.unwrap_or_else(|| panic!("no {name}: {to_launch:?}"))
        };
        eprintln!("job {id}: {to_answer:?}, then {to_launch:?}");
        // The note in the job's history is sent beside the launch, and may overtake it.
        let claim = at("dynamodb:TransactWriteItems");
        let between = &to_launch[claim + 1..at("ec2:RunInstances")];
        let is_overtaken = between
            .iter()
            .any(|one| one == "dynamodb:TransactWriteItems");
        let count = to_answer.len() + at("ec2:RunInstances") + 1 - usize::from(is_overtaken);
        assert!(
            count <= CALLS_TO_LAUNCH_MAX + 2 * cold,
            "at most {CALLS_TO_LAUNCH_MAX} calls up to the launch: {to_answer:?}, then {:?}",
            &to_launch[..=at("ec2:RunInstances")]
        );
        assert_eq!(world.instances().await.len() as u64, id);
        // The next delivery is none of a burst.
        tokio::time::sleep(Duration::from_millis(2_100)).await;
    }
    world.end().await;
}
