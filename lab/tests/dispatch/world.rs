//! A deployment as the stacks would make it, in a lab of the test's own, and the handler over it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_ec2::error::ProvideErrorMetadata as _;
use dispatcher::aws::{Aws, AwsEndpoint};
use dispatcher::handler::{Error, Handler};
use dispatcher::ledger::Ledger;
use lab::{FaultInjection, ForgeProgram, InstanceReport};
use serde_json::{Value, json};
use stacks::names::Names;
use stacks::pool::Pool;
use tokio::task::JoinSet;

use crate::delivery::{self, Job, delivery};
use crate::log;
use crate::support::tap::Heard;
use crate::support::{Bench, credentials, forge, no_boot, sdk_config};

mod forge;
mod ledger;
mod make;

/// The deployment.
pub(crate) const NAME: &str = "lab-ci";
/// The role of its runners, which is that of the bench's profile.
pub(crate) const ROLE: &str = crate::support::ROLE;
/// Where no forge answers.
pub(crate) const NO_FORGE: &str = "http://127.0.0.1:1";
/// How long one invocation may take: a function's own limit.
const INVOCATION: Duration = Duration::from_mins(1);
/// For anything that happens on this machine alone, at its slowest.
const PATIENCE: Duration = Duration::from_secs(30);
/// What pools with `clone_token` hand out.
const CLONE_TOKEN: &str = "clone-token-0123456789abcdef";

/// What a test's deployment differs in.
pub(crate) struct Shape {
    /// Most runners of all pools together.
    pub(crate) max_runners: u32,
    /// Changes each pool.
    pub(crate) pool: fn(&mut Pool),
    /// What machines run; `None`: they are entries in EC2's book only.
    pub(crate) user_data: Option<&'static str>,
    /// The stand-in as this forge, whatever the tests run against.
    pub(crate) forge: Option<lab::forge::Version>,
    /// Whether its machines may get a credential that outlives their job.
    pub(crate) accept_reusable_credentials: bool,
    /// Whether a drain stays to look at the forge's list; most stories are not about that.
    pub(crate) poll_after_events: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            max_runners: 20,
            pool: |_| (),
            user_data: None,
            forge: None,
            accept_reusable_credentials: false,
            poll_after_events: false,
        }
    }
}

pub(crate) struct World {
    pub(crate) bench: Bench,
    pub(crate) names: Names,
    pub(crate) handler: Arc<Handler>,
    dynamo: aws_sdk_dynamodb::Client,
    ssm: aws_sdk_ssm::Client,
    requests: AtomicU32,
    /// Answers that anybody may see.
    answers: Mutex<Vec<String>>,
    /// Tokens that runners were given.
    tokens: Mutex<Vec<String>>,
}

/// An answer to an HTTP request.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u64,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn of(answer: &Value) -> Self {
        Self {
            status: answer["statusCode"].as_u64().unwrap(),
            body: answer["body"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl World {
    /// A deployment of two pools; `None`, with the reason printed, where no lab is possible.
    pub(crate) async fn up() -> Option<Self> {
        Self::of(Shape::default()).await
    }

    pub(crate) async fn of(shape: Shape) -> Option<Self> {
        log::start();
        let bench = Bench::sharing(shape.forge.map_or_else(forge, ForgeProgram::StandIn)).await?;
        if shape.user_data.is_none() {
            bench.faults(&entries());
        }
        let names = Names::of(NAME);
        let file = bench.lab.file();
        let config = sdk_config(file, &file.aws_endpoint);
        let world = Self {
            handler: Arc::new(handler(&bench, &names, &file.forge)),
            dynamo: aws_sdk_dynamodb::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            bench,
            names,
            requests: AtomicU32::new(0),
            answers: Mutex::default(),
            tokens: Mutex::default(),
        };
        world.make_table().await;
        world.make_parameters(&shape).await;
        Some(world)
    }

    /// Ends the lab, after a look for secrets where nobody should find one.
    pub(crate) async fn end(self) {
        let table = serde_json::to_string(&self.rows().await).unwrap();
        let answers = self.answers.lock().unwrap().join("\n");
        let log = log::text();
        assert!(log.contains("\"level\":\"INFO\""), "nothing was logged");
        for (name, secret) in self.secrets() {
            for (place, text) in [("table", &table), ("answers", &answers), ("log", &log)] {
                let found = text.find(&secret);
                let around = |at: usize| &text[at.saturating_sub(300)..at];
                assert!(
                    found.is_none(),
                    "{name} is in the {place}, after {:?}",
                    found.map(around)
                );
            }
        }
        self.bench.down().await;
    }

    /// Everything that must not show, by name.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, String)> {
        let file = self.bench.lab.file();
        let tokens = self.tokens.lock().unwrap();
        [
            ("the webhook secret", file.webhook_secret.clone()),
            ("the forge token", file.forge_token.clone()),
            ("the registration token", file.registration_token.clone()),
            ("the clone token", CLONE_TOKEN.to_owned()),
            ("the secret key", file.secret_access_key.clone()),
        ]
        .into_iter()
        .chain(tokens.iter().map(|token| ("a runner token", token.clone())))
        .collect()
    }

    /// A function that has just started, with the forge at `forge`.
    pub(crate) fn cold(&self, forge: &str) -> Handler {
        handler(&self.bench, &self.names, forge)
    }

    /// A function of which `heard` hears every call to AWS, with the forge at `forge`.
    pub(crate) async fn tapped(&self, heard: &Heard, forge: &str) -> Handler {
        let file = self.bench.lab.file();
        let dynamo = heard.tap(&file.aws_endpoint).await;
        let ec2 = heard.tap(&file.ec2_endpoint).await;
        let aws = aws_at(&self.bench, &self.names, (&dynamo, &ec2));
        Handler::new(aws, Some(forge.to_owned()))
    }

    /// A function whose table is not there.
    pub(crate) fn without_table(&self) -> Handler {
        let names = Names {
            table: "nowhere".to_owned(),
            ..self.names.clone()
        };
        handler(&self.bench, &names, &self.bench.lab.file().forge)
    }

    /// The dispatcher's own writes, for tests of a function that dies between two of them.
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::new(&aws(&self.bench, &self.names))
    }
}

