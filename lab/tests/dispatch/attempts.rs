//! One machine for one attempt, however the forge numbers them, and while it is updated.

use serde_json::json;

use crate::delivery::Job;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn from_gitea_1_27_on_a_rerun_is_another_job_and_what_is_carried_over_needs_no_machine() {
    let Some(world) = World::up().await else {
        return;
    };
    let first = Job::new(7).by_gitea_1_27();
    world.queue(std::slice::from_ref(&first)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    assert_eq!(world.take(&first, &machine).await, "recorded");
    assert_eq!(world.standing(&first).await.0, "running");
    assert!(world.live("job").await.is_empty());
    world.deliver(&first.ended("failure", Some(&machine))).await;
    world.lose(&machine).await;
    assert_eq!(world.deliver(&first.queued()).await, "duplicate");

    let rerun = Job {
        id: 8,
        ..first.clone().again()
    };
    assert_eq!(world.deliver(&rerun.queued()).await, "recorded");
    assert_eq!(world.deliver(&rerun.queued()).await, "duplicate");
    let carried = Job {
        id: 9,
        ..first.clone().again()
    };
    let carried = carried.ended("success", Some(&machine));
    assert_eq!(world.deliver(&carried).await, "recorded");
    world.drain().await;
    let other = world.the_instance().await;
    assert_ne!(other, machine);
    world.take(&rerun, &other).await;
    assert_eq!(world.standing(&rerun).await.0, "running");
    assert_eq!(world.standing(&first).await.0, "completed");
    world.drain().await;
    assert_eq!(world.living().await, [other]);
    world.end().await;
}

/// The update makes nothing of what is in the queue: a job of 1.26 keeps its id and its number, which
/// the new version tells as it stands.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_wait_and_run_while_gitea_is_updated_to_1_27_are_served_once() {
    let Some(world) = World::up().await else {
        return;
    };
    let waits = Job::new(1);
    let runs = Job::new(2);
    let run_before = Job::new(3);
    world.queue(&[runs.clone(), run_before.clone()]).await;
    world.drain().await;
    let machines = world.living().await;
    let [machine, used] = machines.as_slice() else {
        panic!("{machines:?}");
    };
    world.take(&runs, machine).await;
    world.take(&run_before, used).await;
    world
        .deliver(&run_before.ended("failure", Some(used)))
        .await;
    world.lose(used).await;
    let rerun = run_before.again();
    world.queue(&[waits.clone(), rerun.clone()]).await;
    world.drain().await;
    let machines = world.living().await;
    assert_eq!(machines.len(), 3, "{machines:?}");
    let fresh: Vec<&String> = machines.iter().filter(|one| *one != machine).collect();

    // From here on it is the other version that tells of them.
    let mut told = waits
        .clone()
        .by_gitea_1_27()
        .started(world.runner_of(fresh[0]).await);
    told["workflow_job"]["run_attempt"] = json!(0);
    assert_eq!(world.deliver(&told).await, "recorded");
    assert_eq!(world.deliver(&told).await, "duplicate");
    let as_numbered = Job {
        attempt: 0,
        ..rerun.clone().by_gitea_1_27()
    };
    let told = as_numbered.started(world.runner_of(fresh[1]).await);
    assert_eq!(
        told["workflow_job"]["run_attempt"], 1,
        "as 1.26 had queued it"
    );
    assert_eq!(world.deliver(&told).await, "recorded");
    assert_eq!(world.deliver(&told).await, "duplicate");
    for job in [&waits, &runs, &rerun] {
        assert_eq!(world.standing(job).await.0, "running", "{job:?}");
    }
    assert!(world.live("job").await.is_empty());

    let ended = runs.clone().by_gitea_1_27().ended("success", Some(machine));
    assert_eq!(world.deliver(&ended).await, "recorded");
    let ended = as_numbered.ended("success", Some(fresh[1]));
    assert_eq!(world.deliver(&ended).await, "recorded");
    assert_eq!(world.deliver(&ended).await, "duplicate");
    for job in [&runs, &rerun] {
        assert_eq!(world.standing(job).await.0, "completed", "{job:?}");
    }
    world.drain().await;
    assert_eq!(world.living().await.len(), 3, "nobody got another machine");
    world.end().await;
}
