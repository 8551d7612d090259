//! A thousand jobs at once, beside what EC2's buckets allow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dispatcher::handler::Handler;
use lab::{Calls, FaultInjection};
use serde_json::json;
use tokio::task::JoinSet;

use crate::delivery::Job;
use crate::measure::quantile;
use crate::support::tap::{Heard, INVOKE};
use crate::world::{Shape, World, entries, now_ms};

const JOBS: u64 = 1_000;
/// Launches of at most ninety jobs.
const LAUNCHES: f64 = 12.0;
/// EC2's bucket of requests, and what flows into it a second.
const BUCKET: (f64, f64) = (5.0, 2.0);
/// EC2 takes a second or two for a launch.
const EC2_LATENCY_MS: u32 = 1_500;
/// Most drains after the burst: one goes on where another's time was out.
const DRAINS_MAX: usize = 5;

pub(crate) fn shape() -> Shape {
    Shape {
        max_runners: 1_000,
        ..Shape::default()
    }
}

pub(crate) async fn run() {
    let bound = (LAUNCHES - BUCKET.0) / BUCKET.1;
    println!("\n{JOBS} jobs, twelve launches: the request bucket alone takes {bound:.1} s");
    println!("                                       recorded  launched  RunInstances  refused");
    waiting("all wait, then a drain", 0).await;
    waiting("  the same, EC2 takes 1.5 s", EC2_LATENCY_MS).await;
    as_they_come("delivered one by one, drains at work", 1).await;
    as_they_come("delivered eight at a time", 8).await;
}

/// All are on the list before anybody looks.
async fn waiting(what: &str, latency_ms: u32) {
    let Some(world) = World::of(shape()).await else {
        return;
    };
    let begun = Instant::now();
    let jobs: Vec<Job> = (1..=JOBS).map(Job::new).collect();
    world.queue(&jobs).await;
    let recorded = begun.elapsed();
    world.bench.faults(&FaultInjection {
        latency_ms,
        ..entries()
    });
    let begun_ms = now_ms();
    report(world, what, recorded, begun_ms).await;
}

/// The function answers deliveries, and each of its nudges is a drain.
async fn as_they_come(what: &str, at_once: u64) {
    let Some(world) = World::of(shape()).await else {
        return;
    };
    let world = Arc::new(world);
    let forge = world.bench.lab.file().forge.clone();
    let drainer = Arc::new(world.cold(&forge));
    let heard = Heard::default();
    let front = Arc::new(world.tapped(&heard, &forge).await);
    let (begun, begun_ms) = (Instant::now(), now_ms());
    let mut workers = JoinSet::new();
    for worker in 0..at_once {
        let (world, drainer) = (Arc::clone(&world), Arc::clone(&drainer));
        let (front, heard) = (Arc::clone(&front), heard.clone());
        workers.spawn(async move {
            let mut drains = JoinSet::new();
            let (mut calls, mut times) = (0, Vec::new());
            for id in (1..=JOBS).filter(|id| id % at_once == worker) {
                let (job, sent) = (Job::new(id).queued(), Instant::now());
                assert_eq!(world.deliver_to(&front, &job).await, "recorded");
                times.push(sent.elapsed());
                let names = heard.take_names();
                calls += names.len();
                for _ in names.iter().filter(|name| *name == INVOKE) {
                    let (world, drainer) = (Arc::clone(&world), Arc::clone(&drainer));
                    drains.spawn(async move { nudge(&world, &drainer).await });
                }
            }
            (begun.elapsed(), drains, calls, times)
        });
    }
    let done = workers.join_all().await;
    let recorded = done.iter().map(|(time, ..)| *time).max().unwrap();
    let (mut nudges, mut calls, mut times) = (0, 0, Vec::new());
    for (_, drains, of_worker, took) in done {
        nudges += drains.len();
        calls += of_worker;
        times.extend(took);
        drains.join_all().await;
    }
    let world = Arc::into_inner(world).unwrap();
    report(world, what, recorded, begun_ms).await;
    let median = quantile(&times, 0.5);
    println!(
        "  answered in {median:.1?} (median); {calls} calls before the answers, {nudges} nudges"
    );
}

pub(crate) async fn nudge(world: &World, handler: &Handler) {
    let nudge = json!({ "action": "drain" });
    world.invoke(handler, &nudge).await.unwrap();
}

/// Drains what is left, and prints when the last instance was launched.
async fn report(world: World, what: &str, recorded: Duration, begun_ms: u64) {
    for _ in 0..DRAINS_MAX {
        if world.live("runner").await.len() as u64 == JOBS {
            break;
        }
        world.drain().await;
    }
    let instances = world.instances().await;
    assert_eq!(instances.len() as u64, JOBS, "one machine a job");
    let last = instances.iter().map(|one| one.launched).max().unwrap();
    let last_ms = u64::try_from(last.as_millisecond()).unwrap();
    let calls = world.bench.lab.calls().await.unwrap();
    let attempts = calls.attempts("RunInstances");
    println!(
        "{what:38} {:6.1} s  {:6.1} s  {attempts:12}  {:7}",
        recorded.as_secs_f64(),
        Duration::from_millis(last_ms - begun_ms).as_secs_f64(),
        attempts - calls.with("RunInstances", Calls::SERVED)
    );
    world.bench.down().await;
}
