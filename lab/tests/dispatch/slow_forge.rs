//! A forge that takes its time: nobody who waits for a machine waits for it too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::delivery::Job;
use crate::world::{World, until};

/// What an answer takes.
const SLOWLY: Duration = Duration::from_secs(2);
/// Longest that one invocation takes here.
const INVOCATION: Duration = Duration::from_mins(1);

/// A forge that says of every job, after a while, that it waits, and of every runner that it is idle and
/// disabled; and how often it was asked.
async fn slow() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let router = Router::new().fallback(async move |uri: Uri| {
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(SLOWLY).await;
        let answer = if uri.path().contains("/runners/") {
            json!({"busy": false, "disabled": true})
        } else if uri.path().ends_with("/jobs") {
            json!({"jobs": [], "total_count": 0})
        } else {
            json!({"status": "queued"})
        };
        answer.to_string()
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, asked)
}

/// Invokes a function with the forge at `forge`, and goes on when it has asked there.
async fn invoke_until_asked(
    world: &World,
    action: &'static str,
    forge: &str,
    asked: &AtomicUsize,
) -> JoinHandle<()> {
    let handler = world.cold(forge);
    let id = world.request_id();
    let invoked = tokio::spawn(async move {
        let deadline = tokio::time::Instant::now() + INVOCATION;
        let payload = json!({ "action": action });
        handler.handle(&payload, &id, deadline).await.unwrap();
    });
    until("the forge is asked", async || {
        asked.load(Ordering::Relaxed) > 0
    })
    .await;
    invoked
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_forge_is_asked_about_idle_machines_a_job_gets_its_own() {
    let Some(world) = World::up().await else {
        return;
    };
    // Three machines that the forge gives no job any more, and no job.
    let jobs: Vec<Job> = (1..=3).map(Job::new).collect();
    world.queue(&jobs).await;
    world.drain().await;
    let idle = world.living().await;
    for (job, machine) in jobs.iter().zip(&idle) {
        world.runner_of(machine).await;
        world.deliver(&job.ended("cancelled", None)).await;
        world.outlast_idle(machine).await;
    }
    world.tick().await;
    for machine in &idle {
        world.settle(machine).await;
    }
    let (forge, asked) = slow().await;
    let drain = invoke_until_asked(&world, "drain", &forge, &asked).await;
    world.queue(&[Job::new(7)]).await;
    world.drain().await;
    let living = world.living().await;
    assert!(living.iter().any(|one| !idle.contains(one)), "{living:?}");
    // Two questions about each.
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked < 2 * idle.len(), "after {asked} questions");
    drain.await.unwrap();
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_forge_is_asked_about_waiting_jobs_the_next_one_gets_its_machine() {
    const JOBS: usize = 8;
    let Some(world) = World::up().await else {
        return;
    };
    let jobs: Vec<Job> = (1..=JOBS as u64).map(Job::new).collect();
    world.queue(&jobs).await;
    world.drain().await;
    for machine in world.living().await {
        world.lose_silently(&machine).await;
    }
    // Their rows are closed, and the forge is asked about each.
    let (forge, asked) = slow().await;
    let tick = invoke_until_asked(&world, "cleanup", &forge, &asked).await;
    let new = Job::new(100);
    world.queue(std::slice::from_ref(&new)).await;
    world.drain().await;
    until("the new job has a machine", async || {
        world.standing(&new).await.0 == "launching"
    })
    .await;
    let before = asked.load(Ordering::Relaxed);
    assert!(before < JOBS, "after {before} questions");
    tick.await.unwrap();
    assert_eq!(world.living().await.len(), JOBS + 1);
    world.end().await;
}
