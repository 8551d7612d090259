//! How fast launches go out: several at a time, since EC2 takes seconds for each, and no faster than
//! its bucket of requests refills, since a request that it refuses costs as much as one it serves.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Size of EC2's bucket for `RunInstances`, in requests.
const BUCKET_REQUESTS: f64 = 5.0;
/// What flows into it, in requests a second.
const REFILL_REQUESTS_PER_S: f64 = 2.0;
/// Most launches under way at a time: at two a second and up to three seconds for each, more would
/// only wait for the bucket.
pub const LAUNCHES_AT_ONCE: usize = 6;

/// EC2's bucket as this process knows it, and the order of those who want something from it.
#[derive(Debug)]
pub struct RateLimit {
    bucket: Mutex<Bucket>,
    /// Held over a claim: each adds to the same counters, and transactions that meet in one item
    /// cost both of them another try.
    pub claiming: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Bucket {
    /// Below zero it is promised away already.
    left: f64,
    at: Instant,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            bucket: Mutex::new(Bucket {
                left: BUCKET_REQUESTS,
                at: Instant::now(),
            }),
            claiming: tokio::sync::Mutex::default(),
        }
    }
}

impl RateLimit {
    /// Waits for the turn of one request.
    pub async fn turn(&self) {
        let wait = self.with_bucket(Bucket::take);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// EC2 says that its bucket is empty: somebody else takes from it too.
    pub fn is_empty_after_all(&self) {
        self.with_bucket(Bucket::empty);
    }

    fn with_bucket<T>(&self, act: impl FnOnce(&mut Bucket, Instant) -> T) -> T {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut bucket, Instant::now())
    }
}

impl Bucket {
    /// Takes one request and says how long it must wait.
    fn take(&mut self, now: Instant) -> Duration {
        self.refill(now);
        self.left -= 1.0;
        Duration::from_secs_f64((-self.left).max(0.0) / REFILL_REQUESTS_PER_S)
    }

    fn empty(&mut self, now: Instant) {
        self.refill(now);
        self.left = self.left.min(0.0);
    }

    fn refill(&mut self, now: Instant) {
        let passed_s = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed_s * REFILL_REQUESTS_PER_S).min(BUCKET_REQUESTS);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_bucket_lets_five_through_and_then_two_a_second() {
        let start = Instant::now();
        let mut bucket = Bucket {
            left: BUCKET_REQUESTS,
            at: start,
        };
        let waits: Vec<u128> = (0..8).map(|_| bucket.take(start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 500, 1000, 1500]);
        // Those who wait have it all for a while.
        let later = start + Duration::from_secs(2);
        assert_eq!(bucket.take(later), Duration::ZERO);
        assert_eq!(bucket.take(later), Duration::from_millis(500));
        // It never holds more than it is big.
        let idle = later + Duration::from_mins(10);
        let waits = (0..6).map(|_| bucket.take(idle).as_millis());
        assert_eq!(waits.collect::<Vec<_>>(), [0, 0, 0, 0, 0, 500]);
    }

    #[test]
    fn after_a_refusal_nothing_is_left_in_it() {
        let start = Instant::now();
        let mut bucket = Bucket {
            left: BUCKET_REQUESTS,
            at: start,
        };
        bucket.empty(start);
        assert_eq!(bucket.take(start), Duration::from_millis(500));
        bucket.empty(start);
        assert_eq!(
            bucket.take(start),
            Duration::from_secs(1),
            "what is promised stays promised"
        );
    }
}
