//! A machine that comes for a smoke test: by the path of any other, counted for no job, and gone.

use dispatcher::handler::Handler;
use lab::{Capacity, FaultInjection, RunError};
use serde_json::{Value, json};
use stacks::rehearsal::Verdict;
use stacks::route::LINE_SMOKE_TEST;
use stacks::smoke_test::{SmokeMachine, SmokeState};

use crate::delivery::{Job, state_change};
use crate::replaced::ONE_JOB;
use crate::support::tap::Heard;
use crate::world::{NO_FORGE, Shape, World, entries};

const ID: &str = "smoke-0123456789ab";

impl World {
    async fn smoke(&self, handler: &Handler, step: Value) -> SmokeState {
        let payload = json!({ "action": "smoke-test", "id": ID, "step": step });
        let answer = self.invoke(handler, &payload).await.unwrap();
        serde_json::from_value(answer).unwrap()
    }

    /// Has a Spot machine of the pool `base` launched.
    async fn launch_smoke(&self) -> SmokeState {
        self.smoke(&self.handler, launch("base")).await
    }

    async fn look(&self, instance: &str) -> SmokeMachine {
        let look = json!({ "look": { "instance": instance } });
        self.smoke(&self.handler, look).await.machine.unwrap()
    }

    async fn end_smoke(&self) -> SmokeState {
        self.smoke(&self.handler, json!("end")).await
    }

    /// EC2 tells that `instance` has ended.
    async fn told_gone(&self, instance: &str) {
        let event = state_change(instance, "terminated");
        let answer = self.invoke(&self.handler, &event).await.unwrap();
        assert_eq!(answer, json!({ "done": "closed" }));
    }
}

