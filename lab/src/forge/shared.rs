//! What every request reaches: the state behind its lock, the repositories, the queue of deliveries.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use super::deliver::{Delivery, QUEUE_MAX};
use super::state::State;

/// What every request reaches.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) data: PathBuf,
    pub(super) queue: mpsc::Sender<Delivery>,
    /// One push at a time: refs are compared before and after.
    pub(super) pushes: tokio::sync::Mutex<()>,
}

impl Shared {
    /// Looks at or changes the state, and sends what that announced, in order.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State, i64) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut state, now());
        for delivery in state.outbox.drain(..) {
            if self.queue.try_send(delivery).is_err() {
                tracing::warn!(
                    limit = QUEUE_MAX,
                    "a delivery is dropped: too many wait for a slow hook"
                );
            }
        }
        answer
    }
}

/// Seconds since the epoch.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
