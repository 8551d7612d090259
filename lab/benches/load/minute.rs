//! The most deliveries that the lab sustains: a closed loop of senders, each with an environment of
//! the function to itself, in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::burst::shape;
use crate::delivery::{Job, delivery};
use crate::measure::{Meter, spread};
use crate::world::World;

/// Senders that are tried, to find the number that gets most through.
const SENDERS: [usize; 4] = [1, 2, 4, 8];
/// How long each is tried.
const TRY: Duration = Duration::from_secs(4);

pub(crate) async fn run(time: Duration) {
    let Some(world) = World::of(shape()).await else {
        return;
    };
    let world = Arc::new(world);
    println!("\nDeliveries in a closed loop, the function called in this process");
    println!("  senders   seconds  answered    a second     p50     p95     max ms");
    let next = Arc::new(AtomicU64::new(1));
    let mut best = (0.0, 1);
    for senders in SENDERS {
        let rate = stretch(&world, senders, TRY, &next).await;
        if rate > best.0 {
            best = (rate, senders);
        }
    }
    let before = next.load(Ordering::Relaxed);
    let meter = Meter::start(&world.bench.lab);
    stretch(&world, best.1, time, &next).await;
    println!("{}", meter.read(next.load(Ordering::Relaxed) - before));
    let sent = next.load(Ordering::Relaxed) - 1;
    let listed = world.live("job").await.len() as u64;
    println!("sent {sent}, on the list {listed}");
    assert_eq!(listed, sent, "a job was lost");
    Arc::into_inner(world).unwrap().bench.down().await;
}

/// Sends for `time`, and gives the rate a second.
async fn stretch(world: &Arc<World>, senders: usize, time: Duration, next: &Arc<AtomicU64>) -> f64 {
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..senders {
        let handler = world.cold(&world.bench.lab.file().forge);
        let (world, next) = (Arc::clone(world), Arc::clone(next));
        workers.spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < time {
                let job = Job::new(next.fetch_add(1, Ordering::Relaxed));
                let payload = delivery(&job.queued());
                let begun = Instant::now();
                let answer = world.invoke(&handler, &payload).await.unwrap();
                times.push(begun.elapsed());
                assert_eq!(answer["statusCode"], 202, "{answer}");
            }
            times
        });
    }
    let times = workers.join_all().await.concat();
    rate(senders, begun.elapsed(), &times)
}

/// Prints one line, and gives the rate a second.
pub(crate) fn rate(senders: usize, passed: Duration, times: &[Duration]) -> f64 {
    let passed_s = passed.as_secs_f64();
    let rate = f64::from(u32::try_from(times.len()).unwrap()) / passed_s;
    println!(
        "{senders:9} {passed_s:9.1} {:9} {rate:11.1} {}",
        times.len(),
        spread(times)
    );
    rate
}
