//! One launch, whatever EC2 or the function itself does in the middle of it.

use std::time::Duration;

use dispatcher::aws::WriteResult;
use dispatcher::model::world::counter_of;
use lab::{Capacity, FaultInjection, RunError};
use serde_json::json;

use crate::delivery::{Job, state_change};
use crate::support::{SUBNET_A, SUBNET_B};
use crate::world::{Shape, World, entries, until};

/// Slow enough to die before an answer.
fn slow() -> FaultInjection {
    FaultInjection {
        latency_ms: 1_500,
        ..entries()
    }
}

fn none_left(instance_type: Option<&str>, subnet: Option<&str>, left: u32) -> Capacity {
    Capacity {
        instance_type: instance_type.map(str::to_owned),
        subnet: subnet.map(str::to_owned),
        spot: None,
        left,
    }
}

/// Two types, each in two subnets.
fn two_types() -> Shape {
    Shape {
        pool: |pool| pool.instance_types = vec!["t3.small".to_owned(), "t3.medium".to_owned()],
        ..Shape::default()
    }
}

/// A drain that dies as soon as EC2 has made an instance, before it knows.
async fn dies_in_the_launch(world: &World) {
    let before = world.instances().await.len();
    let handler = std::sync::Arc::clone(&world.handler);
    let id = world.request_id();
    let drain = tokio::spawn(async move {
        let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
        let nudge = json!({ "action": "drain" });
        handler.handle(&nudge, &id, deadline).await
    });
    until("an instance is made", async || {
        world.instances().await.len() > before
    })
    .await;
    drain.abort();
    assert!(
        drain.await.unwrap_err().is_cancelled(),
        "the drain was done before it could die"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_got_lost_doubles_nothing() {
    let Some(world) = World::up().await else {
        return;
    };
    world.bench.faults(&FaultInjection {
        lose_answers: 2,
        ..entries()
    });
    world.queue(&[Job::new(1), Job::new(2)]).await;
    world.drain().await;
    assert_eq!(world.instances().await.len(), 2);
    assert_eq!(world.counters().await["all"], 2);
    assert_eq!(world.live("runner").await.len(), 2);
    assert!(world.live("launch").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_its_launch_is_sent_by_the_next_drain_and_only_once() {
    let Some(world) = World::up().await else {
        return;
    };
    let job = Job::new(1);
    world.queue(std::slice::from_ref(&job)).await;
    let ledger = world.ledger();
    let (launch, claims) = world.planned(&job).await;
    let claimed = ledger.claim(&launch, &claims, 20, 20).await.unwrap();
    assert_eq!(claimed, WriteResult::Written);
    // Here it dies. Meanwhile the place is reserved and nothing runs.
    assert_eq!(world.counters().await[&counter_of("base")], 1);
    assert!(world.instances().await.is_empty());

    // As far as anybody knows it is about to send it.
    world.drain().await;
    assert!(world.instances().await.is_empty());
    world.expire_launches().await;
    let nudges = vec![json!({ "action": "drain" }); 4];
    world.invoke_all(nudges, 4, Some("one lease")).await;
    world.drain().await;
    let machine = world.the_instance().await;
    assert_eq!(world.instances().await.len(), 1);
    assert_eq!(world.runner(&machine).await["launch"], json!(launch.id));
    assert_eq!(world.counters().await["all"], 1);
    assert!(world.live("launch").await.is_empty());
    // The claim itself can't be made again.
    let again = ledger.claim(&launch, &claims, 20, 20).await.unwrap();
    assert_ne!(again, WriteResult::Written);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_dies_in_the_launch_leaves_one_machine_that_the_next_one_finds() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    world.bench.faults(&slow());
    dies_in_the_launch(&world).await;
    world.bench.faults(&entries());
    let machine = world.the_instance().await;
    assert!(world.runner(&machine).await.is_null());

    // Its lease holds others up for a while, and no longer.
    world.drain().await;
    assert!(world.runner(&machine).await.is_null());
    world.expire_lease().await;
    world.drain().await;
    assert!(world.runner(&machine).await.is_object());
    assert_eq!(world.instances().await.len(), 1);
    assert_eq!(world.counters().await["all"], 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_ended_before_it_was_recorded_is_replaced_and_its_place_given_back() {
    let Some(world) = World::up().await else {
        return;
    };
    let jobs = world.push(crate::replaced::ONE_JOB).await;
    world.queue(&jobs).await;
    world.bench.faults(&slow());
    dies_in_the_launch(&world).await;
    world.bench.faults(&entries());
    let machine = world.the_instance().await;
    world.lose_silently(&machine).await;
    let event = state_change(&machine, "terminated");
    let answer = world.invoke(&world.handler, &event).await.unwrap();
    assert_eq!(answer, json!({ "done": "not ours" }));

    world.expire_lease().await;
    world.drain().await;
    assert_ne!(world.the_instance().await, machine);
    world.tick().await;
    assert_eq!(world.counters().await["all"], 1);
    assert!(world.runner(&machine).await.is_null());
    assert_eq!(world.instances().await.len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidates_outcome_is_written_before_the_next_one_is_tried() {
    let Some(world) = World::of(two_types()).await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    world.bench.faults(&FaultInjection {
        capacity: vec![none_left(Some("t3.small"), None, 0)],
        ..slow()
    });
    // Both subnets have no t3.small; it dies when the third candidate has made its instance.
    dies_in_the_launch(&world).await;
    let launches = world.live("launch").await;
    assert_eq!(launches.len(), 1);
    assert_eq!(launches[0]["candidate_at"], 2);
    assert_eq!(
        launches[0]["tried"],
        json!(vec!["InsufficientInstanceCapacity"; 2])
    );

    // Now the first would have one. The next drain must not begin there.
    world.bench.faults(&entries());
    world.expire_lease().await;
    world.drain().await;
    let machine = world.the_instance().await;
    assert_eq!(world.instances().await.len(), 1);
    let row = world.runner(&machine).await;
    assert_eq!(row["instance_type"], "t3.medium");
    let ec2 = world.bench.instance(&machine).await;
    assert_eq!(ec2.instance_type, "t3.medium");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn part_of_what_was_asked_for_is_taken_and_the_rest_found_elsewhere() {
    let Some(world) = World::of(two_types()).await else {
        return;
    };
    world.bench.faults(&FaultInjection {
        capacity: vec![
            none_left(Some("t3.small"), Some(SUBNET_A), 2),
            none_left(Some("t3.small"), Some(SUBNET_B), 0),
        ],
        ..entries()
    });
    world.queue(&[Job::new(1), Job::new(2), Job::new(3)]).await;
    world.drain().await;
    let mut types: Vec<String> = world
        .instances()
        .await
        .into_iter()
        .map(|one| one.instance_type)
        .collect();
    types.sort();
    assert_eq!(types, ["t3.medium", "t3.small", "t3.small"]);
    assert_eq!(world.counters().await["all"], 3);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_capacity_anywhere_jobs_wait_with_the_reason_and_hold_no_place() {
    let Some(world) = World::of(two_types()).await else {
        return;
    };
    world.bench.faults(&FaultInjection {
        capacity: vec![none_left(None, None, 0)],
        ..entries()
    });
    let jobs = [Job::new(1), Job::new(2)];
    world.queue(&jobs).await;
    world.drain().await;
    assert!(world.instances().await.is_empty());
    assert!(world.counters().await.is_empty());
    assert!(world.live("launch").await.is_empty());
    for job in &jobs {
        let (status, reason) = world.standing(job).await;
        assert_eq!(status, "pending");
        assert!(reason.contains("InsufficientInstanceCapacity"), "{reason}");
    }

    // Capacity is back; the jobs' time is not.
    world.bench.faults(&entries());
    world.drain().await;
    assert!(world.instances().await.is_empty());
    world.expire_holds().await;
    world.drain().await;
    assert_eq!(world.living().await.len(), 2);
    assert_eq!(world.counters().await["all"], 2);
    for row in world.live("job").await {
        assert_eq!(row["launches"], 1, "what came to nothing is not counted");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_request_is_sent_again_and_a_forbidden_one_holds_the_job() {
    let Some(world) = World::up().await else {
        return;
    };
    let error = |code: &str, count: u32| FaultInjection {
        run_error: Some(RunError {
            code: code.to_owned(),
            message: None,
            count,
        }),
        ..entries()
    };
    world.bench.faults(&error("RequestLimitExceeded", 2));
    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    assert_eq!(world.instances().await.len(), 1);

    world.bench.faults(&error("UnauthorizedOperation", 9));
    let forbidden = Job::new(2);
    world.queue(std::slice::from_ref(&forbidden)).await;
    world.drain().await;
    assert_eq!(world.instances().await.len(), 1);
    assert_eq!(world.counters().await["all"], 1);
    let (status, reason) = world.standing(&forbidden).await;
    assert_eq!(status, "pending");
    assert!(reason.contains("UnauthorizedOperation"), "{reason}");
    world.end().await;
}
