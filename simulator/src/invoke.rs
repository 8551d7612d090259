//! The function as Lambda runs it: processes that serve one event at a time, keep what they know between
//! events, and die. Each is the real handler; its wires lead into the world.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use aws_credential_types::Credentials;
use dispatcher::aws::{Aws, AwsEndpoint};
use dispatcher::handler::Handler;
use dispatcher::simulation::{Surroundings, within};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::account::AWS;
use crate::process::{Network, Process, Wires, lock};
use crate::story::Step;
use crate::world::World;

/// How long Lambda lets one event take, as the stack says.
const TIMEOUT: Duration = Duration::from_mins(1);
/// What the function keeps of that for its answer.
const RESERVE: Duration = Duration::from_secs(2);
/// How long a new process takes before it serves.
const COLD_START: Duration = Duration::from_millis(60);
/// Most calls of one event: a drain with all that a story of a few jobs can hold for it.
const CALLS_MAX: u32 = 600;

/// What the schedule's event is called.
pub(crate) const TICK: &str = "tick";

/// Those of all stories that this program has played.
static PROCESSES: AtomicU64 = AtomicU64::new(0);

/// Why an event came to nothing.
#[derive(Debug)]
pub(crate) enum Unserved {
    /// The process died.
    Died,
    /// Its time was out.
    TimedOut,
    /// It said so itself.
    Failed(String),
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Died => f.write_str("the function died"),
            Self::TimedOut => f.write_str("the function was out of time"),
            Self::Failed(why) => write!(f, "the function failed: {why}"),
        }
    }
}

impl World {
    /// Has the function serve `event`, and gives its answer.
    pub(crate) async fn invoke(
        self: &Arc<Self>,
        what: &str,
        event: Value,
    ) -> Result<Value, Unserved> {
        let process = self.process().await;
        let event_number = {
            let mut events = lock(&self.fleet.events);
            *events += 1;
            *events
        };
        let id = format!("event-{event_number:04}");
        *lock(&process.wires.calls) = 0;
        *lock(&process.wires.writes) = 0;
        let is_alone = self.state().running.is_empty();
        let had_nothing_to_do = what == TICK && is_alone && self.has_nothing_to_do();
        self.running(&process.wires);
        let deadline = Instant::now() + TIMEOUT - RESERVE;
        let served = within(
            Arc::clone(&process.wires) as Arc<dyn Surroundings>,
            process.handler.handle(&event, &id, deadline),
        );
        let outcome = tokio::select! {
            biased;
            () = process.wires.dies.notified() => Err(Unserved::Died),
            () = tokio::time::sleep(TIMEOUT) => Err(Unserved::TimedOut),
            served = served => served.map_err(|error| Unserved::Failed(error.to_string())),
        };
        self.stopped(process.wires.number);
        let calls = *lock(&process.wires.calls);
        if calls > CALLS_MAX {
            self.violated(format!("{what}: {calls} calls for one event"));
        }
        let stayed_alone = *lock(&self.fleet.events) == event_number;
        let was_idle = had_nothing_to_do && stayed_alone && outcome.is_ok();
        if was_idle && self.has_nothing_to_do() {
            self.look_at_idle_tick(&process.wires);
        }
        match outcome {
            Err(Unserved::Died | Unserved::TimedOut) => {
                self.tell(format!("process {} is gone: {what}", process.wires.number));
            }
            Ok(_) | Err(Unserved::Failed(_)) => lock(&self.fleet.idle).push(process),
        }
        outcome
    }

    /// A process that has nothing to do, any of them, or a new one.
    async fn process(self: &Arc<Self>) -> Process {
        {
            let mut idle = lock(&self.fleet.idle);
            let which = self.chance("idle", *lock(&self.fleet.events), idle.len() as u64);
            if !idle.is_empty() {
                return idle.swap_remove(usize::try_from(which).unwrap_or_default());
            }
        }
        let number = {
            let mut begun = lock(&self.fleet.begun);
            *begun += 1;
            *begun
        };
        tokio::time::sleep(COLD_START).await;
        let skew_s = self.story.steps.iter().find_map(|step| match step {
            Step::Clock(nth, skew) if *nth == number => Some(*skew),
            Step::At(..)
            | Step::Call(..)
            | Step::Machine(..)
            | Step::Message(..)
            | Step::Clock(..) => None,
        });
        let network: Arc<dyn Network> = Arc::clone(self) as Arc<dyn Network>;
        let wires = Wires {
            network: Arc::downgrade(&network),
            number,
            skew_s: skew_s.unwrap_or_default(),
            fault: *lock(&self.fleet.fault),
            dies: Notify::new(),
            calls: Mutex::new(0),
            writes: Mutex::new(0),
            idle_at: Mutex::new(None),
        };
        // For each region the SDK remembers in a static how often it retried, which is the process's alone.
        let endpoint = AwsEndpoint {
            region: format!("sim-{}", PROCESSES.fetch_add(1, Ordering::Relaxed)),
            credentials: Credentials::new("AKIDSIM", "secret", None, None, "simulator"),
            endpoint: Some(AWS.to_owned()),
            endpoint_ec2: None,
        };
        Process {
            handler: Handler::new(Aws::new(self.names.clone(), endpoint), None),
            wires: Arc::new(wires),
        }
    }

    fn running(&self, wires: &Arc<Wires>) {
        self.state()
            .running
            .insert(wires.number, Arc::downgrade(wires));
    }

    fn stopped(&self, number: u32) {
        self.state().running.remove(&number);
    }

    /// A process is about to change something.
    pub(crate) fn writes(&self, number: u32) {
        let wires = self.state().running.get(&number).and_then(Weak::upgrade);
        if let Some(wires) = wires {
            *lock(&wires.writes) += 1;
        }
    }

    /// Kills a process in the middle of what it does.
    pub(crate) fn kill(&self, number: u32) {
        let wires = self.state().running.get(&number).and_then(Weak::upgrade);
        if let Some(wires) = wires {
            self.tell(format!("process {number} dies"));
            wires.die();
        }
    }
}
