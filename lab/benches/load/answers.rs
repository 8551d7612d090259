//! How long a delivery waits for its answer while everything around it is slow. Deliveries go out
//! one after the other, as a small forge sends them; what else is at work runs in environments of
//! its own, as on Lambda, but on the same processors and over the same emulator.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dispatcher::handler::Handler;
use lab::FaultInjection;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::burst::shape;
use crate::delivery::{Job, delivery};
use crate::measure::{quantile, spread};
use crate::support::tap::Heard;
use crate::world::{World, entries, now_ms, until};

/// Deliveries of one line.
const DELIVERIES: u64 = 200;
/// Fewest that say something, where the neighbour is done before all are sent.
const DELIVERIES_MIN: usize = 50;
/// Deliveries that wait for a forge that hangs: two seconds each.
const WAITING: u64 = 5;
/// Machines that are lost, so that a drain asks the forge about their jobs.
const LOST: u64 = 30;
/// Jobs of the burst that a drain works on.
const BURST: u64 = 1_000;
/// Writers that keep the emulator as busy as a drain does, whose launches each write one note after
/// the other.
const OTHERS: usize = dispatcher::reconcile::rate_limit::LAUNCHES_AT_ONCE;
/// The calls of every answer, whatever goes on beside it: none waits, none is tried again.
const CALLS: [&str; 2] = ["dynamodb:TransactWriteItems", "lambda:Invoke"];
/// Far above the patience of anybody who waits for EC2.
const HANGS_MS: u32 = 60_000;

pub(crate) async fn run() {
    println!(
        "\nThe answer to a delivery, in milliseconds    whole                  without AWS's part"
    );
    println!(
        "                                           p50     p95     max     p50     p95     max"
    );
    let Some(world) = World::of(shape()).await else {
        return;
    };
    let world = Arc::new(world);
    let hole = Hole::open().await;
    let well = all_is_well(&world).await;
    forge_hangs(&world, &hole, &well).await;
    ended_before(&world, &hole).await;
    ec2_hangs(&world, &well).await;
    // How far two lines differ that should be the same.
    let forge = &world.bench.lab.file().forge;
    let again = deliver(&world, forge, 80_000, || false).await;
    again.print("all is well, once more", Some(&well));
    emulator_busy(&world, &well).await;
    Arc::into_inner(world).unwrap().bench.down().await;
    drain_at_work(&well).await;
}

async fn all_is_well(world: &Arc<World>) -> Line {
    let forge = world.bench.lab.file().forge.clone();
    let line = deliver(world, &forge, 10_000, || false).await;
    line.print("all is well", None);
    line
}

async fn forge_hangs(world: &Arc<World>, hole: &Hole, well: &Line) {
    let jobs: Vec<Job> = (1..=LOST).map(Job::new).collect();
    world.queue(&jobs).await;
    world.drain().await;
    for machine in world.living().await {
        world.bench.strike(&machine, "crash");
    }
    until("the machines are gone", async || {
        world.living().await.is_empty()
    })
    .await;
    let tick = at_work(world, &hole.address, "cleanup");
    until("the drain asks the forge", async || hole.asked() > 0).await;
    let line = deliver(world, &hole.address, 20_000, || tick.is_finished()).await;
    line.print("the forge hangs, a drain waits for it", Some(well));
    tick.await.unwrap();
}

/// What is known and had ended without a runner is the one delivery that asks the forge.
async fn ended_before(world: &Arc<World>, hole: &Hole) {
    let handler = world.cold(&hole.address);
    let mut whole = Vec::new();
    for id in 1..=WAITING {
        let job = Job::new(30_000 + id);
        world.deliver(&job.queued()).await;
        world.deliver(&job.ended("cancelled", None)).await;
        let begun = Instant::now();
        let answer = world.invoke(&handler, &delivery(&job.queued())).await;
        assert_eq!(answer.unwrap()["statusCode"], 202);
        whole.push(begun.elapsed());
    }
    let line = Line {
        without_aws: whole.clone(),
        whole,
    };
    line.print("  the same, of a job that was cancelled", None);
}

