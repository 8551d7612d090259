//! Nothing over the cap, however many drains run at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::delivery::{Job, state_change};
use crate::world::{Shape, World};

fn of_base(count: u64) -> BTreeMap<String, u64> {
    [("all".to_owned(), count), ("pool#base".to_owned(), count)].into()
}

fn drains(count: usize) -> Vec<Value> {
    vec![json!({ "action": "drain" }); count]
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_jobs_and_four_drains_stay_within_fifty_machines() {
    let Some(world) = World::of(Shape {
        max_runners: 50,
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    let jobs: Vec<Job> = (1..=200).map(Job::new).collect();
    world.queue(&jobs).await;
    // The same lease for all: they are held back by their transactions alone.
    world.invoke_all(drains(4), 4, Some("one lease")).await;
    let machines = world.living().await;
    assert_eq!(machines.len(), 50);
    assert_eq!(world.counters().await, of_base(50));
    assert_eq!(world.live("runner").await.len(), 50);
    assert!(world.live("launch").await.is_empty());
    let listed = world.live("job").await;
    assert_eq!(listed.len(), 200);
    let claimed = listed.iter().filter(|job| job["launch"].is_string());
    assert_eq!(claimed.count(), 50);

    // Ten machines do a job each and end, all at once.
    let mut ends = Vec::new();
    for (job, machine) in jobs.iter().zip(&machines).take(10) {
        world.take(job, machine).await;
        world.deliver(&job.ended("success", Some(machine))).await;
        world.lose_silently(machine).await;
        ends.push(state_change(machine, "terminated"));
    }
    // Each event arrives twice: a place is given back once.
    ends.extend(ends.clone());
    world.invoke_all(ends, 20, Some("one lease")).await;
    world.drain().await;
    assert_eq!(world.living().await.len(), 50);
    assert_eq!(world.instances().await.len(), 60);
    assert_eq!(world.counters().await, of_base(50));
    assert_eq!(world.live("job").await.len(), 190);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_pool_has_its_own_cap_and_the_oldest_jobs_go_first() {
    let Some(world) = World::of(Shape {
        max_runners: 4,
        pool: |pool| pool.max_runners = if pool.name == "base" { 1 } else { 9 },
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    for id in 1..=5 {
        world.deliver(&Job::new(id).queued()).await;
        let go = Job::new(10 + id).on(&["go"]);
        world.deliver(&go.queued()).await;
    }
    world.invoke_all(drains(4), 4, Some("one lease")).await;
    let counters = [("all", 4), ("pool#base", 1), ("pool#go", 3)];
    assert_eq!(
        world.counters().await,
        counters.map(|(name, n)| (name.to_owned(), n)).into()
    );
    assert_eq!(world.living().await.len(), 4);
    let listed = world.live("job").await;
    let mut claimed: Vec<u64> = listed
        .iter()
        .filter(|job| job["launch"].is_string())
        .map(|job| job["key"]["id"].as_u64().unwrap())
        .collect();
    claimed.sort_unstable();
    assert_eq!(claimed, [1, 11, 12, 13]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_from_old_views_of_the_world_cannot_overshoot_a_cap() {
    let Some(world) = World::up().await else {
        return;
    };
    let jobs: Vec<Job> = (1..=10).map(Job::new).collect();
    world.queue(&jobs).await;
    // Ten drains that each saw another job, and no machine at all.
    for (cap_pool, cap_all, expected) in [(100, 3, 3), (5, 100, 5)] {
        let ledger = Arc::new(world.ledger());
        let mut claims = JoinSet::new();
        for row in world.live("job").await {
            if row["launch"].is_string() {
                continue;
            }
            let job = &Job::new(row["key"]["id"].as_u64().unwrap());
            let (launch, claim) = world.planned(job).await;
            let ledger = Arc::clone(&ledger);
            claims.spawn(async move { ledger.claim(&launch, &claim, cap_pool, cap_all).await });
        }
        for claim in claims.join_all().await {
            let _outcome = claim.unwrap();
        }
        assert_eq!(world.counters().await, of_base(expected));
        let listed = world.live("job").await;
        let claimed = listed.iter().filter(|job| job["launch"].is_string());
        assert_eq!(claimed.count() as u64, expected);
        assert_eq!(world.live("launch").await.len() as u64, expected);
    }
    world.end().await;
}
