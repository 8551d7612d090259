//! A wrong verdict on an event costs seconds: the forge's own list of jobs is looked at soon after.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::push::pushed_to;
use crate::replaced::ONE_JOB;
use crate::world::{Shape, World};

/// The last look, with time for the rounds around it on a busy machine.
const LAST_LOOK: Duration = Duration::from_secs(25);

const OF_MAIN: &str = "
on: {push: {branches: [main]}}
jobs:
  one: {runs-on: base, steps: [{run: 'true'}]}
";

const OF_OTHER: &str = "
on: {push: {branches: [other]}}
jobs:
  one: {runs-on: base, steps: [{run: 'true'}]}
";

fn looking() -> Shape {
    Shape {
        poll_after_events: true,
        ..Shape::default()
    }
}

/// Waits for `count` living machines while a drain is under way; how long that took.
async fn until_living(world: &World, count: usize) -> Duration {
    let begun = Instant::now();
    while world.living().await.len() != count {
        assert!(begun.elapsed() < LAST_LOOK, "not {count} machines");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}

/// The rules are told of a branch for which nothing starts, where the forge has started a job.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_not_foretold_gets_its_machine_at_the_next_look() {
    let Some(world) = World::of(looking()).await else {
        return;
    };
    let jobs = world.push(OF_MAIN).await;
    let mut push = pushed_to(jobs[0].sha.as_deref().unwrap());
    push["ref"] = json!("refs/heads/other");
    assert_eq!(world.tell_push(&push).await, "recorded");
    let drain = world.drain();
    let (took, ()) = tokio::join!(until_living(&world, 1), drain);
    eprintln!(
        "a machine for what was not foretold: {} ms",
        took.as_millis()
    );
    assert_eq!(world.standing(&jobs[0]).await.0, "launching");
    world.end().await;
}

/// The rules are told of a branch for which a job starts, where the forge has started none.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_for_a_job_that_the_forge_does_not_have_is_ended_at_the_last_look() {
    let Some(world) = World::of(looking()).await else {
        return;
    };
    let sha = world.push_without_jobs(OF_OTHER).await;
    let mut push = pushed_to(&sha);
    push["ref"] = json!("refs/heads/other");
    assert_eq!(world.tell_push(&push).await, "recorded");
    let watch = async {
        let launched = until_living(&world, 1).await;
        (launched, until_living(&world, 0).await)
    };
    let ((launched, ended), ()) = tokio::join!(watch, world.drain());
    eprintln!(
        "a machine for what is not there: launched after {} ms, ended {} ms later",
        launched.as_millis(),
        ended.as_millis()
    );
    assert!(world.live("job").await.is_empty());
    world.end().await;
}

/// Hooks go one after the other, and this one's job is over when it is told of. No look ever saw it.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_told_of_when_its_job_is_over_launches_nothing() {
    let Some(world) = World::of(looking()).await else {
        return;
    };
    let jobs = world.push(ONE_JOB).await;
    world.cancel_run().await;
    assert_eq!(world.standing_at_forge(&jobs[0]).await, "completed");
    let push = pushed_to(jobs[0].sha.as_deref().unwrap());
    assert_eq!(world.tell_push(&push).await, "recorded");
    world.drain().await;
    assert!(world.instances().await.is_empty());
    assert!(world.live("job").await.is_empty());
    world.end().await;
}

/// A forge that can't say which jobs it has made keeps no job waiting: it is expected as before.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_expected_where_the_forge_does_not_tell_which_it_has_made() {
    let shape = Shape {
        forge: Some(lab::forge::Version::Forgejo15),
        ..looking()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    let sha = world.push_without_jobs(OF_OTHER).await;
    let mut push = pushed_to(&sha);
    push["ref"] = json!("refs/heads/other");
    assert_eq!(world.tell_push(&push).await, "recorded");
    tokio::join!(until_living(&world, 1), world.drain());
    world.end().await;
}

/// What waits when its push is told of is known by its own key at once, and needs no look.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_forge_has_made_is_listed_and_not_expected() {
    let Some(world) = World::of(looking()).await else {
        return;
    };
    let jobs = world.push(ONE_JOB).await;
    let push = pushed_to(jobs[0].sha.as_deref().unwrap());
    assert_eq!(world.tell_push(&push).await, "recorded");
    world.drain().await;
    assert_eq!(world.standing(&jobs[0]).await.0, "launching");
    assert_eq!(world.live("job").await.len(), 1);
    assert_eq!(world.instances().await.len(), 1);
    world.end().await;
}

/// Two events of one scope, evaluated by two invocations: one stays.
#[tokio::test(flavor = "multi_thread")]
async fn one_invocation_looks_for_all_events_of_a_scope() {
    let Some(world) = World::of(looking()).await else {
        return;
    };
    let jobs = world.push(OF_MAIN).await;
    let push = pushed_to(jobs[0].sha.as_deref().unwrap());
    assert_eq!(world.tell_push(&push).await, "recorded");
    let second = async {
        until_living(&world, 1).await;
        let mut other = push.clone();
        other["ref"] = json!("refs/heads/other");
        assert_eq!(world.tell_push(&other).await, "recorded");
        let begun = Instant::now();
        world.drain().await;
        begun.elapsed()
    };
    let ((), second) = tokio::join!(world.drain(), second);
    assert!(second < Duration::from_secs(2), "it stayed for {second:?}");
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

/// Hooks go one after the other: a look finds the job of a push, and a machine runs it, before the push
/// is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_look_found_is_not_expected_again_when_its_push_is_told() {
    let Some(world) = World::up().await else {
        return;
    };
    let jobs = world.push(ONE_JOB).await;
    world.tick().await;
    let machine = world.the_instance().await;
    world.run_one(&machine).await;
    assert_eq!(world.standing_at_forge(&jobs[0]).await, "completed");
    let push = pushed_to(jobs[0].sha.as_deref().unwrap());
    assert_eq!(world.tell_push(&push).await, "recorded");
    world.drain().await;
    assert_eq!(world.living().await, [""; 0]);
    assert!(world.live("job").await.is_empty());
    world.end().await;
}
