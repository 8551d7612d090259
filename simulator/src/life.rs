//! Machines: what the boot file and a runner do, as far as the function and the forge can see it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use lab::in_process::{InstanceState, InstanceView, Reason, Stop};
use serde_json::{Value, json};
use stacks::names::ROUTE_RUNNER;
use stacks::route::{LINE_RUNNER, REFUSED};
use tokio::time::Instant;

use crate::account::{BOOT_MINUTES, IDLE_MINUTES, LIMIT_MINUTES};
use crate::machine::Machine;
use crate::story::{MachineFault, Message, Step};
use crate::world::{State, World};

/// From its launch until a machine asks for its credential.
const BOOT: Duration = Duration::from_secs(20);
/// How long API Gateway waits for the function.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(29);
/// How often a runner asks for a job.
const FETCH: Duration = Duration::from_secs(2);
/// How often a runner says that it is at work, and the machine asks whether the forge still knows it.
const REPORT: Duration = Duration::from_secs(10);
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
                excused: false,
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
            machine.excused = true;
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

    fn end_by(self: &Arc<Self>, id: &str, reason: Reason) {
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
            machine.excused = true;
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
            machine.excused = true;
        }
        self.end_by(&id, Reason::Host);
    }

    /// One call of a machine to the runner route: status and text.
    async fn route(self: &Arc<Self>, id: &str, body: &Value) -> (u16, String) {
        let event = json!({
            "routeKey": ROUTE_RUNNER,
            "headers": {"content-type": "application/json"},
            "body": body.to_string(),
            "isBase64Encoded": false,
            "requestContext": {"authorizer": {"iam": {
                "userArn": format!("arn:aws:sts::111111111111:assumed-role/{}/{id}", self.names.runner),
            }}},
        });
        let (world, id, asks) = (Arc::clone(self), id.to_owned(), body["ask"].is_string());
        let (send, answered) = tokio::sync::oneshot::channel();
        // The function goes on whether or not somebody waits for its answer.
        self.spawn(async move {
            let answer = world.invoke(&format!("request of {id}"), event).await;
            let answer = match answer {
                Ok(answer) => {
                    let status = answer["statusCode"]
                        .as_u64()
                        .and_then(|it| u16::try_from(it).ok());
                    let text = answer["body"].as_str().unwrap_or_default().to_owned();
                    (status.unwrap_or(500), text)
                }
                Err(why) => {
                    world.tell(format!("request of {id}: {why}"));
                    (500, String::new())
                }
            };
            if asks && answer.0 == 200 {
                world.given_credential(&id);
            }
            let _nobody_waits = send.send(answer);
        });
        let answer = tokio::time::timeout(ROUTE_TIMEOUT, answered).await;
        answer
            .ok()
            .and_then(Result::ok)
            .unwrap_or((503, String::new()))
    }

    /// One call of a runner to the forge; `None` while that answers nobody.
    pub(crate) fn rpc(
        &self,
        runner: Option<&(String, String)>,
        name: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let now_ms = self.now_ms();
        let mut request = Request::builder()
            .method("POST")
            .uri(format!(
                "{}/api/actions/runner.v1.RunnerService/{name}",
                lab::FORGE_URL
            ))
            .header("content-type", "application/json");
        if let Some((uuid, token)) = runner {
            request = request
                .header("x-runner-uuid", uuid)
                .header("x-runner-token", token);
        }
        let request = request
            .body(Bytes::from(body.to_string()))
            .expect("plain text");
        let mut state = self.state();
        if state.forge_down_until_ms > now_ms {
            return None;
        }
        let answer = state.forge.answer(&request, now_ms);
        drop(state);
        self.announced.notify_one();
        let body = serde_json::from_slice(answer.body()).unwrap_or_default();
        Some((answer.status().as_u16(), body))
    }

    /// A runner says how its job ended, or with an empty word that it is at work. Whether the forge took it.
    fn report(&self, runner: &(String, String), id: &str, result: &str) -> Option<bool> {
        let task = self.state().watch.tasks.get(id).cloned()?;
        let now_ms = i64::try_from(self.now_ms()).unwrap_or(i64::MAX);
        let now = jiff::Timestamp::from_millisecond(now_ms)
            .unwrap_or_default()
            .to_string();
        let mut state = json!({"id": task, "startedAt": now, "steps": []});
        if !result.is_empty() {
            state["result"] = json!(result);
            state["stoppedAt"] = json!(now);
        }
        let (status, answer) = self.rpc(Some(runner), "UpdateTask", &json!({ "state": state }))?;
        Some(status == 200 && answer["state"]["result"] != "RESULT_CANCELLED")
    }
}

