//! Machines that end without their job, and jobs that need none any more.

use serde_json::{Value, json};

use crate::delivery::{Job, state_change};
use crate::world::{NO_FORGE, World};

pub(crate) const ONE_JOB: &str = "
on: push
jobs:
  one:
    runs-on: base
    steps: [{run: 'true'}]
";

pub(crate) const TWO_JOBS: &str = "
on: push
jobs:
  one:
    runs-on: base
    steps: [{run: 'true'}]
  two:
    runs-on: base
    steps: [{run: 'true'}]
";

/// Pushes `workflow`, delivers its jobs and launches for them.
async fn launched(workflow: &str) -> Option<(World, Vec<Job>)> {
    let world = World::up().await?;
    let jobs = world.push(workflow).await;
    world.queue(&jobs).await;
    world.drain().await;
    Some((world, jobs))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_ends_before_its_job_is_replaced_three_launches_at_most() {
    let Some((world, jobs)) = launched(ONE_JOB).await else {
        return;
    };
    for launch in 1..=3 {
        let machine = world.the_instance().await;
        assert_eq!(world.instances().await.len(), launch);
        assert_eq!(world.counters().await["all"], 1);
        world.lose(&machine).await;
    }
    assert!(world.living().await.is_empty());
    assert_eq!(world.standing(&jobs[0]).await.0, "failed");
    let (_, reason) = world.standing(&jobs[0]).await;
    assert!(reason.contains("every machine"), "{reason}");
    assert!(world.counters().await.is_empty());
    assert!(world.live("job").await.is_empty());
    world.tick().await;
    world.drain().await;
    assert_eq!(world.instances().await.len(), 3);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_forge_cannot_tell_a_job_counts_as_waiting() {
    let Some((world, jobs)) = launched(ONE_JOB).await else {
        return;
    };
    let blind = world.cold(NO_FORGE);
    for _ in 1..=2 {
        let machine = world.the_instance().await;
        world.lose_silently(&machine).await;
        let event = state_change(&machine, "terminated");
        world.invoke(&blind, &event).await.unwrap();
    }
    // One replacement, and then none before the forge speaks again.
    assert_eq!(world.instances().await.len(), 2);
    assert_eq!(world.standing(&jobs[0]).await.0, "launching");
    world.drain().await;
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_forge_no_longer_has_waiting_is_forgotten() {
    let Some((world, _)) = launched(ONE_JOB).await else {
        return;
    };
    // Cancelled, and the delivery that says so got lost.
    let machine = world.the_instance().await;
    world.cancel_run().await;
    world.lose(&machine).await;
    assert!(world.living().await.is_empty());
    assert!(world.live("job").await.is_empty());

    // Deleted, or never there: 404.
    let unknown = Job::new(424_242);
    world.queue(std::slice::from_ref(&unknown)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    world.lose(&machine).await;
    assert!(world.living().await.is_empty());
    assert!(world.live("job").await.is_empty());
    assert!(world.counters().await.is_empty());
    assert_eq!(world.instances().await.len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_counted_whoever_they_were_launched_for() {
    let Some(world) = World::up().await else {
        return;
    };
    let jobs = world.push(TWO_JOBS).await;
    let [first, second] = jobs.as_slice() else {
        panic!("{jobs:?}");
    };
    world.queue(std::slice::from_ref(first)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    // The forge gives it the other job.
    world.queue(std::slice::from_ref(second)).await;
    world.take(second, &machine).await;
    world.drain().await;
    let living = world.living().await;
    assert_eq!(living.len(), 2, "the first job has no machine");
    let other = living.iter().find(|id| **id != machine).unwrap();
    // And the other machine takes the first: nothing is missing, nothing too many.
    world.take(first, other).await;
    world.drain().await;
    assert_eq!(world.instances().await.len(), 2);
    assert!(world.live("job").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_left_over_serves_the_next_job() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    let machine = world.the_instance().await;
    world.deliver(&Job::new(1).ended("cancelled", None)).await;
    world.queue(&[Job::new(2)]).await;
    world.drain().await;
    assert_eq!(world.instances().await.len(), 1);
    assert_eq!(world.standing(&Job::new(2)).await.0, "launching");
    // A third needs its own.
    world.queue(&[Job::new(3)]).await;
    world.drain().await;
    assert_eq!(world.instances().await.len(), 2);
    assert!(world.living().await.contains(&machine));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_machine_is_lost_under_it_fails_unless_the_forge_says_how_it_ended() {
    let Some(world) = World::up().await else {
        return;
    };
    let (lost, done) = (Job::new(1), Job::new(2));
    world.queue(&[lost.clone(), done.clone()]).await;
    world.drain().await;
    let machines = world.living().await;
    for (job, machine) in [&lost, &done].into_iter().zip(&machines) {
        world.take(job, machine).await;
    }
    let end = done.ended("success", Some(&machines[1]));
    world.deliver(&end).await;
    for machine in &machines {
        world.lose(machine).await;
    }
    let (status, reason) = world.standing(&lost).await;
    assert_eq!(
        (status.as_str(), reason.as_str()),
        ("failed", "its machine went away")
    );
    assert_eq!(world.standing(&done).await.0, "completed");
    // The forge's word comes later and counts.
    let end = lost.ended("failure", Some(&machines[0]));
    assert_eq!(world.deliver(&end).await, "recorded");
    assert_eq!(world.standing(&lost).await.0, "completed");
    assert_eq!(
        world.instances().await.len(),
        2,
        "a job that ran is not launched for"
    );
    // The same end of the same machine again, and one of somebody else's.
    for instance in [machines[0].as_str(), "i-0123456789abcdef0"] {
        let event = state_change(instance, "terminated");
        let answer = world.invoke(&world.handler, &event).await.unwrap();
        assert_eq!(answer, json!({ "done": "not ours" }));
    }
    assert_eq!(world.live("runner").await, Vec::<Value>::new());
    world.end().await;
}
