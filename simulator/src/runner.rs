//! What the boot file and a runner do, as far as the function and the forge can see it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use lab::in_process::Reason;
use serde_json::{Value, json};
use stacks::names::ROUTE_RUNNER;
use stacks::route::{LINE_RUNNER, REFUSED};
use tokio::time::Instant;

use crate::account::{BOOT_MINUTES, IDLE_MINUTES, LIMIT_MINUTES};
use crate::machine::Excuse;
use crate::story::{MachineFault, Message, Passage};
use crate::world::World;

/// From its launch until a machine asks for its credential.
const BOOT: Duration = Duration::from_secs(20);
/// How long API Gateway waits for the function.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(29);
/// When a request that comes twice comes again.
const REQUESTED_AGAIN: Duration = Duration::from_millis(15);
/// How often a runner asks for a job.
const FETCH: Duration = Duration::from_secs(2);
/// How often a runner says that it is at work, and the machine asks whether the forge still knows it.
const REPORT: Duration = Duration::from_secs(10);

impl World {
    /// One call of a machine to the runner route: status and text.
    pub(crate) async fn route(self: &Arc<Self>, id: &str, body: &Value) -> (u16, String) {
        let event = json!({
            "routeKey": ROUTE_RUNNER,
            "headers": {"content-type": "application/json"},
            "body": body.to_string(),
            "isBase64Encoded": false,
            "requestContext": {"authorizer": {"iam": {
                "userArn": format!("arn:aws:sts::111111111111:assumed-role/{}/{id}", self.names.runner),
            }}},
        });
        let asks = body["ask"].is_string();
        let (nth, passage) = self.count_message(Message::Request);
        if let Some(passage) = passage {
            self.tell(format!("request {nth} {passage}"));
        }
        let requested = self.requested(id, event.clone(), asks);
        let answer = match passage {
            Some(Passage::Lost) => None,
            Some(Passage::AnswerLost) => {
                self.spawn(async move { drop(requested.await) });
                None
            }
            Some(Passage::Late(seconds)) => {
                tokio::time::sleep(Duration::from_secs(seconds.into())).await;
                self.answered(requested).await
            }
            Some(Passage::Twice) => {
                let again = self.requested(id, event, asks);
                self.spawn(async move {
                    tokio::time::sleep(REQUESTED_AGAIN).await;
                    drop(again.await);
                });
                self.answered(requested).await
            }
            None => self.answered(requested).await,
        };
        let (status, text) = answer.unwrap_or((503, String::new()));
        // Of a request that comes twice the second may be the one that is answered.
        let is_lost = status >= 500 || passage == Some(Passage::Twice) && status == REFUSED;
        if asks
            && is_lost
            && let Some(machine) = self.state().machine(id)
        {
            machine.excuse.get_or_insert(Excuse::Unanswered);
        }
        (status, text)
    }

    /// What API Gateway waits for. The function goes on whether or not somebody waits for its answer.
    async fn answered(
        self: &Arc<Self>,
        requested: impl Future<Output = (u16, String)> + Send + 'static,
    ) -> Option<(u16, String)> {
        let (send, answered) = tokio::sync::oneshot::channel();
        self.spawn(async move {
            let _nobody_waits = send.send(requested.await);
        });
        let answer = tokio::time::timeout(ROUTE_TIMEOUT, answered).await;
        answer.ok().and_then(Result::ok)
    }

    /// One event of the route, and what the function answers.
    fn requested(
        self: &Arc<Self>,
        id: &str,
        event: Value,
        asks: bool,
    ) -> impl Future<Output = (u16, String)> + Send + 'static {
        let (world, id) = (Arc::clone(self), id.to_owned());
        async move {
            match world.invoke(&format!("request of {id}"), event).await {
                Ok(answer) => {
                    let status = answer["statusCode"]
                        .as_u64()
                        .and_then(|it| u16::try_from(it).ok());
                    let text = answer["body"].as_str().unwrap_or_default().to_owned();
                    if asks && status == Some(200) {
                        world.given_credential(&id);
                    }
                    (status.unwrap_or(500), text)
                }
                Err(why) => {
                    world.tell(format!("request of {id}: {why}"));
                    (500, String::new())
                }
            }
        }
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
    pub(crate) fn report(&self, runner: &(String, String), id: &str, result: &str) -> Option<bool> {
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
pub(crate) async fn live(world: Arc<World>, number: u32, id: String, fault: Option<MachineFault>) {
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
    let mut was_silent = false;
    let task = loop {
        if Instant::now() >= idle_until {
            if let Some(machine) = world.state().machine(id).filter(|_| was_silent) {
                machine.excuse.get_or_insert(Excuse::Unanswered);
            }
            return ("ending", "no job came".to_owned());
        }
        match world.rpc(Some(&runner), "FetchTask", &json!({"tasksVersion": "0"})) {
            Some((200, answer)) if answer["task"].is_object() => break answer["task"].clone(),
            Some((200, _)) => {}
            None => was_silent = true,
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
