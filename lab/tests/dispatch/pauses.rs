//! What gets no machine although it waits: what was there before the deployment, and what somebody paused.

use lab::forge::Version;
use serde_json::{Value, json};
use stacks::pool::Scope;

use crate::delivery::Job;
use crate::log;
use crate::replaced::ONE_JOB;
use crate::world::{NO_FORGE, Shape, World, now_ms};

/// Thirty jobs of one push.
fn thirty() -> String {
    let jobs =
        (1..=30).map(|id| format!("  job{id}: {{runs-on: base, steps: [{{run: 'true'}}]}}\n"));
    format!("on: push\njobs:\n{}", jobs.collect::<String>())
}

/// When the deployment says that it began.
async fn began_ms(world: &World) -> u64 {
    let rows = world.rows().await;
    let row = rows.iter().find(|row| row["sk"] == "birth").unwrap();
    row["at_ms"].as_u64().unwrap()
}

/// A world that began a day after thirty jobs had come to the forge, whose first reconcile was just now.
async fn born_late() -> Option<World> {
    let world = World::up().await?;
    // Before there is anything: the deployment notes when it began.
    world.tick().await;
    let began_ms = began_ms(&world).await;
    let five_minutes = 5 * 60_000;
    assert!(now_ms() - began_ms >= five_minutes && now_ms() - began_ms < 2 * five_minutes);
    let jobs = world.push(&thirty()).await;
    assert_eq!(jobs.len(), 30);
    // A day passes: it began after that.
    world.set_time("birth", "at_ms", now_ms() + 1_000).await;
    Some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_before_the_deployment_is_listed_and_not_launched_for_unless_somebody_says_so()
{
    let Some(world) = born_late().await else {
        return;
    };
    world.tick().await;
    world.tick().await;
    assert!(world.instances().await.is_empty());
    assert!(world.live("job").await.is_empty());
    assert!(log::text().contains("\"waiting\":30"), "nobody is told");
    let ask = json!({ "action": "waiting" });
    let answer = world.invoke(&world.handler, &ask).await.unwrap();
    assert_eq!(answer["count"], 30, "{answer}");
    let named = answer["waiting"].as_array().unwrap();
    assert_eq!(named.len(), 30);
    assert_eq!(named[0]["repository"], "acme/app");
    assert!(
        world.instances().await.is_empty(),
        "asking launches nothing"
    );

    let include = json!({ "action": "waiting", "include": true });
    world.invoke(&world.handler, &include).await.unwrap();
    // The deployment's cap is twenty.
    assert_eq!(world.living().await.len(), 20);
    assert_eq!(world.live("job").await.len(), 30);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_the_deployment_is_served_although_its_delivery_was_lost() {
    let Some(world) = World::up().await else {
        return;
    };
    world.tick().await;
    world.push(ONE_JOB).await;
    world.tick().await;
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_served_before_this_was_written_down_leaves_nothing_out() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    world.tick().await;
    assert_eq!(began_ms(&world).await, 0);
    world.end().await;
}

async fn say(world: &World, mut words: Value, action: &str) -> String {
    words["action"] = json!(action);
    let answer = world.invoke(&world.handler, &words).await.unwrap();
    answer["done"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_paused_deliveries_are_recorded_and_nothing_is_launched_and_then_nothing_is_lost() {
    let Some(world) = World::up().await else {
        return;
    };
    let jobs = world.push(ONE_JOB).await;
    let (job, runs) = (&jobs[0], Job::new(900));
    world.queue(std::slice::from_ref(&runs)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    world.take(&runs, &machine).await;

    let all = json!({ "reason": "the registry is down" });
    assert_eq!(say(&world, all.clone(), "pause").await, "paused");
    world.queue(&jobs).await;
    for _ in 0..3 {
        world.drain().await;
        world.tick().await;
    }
    assert_eq!(world.the_instance().await, machine, "what runs goes on");
    let (status, reason) = world.standing(job).await;
    assert_eq!(status, "pending");
    assert_eq!(reason, "paused: the registry is down");
    let statuses = world.statuses(job).await;
    assert_eq!(statuses.len(), 1, "{statuses:?}");
    assert_eq!(statuses[0]["status"], "pending");
    assert_eq!(statuses[0]["description"], "paused: the registry is down");

    assert_eq!(say(&world, all.clone(), "resume").await, "resumed");
    assert_eq!(world.living().await.len(), 2);
    let mut living = world.living().await;
    living.retain(|one| *one != machine);
    world.take(job, &living[0]).await;
    world.drain().await;
    assert_eq!(world.statuses(job).await[0]["status"], "success");
    assert_eq!(say(&world, all, "resume").await, "was not paused");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_a_pool_or_a_repository_holds_its_jobs_alone() {
    let Some(world) = World::up().await else {
        return;
    };
    let other = Job {
        repository: "acme/other".to_owned(),
        ..Job::new(3)
    };
    for (words, held) in [
        (
            json!({ "pool": "go", "reason": "r" }),
            Job::new(2).on(&["go"]),
        ),
        (json!({ "repository": "ACME/other", "reason": "r" }), other),
    ] {
        assert_eq!(say(&world, words.clone(), "pause").await, "paused");
        let free = Job::new(held.id + 10);
        world.queue(&[held.clone(), free.clone()]).await;
        let before = world.living().await.len();
        world.drain().await;
        assert_eq!(world.living().await.len(), before + 1);
        assert_eq!(world.standing(&free).await.0, "launching");
        assert_eq!(world.standing(&held).await.0, "pending");
        assert_eq!(say(&world, words, "resume").await, "resumed");
        assert_eq!(world.living().await.len(), before + 2);
    }
    let long = json!({ "reason": "r".repeat(400), "action": "pause" });
    assert!(world.invoke(&world.handler, &long).await.is_err());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_organization_is_gone_hides_no_other_pools_jobs() {
    let shape = Shape {
        pool: |pool| {
            if pool.name == "base" {
                return;
            }
            pool.scope = Scope::Organization("nobody".to_owned());
        },
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    world.push(ONE_JOB).await;
    world.tick().await;
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_forge_lists_no_times_what_waited_when_it_could_first_be_asked_is_left_out() {
    let shape = Shape {
        forge: Some(Version::Forgejo15),
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    // The tokens come later.
    world.tick_by(&world.cold(NO_FORGE)).await;
    let acme = json!({"username": "acme"});
    world.forge("POST", "orgs", &acme).await;
    world.push_file("old", &thirty()).await;
    world.tick().await;
    assert!(world.instances().await.is_empty());
    assert!(world.live("job").await.is_empty());

    world.push_file("new", ONE_JOB).await;
    world.tick().await;
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}
