//! No wake-up is lost, and a burst is not a drain for each job: a delivery asks the drain that is at work,
//! in the transaction that records its job, and wakes one only where none is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dispatcher::handler::Handler;
use lab::FaultInjection;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use crate::delivery::{Job, delivery};
use crate::support::tap::{Call, Heard, INVOKE};
use crate::world::{Shape, World, entries};

/// Jobs of the burst that is played in full.
const JOBS: u64 = 80;
/// What EC2 takes for a launch, in milliseconds.
const LAUNCH_MS: u32 = 300;
/// Longest that a function takes for what it was asked.
const INVOCATION: Duration = Duration::from_mins(1);
/// Longer than a drain takes to be at work after it was woken.
const BEGINS: Duration = Duration::from_millis(210);

const WRITE: &str = "dynamodb:TransactWriteItems";

/// The environment of the function that answers deliveries, and what it calls.
struct Front {
    heard: Heard,
    handler: Handler,
}

impl Front {
    async fn of(world: &World) -> Self {
        let heard = Heard::default();
        let handler = world.tapped(&heard, &world.bench.lab.file().forge).await;
        // It has its parameters.
        let payload = delivery(&Job::new(1_000_000).ended("success", None));
        world.invoke(&handler, &payload).await.unwrap();
        heard.take();
        Self { heard, handler }
    }

    /// Delivers a job, and gives the calls before the answer.
    async fn deliver(&self, world: &World, job: &Job) -> Vec<String> {
        let answer = world.invoke(&self.handler, &delivery(&job.queued())).await;
        assert_eq!(answer.unwrap()["statusCode"], 202);
        self.heard.take_names()
    }

    /// Delivers jobs from `next` on until one of them is asked of the drain that is at work.
    async fn deliver_until_asked(&self, world: &World, next: &mut u64) {
        for _ in 0..20 {
            let calls = self.deliver(world, &Job::new(*next)).await;
            *next += 1;
            if calls == [WRITE] {
                return;
            }
            tokio::time::sleep(BEGINS).await;
        }
        panic!("no drain was ever asked");
    }
}

fn spawn_drain(world: &World, handler: &Arc<Handler>) -> JoinHandle<()> {
    let (handler, id) = (Arc::clone(handler), world.request_id());
    tokio::spawn(async move {
        let deadline = tokio::time::Instant::now() + INVOCATION;
        let nudge = json!({ "action": "drain" });
        handler.handle(&nudge, &id, deadline).await.unwrap();
    })
}

/// Whether `call` gives the lease back, if nobody has asked.
fn is_release(call: &Call) -> bool {
    call.name == WRITE && text(call).contains("from_again")
}

/// Whether `call` asks the drain that is at work.
fn is_ask(call: &Call) -> bool {
    call.name == WRITE && text(call).contains("until_ms >= :now")
}

fn text(call: &Call) -> String {
    String::from_utf8_lossy(&call.body).into_owned()
}

async fn machines_for(world: &World, jobs: u64) {
    assert_eq!(world.living().await.len() as u64, jobs);
    let waiting = world.live("job").await;
    assert!(waiting.iter().all(|job| job["launch"].is_string()));
}

