//! Machines, as EC2 begins and ends them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use lab::in_process::{InstanceState, InstanceView, Reason, Stop};
use serde_json::{Value, json};

use crate::machine::{Excuse, Machine};
use crate::runner::live;
use crate::story::{Message, Step};
use crate::world::{State, World};

/// From the notice that EC2 takes a machine back until it does.
const NOTICE: Duration = Duration::from_mins(2);
/// How long before that a job is killed.
const KILLED_BEFORE: Duration = Duration::from_secs(15);
/// How long a machine takes to go off.
const OFF: Duration = Duration::from_secs(4);

impl State {
    pub(crate) fn machine(&mut self, id: &str) -> Option<&mut Machine> {
        self.machines.iter_mut().find(|machine| machine.id == id)
    }

    /// The machines that live: how many.
    pub(crate) fn living(&mut self) -> usize {
        let machines = &self.machines;
        let ours = |id: &str| machines.iter().any(|machine| machine.id == id);
        let lives = |state| matches!(state, InstanceState::Pending | InstanceState::Running);
        let instances = self.ec2.instances();
        instances
            .filter(|one| ours(one.id) && lives(one.state))
            .count()
    }
}

impl World {
    /// Has EC2 answer, and machines begin and end as it says.
    pub(crate) fn ask_ec2(self: &Arc<Self>, name: &str, body: &[u8]) -> Response<Bytes> {
        let now_ms = self.now_ms();
        let (status, xml) = {
            let mut state = self.state();
            let (spot, any) = (
                now_ms < state.no_spot_until_ms,
                now_ms < state.no_capacity_until_ms,
            );
            state.limit_capacity(spot, any);
            state.ec2.answer(body, now_ms)
        };
        if name == "TerminateInstances" && status == 200 {
            self.look_at_ends(body);
        }
        self.follow_ec2();
        let mut response = Response::new(Bytes::from(xml));
        *response.status_mut() = http::StatusCode::from_u16(status).expect("HTTP's");
        response
    }

    /// Begins machines that are new and ends those that EC2 ends.
    fn follow_ec2(self: &Arc<Self>) {
        let instances: Vec<_> = {
            let mut state = self.state();
            let instances = state.ec2.instances();
            let seen =
                |one: InstanceView<'_>| (one.id.to_owned(), one.launched_ms, one.state, one.stop);
            instances.map(seen).collect()
        };
        for (id, launched_ms, state, stop) in instances {
            let is_off = self.state().machine(&id).map(|machine| machine.off);
            if is_off.is_none() && state == InstanceState::Pending {
                self.begin_machine(&id, launched_ms);
            } else if is_off == Some(false) && state == InstanceState::ShuttingDown {
                self.switch_off(&id, stop == Stop::Graceful);
            }
        }
        self.look_at_cap();
    }

    fn begin_machine(self: &Arc<Self>, id: &str, launched_ms: u64) {
        let number = {
            let mut state = self.state();
            state.machines.push(Machine {
                id: id.to_owned(),
                credentials: 0,
                job: None,
                busy: false,
                excuse: None,
                launched_ms,
                runner: None,
                life: None,
                off: false,
            });
            u32::try_from(state.machines.len()).unwrap_or(u32::MAX)
        };
        self.tell(format!("machine {number} begins: {id}"));
        let fault = self.story.steps.iter().find_map(|step| match step {
            Step::Machine(nth, fault) if *nth == number => Some(*fault),
            Step::At(..)
            | Step::Call(..)
            | Step::Machine(..)
            | Step::Message(..)
            | Step::Clock(..) => None,
        });
        if let (Some(_), Some(machine)) = (fault, self.state().machine(id)) {
            machine.excuse = Some(Excuse::Fault);
        }
        let life = tokio::spawn(live(Arc::clone(self), number, id.to_owned(), fault));
        if let Some(machine) = self.state().machine(id) {
            machine.life = Some(life.abort_handle());
        }
    }

