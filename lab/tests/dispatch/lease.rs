//! The lease keeps drains from each other's work, and never a job from its machine.

use std::sync::Arc;
use std::time::Duration;

use lab::FaultInjection;
use serde_json::json;
use tokio::time::Instant;

use crate::delivery::Job;
use crate::world::{World, entries, until};

/// A second more than what a drain keeps in reserve.
const SHORT: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_without_time_to_look_again_leaves_the_lease_to_the_next_one() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    world.bench.faults(&FaultInjection {
        latency_ms: 2_000,
        ..entries()
    });
    let (handler, id) = (Arc::clone(&world.handler), world.request_id());
    let drain = tokio::spawn(async move {
        let nudge = json!({ "action": "drain" });
        handler.handle(&nudge, &id, Instant::now() + SHORT).await
    });
    until("it asks EC2", async || !world.instances().await.is_empty()).await;
    // This one is told that another is at it, asks it to look again, and leaves.
    world.queue(&[Job::new(2)]).await;
    world.drain().await;
    drain.await.unwrap().unwrap();
    assert_eq!(world.instances().await.len(), 1);

    world.bench.faults(&entries());
    world.drain().await;
    assert_eq!(world.instances().await.len(), 2);
    world.end().await;
}
