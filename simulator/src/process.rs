//! The function's processes, and the wires that lead out of them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use dispatcher::handler::Handler;
use dispatcher::simulation::{Exchange, Fault, Surroundings};
use http::Request;
use tokio::sync::Notify;

/// Where the wires lead.
pub(crate) trait Network: Send + Sync {
    /// The true time, in milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// A call of the process `number`.
    fn exchange(self: Arc<Self>, number: u32, request: Request<Bytes>) -> Exchange;
}

/// The processes.
#[derive(Default)]
pub(crate) struct Fleet {
    pub(crate) idle: Mutex<Vec<Process>>,
    pub(crate) begun: Mutex<u32>,
    pub(crate) events: Mutex<u32>,
    /// The promise that is broken on purpose.
    pub(crate) fault: Mutex<Option<Fault>>,
}

/// One of them.
pub(crate) struct Process {
    pub(crate) handler: Handler,
    pub(crate) wires: Arc<Wires>,
}

/// What surrounds one process.
pub(crate) struct Wires {
    pub(crate) network: Weak<dyn Network>,
    /// Which of the processes it is, from 1.
    pub(crate) number: u32,
    pub(crate) skew_s: i32,
    pub(crate) fault: Option<Fault>,
    pub(crate) dies: Notify,
    /// How many calls it made for this event.
    pub(crate) calls: Mutex<u32>,
    /// How many of them were to change something.
    pub(crate) writes: Mutex<u32>,
    /// How many jobs there had been when it last found nothing to do.
    pub(crate) idle_at: Mutex<Option<usize>>,
}

/// What it guards; a thread that panicked while it had it has ended the story.
pub(crate) fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wires {
    /// Kills the process.
    pub(crate) fn die(&self) {
        self.dies.notify_one();
    }
}

impl Surroundings for Wires {
    fn now_ms(&self) -> u64 {
        let now_ms = self.network.upgrade().map_or(0, |network| network.now_ms());
        now_ms.saturating_add_signed(i64::from(self.skew_s) * 1000)
    }

    fn exchange(&self, request: Request<Bytes>) -> Exchange {
        *lock(&self.calls) += 1;
        let network = self.network.clone();
        let number = self.number;
        Box::pin(async move {
            match network.upgrade() {
                Some(network) => network.exchange(number, request).await,
                None => Err("the world is over".into()),
            }
        })
    }

    fn fault(&self) -> Option<Fault> {
        self.fault
    }
}
