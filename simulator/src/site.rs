//! The forge, its people, and its deliveries: one after the other, never repeated.

use std::sync::Arc;
use std::time::Duration;

use lab::in_process::Outgoing;
use serde_json::{Value, json};
use stacks::names::ROUTE_DISPATCH;
use tokio::sync::oneshot;

use crate::account::{REGISTRATION_TOKEN, REPOSITORIES};
use crate::story::{Act, Message, Passage};
use crate::world::{State, World};

/// How long the forge waits for the answer to a delivery before it sends the next.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);
/// After this silence of its runner a job has failed; a real forge waits ten minutes.
const SILENCE_S: i64 = 180;
impl State {
    /// The forge's number of the n-th run, from 1.
    fn run(&self, nth: u32) -> Option<i64> {
        self.runs.get((nth as usize).wrapping_sub(1)).copied()
    }

    /// How often a job was queued that our pool serves.
    pub(crate) fn queued_for_us(&self) -> usize {
        let ours = self
            .queued
            .iter()
            .filter(|outgoing| job_of(outgoing)["workflow_job"]["labels"] == json!(["base"]));
        ours.count()
    }

    /// A push of one workflow file: the run that it starts.
    fn start_run(&mut self, repository: &str, workflow: &str, now_ms: u64) -> Option<i64> {
        let number = *self.repositories.get(repository)?;
        self.forge.start_run(number, "main", workflow, now_ms).ok()
    }
}

impl World {
    pub(crate) fn act_at_forge(self: &Arc<Self>, act: &Act) {
        let now_ms = self.now_ms();
        {
            let mut state = self.state();
            match act {
                Act::Run {
                    repository,
                    jobs,
                    label,
                    seconds,
                } => {
                    let workflow = workflow(*jobs, label, *seconds);
                    if let Some(run) = state.start_run(repository, &workflow, now_ms) {
                        state.runs.push(run);
                    }
                }
                Act::Cancel(nth) => {
                    if let Some(run) = state.run(*nth) {
                        state.forge.cancel_run(run, now_ms);
                    }
                }
                Act::Rerun(nth) => {
                    if let Some(run) = state.run(*nth) {
                        let _too_early = state.forge.rerun(run, None, now_ms);
                    }
                }
                Act::Rename(from, to) => {
                    if let Some(number) = state.repositories.remove(from) {
                        let name = to.rsplit('/').next().unwrap_or_default();
                        state.forge.rename_repository(number, name);
                        state.repositories.insert(to.clone(), number);
                    }
                }
                Act::Delete(repository) => {
                    if let Some(number) = state.repositories.remove(repository) {
                        state.forge.delete_repository(number);
                    }
                }
                Act::Impostor(nth) => {
                    drop(state);
                    return self.impostor(*nth);
                }
                Act::Redeliver(nth) => {
                    drop(state);
                    return self.send_again(*nth);
                }
                Act::ForgeDown(_)
                | Act::RegistersNobody(_)
                | Act::NoSpot(_)
                | Act::NoCapacity(_)
                | Act::SpotTakes(_)
                | Act::HostDies(_)
                | Act::RedeliverLater(_)
                | Act::Foreign => {}
            }
        }
        self.announced.notify_one();
    }

    /// Somebody sends a delivery of before once more.
    pub(crate) fn send_again(self: &Arc<Self>, nth: u32) {
        let again = self
            .state()
            .queued
            .get((nth as usize).wrapping_sub(1))
            .cloned();
        if let Some(again) = again {
            self.spawn(deliver(Arc::clone(self), again));
        }
    }

