//! The life of instances: what EC2's book says and the machine behind it, kept in step. Every
//! change of state goes through [`World::change`], which also tells the bus.

use std::collections::HashMap;
use std::ops::DerefMut;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::Error;
use crate::ec2::{
    ApiError, Change, Ec2State, Instance, InstanceState, Launched, Plan, Reason, Shutdown, Stop,
    World,
};
use crate::emulator::Emulator;
use crate::error::chain;
use crate::events::{Event, Events, Kind};
use crate::machine::{Ended, Machine, MachineHost};

/// How long a graceful stop may take before the machine is cut off. EC2 gives minutes; nothing of
/// ours may need them, and `init` gives its units two seconds.
const GRACE: Duration = Duration::from_secs(8);
/// Machines that boot at the same time: more only make each other slower.
const BOOTS_AT_ONCE: usize = 8;
/// How long an instance that is only an entry stays pending.
const ENTRY_BOOT: Duration = Duration::from_millis(200);

/// Book and machines.
pub(crate) struct Cloud {
    pub(crate) emulator: Emulator,
    pub(crate) host: MachineHost,
    state: Mutex<Ec2State>,
    stops: Mutex<HashMap<String, watch::Sender<Stop>>>,
    events: Events,
    boots: Semaphore,
}

/// One instance, for `status`, tests and the demo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceReport {
    /// Its id.
    pub id: String,
    /// EC2's state name.
    pub state: String,
    /// EC2's reason code for its end.
    pub reason: Option<String>,
    /// The image that it was launched from.
    pub image: String,
    /// Its type.
    pub instance_type: String,
    /// Whether it is a Spot instance.
    pub spot: bool,
    /// What an hour of it costs, in dollars.
    pub usd_per_hour: f64,
    /// Its tags.
    pub tags: std::collections::BTreeMap<String, String>,
    /// When it was launched.
    pub launched: Timestamp,
    /// When its machine was up.
    pub running: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// What it wrote to its console.
    pub console: PathBuf,
}

impl Cloud {
    pub(crate) fn new(emulator: Emulator, host: MachineHost) -> Arc<Self> {
        Arc::new(Self {
            events: Events::start(emulator.clone()),
            emulator,
            host,
            state: Mutex::new(Ec2State::new(Timestamp::now())),
            stops: Mutex::default(),
            boots: Semaphore::new(BOOTS_AT_ONCE),
        })
    }

    /// The book. Nothing awaits while it is held.
    pub(crate) fn state(&self) -> MutexGuard<'_, Ec2State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Warns that a Spot instance is taken back, and takes it back `after` that.
    pub(crate) fn interrupt(self: &Arc<Self>, id: &str, after: Duration) -> bool {
        if !self.state().instances.contains_key(id) {
            return false;
        }
        let at = Timestamp::now() + after;
        self.host.notices.announce(id, at);
        self.tell(id, Kind::Interruption);
        let (cloud, id) = (Arc::clone(self), id.to_owned());
        tokio::spawn(async move {
            sleep(after).await;
            cloud.end(&id, Reason::Spot, Stop::Graceful);
        });
        true
    }

    /// Cuts off every machine and waits until they are gone, within `limit`.
    pub(crate) async fn close(self: &Arc<Self>, limit: Duration) -> usize {
        let ids: Vec<String> = self.stops().keys().cloned().collect();
        for id in &ids {
            self.end(id, Reason::Host, Stop::Outright);
        }
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && !self.stops().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
        self.stops().len()
    }

    /// All instances, the oldest first.
    pub(crate) fn report(&self) -> Vec<InstanceReport> {
        let state = self.state();
        let mut all: Vec<InstanceReport> = state
            .instances
            .values()
            .map(|one| InstanceReport {
                id: one.id.clone(),
                state: one.state.name().to_owned(),
                reason: one.reason.map(|reason| reason.code().to_owned()),
                image: one.blueprint.image.id.clone(),
                instance_type: one.blueprint.instance_type.clone(),
                spot: one.blueprint.spot,
                usd_per_hour: crate::ec2::usd_per_hour(
                    &one.blueprint.instance_type,
                    &one.blueprint.zone,
                    one.blueprint.spot,
                ),
                tags: one.blueprint.tags.clone(),
                launched: one.launched,
                running: one.running,
                ended: one.ended,
                console: self.host.console(&one.id),
            })
            .collect();
        all.sort_by_key(|one| one.launched);
        all
    }