async fn ec2_hangs(world: &Arc<World>, well: &Line) {
    world.queue(&[Job::new(40_000)]).await;
    world.bench.faults(&FaultInjection {
        latency_ms: HANGS_MS,
        ..entries()
    });
    let before = world.bench.lab.calls().await.unwrap();
    let forge = world.bench.lab.file().forge.clone();
    let drain = at_work(world, &forge, "drain");
    until("the drain asks EC2", async || {
        let calls = world.bench.lab.calls().await.unwrap();
        calls.attempts("RunInstances") > before.attempts("RunInstances")
    })
    .await;
    let line = deliver(world, &forge, 50_000, || drain.is_finished()).await;
    line.print("EC2 hangs, a drain waits for it", Some(well));
    drain.abort();
    assert!(drain.await.unwrap_err().is_cancelled());
}

/// What the next line would be if the drain were none of ours: the emulator has one processor, and
/// DynamoDB has not.
async fn emulator_busy(world: &Arc<World>, well: &Line) {
    world.bench.faults(&entries());
    let mut others = JoinSet::new();
    for _ in 0..OTHERS {
        let ledger = world.ledger();
        others.spawn(async move {
            loop {
                ledger.runner_started("i-nobody", now_ms()).await.unwrap();
            }
        });
    }
    let forge = world.bench.lab.file().forge.clone();
    let line = deliver(world, &forge, 70_000, || false).await;
    line.print("others keep the emulator busy", Some(well));
    others.shutdown().await;
}

async fn drain_at_work(well: &Line) {
    let Some(world) = World::of(shape()).await else {
        return;
    };
    let world = Arc::new(world);
    let jobs: Vec<Job> = (1..=BURST).map(Job::new).collect();
    world.queue(&jobs).await;
    let forge = world.bench.lab.file().forge.clone();
    let drain = at_work(&world, &forge, "drain");
    let line = deliver(&world, &forge, 60_000, || drain.is_finished()).await;
    line.print("a drain works on a burst of a thousand", Some(well));
    drain.await.unwrap();
    Arc::into_inner(world).unwrap().bench.down().await;
}

/// The times of one line of the table.
struct Line {
    whole: Vec<Duration>,
    without_aws: Vec<Duration>,
}

impl Line {
    fn print(&self, what: &str, well: Option<&Self>) {
        let ratio = well.map_or_else(String::new, |well| {
            let median = |line: &Self| quantile(&line.whole, 0.5).as_secs_f64();
            format!("   × {:.2}", median(self) / median(well))
        });
        println!(
            "{what:38} {} {}   n {}{ratio}",
            spread(&self.whole),
            spread(&self.without_aws),
            self.whole.len()
        );
    }
}

/// Delivers new jobs to a warm function, while the neighbour is at work.
async fn deliver(world: &World, forge: &str, from: u64, is_over: impl Fn() -> bool) -> Line {
    let heard = Heard::default();
    let handler = world.tapped(&heard, forge).await;
    let mut line = Line {
        whole: Vec::new(),
        without_aws: Vec::new(),
    };
    // The first one is cold.
    for id in 0..=DELIVERIES {
        let payload = delivery(&Job::new(from + id).queued());
        let begun = Instant::now();
        let answer = world.invoke(&handler, &payload).await.unwrap();
        let whole = begun.elapsed();
        assert_eq!(answer["statusCode"], 202, "{answer}");
        let calls = heard.take();
        if is_over() {
            break;
        }
        if id > 0 {
            let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
            assert!(names.iter().all(|name| CALLS.contains(name)), "{names:?}");
            assert!(names.len() <= CALLS.len() + 1, "{names:?}");
            let answered = calls.iter().filter_map(|call| call.answered);
            let in_aws: Duration = answered.map(|(_, took)| took).sum();
            line.whole.push(whole);
            line.without_aws.push(whole.saturating_sub(in_aws));
        }
    }
    assert!(
        line.whole.len() >= DELIVERIES_MIN,
        "the neighbour was done after {} deliveries",
        line.whole.len()
    );
    line
}

/// Another environment of the function, with `action` to do.
fn at_work(world: &Arc<World>, forge: &str, action: &str) -> JoinHandle<()> {
    let handler: Handler = world.cold(forge);
    let (world, event) = (Arc::clone(world), json!({ "action": action }));
    tokio::spawn(async move {
        world.invoke(&handler, &event).await.unwrap();
    })
}

/// A forge that takes every connection and never answers.
struct Hole {
    address: String,
    asked: Arc<AtomicUsize>,
}

impl Hole {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                held.push(stream);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}
