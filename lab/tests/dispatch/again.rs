//! Jobs that are queued again before a runner ever had them: the forge counts attempts only when a
//! runner takes a job, so they come back under the key of before.

use stacks::names::SecretName;
use stacks::pool::Pool;

use crate::delivery::{Job, delivery};
use crate::replaced::ONE_JOB;
use crate::world::{NO_FORGE, Shape, World, now_ms};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_cancelled_while_it_waited_and_is_run_again_gets_a_machine() {
    let Some(world) = World::up().await else {
        return;
    };
    let jobs = world.push(ONE_JOB).await;
    let job = &jobs[0];
    world.queue(&jobs).await;
    world.drain().await;
    let first = world.the_instance().await;
    world.cancel_run().await;
    world.deliver(&job.ended("cancelled", None)).await;
    world.lose(&first).await;
    // A late or replayed delivery is none: the forge says that nothing waits.
    assert_eq!(world.deliver(&job.queued()).await, "duplicate");
    assert_eq!(world.standing(job).await.0, "cancelled");

    let job = &world.rerun(job).await;
    // From four hook levels at once.
    let payloads = vec![delivery(&job.queued()); 4];
    let answers = world.invoke_all(payloads, 4, None).await;
    let recorded = answers
        .iter()
        .filter(|answer| answer["body"].as_str().unwrap().contains("\"recorded\""));
    assert_eq!(recorded.count(), 1, "{answers:?}");
    let row = world.history(job).await;
    assert_eq!(row["job_status"], "pending");
    assert!(row["conclusion"].is_null() && row["ended_ms"].is_null());

    world.drain().await;
    let second = world.the_instance().await;
    assert_ne!(second, first);
    assert_eq!(world.counters().await["all"], 1);
    world.take(job, &second).await;
    world.deliver(&job.ended("success", Some(&second))).await;
    assert_eq!(world.standing(job).await.0, "completed");
    // It had a runner now: this attempt is over for good, whatever the forge says.
    assert_eq!(world.deliver(&job.queued()).await, "duplicate");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_skipped_with_the_job_it_needs_gets_a_machine_in_the_rerun() {
    let Some(world) = World::up().await else {
        return;
    };
    let jobs = world.push(ONE_JOB).await;
    // It was never queued; the forge only said that it is skipped.
    world.deliver(&jobs[0].ended("skipped", None)).await;
    assert_eq!(world.deliver(&jobs[0].queued()).await, "recorded");
    world.drain().await;
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_refused_is_taken_when_a_pool_serves_it_and_the_hook_is_replayed() {
    let Some(world) = World::of(Shape {
        pool: |pool| pool.accepts_unlabelled = false,
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    let jobs = world.push(ONE_JOB).await;
    let gpu = jobs[0].clone().on(&["gpu"]);
    assert_eq!(world.deliver(&gpu.queued()).await, "refused");
    let serving = |pool: &mut Pool| pool.labels[0].name = "gpu".to_owned();
    let deployed = world.change_pool("base", serving).await;
    assert_eq!(world.deliver_to(&deployed, &gpu.queued()).await, "recorded");
    world.drain_by(&deployed).await;
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_forge_cannot_tell_a_machine_too_many_is_better_than_a_job_that_hangs() {
    let Some(world) = World::up().await else {
        return;
    };
    let job = Job::new(1);
    world.deliver(&job.ended("cancelled", None)).await;
    world
        .delete_parameter(&world.names.secret(SecretName::ForgeToken))
        .await;
    let blind = world.cold(NO_FORGE);
    assert_eq!(world.deliver_to(&blind, &job.queued()).await, "recorded");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_end_nobody_reported_is_forgotten_when_the_next_one_waits() {
    let Some(world) = World::up().await else {
        return;
    };
    let jobs = world.push(ONE_JOB).await;
    // What the ledger knows as another attempt than the one that waits at the forge. (The next one could
    // be the same, by an older forge's number.)
    let other = jobs[0].clone().again().again();
    world.queue(std::slice::from_ref(&other)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    world.lose(&machine).await;
    assert!(world.living().await.is_empty());
    assert!(world.live("job").await.is_empty());
    world.end().await;
}

/// Gitea from 1.27 on tells that a runner has a job before the runner has heard of it, and takes the job
/// back without a word if the runner went away meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_forge_took_back_from_a_runner_gets_another_machine() {
    let Some(world) = World::up().await else {
        return;
    };
    let jobs = world.push(ONE_JOB).await;
    let job = &jobs[0];
    world.queue(&jobs).await;
    world.drain().await;
    let first = world.the_instance().await;
    assert_eq!(world.ask(&first).await.status, 200);
    world.take(job, &first).await;
    // A list may be older than the start: it is not believed at once.
    world.tick().await;
    assert_eq!(world.living().await, [first.as_str()]);
    world.lose(&first).await;
    world.tick().await;
    assert_eq!(world.living().await, [""; 0]);

    let before_ms = now_ms() - 120_000;
    world.set_time_of_job(job, "started_ms", before_ms).await;
    world.tick().await;
    let second = world.the_instance().await;
    assert_ne!(second, first);
    assert_eq!(world.ask(&second).await.status, 200);
    world.take(job, &second).await;
    assert_eq!(world.history(job).await["instance_id"], second.as_str());
    world.deliver(&job.ended("success", Some(&second))).await;
    assert_eq!(world.standing(job).await.0, "completed");
    world.end().await;
}
