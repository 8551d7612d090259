//! Every call of the function: what it is called, what goes wrong with it, and how long it takes.

use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dispatcher::simulation::Exchange;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use stacks::names::ACTION_DRAIN;
use tokio::sync::oneshot;

use crate::account::{self, Service};
use crate::process::Network;
use crate::story::{CallFault, Message};
use crate::world::World;

/// Where the names of DynamoDB's and SSM's calls stand.
const TARGET: &str = "x-amz-target";
/// How long a call of a drain that has lost its lease takes: another drain does its work meanwhile.
const OVERTAKEN: Duration = Duration::from_secs(3);
/// When that one begins: what has come since the first drain looked, it sees.
const OTHER_BEGINS_MS: u64 = 2_000;

/// What stories call the transaction that claims jobs for a launch, beside its own name: all that has to hold
/// at once is in it.
const CLAIM: &str = "claim";

/// Whom a call is for, and what it is called in stories.
struct Call {
    service: Option<Service>,
    name: String,
}

impl Network for World {
    fn now_ms(&self) -> u64 {
        Self::now_ms(self)
    }

    fn exchange(self: Arc<Self>, number: u32, request: Request<Bytes>) -> Exchange {
        Box::pin(async move { exchange(&self, number, request).await })
    }
}

/// One call of the process `number`.
async fn exchange(
    world: &Arc<World>,
    number: u32,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
    let Call { service, name } = named(&request);
    let (nth, mut fault) = world.count_call(&name);
    if is_claim(&request) {
        let (_, of_claim) = world.count_call(CLAIM);
        fault = fault.or(of_claim);
    }
    // While the forge registers nobody, each tick tries whether it does.
    if !is_read(&name) && name != "Register" {
        world.writes(number);
    }
    if let Some(fault) = fault {
        world.tell(format!("{name} {nth}: {fault}"));
        let now_ms = world.now_ms();
        world.state().watch.disturbed_ms = now_ms;
    }
    let latency_ms = latency_ms(world, service, &name, nth);
    tokio::time::sleep(Duration::from_millis(latency_ms / 2)).await;
    match fault {
        Some(CallFault::Fails) => return Ok(failure(service)),
        Some(CallFault::Throttled) => return Ok(throttling(service)),
        Some(CallFault::Lost) => return pending().await,
        Some(CallFault::Slow(seconds)) => {
            return Ok(slow(world, number, (service, name, nth), request, seconds).await);
        }
        Some(CallFault::DiesBefore) => {
            world.kill(number);
            return pending().await;
        }
        Some(CallFault::LeaseLost) => {
            lose_lease(world);
            tokio::time::sleep(OVERTAKEN).await;
        }
        Some(CallFault::AnswerLost | CallFault::DiesAfter) | None => {}
    }
    if service.is_none() && world.state().forge_down_until_ms > world.now_ms() {
        return Err("connection refused".into());
    }
    let answer = effect(world, service, &name, &request);
    tell_of(world, number, (&name, nth), &request, &answer);
    match fault {
        Some(CallFault::AnswerLost) => return pending().await,
        Some(CallFault::DiesAfter) => {
            world.kill(number);
            return pending().await;
        }
        _ => {}
    }
    tokio::time::sleep(Duration::from_millis(latency_ms / 2)).await;
    Ok(answer)
}

/// A call that takes long: what is read is old when it comes, and what is written arrives late, even if
/// whoever sent it has given up on it by then.
async fn slow(
    world: &Arc<World>,
    number: u32,
    (service, name, nth): (Option<Service>, String, u32),
    request: Request<Bytes>,
    seconds: u32,
) -> Response<Bytes> {
    let waits = Duration::from_secs(seconds.into());
    if is_read(&name) {
        let answer = effect(world, service, &name, &request);
        tokio::time::sleep(waits).await;
        return answer;
    }
    let (send, answered) = oneshot::channel();
    let late = Arc::clone(world);
    world.spawn(async move {
        tokio::time::sleep(waits).await;
        let answer = effect(&late, service, &name, &request);
        tell_of(&late, number, (&name, nth), &request, &answer);
        let _given_up = send.send(answer);
    });
    answered.await.unwrap_or_else(|_| failure(service))
}

/// Takes the drain's lease away and wakes another drain.
fn lose_lease(world: &Arc<World>) {
    world.state().table.remove("live", "lease");
    nudge(world, json!({ "action": ACTION_DRAIN }), OTHER_BEGINS_MS);
}

/// The function's word to itself, on its way.
fn nudge(world: &Arc<World>, event: Value, after_ms: u64) {
    world.send(Message::Nudge, after_ms, move |world| {
        let event = event.clone();
        async move {
            if let Err(why) = world.invoke("nudge", event).await {
                world.tell(format!("nudge: {why}"));
            }
        }
    });
}

/// Whether it writes a launch in all its parts, which nothing else does.
fn is_claim(request: &Request<Bytes>) -> bool {
    let part = br#""candidates":{"L""#;
    request.body().windows(part.len()).any(|it| it == part)
}

/// Whether a call changes nothing.
fn is_read(name: &str) -> bool {
    let reads = ["Query", "DescribeInstances", "GetParametersByPath"];
    name.starts_with("GET ") || reads.contains(&name)
}

fn failure(service: Option<Service>) -> Response<Bytes> {
    service.map_or_else(|| of_forge(500), Service::failure)
}