/// Many machines, none of which boots.
async fn wide() -> Option<World> {
    World::of(Shape {
        max_runners: 1_000,
        ..Shape::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_was_asked_after_its_last_look_looks_again() {
    let Some(world) = wide().await else {
        return;
    };
    let front = Front::of(&world).await;
    let mut next = 1;
    front.deliver(&world, &Job::new(next)).await;
    next += 1;
    let heard = Heard::default();
    let drainer = world.tapped(&heard, &world.bench.lab.file().forge).await;
    let gate = heard.hold(is_release);
    let drain = spawn_drain(&world, &Arc::new(drainer));
    // It has seen that nothing is left, and is about to say so.
    gate.reached().await;
    front.deliver_until_asked(&world, &mut next).await;
    gate.open();
    drain.await.unwrap();
    machines_for(&world, next - 1).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_drain_ends_while_it_is_asked_is_recorded_alone_and_wakes_another() {
    let Some(world) = wide().await else {
        return;
    };
    let front = Front::of(&world).await;
    front.deliver(&world, &Job::new(1)).await;
    tokio::time::sleep(BEGINS).await;
    let gate = front.heard.hold(is_ask);
    let job = Job::new(2);
    let (calls, ()) = tokio::join!(front.deliver(&world, &job), async {
        gate.reached().await;
        // The drain for the first job comes and goes.
        world.drain().await;
        gate.open();
    });
    assert_eq!(calls, [WRITE, WRITE, INVOKE]);
    machines_for_first(&world).await;
    world.drain().await;
    machines_for(&world, 2).await;
    world.end().await;
}

/// The second job waits, and nobody has launched for it.
async fn machines_for_first(world: &World) {
    assert_eq!(world.living().await.len(), 1);
    assert_eq!(world.live("job").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_finds_another_at_work_and_then_gone_does_the_work_itself() {
    let Some(world) = wide().await else {
        return;
    };
    let forge = world.bench.lab.file().forge.clone();
    world.queue(&[Job::new(1)]).await;
    let (first, second) = (Heard::default(), Heard::default());
    let release = first.hold(is_release);
    let one = spawn_drain(&world, &Arc::new(world.tapped(&first, &forge).await));
    release.reached().await;
    world.queue(&[Job::new(2)]).await;
    let ask = second.hold(is_ask);
    let other = spawn_drain(&world, &Arc::new(world.tapped(&second, &forge).await));
    ask.reached().await;
    release.open();
    one.await.unwrap();
    machines_for_first(&world).await;
    ask.open();
    other.await.unwrap();
    machines_for(&world, 2).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_of_a_drain_that_dies_is_found_by_the_next_reconcile() {
    let Some(world) = wide().await else {
        return;
    };
    let front = Front::of(&world).await;
    let mut next = 1;
    front.deliver(&world, &Job::new(next)).await;
    next += 1;
    let heard = Heard::default();
    let gate = heard.hold(is_release);
    let drainer = world.tapped(&heard, &world.bench.lab.file().forge).await;
    let drain = spawn_drain(&world, &Arc::new(drainer));
    gate.reached().await;
    front.deliver_until_asked(&world, &mut next).await;
    drain.abort();
    assert!(drain.await.unwrap_err().is_cancelled());
    world.expire_lease().await;
    world.tick().await;
    machines_for(&world, next - 1).await;
    world.end().await;
}

/// Delivers the burst one after the other, as a forge does, and runs a drain for each nudge. The second of
/// what is returned are the calls of each delivery.
async fn burst(world: &World, front: &Front, dies: bool) -> (JoinSet<()>, Vec<usize>) {
    let mut drains = JoinSet::new();
    let mut calls_of = Vec::new();
    for id in 1..=JOBS {
        let calls = front.deliver(world, &Job::new(id)).await;
        calls_of.push(calls.len());
        for _ in calls.iter().filter(|name| *name == INVOKE) {
            let drain = spawn_drain(world, &world.handler);
            let ends_at = (dies && fastrand::u8(..4) == 0).then(|| fastrand::u64(20..600));
            drains.spawn(async move {
                let abort = drain.abort_handle();
                match ends_at {
                    None => drain.await.unwrap(),
                    Some(ms) => {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        abort.abort();
                    }
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..30))).await;
    }
    (drains, calls_of)
}

fn slow() -> FaultInjection {
    FaultInjection {
        latency_ms: LAUNCH_MS,
        ..entries()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_burst_most_deliveries_are_one_call_and_every_job_gets_its_machine_without_a_tick() {
    let Some(world) = wide().await else {
        return;
    };
    world.bench.faults(&slow());
    let front = Front::of(&world).await;
    let begun = Instant::now();
    let (drains, calls_of) = burst(&world, &front, false).await;
    let delivered = begun.elapsed();
    drains.join_all().await;
    let one = calls_of.iter().filter(|calls| **calls == 1).count();
    let nudges = calls_of.iter().filter(|calls| **calls > 1).count();
    let requests = world.bench.lab.calls().await.unwrap();
    eprintln!(
        "{JOBS} deliveries in {delivered:.1?}: {one} of one call, {nudges} nudges, all launched after \
         {:.1?} by {} RunInstances",
        begun.elapsed(),
        requests.attempts("RunInstances")
    );
    assert!(nudges * 4 < calls_of.len(), "{calls_of:?}");
    machines_for(&world, JOBS).await;
    assert_eq!(world.counters().await["all"], JOBS);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drains_that_die_in_a_burst_cost_a_tick_and_no_job() {
    let Some(world) = wide().await else {
        return;
    };
    world.bench.faults(&slow());
    let front = Front::of(&world).await;
    let (drains, _) = burst(&world, &front, true).await;
    drains.join_all().await;
    world.expire_lease().await;
    world.tick().await;
    machines_for(&world, JOBS).await;
    assert_eq!(world.counters().await["all"], JOBS);
    assert!(world.live("launch").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_waiting_jobs_that_are_cancelled_are_not_a_drain_for_each() {
    let Some(world) = World::of(Shape {
        max_runners: 1,
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    let jobs: Vec<Job> = (1..=30).map(Job::new).collect();
    world.queue(&jobs).await;
    world.drain().await;
    let front = Front::of(&world).await;
    let mut nudges = 0;
    for job in &jobs {
        let ended = delivery(&job.ended("cancelled", None));
        let answer = world.invoke(&front.handler, &ended).await.unwrap();
        assert_eq!(answer["statusCode"], 202);
        let calls = front.heard.take_names();
        nudges += calls.iter().filter(|name| *name == INVOKE).count();
    }
    eprintln!("{nudges} nudges for {} cancelled jobs", jobs.len());
    assert!((1..=5).contains(&nudges));
    world.drain().await;
    // The one machine has its grace.
    assert_eq!(world.living().await.len(), 1);
    assert!(world.live("job").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_at_the_cap_is_not_a_drain_for_each_job() {
    let Some(world) = World::of(Shape {
        max_runners: 3,
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    let front = Front::of(&world).await;
    let (drains, calls_of) = burst(&world, &front, false).await;
    drains.join_all().await;
    let nudges = calls_of.iter().filter(|calls| **calls > 1).count();
    eprintln!("at the cap: {nudges} nudges for {JOBS} jobs");
    assert!(nudges * 4 < calls_of.len(), "{calls_of:?}");
    assert_eq!(world.living().await.len(), 3);
    world.end().await;
}