    fn tell(&self, id: &str, kind: Kind) {
        let instance = id.to_owned();
        self.events.send(Event { instance, kind });
    }

    async fn live(self: Arc<Self>, id: String, stop: watch::Receiver<Stop>) {
        let Some(instance) = self.state().instances.get(&id).cloned() else {
            return;
        };
        let boot = self.state().faults.boot;
        let ended = if boot {
            self.run_machine(&instance, stop).await
        } else {
            self.run_entry(&id, stop).await;
            Ok(Ended::CutOff)
        };
        match ended {
            Ok(Ended::PoweredOff) => {
                self.change(
                    &id,
                    match instance.blueprint.shutdown {
                        Shutdown::Stop => Change::Stop(Reason::Itself),
                        Shutdown::Terminate => Change::Terminate(Reason::Itself),
                    },
                );
            }
            Ok(Ended::CutOff) => {}
            Err(error) => {
                tracing::error!(instance = id, error = chain(&error), "machine failed");
                self.change(&id, Change::Terminate(Reason::Host));
            }
        }
        self.host.keys.revoke(&id);
        self.change(&id, Change::Gone);
        self.stops().remove(&id);
    }

    async fn run_machine(
        self: &Arc<Self>,
        instance: &Instance,
        mut stop: watch::Receiver<Stop>,
    ) -> Result<Ended, Error> {
        let mut machine = {
            let _permit = self.boots.acquire().await.map_err(|e| Error::bug(&e))?;
            if *stop.borrow() != Stop::Not {
                return Ok(Ended::CutOff);
            }
            let apis = self.emulator.apis().await?;
            let apis: Vec<String> = apis.into_iter().map(|api| api.api_id).collect();
            Machine::start(&self.host, instance, &apis).await?
        };
        self.change(&instance.id, Change::Booted);
        if self.state().faults.crashes_boot() {
            self.end(&instance.id, Reason::Host, Stop::Outright);
        }
        let mut cut_off_at = None;
        loop {
            // Copied out first: the value must not stay locked while we wait.
            let wanted = *stop.borrow_and_update();
            match wanted {
                Stop::Not => {}
                Stop::Graceful => {
                    machine.press_power_button();
                    cut_off_at.get_or_insert(Instant::now() + GRACE);
                }
                Stop::Outright => machine.cut_off(),
            }
            let never = Instant::now() + Duration::from_hours(24);
            tokio::select! {
                ended = machine.ended() => return ended,
                changed = stop.changed() => changed.map_err(|error| Error::bug(&error))?,
                () = sleep_until(cut_off_at.unwrap_or(never)) => {
                    machine.cut_off();
                    return machine.ended().await;
                }
            }
        }
    }

    async fn run_entry(self: &Arc<Self>, id: &str, mut stop: watch::Receiver<Stop>) {
        tokio::select! {
            () = sleep(ENTRY_BOOT) => {}
            _ = stop.changed() => return,
        }
        self.change(id, Change::Booted);
        while *stop.borrow() == Stop::Not {
            if stop.changed().await.is_err() {
                return;
            }
        }
    }

    fn stops(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<Stop>>> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World for Arc<Cloud> {
    fn state(&self) -> impl DerefMut<Target = Ec2State> {
        Cloud::state(self)
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn launch(&self, plan: &Plan) -> Result<Launched, ApiError> {
        let (launched, new) = Cloud::state(self).launch(plan, Timestamp::now())?;
        if new {
            for id in &launched.ids {
                let (sender, receiver) = watch::channel(Stop::Not);
                self.stops().insert(id.clone(), sender);
                self.tell(id, Kind::InstanceState(InstanceState::Pending.name()));
                tokio::spawn(Arc::clone(self).live(id.clone(), receiver));
            }
        }
        Ok(launched)
    }

    fn change(&self, id: &str, change: Change) -> Option<InstanceState> {
        let state = Cloud::state(self).change(id, change, Timestamp::now())?;
        tracing::info!(instance = id, state = state.name(), "state");
        self.tell(id, Kind::InstanceState(state.name()));
        Some(state)
    }

    fn ask(&self, id: &str, stop: Stop) {
        if let Some(sender) = self.stops().get(id) {
            sender.send_if_modified(|now| {
                let more = stop > *now;
                *now = (*now).max(stop);
                more
            });
        }
    }
}