fn launch(pool: &str) -> Value {
    json!({ "launch": { "pool": pool, "spot": true, "max_lifetime_minutes": null } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_comes_by_the_path_of_a_job_says_what_it_found_and_leaves_nothing() {
    let Some(world) = World::up().await else {
        return;
    };
    let machine = world.launch_smoke().await.machine.unwrap();
    let instance = machine.instance.clone();
    // Asked twice, there is one.
    assert_eq!(
        world.launch_smoke().await.machine.unwrap().instance,
        instance
    );
    assert_eq!(world.the_instance().await, instance);
    let tags = world.instances().await.remove(0).tags;
    assert_eq!(tags["lab-ci:launch"], ID);
    assert_eq!(world.counters().await["pool#base"], 1);

    let given = world.ask(&instance).await;
    assert_eq!(given.status, 200, "{}", given.body);
    assert!(given.body.lines().any(|line| line == LINE_SMOKE_TEST));
    assert_eq!(world.registered("admin").await.len(), 1);
    let looked = world.look(&instance).await;
    assert!(looked.timeline["registering"] <= looked.timeline["idle"]);
    assert!(looked.registered && looked.found.is_empty() && !looked.closed);

    // The first word counts, and is kept short.
    let words = format!("user=ci;forge=200;{}", "x".repeat(1_000));
    for text in [words.as_str(), "user=root"] {
        let body = json!({ "mark": "found", "text": text });
        assert_eq!(world.mark(&instance, &body).await.status, 200);
    }
    let looked = world.look(&instance).await;
    assert!(looked.found.starts_with("user=ci;forge=200;"));
    assert_eq!(looked.found.len(), stacks::route::TEXT_MAX_CHARS);

    let end = world.end_smoke().await.end.unwrap();
    assert_eq!(
        (end.action.as_str(), end.verdict),
        ("ec2:TerminateInstances", Verdict::Allowed)
    );
    world.bench.wait_for(&instance, "terminated").await;
    world.told_gone(&instance).await;
    let looked = world.look(&instance).await;
    assert!(looked.closed && !looked.registered, "{looked:?}");
    assert_eq!(looked.reason, "smoke-test");
    assert!(looked.found.starts_with("user=ci"), "history has it");
    assert_eq!(world.registered("admin").await, Vec::<Value>::new());
    assert_eq!(world.counters().await, [].into());
    for kind in ["launch", "runner", "registration"] {
        assert!(world.live(kind).await.is_empty(), "{kind}");
    }
    assert!(world.end_smoke().await.end.is_none(), "nothing is left");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_a_machine_that_lives_reads_its_row_alone() {
    let Some(world) = World::up().await else {
        return;
    };
    let heard = Heard::default();
    let handler = world.tapped(&heard, &world.bench.lab.file().forge).await;
    let instance = world.launch_smoke().await.machine.unwrap().instance;
    let look = json!({ "look": { "instance": instance } });
    // The first one reads the parameters too.
    world.smoke(&handler, look.clone()).await;
    heard.take();
    let looked = world.smoke(&handler, look).await.machine.unwrap();
    assert_eq!(looked.instance, instance);
    let calls = heard.take();
    let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["dynamodb:Query"]);
    let asked = String::from_utf8_lossy(&calls[0].body);
    assert!(asked.contains(&format!("runner#{instance}")), "{asked}");
    world.end_smoke().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_no_jobs_machine_and_no_job_counts_on_it() {
    let Some(world) = World::up().await else {
        return;
    };
    let instance = world.launch_smoke().await.machine.unwrap().instance;
    world.ask(&instance).await;
    let jobs = world.push(ONE_JOB).await;
    world.queue(&jobs).await;
    world.drain().await;
    let living = world.living().await;
    assert_eq!(living.len(), 2, "the job gets a machine of its own");
    let own = living.iter().find(|one| **one != instance).unwrap();
    // Its end leaves the job's machine alone, and nothing is launched for it.
    world.end_smoke().await;
    world.bench.wait_for(&instance, "terminated").await;
    world.told_gone(&instance).await;
    world.tick().await;
    assert_eq!(world.the_instance().await, *own);
    // What a job's machine says that it found is noted nowhere: a job could say it.
    let body = json!({ "mark": "found", "text": "user=root" });
    assert_eq!(world.mark(own, &body).await.status, 200);
    assert!(world.runner(own).await["found"].is_null());
    world.take(&jobs[0], own).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_was_claimed_and_not_sent_is_sent_by_whoever_comes_next() {
    let Some(world) = World::up().await else {
        return;
    };
    // EC2 launches, and its answers get lost until the function's tries are used up.
    world.bench.faults(&FaultInjection {
        lose_answers: 1,
        run_error: Some(RunError {
            code: "InternalError".to_owned(),
            message: None,
            count: 20,
        }),
        ..entries()
    });
    let state = world.launch_smoke().await;
    assert!(
        state.machine.is_none() && state.refused.is_empty(),
        "{state:?}"
    );
    assert_eq!(world.live("launch").await.len(), 1);
    // Who ends it now ends nothing, and is told that something may still come.
    let state = world.end_smoke().await;
    assert!(state.open && state.end.is_none(), "{state:?}");
    world.bench.faults(&entries());
    world.drain().await;
    let instance = world.the_instance().await;
    assert_eq!(world.look(&instance).await.instance, instance);
    let state = world.end_smoke().await;
    assert!(!state.open && state.end.is_some(), "{state:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_pauses_and_what_the_pool_does_not_buy_are_told_and_nothing_is_launched() {
    let shape = Shape {
        max_runners: 1,
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    let refused = async |step: Value, why: &str| {
        let state = world.smoke(&world.handler, step).await;
        assert!(state.machine.is_none());
        assert!(state.refused.contains(why), "{why}: {}", state.refused);
    };
    refused(launch("nowhere"), "no such pool").await;
    let on_demand = json!({ "launch": { "pool": "base", "spot": false } });
    refused(on_demand, "does not buy machines that way").await;
    for pause in [
        json!({ "action": "pause", "reason": "the registry is down" }),
        json!({ "action": "pause", "pool": "base", "reason": "the registry is down" }),
    ] {
        world.invoke(&world.handler, &pause).await.unwrap();
        refused(launch("base"), "the registry is down").await;
        let mut resume = pause.clone();
        resume["action"] = json!("resume");
        world.invoke(&world.handler, &resume).await.unwrap();
    }
    world.bench.faults(&FaultInjection {
        capacity: vec![Capacity {
            instance_type: None,
            subnet: None,
            spot: None,
            left: 0,
        }],
        ..entries()
    });
    refused(launch("base"), "InsufficientInstanceCapacity").await;
    world.bench.faults(&entries());
    assert_eq!(world.counters().await, [].into(), "the place is given back");

    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    refused(launch("base"), "as many machines as it may").await;
    assert_eq!(world.living().await.len(), 1);
    for id in ["0123456789ab", "smoke-", "smoke-A", &"smoke-a".repeat(9)] {
        let payload = json!({ "action": "smoke-test", "id": id, "step": "end" });
        assert!(
            world.invoke(&world.handler, &payload).await.is_err(),
            "{id}"
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_registers_nothing_and_a_right_that_is_missing_show_where_it_stopped() {
    let Some(world) = World::up().await else {
        return;
    };
    let instance = world.launch_smoke().await.machine.unwrap().instance;
    let without_forge = world.cold(NO_FORGE);
    assert_eq!(world.ask_of(&without_forge, &instance).await.status, 502);
    let looked = world.look(&instance).await;
    assert!(looked.timeline.contains_key("registering"));
    assert!(!looked.timeline.contains_key("idle"));

    world.bench.faults(&FaultInjection {
        end_error: Some(RunError {
            code: "UnauthorizedOperation".to_owned(),
            message: None,
            count: 1,
        }),
        ..entries()
    });
    let end = world.end_smoke().await.end.unwrap();
    assert_eq!(end.verdict, Verdict::Denied, "{end:?}");
    assert!(end.words.contains("UnauthorizedOperation"), "{end:?}");
    // That it ends is written down: the next drain sees to it.
    world.drain().await;
    world.bench.wait_for(&instance, "terminated").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_has_a_job_after_all_is_left_alone() {
    let Some(world) = World::up().await else {
        return;
    };
    let instance = world.launch_smoke().await.machine.unwrap().instance;
    world.ask(&instance).await;
    world.mark(&instance, &json!({ "mark": "started" })).await;
    assert!(world.end_smoke().await.end.is_none());
    world.drain().await;
    assert_eq!(world.the_instance().await, instance);
    world.end().await;
}
