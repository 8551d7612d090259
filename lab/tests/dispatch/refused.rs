//! Jobs that nothing of ours serves say so where their owner looks.

use serde_json::{Value, json};
use stacks::pool::Pool;

use crate::delivery::{Job, delivery};
use crate::log;
use crate::owed::refusing;
use crate::replaced::ONE_JOB;
use crate::world::{NO_FORGE, Shape, World, now_ms};

const UNKNOWN_LABEL: &str = "
on: push
jobs:
  one:
    runs-on: gpu
    steps: [{run: 'true'}]
";

/// A world with a job that was refused.
async fn refused() -> Option<(World, Job)> {
    let world = World::up().await?;
    let job = world.push(UNKNOWN_LABEL).await.remove(0);
    assert_eq!(world.deliver(&job.queued()).await, "refused");
    Some((world, job))
}

/// State and description of a job's newest status, which is the only one of its context.
async fn word(world: &World, job: &Job) -> (String, String) {
    let statuses = world.statuses(job).await;
    let newest = &statuses[0];
    let context = format!("lab-ci / run {} / {}", job.run, job.name);
    assert_eq!(newest["context"], context);
    let text = |name: &str| newest[name].as_str().unwrap().to_owned();
    (text("status"), text("description"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_job_is_marked_on_its_commit_as_soon_as_the_forge_can_be_reached() {
    let Some((world, job)) = refused().await else {
        return;
    };
    // The answer waited for nothing.
    assert!(world.statuses(&job).await.is_empty());
    world.drain_by(&world.cold(NO_FORGE)).await;
    let kept = world.live("status-update").await.remove(0);
    let sk = kept["sk"].as_str().unwrap();
    world.set_time(sk, "not_before_ms", 0).await;

    // Of many drains one says it.
    let drains = vec![json!({ "action": "drain" }); 4];
    world.invoke_all(drains, 4, Some("one lease")).await;
    assert_eq!(world.statuses(&job).await.len(), 1);
    let (state, description) = word(&world, &job).await;
    assert_eq!(state, "error");
    assert_eq!(description, world.standing(&job).await.1);
    assert!(description.contains("gpu"), "{description}");
    let target = world.statuses(&job).await[0]["target_url"].clone();
    assert_eq!(target, job.queued()["workflow_job"]["html_url"]);
    assert!(world.live("status-update").await.is_empty());

    // Once, however often it is delivered.
    assert_eq!(world.deliver(&job.queued()).await, "refused");
    world.tick().await;
    assert_eq!(world.statuses(&job).await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mark_is_taken_back_when_a_pool_serves_the_job_after_all() {
    let Some((world, job)) = refused().await else {
        return;
    };
    world.drain().await;
    let serving = |pool: &mut Pool| pool.labels[0].name = "gpu".to_owned();
    let deployed = world.change_pool("base", serving).await;
    assert_eq!(world.deliver_to(&deployed, &job.queued()).await, "recorded");
    world.drain_by(&deployed).await;
    assert_eq!(word(&world, &job).await.0, "success");
    assert!(world.history(&job).await["refused_ms"].is_null());

    // What follows says nothing more.
    let machine = world.the_instance().await;
    world.take(&job, &machine).await;
    world.deliver(&job.ended("success", Some(&machine))).await;
    world.drain_by(&deployed).await;
    assert_eq!(world.statuses(&job).await.len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mark_is_taken_back_when_somebody_elses_runner_takes_the_job() {
    let Some((world, job)) = refused().await else {
        return;
    };
    world.drain().await;
    let body = job.started("a static runner");
    assert_eq!(world.deliver(&body).await, "recorded");
    assert_eq!(world.deliver(&body).await, "duplicate");
    world.drain().await;
    let (state, description) = word(&world, &job).await;
    assert_eq!(state, "success");
    assert!(description.contains("a static runner"), "{description}");
    assert_eq!(world.standing(&job).await.0, "running");

    // The end alone does it as well, if the start was not delivered.
    let again = job.clone().again();
    assert_eq!(world.deliver(&again.queued()).await, "refused");
    let end = again.ended("success", Some("a static runner"));
    assert_eq!(world.deliver(&end).await, "recorded");
    world.drain().await;
    assert_eq!(word(&world, &again).await.0, "success");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_name_in_two_workflows_have_a_status_each() {
    let Some((world, job)) = refused().await else {
        return;
    };
    let other = Job {
        id: job.id + 1000,
        run: job.run + 1000,
        ..job.clone()
    };
    assert_eq!(world.deliver(&other.queued()).await, "refused");
    world.drain().await;
    assert_eq!(world.statuses(&job).await.len(), 2);
    // One of them is served after all.
    world.deliver(&other.started("a static runner")).await;
    world.drain().await;
    let (state, _) = word(&world, &other).await;
    assert_eq!(state, "success");
    let statuses = world.statuses(&job).await;
    let own = statuses.iter().find(|status| {
        let context = status["context"].as_str().unwrap();
        context == format!("lab-ci / run {} / {}", job.run, job.name)
    });
    assert_eq!(own.unwrap()["status"], "error", "{statuses:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_given_up_is_marked() {
    let Some(world) = World::up().await else {
        return;
    };
    let job = world.push(ONE_JOB).await.remove(0);
    world.queue(std::slice::from_ref(&job)).await;
    world.drain().await;
    for _ in 1..=3 {
        let machine = world.the_instance().await;
        world.lose(&machine).await;
    }
    let (state, description) = word(&world, &job).await;
    assert_eq!(state, "error");
    assert!(description.contains("every machine"), "{description}");
    assert_eq!(world.standing(&job).await.0, "failed");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_pool_is_gone_moves_to_one_that_serves_it_or_is_refused_and_marked() {
    let Some(world) = World::up().await else {
        return;
    };
    let waiting = world.push(ONE_JOB).await.remove(0);
    let orphan = waiting.clone().on(&["go"]);
    world.queue(std::slice::from_ref(&orphan)).await;
    // Renamed.
    let rename = |pool: &mut Pool| pool.name = "fast".to_owned();
    world.change_pool("go", rename).await;
    let fast = world.names.pool("fast");
    world.delete_parameter(&world.names.pool("go")).await;
    let forge = world.bench.lab.file().forge.clone();
    world.drain_by(&world.cold(&forge)).await;
    assert_eq!(world.living().await.len(), 1);
    let row = world.history(&orphan).await;
    assert_eq!(row["pool"], "fast");
    assert_eq!(row["job_status"], "launching");

    // Gone, and the machine with it.
    world.delete_parameter(&fast).await;
    let machine = world.the_instance().await;
    world.lose_silently(&machine).await;
    let fewer = world.cold(&forge);
    world.tick_by(&fewer).await;
    let (state, description) = word(&world, &orphan).await;
    assert_eq!(state, "error");
    assert!(description.contains("its pool"), "{description}");
    assert_eq!(world.standing(&orphan).await.0, "failed");
    assert!(world.live("job").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_the_forge_refuses_waits_and_is_forgotten_after_a_day() {
    let Some(world) = World::up().await else {
        return;
    };
    let job = Job::new(1).on(&["gpu"]);
    assert_eq!(world.deliver(&job.queued()).await, "refused");
    let handler = world.cold(&refusing().await);
    let drain = json!({ "action": "drain" });
    world.invoke(&handler, &drain).await.unwrap();
    let notice = world.live("status-update").await.remove(0);
    assert!(notice["not_before_ms"].as_u64().unwrap() > now_ms() + 50_000);

    let sk = notice["sk"].as_str().unwrap();
    let yesterday = now_ms() - 24 * 3_600_000 - 1;
    world.set_time(sk, "since_ms", yesterday).await;
    world.set_time(sk, "not_before_ms", 0).await;
    world.invoke(&handler, &drain).await.unwrap();
    assert_eq!(world.live("status-update").await, Vec::<Value>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_about_a_repository_that_is_gone_is_forgotten_at_once() {
    let Some(world) = World::up().await else {
        return;
    };
    let mut job = Job::new(1).on(&["gpu"]);
    job.repository = "acme/gone".to_owned();
    assert_eq!(world.deliver(&job.queued()).await, "refused");
    assert_eq!(world.live("status-update").await.len(), 1);
    world.drain().await;
    assert_eq!(world.live("status-update").await, Vec::<Value>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tick_says_how_long_the_oldest_job_has_waited() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1), Job::new(2)]).await;
    let sk = world.live("job").await[0]["sk"]
        .as_str()
        .unwrap()
        .to_owned();
    // Long enough for no other story of this process to say it.
    let long_ago = now_ms() - 7_654_321_500;
    world.set_time(&sk, "recorded_ms", long_ago).await;
    world.tick().await;
    let said = log::text();
    let line = said
        .lines()
        .find(|line| line.contains("\"oldest_waiting_s\":76543"))
        .expect("the tick says nothing");
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["waiting"], 2);
    world.end().await;
}

/// Four jobs, of which the second would run without its database and say nothing.
const SERVICES: &str = "
on: push
jobs:
  plain: {runs-on: base, steps: [{run: 'true'}]}
  lacking: {runs-on: base, services: {db: {image: postgres}}, steps: [{run: 'true'}]}
  contained:
    runs-on: base
    container: node
    services: {db: {image: postgres}}
    steps: [{run: 'true'}]
  served: {runs-on: go, services: {db: {image: postgres}}, steps: [{run: 'true'}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_services_its_machine_does_not_start_is_marked_and_no_other() {
    let Some(world) = World::of(Shape {
        pool: |pool| {
            if pool.name == "go" {
                pool.labels[0].serve = "docker://golang:1".to_owned();
            }
        },
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    let jobs = world.push(SERVICES).await;
    let [plain, lacking, contained, served] = jobs.as_slice() else {
        panic!("{jobs:?}");
    };
    for (job, warned) in [
        (plain, true),
        (lacking, true),
        (contained, true),
        (served, false),
    ] {
        let reply = world.send(&delivery(&job.queued())).await;
        let answer = reply.json();
        assert_eq!(answer["decision"], "recorded");
        let reason = answer["reason"].as_str().unwrap();
        assert_eq!(
            reason.contains("services: are not started"),
            warned,
            "{reason}"
        );
    }
    // Told or not, the jobs get their machines, and the forge is not asked before.
    world.drain_by(&world.cold(NO_FORGE)).await;
    assert_eq!(world.living().await.len(), 4);
    assert_eq!(world.live("status-update").await.len(), 3);

    world.drain().await;
    let statuses = world.statuses(lacking).await;
    let contexts: Vec<&Value> = statuses.iter().map(|status| &status["context"]).collect();
    let context = json!(format!("lab-ci / run {} / lacking", lacking.run));
    assert_eq!(contexts, [&context], "{statuses:?}");
    assert_eq!(statuses[0]["status"], "error");
    let description = statuses[0]["description"].as_str().unwrap();
    assert!(description.contains("docker://"), "{description}");
    assert!(world.live("status-update").await.is_empty());
    world.end().await;
}