    /// Ends a machine that EC2 ends. One that is asked to shut down tells its runner to stop, and a runner
    /// that is told to stop in the middle of a job reports that job as a success.
    fn switch_off(self: &Arc<Self>, id: &str, gracefully: bool) {
        let runner = {
            let mut state = self.state();
            let Some(machine) = state.machine(id) else {
                return;
            };
            machine.off = true;
            if let Some(life) = machine.life.take() {
                life.abort();
            }
            let was_busy = std::mem::take(&mut machine.busy);
            machine.runner.clone().filter(|_| was_busy && gracefully)
        };
        if let Some(runner) = runner {
            self.report(&runner, id, "RESULT_SUCCESS");
            self.violated(format!(
                "{id} was asked to shut down in the middle of its job, which is green now"
            ));
        }
        self.announce(id, "shutting-down", 700);
        let (world, id) = (Arc::clone(self), id.to_owned());
        self.spawn(async move {
            tokio::time::sleep(OFF).await;
            let now_ms = world.now_ms();
            if world.state().ec2.gone(&id, now_ms) {
                world.announce(&id, "terminated", 700);
            }
        });
    }

    /// EC2's word about an instance, on its way to the function.
    fn announce(self: &Arc<Self>, id: &str, state: &str, after_ms: u64) {
        let event = json!({
            "source": "aws.ec2",
            "detail-type": "EC2 Instance State-change Notification",
            "detail": {"instance-id": id, "state": state},
        });
        self.send_event(format!("event of {id}: {state}"), event, after_ms);
    }

    fn send_event(self: &Arc<Self>, what: String, event: Value, after_ms: u64) {
        self.send(Message::Event, after_ms, move |world| {
            let (what, event) = (what.clone(), event.clone());
            async move {
                if let Err(why) = world.invoke(&what, event).await {
                    world.tell(format!("{what}: {why}"));
                }
            }
        });
    }

    pub(crate) fn end_by(self: &Arc<Self>, id: &str, reason: Reason) {
        let now_ms = self.now_ms();
        self.state().ec2.end(id, reason, now_ms);
        self.follow_ec2();
    }

    fn nth(&self, nth: u32) -> Option<String> {
        let state = self.state();
        let machine = state.machines.get((nth as usize).wrapping_sub(1))?;
        (!machine.off).then(|| machine.id.clone())
    }

    /// EC2 takes a machine back: it says so, and two minutes later it does.
    pub(crate) fn spot_takes(self: &Arc<Self>, nth: u32) {
        let Some(id) = self.nth(nth) else { return };
        if let Some(machine) = self.state().machine(&id) {
            machine.excuse = Some(Excuse::Fault);
        }
        let warning = json!({
            "source": "aws.ec2",
            "detail-type": "EC2 Spot Instance Interruption Warning",
            "detail": {"instance-id": id, "instance-action": "terminate"},
        });
        self.send_event(format!("warning for {id}"), warning, 400);
        let world = Arc::clone(self);
        self.spawn(async move {
            tokio::time::sleep(NOTICE.checked_sub(KILLED_BEFORE).unwrap_or_default()).await;
            let runner = {
                let mut state = world.state();
                let Some(machine) = state.machine(&id).filter(|machine| !machine.off) else {
                    return;
                };
                if let Some(life) = machine.life.take() {
                    life.abort();
                }
                let was_busy = std::mem::take(&mut machine.busy);
                machine.runner.clone().filter(|_| was_busy)
            };
            if let Some(runner) = runner {
                world.report(&runner, &id, "RESULT_FAILURE");
            }
            let _status = world
                .route(&id, &json!({"mark": "interrupted", "text": ""}))
                .await;
            tokio::time::sleep(KILLED_BEFORE).await;
            world.end_by(&id, Reason::Spot);
        });
    }

    /// A machine is gone from one moment to the next.
    pub(crate) fn host_dies(self: &Arc<Self>, nth: u32) {
        let Some(id) = self.nth(nth) else { return };
        if let Some(machine) = self.state().machine(&id) {
            machine.excuse = Some(Excuse::Fault);
        }
        self.end_by(&id, Reason::Host);
    }
}

impl State {
    /// What EC2 has to sell now.
    fn limit_capacity(&mut self, no_spot: bool, none: bool) {
        let limit = |spot| lab::in_process::Capacity {
            instance_type: None,
            subnet: None,
            spot,
            left: 0,
        };
        self.ec2.faults().capacity = match (no_spot, none) {
            (_, true) => vec![limit(None)],
            (true, false) => vec![limit(Some(true))],
            (false, false) => Vec::new(),
        };
    }
}