fn throttling(service: Option<Service>) -> Response<Bytes> {
    service.map_or_else(|| of_forge(429), Service::throttling)
}

fn of_forge(status: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"trouble"));
    *response.status_mut() = StatusCode::from_u16(status).expect("written here");
    response
}

fn named(request: &Request<Bytes>) -> Call {
    let path = request.uri().path();
    let of = |service, name: &str| Call {
        service: Some(service),
        name: name.to_owned(),
    };
    if request.uri().host() != Some("aws.sim") {
        return Call {
            service: None,
            name: of_path(request.method(), path),
        };
    }
    if let Some(target) = request.headers().get(TARGET) {
        let target = target.to_str().unwrap_or_default();
        let (api, name) = target.split_once('.').unwrap_or((target, target));
        let is_ssm = api == "AmazonSSM";
        return of(
            if is_ssm {
                Service::Ssm
            } else {
                Service::DynamoDb
            },
            name,
        );
    }
    if path.ends_with("/invocations") {
        return of(Service::Lambda, "Invoke");
    }
    let body = String::from_utf8_lossy(request.body());
    let action = body
        .split('&')
        .find_map(|pair| pair.strip_prefix("Action="));
    of(Service::Ec2, action.unwrap_or("Unknown"))
}

/// What a call to the forge is called, as its errors call it.
fn of_path(method: &Method, path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let what = match parts.as_slice() {
        [.., "Register"] => return "Register".to_owned(),
        [.., "registration-token"] => return "registration-token".to_owned(),
        [.., "version"] => "version",
        [.., "jobs", id] if is_number(id) => "job",
        [.., "jobs"] => "jobs",
        [.., "runners", id] if is_number(id) => "runner",
        [.., "runners"] => "runners",
        [.., "statuses", _] => "status",
        ["api", "v1", "repositories", _] => "repository",
        [.., "repos", _, _] => "repository by name",
        _ => "other",
    };
    format!("{method} {what}")
}

fn latency_ms(world: &World, service: Option<Service>, name: &str, nth: u32) -> u64 {
    let (least, more) = match service {
        Some(Service::DynamoDb) => (4, 20),
        Some(Service::Ec2) if name == "RunInstances" => (600, 2_000),
        Some(Service::Ec2) => (60, 300),
        Some(Service::Lambda | Service::Ssm) => (10, 40),
        None => (15, 150),
    };
    least + world.chance(name, nth, more)
}

/// What a call comes to.
fn effect(
    world: &Arc<World>,
    service: Option<Service>,
    name: &str,
    request: &Request<Bytes>,
) -> Response<Bytes> {
    let now_ms = world.now_ms();
    match service {
        None if name == "Register" && now_ms < world.state().registers_from_ms => {
            // What a Gitea says to a token that it does not know (measured).
            let words =
                json!({"code": "unknown", "message": "runner registration token not found"});
            account::answer(500, &words)
        }
        None => {
            let answer = world.state().forge.answer(request, now_ms);
            world.announced.notify_one();
            answer
        }
        Some(Service::DynamoDb) => {
            let answer = {
                let mut state = world.state();
                let answer = state.table.answer(name, request.body(), now_ms);
                state.watch.asked(name, request.body(), now_ms);
                answer
            };
            if name == "TransactWriteItems" {
                world.look_at_table();
            }
            let mut response = Response::new(Bytes::from(answer.body));
            *response.status_mut() = StatusCode::from_u16(answer.status).expect("HTTP's");
            response
        }
        Some(Service::Ec2) => world.ask_ec2(name, request.body()),
        Some(Service::Lambda) => {
            let event: Value = serde_json::from_slice(request.body()).unwrap_or_default();
            nudge(world, event, 25);
            account::answer(202, &json!({}))
        }
        Some(Service::Ssm) => account::ssm(&world.state().parameters, request.body()),
    }
}

/// What people want to read of a call: those that change something, and what came of them.
fn tell_of(
    world: &World,
    number: u32,
    (name, nth): (&str, u32),
    request: &Request<Bytes>,
    answer: &Response<Bytes>,
) {
    if is_read(name) && answer.status().is_success() {
        return;
    }
    let about = match name {
        "TransactWriteItems" => summary(request.body()),
        "RunInstances" | "TerminateInstances" => {
            let body = String::from_utf8_lossy(request.body()).into_owned();
            let pairs = body.split('&').filter(|pair| {
                ["ClientToken=", "InstanceId", "SkipOsShutdown", "SubnetId="]
                    .iter()
                    .any(|wanted| pair.starts_with(wanted))
            });
            pairs.collect::<Vec<_>>().join(" ")
        }
        _ => request.uri().path().to_owned(),
    };
    let status = answer.status().as_u16();
    let why = if answer.status().is_success() {
        String::new()
    } else {
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        body.chars().take(200).collect()
    };
    world.tell(format!(
        "process {number}: {name} {nth}: {status} {about} {why}"
    ));
}

/// What a transaction writes: kinds and keys.
fn summary(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let actions = body["TransactItems"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let parts = actions.iter().filter_map(|action| {
        let (kind, action) = action.as_object()?.iter().next()?;
        let key = if kind == "Put" {
            &action["Item"]
        } else {
            &action["Key"]
        };
        let part = |name: &str| key[name]["S"].as_str().unwrap_or_default();
        Some(format!(
            "{} {}/{}",
            kind.to_lowercase(),
            part("pk"),
            part("sk")
        ))
    });
    parts.collect::<Vec<_>>().join(", ")
}
