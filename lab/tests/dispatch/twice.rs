//! Nothing twice: the same delivery, and deliveries in every order.

use serde_json::json;

use crate::delivery::{Job, delivery};
use crate::world::{Shape, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_delivery_a_hundred_times_gives_one_row_and_one_machine() {
    let Some(world) = World::up().await else {
        return;
    };
    let job = Job::new(7);
    // From four hook levels, with five drains in between that all believe to hold the lease.
    let levels = ["repository", "organization", "user", "system"];
    let mut payloads: Vec<_> = (0..100)
        .map(|n| {
            let mut payload = delivery(&job.queued());
            payload["headers"]["x-gitea-hook-installation-target-type"] = json!(levels[n % 4]);
            payload
        })
        .collect();
    for n in 0..5 {
        payloads.insert(3 + n * 2, json!({ "action": "drain" }));
    }
    let answers = world.invoke_all(payloads, 20, Some("one lease")).await;
    let count = |decision: &str| {
        let part = format!("\"decision\":\"{decision}\"");
        let body = |answer: &serde_json::Value| answer["body"].to_string().replace('\\', "");
        answers.iter().filter(|a| body(a).contains(&part)).count()
    };
    assert_eq!((count("recorded"), count("duplicate")), (1, 99));
    world.drain().await;

    let instances = world.instances().await;
    assert_eq!(instances.len(), 1);
    let tags = &instances[0].tags;
    assert_eq!(tags["team"], "platform", "the environment's tags");
    assert_eq!(tags[&world.names.tag], "base");
    assert_eq!(
        world.counters().await,
        [("all".to_owned(), 1), ("pool#base".to_owned(), 1)].into()
    );
    assert_eq!(world.live("job").await.len(), 1);
    assert_eq!(world.live("runner").await.len(), 1);
    let rows = world.rows().await;
    let history = rows.iter().filter(|row| row["pk"] == "repo#acme/app");
    assert_eq!(history.count(), 1);
    assert_eq!(world.standing(&job).await.0, "launching");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_in_the_wrong_order_launch_nothing_for_a_job_that_is_served() {
    in_the_wrong_order(Job::new).await;
    in_the_wrong_order(|id| Job::new(id).by_gitea_1_27()).await;
}

async fn in_the_wrong_order(job: impl Fn(u64) -> Job) {
    let Some(world) = World::up().await else {
        return;
    };
    // Started before it was queued.
    let early = job(1);
    assert_eq!(world.deliver(&early.started("someone")).await, "recorded");
    assert_eq!(world.deliver(&early.queued()).await, "duplicate");
    assert_eq!(world.standing(&early).await.0, "running");

    // Ended before it started, and queued last of all.
    let late = job(2);
    let ended = late.ended("success", Some("someone"));
    assert_eq!(world.deliver(&ended).await, "recorded");
    assert_eq!(world.deliver(&late.started("someone")).await, "duplicate");
    assert_eq!(world.deliver(&late.queued()).await, "duplicate");
    assert_eq!(world.standing(&late).await.0, "completed");

    // Queued, and ended before anybody said that it started.
    let quick = job(3);
    assert_eq!(world.deliver(&quick.queued()).await, "recorded");
    let ended = quick.ended("failure", Some("someone"));
    assert_eq!(world.deliver(&ended).await, "recorded");
    assert_eq!(world.deliver(&quick.started("someone")).await, "duplicate");

    // Cancelled while it waited.
    let waiting = job(4);
    assert_eq!(world.deliver(&waiting.queued()).await, "recorded");
    let cancelled = waiting.ended("cancelled", None);
    assert_eq!(world.deliver(&cancelled).await, "recorded");
    assert_eq!(world.deliver(&cancelled).await, "duplicate");
    assert_eq!(world.deliver(&waiting.queued()).await, "duplicate");
    assert_eq!(world.standing(&waiting).await.0, "cancelled");

    assert!(world.live("job").await.is_empty());
    world.drain().await;
    assert!(world.instances().await.is_empty());
    assert!(world.counters().await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_of_a_job_gets_a_machine_of_its_own() {
    let Some(world) = World::up().await else {
        return;
    };
    let first = Job::new(7);
    world.queue(std::slice::from_ref(&first)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    world.take(&first, &machine).await;
    world.deliver(&first.ended("failure", Some(&machine))).await;
    world.lose(&machine).await;
    assert!(world.counters().await.is_empty());

    let second = first.clone().again();
    assert_eq!(world.deliver(&second.queued()).await, "recorded");
    assert_eq!(world.deliver(&second.queued()).await, "duplicate");
    assert_eq!(world.deliver(&first.queued()).await, "duplicate");
    world.drain().await;
    let other = world.the_instance().await;
    assert_ne!(other, machine);
    // What the forge says of this attempt, with a runner, is about it and not about a third.
    assert_eq!(world.take(&second, &other).await, "recorded");
    assert_eq!(world.standing(&second).await.0, "running");
    assert_eq!(world.standing(&first).await.0, "completed");
    world.end().await;
}

/// Tells what it was sent while a job runs on it.
const LISTENS: &str = "#!/bin/sh
systemd-run --unit=job sh -c \
    'trap \"echo heard TERM; exit 0\" TERM; echo listening; while :; do sleep 0.1; done'
sleep 60
";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_while_it_runs_has_its_machine_cut_off_without_a_signal() {
    let Some(world) = World::of(Shape {
        user_data: Some(LISTENS),
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    let (cancelled, other) = (Job::new(1), Job::new(2));
    world.queue(&[cancelled.clone(), other.clone()]).await;
    world.drain().await;
    let machines = world.living().await;
    let [machine, neighbour] = machines.as_slice() else {
        panic!("{machines:?}");
    };
    let bench = &world.bench;
    bench.wait_for_words(machine, "listening").await;
    world.take(&cancelled, machine).await;
    world.take(&other, neighbour).await;
    let end = cancelled.ended_on("cancelled", world.runner_of(machine).await);
    assert_eq!(world.deliver(&end).await, "recorded");
    world.drain().await;

    let ended = bench.wait_for(machine, "terminated").await;
    assert_eq!(
        ended.reason.as_deref(),
        Some("Client.UserInitiatedShutdown")
    );
    let console = bench.console(machine);
    assert!(
        !console.contains("heard TERM") && !console.contains("power button"),
        "{console}"
    );
    assert_eq!(
        world.runner(machine).await["ending"]["reason"],
        "job-cancelled"
    );
    assert_eq!(world.standing(&cancelled).await.0, "cancelled");
    // Its neighbour works on.
    assert_eq!(&world.the_instance().await, neighbour);
    assert_eq!(world.standing(&other).await.0, "running");
    world.end().await;
}

/// Somebody registers a runner of their own under the name of a machine of ours, has it take a job of
/// their own, and cancels that.
#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_only_bears_the_name_of_our_machine_is_not_that_machine() {
    let Some(world) = World::up().await else {
        return;
    };
    let (victim, mine) = (Job::new(1), Job::new(2));
    world.queue(std::slice::from_ref(&victim)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    // Before it is registered, and while it runs a job: its name says nothing either time.
    world.deliver(&mine.started(machine.as_str())).await;
    assert!(world.runner(&machine).await["timeline"]["busy"].is_null());
    world.take(&victim, &machine).await;
    for stranger in [
        mine.ended_on("cancelled", machine.as_str().into()),
        without_id(mine.ended("cancelled", Some(&machine))),
    ] {
        world.deliver(&stranger).await;
        world.drain().await;
        assert!(world.runner(&machine).await["ending"].is_null());
    }
    assert_eq!(world.runner(&machine).await["job"]["id"], 1);
    assert_eq!(world.living().await, [machine.as_str()]);
    assert_eq!(world.standing(&victim).await.0, "running");
    // Its own cancellation still counts.
    let end = victim.ended_on("cancelled", world.runner_of(&machine).await);
    world.deliver(&end).await;
    world.drain().await;
    assert!(world.living().await.is_empty());
    world.end().await;
}

/// A delivery that names a runner without saying which.
fn without_id(mut body: serde_json::Value) -> serde_json::Value {
    body["workflow_job"]["runner_id"] = serde_json::Value::Null;
    body
}