    /// Somebody registers a runner of their own under the name of a machine of ours, and has its job
    /// cancelled: the forge tells of it by that name.
    fn impostor(self: &Arc<Self>, nth: u32) {
        let now_ms = self.now_ms();
        let name = {
            let state = self.state();
            let machine = state.machines.get((nth as usize).wrapping_sub(1));
            let Some(machine) = machine.filter(|machine| !machine.off) else {
                return;
            };
            machine.id.clone()
        };
        let new = json!({
            "name": name,
            "token": REGISTRATION_TOKEN,
            "labels": ["own"],
            "ephemeral": true,
        });
        let Some((200, answer)) = self.rpc(None, "Register", &new) else {
            return;
        };
        let word = |field: &str| {
            answer["runner"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let runner = (word("uuid"), word("token"));
        let workflow = workflow(1, "own", 60);
        let run = self.state().start_run(REPOSITORIES[1], &workflow, now_ms);
        let _task = self.rpc(Some(&runner), "FetchTask", &json!({"tasksVersion": "0"}));
        if let Some(run) = run {
            let mut state = self.state();
            state.forge.cancel_run(run, now_ms);
        }
        self.announced.notify_one();
    }

    /// The forge's one worker, and its look for runners that have fallen silent.
    pub(crate) async fn run_forge(self: Arc<Self>) {
        loop {
            let waited = tokio::time::timeout(DELIVERY_TIMEOUT, self.announced.notified());
            if waited.await.is_err() {
                let now_ms = self.now_ms();
                self.state().forge.fail_zombies(SILENCE_S, now_ms);
            }
            loop {
                let outgoing = self.state().forge.deliveries();
                if outgoing.is_empty() {
                    break;
                }
                self.state().under_way += 1;
                for one in outgoing {
                    self.send_delivery(one).await;
                }
                self.state().under_way -= 1;
            }
        }
    }

    async fn send_delivery(self: &Arc<Self>, outgoing: Outgoing) {
        if is_queued(&outgoing) {
            self.state().queued.push(outgoing.clone());
        }
        let (nth, passage) = self.count_message(Message::Delivery);
        let again = deliver(Arc::clone(self), outgoing.clone());
        match passage {
            Some(Passage::Lost) => {
                self.tell(format!("delivery {nth} is lost"));
                return;
            }
            Some(Passage::Late(seconds)) => {
                self.spawn(async move {
                    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
                    again.await;
                });
                return;
            }
            Some(Passage::Twice) => self.spawn(again),
            None | Some(Passage::AnswerLost) => drop(again),
        }
        let (answered, answer) = oneshot::channel();
        let delivered = deliver(Arc::clone(self), outgoing);
        self.spawn(async move {
            delivered.await;
            let _nobody_waits = answered.send(());
        });
        let _answer = tokio::time::timeout(DELIVERY_TIMEOUT, answer).await;
    }
}

fn is_queued(outgoing: &Outgoing) -> bool {
    outgoing.event == "workflow_job" && job_of(outgoing)["action"] == "queued"
}

fn job_of(outgoing: &Outgoing) -> Value {
    serde_json::from_slice(&outgoing.body).unwrap_or_default()
}

/// One delivery, through API Gateway.
async fn deliver(world: Arc<World>, outgoing: Outgoing) {
    let headers: serde_json::Map<String, Value> = outgoing
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), json!(value)))
        .collect();
    let body = job_of(&outgoing);
    let what = format!(
        "delivery of job {} of {}: {}",
        body["workflow_job"]["id"],
        body["repository"]["full_name"].as_str().unwrap_or_default(),
        body["action"].as_str().unwrap_or_default(),
    );
    let event = json!({
        "routeKey": ROUTE_DISPATCH,
        "headers": headers,
        "body": String::from_utf8_lossy(&outgoing.body),
        "isBase64Encoded": false,
    });
    let answered = world.invoke(&what, event).await;
    let told = match &answered {
        Ok(answer) => {
            let body = answer["body"].as_str().unwrap_or_default();
            let body: Value = serde_json::from_str(body).unwrap_or_default();
            let said = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            let (decision, reason) = (said("decision"), said("reason"));
            format!(
                "{what}: answered {}, {decision}: {reason}",
                answer["statusCode"]
            )
        }
        Err(why) => format!("{what}: {why}"),
    };
    world.tell(told);
}

/// A workflow of jobs that do nothing for a while. The machines here read the while from its name.
fn workflow(jobs: u32, label: &str, seconds: u32) -> String {
    let mut text = "on: push\njobs:\n".to_owned();
    for job in 1..=jobs {
        let name = format!("job-{job}-{seconds}s");
        let steps = format!("[{{run: sleep {seconds}}}]");
        text.push_str(
            &[
                "  ",
                &name,
                ":\n    runs-on: ",
                label,
                "\n    steps: ",
                &steps,
                "\n",
            ]
            .concat(),
        );
    }
    text
}