/// Events.
impl World {
    /// An id that no other invocation has.
    pub(crate) fn request_id(&self) -> String {
        format!("request-{}", self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Invokes `handler`.
    pub(crate) async fn invoke(&self, handler: &Handler, payload: &Value) -> Result<Value, Error> {
        let deadline = tokio::time::Instant::now() + INVOCATION;
        handler.handle(payload, &self.request_id(), deadline).await
    }

    /// Invokes the function with all of `payloads`, `at_once` at a time. Invocations with the same
    /// request id hold the same lease, which is as if there were none: it is an efficiency, and
    /// nothing may rest on it.
    pub(crate) async fn invoke_all(
        &self,
        payloads: Vec<Value>,
        at_once: usize,
        request_id: Option<&str>,
    ) -> Vec<Value> {
        let mut answers = Vec::new();
        let mut running = JoinSet::new();
        for payload in payloads {
            if running.len() == at_once {
                answers.push(running.join_next().await.unwrap().unwrap());
            }
            let handler = Arc::clone(&self.handler);
            let id = request_id.map_or_else(|| self.request_id(), str::to_owned);
            running.spawn(async move {
                let deadline = tokio::time::Instant::now() + INVOCATION;
                handler.handle(&payload, &id, deadline).await.unwrap()
            });
        }
        answers.extend(running.join_all().await);
        answers
    }

    /// Sends one HTTP request to the function.
    pub(crate) async fn send(&self, payload: &Value) -> Reply {
        self.send_to(&self.handler, payload).await
    }

    async fn send_to(&self, handler: &Handler, payload: &Value) -> Reply {
        let answer = self.invoke(handler, payload).await.unwrap();
        let reply = Reply::of(&answer);
        self.answers.lock().unwrap().push(answer.to_string());
        reply
    }

    /// Delivers `body` and gives the decision.
    pub(crate) async fn deliver(&self, body: &Value) -> String {
        self.deliver_to(&self.handler, body).await
    }

    pub(crate) async fn deliver_to(&self, handler: &Handler, body: &Value) -> String {
        let reply = self.send_to(handler, &delivery(body)).await;
        assert_eq!(reply.status, 202, "{}", reply.body);
        reply.json()["decision"].as_str().unwrap().to_owned()
    }

    /// Delivers `queued` of each job.
    pub(crate) async fn queue(&self, jobs: &[Job]) {
        let payloads = jobs.iter().map(|job| delivery(&job.queued())).collect();
        for answer in self.invoke_all(payloads, 20, None).await {
            let answer = Reply::of(&answer).json();
            assert_eq!(answer["decision"], "recorded", "{answer}");
        }
    }

    /// The nudge.
    pub(crate) async fn drain(&self) {
        self.drain_by(&self.handler).await;
    }

    pub(crate) async fn drain_by(&self, handler: &Handler) {
        let nudge = json!({ "action": "drain" });
        self.invoke(handler, &nudge).await.unwrap();
    }

    pub(crate) async fn tick(&self) {
        self.tick_by(&self.handler).await;
    }

    pub(crate) async fn tick_by(&self, handler: &Handler) {
        let tick = json!({ "action": "cleanup" });
        self.invoke(handler, &tick).await.unwrap();
    }

    /// The host of `instance` fails, and EC2 says so.
    pub(crate) async fn lose(&self, instance: &str) {
        self.lose_silently(instance).await;
        let event = delivery::state_change(instance, "terminated");
        let answer = self.invoke(&self.handler, &event).await.unwrap();
        assert_eq!(answer, json!({ "done": "closed" }));
    }

    /// The host of `instance` fails, and the event gets lost.
    pub(crate) async fn lose_silently(&self, instance: &str) {
        self.bench.strike(instance, "crash");
        self.bench.wait_for(instance, "terminated").await;
    }

    /// `instance` asks for its credential.
    pub(crate) async fn ask(&self, instance: &str) -> Reply {
        self.ask_of(&self.handler, instance).await
    }

    pub(crate) async fn ask_of(&self, handler: &Handler, instance: &str) -> Reply {
        let request = delivery::from_runner(ROLE, instance, br#"{"ask":"credential"}"#);
        let answer = self.invoke(handler, &request).await.unwrap();
        let reply = Reply::of(&answer);
        if let Some(document) = document(&reply) {
            self.was_given(&document);
        } else {
            self.answers.lock().unwrap().push(answer.to_string());
        }
        reply
    }

    /// The token of this `.runner` document must not show from now on.
    pub(crate) fn was_given(&self, document: &Value) {
        let token = document["token"].as_str().unwrap().to_owned();
        self.tokens.lock().unwrap().push(token);
    }

    /// The runner that `instance` is at the forge, where it registers now if it has not.
    pub(crate) async fn runner_of(&self, instance: &str) -> delivery::Runner {
        if self.runner(instance).await["forge_id"].is_null() {
            let reply = self.ask(instance).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
        }
        delivery::Runner {
            id: self.runner(instance).await["forge_id"].as_u64().unwrap(),
            name: instance.to_owned(),
        }
    }

    /// `instance` takes `job`, and the forge says so.
    pub(crate) async fn take(&self, job: &Job, instance: &str) -> String {
        let runner = self.runner_of(instance).await;
        self.deliver(&job.started(runner)).await
    }

    /// `instance` says how it fares.
    pub(crate) async fn mark(&self, instance: &str, body: &Value) -> Reply {
        let request = delivery::from_runner(ROLE, instance, body.to_string().as_bytes());
        self.send(&request).await
    }
}

/// EC2.
impl World {
    pub(crate) async fn instances(&self) -> Vec<InstanceReport> {
        self.bench.lab.status().await.unwrap().instances
    }

    /// The instances that are not over or about to be, the oldest first.
    pub(crate) async fn living(&self) -> Vec<String> {
        let all = self.instances().await;
        all.into_iter()
            .filter(|one| ["pending", "running"].contains(&one.state.as_str()))
            .map(|one| one.id)
            .collect()
    }

    /// The one instance that lives.
    pub(crate) async fn the_instance(&self) -> String {
        let living = self.living().await;
        assert_eq!(living.len(), 1, "{living:?}");
        living.into_iter().next().unwrap()
    }

    /// Runs an instance that the dispatcher did not launch, with one tag.
    pub(crate) async fn stranger(&self, key: &str, value: &str) -> String {
        let template = self.bench.template("#!/bin/sh\n").await;
        let tag = aws_sdk_ec2::types::Tag::builder().key(key).value(value);
        let tags = aws_sdk_ec2::types::TagSpecification::builder()
            .resource_type(aws_sdk_ec2::types::ResourceType::Instance)
            .tags(tag.build())
            .build();
        let request = self.bench.request(&template);
        let request = request.set_tag_specifications(Some(vec![tags]));
        let mut id = None;
        until("EC2 admits the request", async || {
            match request.clone().send().await {
                Ok(made) => id = made.instances()[0].instance_id().map(str::to_owned),
                Err(error) => assert_eq!(error.code(), Some("RequestLimitExceeded")),
            }
            id.is_some()
        })
        .await;
        id.unwrap()
    }
}

/// Instances that are entries only, and visible at once.
pub(crate) fn entries() -> FaultInjection {
    FaultInjection {
        visible_after_ms: 0,
        ..no_boot()
    }
}

/// The `.runner` document in an answer, if it has one.
pub(crate) fn document(reply: &Reply) -> Option<Value> {
    let mut lines = reply.body.lines();
    let line = lines.find_map(|line| line.strip_prefix("runner "))?;
    Some(serde_json::from_str(line).unwrap())
}

/// Asks again until it is so.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap()
}

fn aws(bench: &Bench, names: &Names) -> Aws {
    let file = bench.lab.file();
    aws_at(bench, names, (&file.aws_endpoint, &file.ec2_endpoint))
}

fn aws_at(bench: &Bench, names: &Names, (aws, ec2): (&str, &str)) -> Aws {
    let endpoint = AwsEndpoint {
        region: lab::REGION.to_owned(),
        credentials: credentials(bench.lab.file(), lab::FUNCTION_TOKEN),
        endpoint: Some(aws.to_owned()),
        endpoint_ec2: Some(ec2.to_owned()),
    };
    Aws::new(names.clone(), endpoint)
}

fn handler(bench: &Bench, names: &Names, forge: &str) -> Handler {
    Handler::new(aws(bench, names), Some(forge.to_owned()))
}