/// A machine's life, from its launch to its own end.
async fn live(world: Arc<World>, number: u32, id: String, fault: Option<MachineFault>) {
    let begun = Instant::now();
    let boot = match fault {
        Some(MachineFault::BootsIn(seconds)) => Duration::from_secs(seconds.into()),
        _ => BOOT + Duration::from_millis(world.chance("boot", number, 8_000)),
    };
    let limit = Duration::from_secs(u64::from(LIMIT_MINUTES) * 60);
    if fault == Some(MachineFault::NeverBoots) {
        return std::future::pending().await;
    }
    tokio::time::sleep(boot).await;
    // The deadline is armed when the machine is up, not when it is launched.
    let work = async {
        let now_ms = world.now_ms();
        world.state().ec2.booted(&id, now_ms);
        run(&world, number, &id, begun, fault).await
    };
    if fault == Some(MachineFault::Hangs) {
        work.await;
        return std::future::pending().await;
    }
    if let Ok((mark, words)) = tokio::time::timeout(limit, work).await {
        let _status = world
            .route(&id, &json!({"mark": mark, "text": words}))
            .await;
    } else {
        world.tell(format!("machine {number} has reached its deadline"));
    }
    if let Some(machine) = world.state().machine(&id) {
        machine.busy = false;
    }
    world.end_by(&id, Reason::Itself);
}

/// What it does until it ends itself, and its last mark.
async fn run(
    world: &Arc<World>,
    number: u32,
    id: &str,
    begun: Instant,
    fault: Option<MachineFault>,
) -> (&'static str, String) {
    let runner = match credential(world, id, begun).await {
        Ok(runner) => runner,
        Err(why) => return ("failed", why),
    };
    if let Some(machine) = world.state().machine(id) {
        machine.runner = Some(runner.clone());
    }
    let labels = json!({"version": "v1.0.8", "labels": ["base"]});
    if world
        .rpc(Some(&runner), "Declare", &labels)
        .is_none_or(|(status, _)| status != 200)
    {
        // The unit starts a runner that could not reach the forge once more.
        tokio::time::sleep(REPORT).await;
    }
    let _status = world
        .route(id, &json!({"mark": "online", "text": ""}))
        .await;
    let idle_until = Instant::now() + Duration::from_secs(u64::from(IDLE_MINUTES) * 60);
    let task = loop {
        if Instant::now() >= idle_until {
            return ("ending", "no job came".to_owned());
        }
        match world.rpc(Some(&runner), "FetchTask", &json!({"tasksVersion": "0"})) {
            Some((200, answer)) if answer["task"].is_object() => break answer["task"].clone(),
            Some((200, _)) | None => {}
            Some((status, _)) => return ("ending", format!("the forge answers {status}")),
        }
        tokio::time::sleep(FETCH).await;
    };
    let seconds = world.take(number, id, &task);
    let _status = world
        .route(id, &json!({"mark": "started", "text": ""}))
        .await;
    if fault == Some(MachineFault::Hangs) {
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.tell(format!("machine {number} hangs"));
        return std::future::pending().await;
    }
    let done_at = Instant::now() + Duration::from_secs(seconds);
    let mut known = true;
    while Instant::now() < done_at && known {
        tokio::time::sleep(REPORT.min(done_at - Instant::now())).await;
        known = world.report(&runner, id, "").unwrap_or(true);
    }
    let mut tries = 0;
    while known && world.report(&runner, id, "RESULT_SUCCESS").is_none() && tries < 60 {
        tries += 1;
        tokio::time::sleep(REPORT).await;
    }
    if let Some(machine) = world.state().machine(id) {
        machine.busy = false;
    }
    ("ending", "its job is over".to_owned())
}

/// Asks for the credential until there is one, or never will be.
async fn credential(
    world: &Arc<World>,
    id: &str,
    begun: Instant,
) -> Result<(String, String), String> {
    let limit = Duration::from_secs(u64::from(BOOT_MINUTES) * 60);
    let mut wait = Duration::from_secs(1);
    while begun.elapsed() < limit + BOOT {
        let (status, text) = world.route(id, &json!({"ask": "credential"})).await;
        match status {
            200 => {
                let mut lines = text.lines();
                let document = lines.find_map(|line| line.strip_prefix(LINE_RUNNER));
                let document: Value =
                    serde_json::from_str(document.unwrap_or_default()).unwrap_or_default();
                let field = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
                return Ok((field("uuid"), field("token")));
            }
            REFUSED => return Err(format!("refused: {text}")),
            _ => {}
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(8));
    }
    Err("boot timeout".to_owned())
}

impl World {
    /// A machine has got a job: how many seconds that takes.
    fn take(&self, number: u32, id: &str, task: &Value) -> u64 {
        let job = task["context"]["job"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let task_id = task["id"].as_str().unwrap_or_default().to_owned();
        {
            let mut state = self.state();
            let mut jobs = state.forge.jobs();
            let has = jobs.find(|one| {
                one.status == "in_progress" && one.runner.is_some_and(|(_, name)| name == id)
            });
            let has = has.map(|one| (one.id, one.attempt));
            drop(jobs);
            state.watch.tasks.insert(id.to_owned(), json!(task_id));
            if let Some(machine) = state.machine(id) {
                machine.job = has;
                machine.busy = true;
            }
        }
        self.tell(format!("machine {number} has a job: {job}"));
        let seconds = job
            .rsplit('-')
            .next()
            .and_then(|word| word.strip_suffix('s')?.parse().ok());
        seconds.unwrap_or(10)
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
