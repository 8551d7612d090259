//! Quantiles, and the most that a closed loop of senders gets through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// How long each number of senders is tried.
const TRY: Duration = Duration::from_secs(4);

/// The value below which `share` of `times` are.
pub(crate) fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "some thousands"
    )]
    let index = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[index]
}

/// Median, 95 % and maximum, in milliseconds.
pub(crate) fn spread(times: &[Duration]) -> String {
    let ms = |share| quantile(times, share).as_secs_f64() * 1e3;
    format!("{:7.1} {:7.1} {:7.1}", ms(0.5), ms(0.95), ms(1.0))
}

/// A closed loop: `sender` makes one that sends the job of each number that it is given and waits for
/// the answer. Sends for `time` with the number of senders that gets most through, and gives how many
/// were sent in all.
pub(crate) async fn closed_loop<S, F>(
    senders: &[usize],
    time: Duration,
    sender: impl Fn() -> S,
) -> u64
where
    S: Fn(u64) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    println!("  senders   seconds  answered    a second     p50     p95     max ms");
    let next = Arc::new(AtomicU64::new(1));
    let mut best = (0.0, 1);
    for count in senders {
        let rate = stretch(*count, TRY, &next, &sender).await;
        if rate > best.0 {
            best = (rate, *count);
        }
    }
    stretch(best.1, time, &next, &sender).await;
    next.load(Ordering::Relaxed) - 1
}

/// Sends for `time`, prints one line, and gives the rate a second.
async fn stretch<S, F>(
    senders: usize,
    time: Duration,
    next: &Arc<AtomicU64>,
    sender: impl Fn() -> S,
) -> f64
where
    S: Fn(u64) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..senders {
        let (send, next) = (sender(), Arc::clone(next));
        workers.spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < time {
                let begun = Instant::now();
                send(next.fetch_add(1, Ordering::Relaxed)).await;
                times.push(begun.elapsed());
            }
            times
        });
    }
    let times = workers.join_all().await.concat();
    let passed_s = begun.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(times.len()).unwrap()) / passed_s;
    println!(
        "{senders:9} {passed_s:9.1} {:9} {rate:11.1} {}",
        times.len(),
        spread(&times)
    );
    rate
}
