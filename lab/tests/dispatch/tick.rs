//! Nothing left, and nothing foreign touched.

use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use dispatcher::aws::WriteResult;
use dispatcher::plan::UNKNOWN_GRACE_MS;
use lab::FaultInjection;
use serde_json::{Value, json};
use stacks::pool::{Pool, Scope};

use crate::delivery::Job;
use crate::support::tap::Heard;
use crate::support::{SUBNET_A, no_boot};
use crate::world::{NAME, NO_FORGE, Shape, World, entries, now_ms};

/// Instances that are as old as this.
fn aged(seconds: u32) -> FaultInjection {
    FaultInjection {
        launched_ago_s: seconds,
        ..entries()
    }
}

const GRACE_S: u32 = 5 * 60;

#[test]
fn the_grace_is_what_these_stories_wait_for() {
    assert_eq!(UNKNOWN_GRACE_MS, u64::from(GRACE_S) * 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_over_its_limit_is_ended_and_its_job_told_so() {
    let Some(world) = World::up().await else {
        return;
    };
    // The pools' limit is ten minutes.
    world.bench.faults(&aged(9 * 60));
    let (young, old) = (Job::new(1), Job::new(2));
    world.queue(std::slice::from_ref(&young)).await;
    world.drain().await;
    let within = world.the_instance().await;
    world.take(&young, &within).await;
    world.bench.faults(&aged(10 * 60 + 1));
    world.queue(std::slice::from_ref(&old)).await;
    world.drain().await;
    let mut living = world.living().await;
    living.retain(|id| *id != within);
    let over = living.remove(0);
    world.take(&old, &over).await;

    world.tick().await;
    let ended = world.bench.wait_for(&over, "terminated").await;
    assert_eq!(
        ended.reason.as_deref(),
        Some("Client.UserInitiatedShutdown")
    );
    assert_eq!(world.living().await, [within]);
    // The next tick closes its row, event or not.
    world.tick().await;
    assert_eq!(world.ended(&over).await["ending"]["reason"], "max-lifetime");
    assert_eq!(world.standing(&old).await.0, "timeout");
    assert_eq!(world.standing(&young).await.0, "running");
    assert_eq!(world.counters().await["all"], 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn age_and_tag_end_a_machine_with_the_ledger_and_the_forge_down() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    let young = world.the_instance().await;
    world.bench.faults(&aged(10 * 60 + 1));
    world.queue(&[Job::new(2)]).await;
    world.drain().await;
    let launch = &world.names.tag_launch;
    let unlabelled = world.stranger(launch, "lost").await;
    world.bench.faults(&aged(60 * 60 + 1));
    let unlabelled_and_old = world.stranger(launch, "lost").await;
    assert_eq!(world.living().await.len(), 4);

    let blind = world.without_table();
    let tick = json!({ "action": "cleanup" });
    let answer = world.invoke(&blind, &tick).await;
    assert!(
        answer.is_err(),
        "a tick without a ledger must not look well"
    );
    let mut left = world.living().await;
    left.sort();
    // An instance of ours without a readable limit has an hour.
    let mut expected = vec![young.clone(), unlabelled.clone()];
    expected.sort();
    assert_eq!(left, expected);
    world
        .bench
        .wait_for(&unlabelled_and_old, "terminated")
        .await;

    // The ledger is back and the forge is not: what is no runner of ours goes as well.
    world.tick_by(&world.cold(NO_FORGE)).await;
    let left = world.living().await;
    assert!(!left.contains(&unlabelled) && left.contains(&young));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_does_not_ask_in_time_is_ended_and_one_that_did_is_not() {
    let Some(world) = World::up().await else {
        return;
    };
    // The pools' boot limit is two minutes.
    world.bench.faults(&aged(2 * 60 + 1));
    world.queue(&[Job::new(1), Job::new(2)]).await;
    world.drain().await;
    let machines = world.living().await;
    assert_eq!(world.ask(&machines[0]).await.status, 200);
    world.tick().await;
    assert_eq!(world.living().await, [machines[0].clone()]);
    assert_eq!(
        world.runner(&machines[1]).await["ending"]["reason"],
        "boot-timeout"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_machines_that_do_not_ask_in_time_are_ended_by_one_tick_although_the_ledger_is_slow() {
    const MACHINES: u64 = 40;
    let Some(world) = World::of(Shape {
        max_runners: 100,
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    world.bench.faults(&aged(2 * 60 + 1));
    let jobs: Vec<Job> = (1..=MACHINES).map(Job::new).collect();
    world.queue(&jobs).await;
    world.drain().await;
    let machines = world.living().await;
    assert_eq!(machines.len() as u64, MACHINES);
    let heard = Heard::default();
    let slow = world.tapped(&heard, NO_FORGE).await;
    // One after the other their notes would take eight seconds.
    heard.delay(Duration::from_millis(200));
    world.tick_by(&slow).await;
    let living = world.living().await;
    let left = machines.iter().filter(|machine| living.contains(machine));
    assert_eq!(left.count(), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_of_a_launch_is_ended_and_what_no_launch_made_is_never_touched() {
    let Some(world) = World::up().await else {
        return;
    };
    world.bench.faults(&aged(GRACE_S - 60));
    let launch = &world.names.tag_launch;
    let fresh = world.stranger(launch, "lost").await;
    world.bench.faults(&aged(GRACE_S + 1));
    let orphan = world.stranger(launch, "lost").await;
    world.bench.faults(&aged(30 * 24 * 3600));
    let mut foreign = vec![
        world.stranger("Name", NAME).await,
        world.stranger(NAME, "base").await,
        world.stranger("other-ci", "base").await,
        world.stranger(&format!("{NAME}x"), "base").await,
        world
            .stranger(&format!("{NAME}:max-lifetime-minutes"), "1")
            .await,
    ];
    // The three forms of the tick.
    for tick in [json!({ "action": "cleanup" }), json!({}), Value::Null] {
        world.invoke(&world.handler, &tick).await.unwrap();
    }
    world.bench.wait_for(&orphan, "terminated").await;
    let mut expected = foreign.clone();
    expected.push(fresh.clone());
    expected.sort();
    let mut living = world.living().await;
    living.sort();
    assert_eq!(living, expected);

    let retire = json!({ "action": "retire" });
    world.invoke(&world.handler, &retire).await.unwrap();
    world.bench.wait_for(&fresh, "terminated").await;
    foreign.sort();
    let mut living = world.living().await;
    living.sort();
    assert_eq!(living, foreign);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_vanished_machines_are_closed_and_of_those_not_yet_shown_are_not() {
    let Some(world) = World::up().await else {
        return;
    };
    // EC2 shows nothing of them during this story.
    world.bench.faults(&FaultInjection {
        visible_after_ms: 600_000,
        ..no_boot()
    });
    world.queue(&[Job::new(1), Job::new(2)]).await;
    world.drain().await;
    let machines = world.living().await;
    world.tick().await;
    assert_eq!(world.live("runner").await.len(), 2, "they may be new");

    let long_ago = now_ms() - UNKNOWN_GRACE_MS - 1;
    let sk = format!("runner#{}", machines[0]);
    world.set_time(&sk, "launched_ms", long_ago).await;
    world.tick().await;
    assert_eq!(world.ended(&machines[0]).await["ending"]["reason"], "gone");
    assert!(world.runner(&machines[1]).await.is_object());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_end_nobody_reported_is_found_and_its_place_is_free() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    let machine = world.the_instance().await;
    world.lose_silently(&machine).await;
    world.tick().await;
    assert!(world.runner(&machine).await.is_null());
    assert!(world.counters().await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_nudge_costs_a_tick_and_no_job() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    world.tick().await;
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_that_nobody_used_are_deleted_at_the_forge_and_used_ones_left_to_it() {
    let Some(world) = World::of(Shape::default()).await else {
        return;
    };
    let jobs = [Job::new(1), Job::new(2), Job::new(3)];
    world.queue(&jobs).await;
    world.drain().await;
    let machines = world.living().await;
    for machine in &machines {
        assert_eq!(world.ask(machine).await.status, 200);
    }
    let [unused, used, retired] = machines.as_slice() else {
        panic!("{machines:?}");
    };
    world.take(&jobs[1], used).await;

    // While the forge is down they stay on the list.
    world.lose_silently(unused).await;
    world.lose_silently(used).await;
    world.tick_by(&world.cold(NO_FORGE)).await;
    let remains = world.live("registration").await;
    assert_eq!(remains.len(), 1);
    assert_eq!(remains[0]["instance"], json!(unused));

    world.tick().await;
    assert!(world.live("registration").await.is_empty());
    let names = async || {
        let all = world.registered("admin").await;
        let name = |runner: &Value| runner["name"].as_str().unwrap().to_owned();
        all.iter().map(name).collect::<Vec<_>>()
    };
    let left = names().await;
    assert!(!left.contains(unused), "{left:?}");
    assert!(left.contains(used) && left.contains(retired), "{left:?}");

    // Of a pool that was taken out as well; what is deleted already counts as done.
    world.delete_parameter(&world.names.pool("base")).await;
    let retire = json!({ "action": "retire" });
    let fewer = world.cold(&world.bench.lab.file().forge);
    world.invoke(&fewer, &retire).await.unwrap();
    let left = names().await;
    assert!(!left.contains(retired), "{left:?}");
    assert!(world.live("registration").await.is_empty());
    assert!(world.living().await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_deleted_where_it_was_made_although_its_pool_moved() {
    let shape = Shape {
        pool: |pool| pool.scope = Scope::Organization("acme".to_owned()),
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    world
        .forge("POST", "orgs", &json!({"username": "acme"}))
        .await;
    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    let machine = world.the_instance().await;
    assert_eq!(world.ask(&machine).await.status, 200);
    assert_eq!(world.registered("orgs/acme").await.len(), 1);

    // While the forge is down nothing is struck off, and what is tried waits for its turn.
    world.lose_silently(&machine).await;
    world.tick_by(&world.cold(NO_FORGE)).await;
    assert_eq!(world.live("registration").await.len(), 1);

    let elsewhere = |pool: &mut Pool| pool.scope = Scope::Repository("acme/app".to_owned());
    let moved = world.change_pool("base", elsewhere).await;
    world.tick_by(&moved).await;
    assert_eq!(world.registered("orgs/acme").await, Vec::<Value>::new());
    assert!(world.live("registration").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_whose_answer_was_lost_are_deleted_by_their_name() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1), Job::new(2)]).await;
    world.drain().await;
    let machines = world.living().await;
    let [crashed, twice] = machines.as_slice() else {
        panic!("{machines:?}");
    };
    // The function died between the registration and its record.
    let ledger = world.ledger();
    let asked = ledger.runner_asked(crashed, &Scope::Global, now_ms());
    assert_eq!(asked.await.unwrap(), WriteResult::Written);
    world.register_unheard(crashed).await;
    // The answer got lost, and the machine asked again.
    assert_eq!(world.ask_of(&world.cold(NO_FORGE), twice).await.status, 502);
    world.register_unheard(twice).await;
    assert_eq!(world.ask(twice).await.status, 200);
    world.register_unheard("i-0123456789abcdef0").await;
    assert_eq!(world.registered("admin").await.len(), 4);

    world.lose(crashed).await;
    world.lose(twice).await;
    let left = world.registered("admin").await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["name"], "i-0123456789abcdef0");
    assert!(world.live("registration").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_makes_an_image_is_ended_past_its_own_moment_and_never_before() {
    let Some(world) = World::up().await else {
        return;
    };
    let names = &world.names;
    // Older than an orphan may be.
    world.bench.faults(&aged(GRACE_S + 60));
    let builder = async |expires: &str| {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::Instance)
            .tags(tag(&names.tag, "image"))
            .tags(tag(&names.tag_launch, "ami:0a1b2c"))
            .tags(tag(&names.tag_expires, expires));
        let request = world.bench.ec2.run_instances().min_count(1).max_count(1);
        let made = request
            .image_id("ami-0c1ab00000000c1ab")
            .instance_type("t3.medium".into())
            .subnet_id(SUBNET_A)
            .tag_specifications(tags.build())
            .send();
        let id = made.await.unwrap().instances()[0]
            .instance_id()
            .unwrap()
            .to_owned();
        world.bench.wait_for(&id, "running").await;
        id
    };
    let under_way = builder("2100-01-01T00:00:00Z").await;
    let over = builder("2020-01-01T00:00:00Z").await;
    let stopped = builder("2020-01-01T00:00:00Z").await;
    let stop = world.bench.ec2.stop_instances().instance_ids(&stopped);
    stop.send().await.unwrap();
    world.bench.wait_for(&stopped, "stopped").await;

    // No job counts on it. The job's own machine is a new one.
    world.bench.faults(&entries());
    let job = Job::new(1);
    world.queue(std::slice::from_ref(&job)).await;
    world.tick().await;
    for id in [&over, &stopped] {
        world.bench.wait_for(id, "terminated").await;
    }
    let living = world.living().await;
    assert!(
        living.contains(&under_way) && living.len() == 2,
        "{living:?}"
    );
    assert_eq!(world.counters().await["all"], 1);
    world.tick().await;
    assert_eq!(world.living().await, living);
    world.end().await;
}
