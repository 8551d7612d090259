//! A Forgejo: registered its own way, and nothing of it stays. How the dispatcher comes to know of a
//! job there is another story; here it is told.

use lab::forge::Version;
use serde_json::{Value, json};

use crate::delivery::{Job, delivery};
use crate::world::{Shape, World, document};

const ONE_JOB: &str = "
on: push
jobs:
  build:
    runs-on: base
    steps: [{run: echo done}]
";

/// From the push to the end of the machine, at the Forgejo of that version.
async fn story(version: Version, stays: bool) {
    let shape = Shape {
        forge: Some(version),
        accept_reusable_credentials: stays,
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    world
        .forge("POST", "orgs", &json!({"username": "acme"}))
        .await;
    world.push_file("app", ONE_JOB).await;
    let list = "repos/acme/app/actions/runners/jobs?labels=base";
    let waiting = world.forge("GET", list, &Value::Null).await;
    let job = Job {
        name: "build".to_owned(),
        attempt: 1,
        ..Job::new(waiting[0]["id"].as_u64().unwrap())
    };

    // A pool is the default, and that helps no job there.
    let unlabelled = world.send(&delivery(&Job::new(99).on(&[]).queued())).await;
    let answer = unlabelled.json();
    assert_eq!(answer["decision"], "refused", "{answer}");
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("a Forgejo gives such a job"), "{reason}");

    world.queue(std::slice::from_ref(&job)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    let reply = world.ask(&machine).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let runner = document(&reply).unwrap();
    assert_eq!(
        runner["labels"],
        json!(["base:host", "lab:host", "self-hosted:host"])
    );
    assert_eq!(world.runner(&machine).await["forge_id"], runner["id"]);

    let declare = json!({"version": "12.8.0", "labels": ["base", "lab", "self-hosted"]});
    world.rpc("Declare", &declare, Some(&runner)).await;
    let task = world.fetch_task(&runner).await;
    assert_eq!(task["context"]["repository"], "acme/app", "{task}");
    world.mark(&machine, &json!({"mark": "started"})).await;
    let done = json!({"state": {"id": task["id"], "result": "RESULT_SUCCESS"}});
    world.rpc("UpdateTask", &done, Some(&runner)).await;
    let names = async || {
        let list = world.forge("GET", "admin/actions/runners", &Value::Null);
        let list = list.await;
        let runners = list.as_array().or_else(|| list["runners"].as_array());
        let names = runners.unwrap().iter().map(|runner| runner["name"].clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(!names().await.is_empty(), stays);

    // Its machine ends, and whatever the forge kept of it goes with the next look.
    world.lose(&machine).await;
    world.tick().await;
    assert_eq!(names().await, [""; 0]);
    assert!(world.live("registration").await.is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_forgejos_registration_outlives_its_job_and_goes_with_its_machine() {
    story(Version::Forgejo14, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_forgejos_registration_is_made_for_one_job_and_goes_with_it() {
    story(Version::Forgejo15, false).await;
}

/// A delivery can't tell which forge it comes from, so the machine may be there already.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_would_outlive_its_job_is_handed_to_nobody() {
    let shape = Shape {
        forge: Some(Version::Forgejo14),
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    let machine = world.the_instance().await;
    let reply = world.ask(&machine).await;
    assert_eq!(reply.status, 410, "{}", reply.body);
    assert!(document(&reply).is_none());
    let again = world.ask(&machine).await;
    assert_eq!(again.status, 410, "{}", again.body);
    // What was registered for it goes with it.
    let listed = async || {
        let list = world.forge("GET", "admin/actions/runners", &Value::Null);
        list.await["runners"].as_array().unwrap().len()
    };
    assert_eq!(listed().await, 1);
    world.lose(&machine).await;
    world.tick().await;
    assert_eq!(listed().await, 0);
    world.end().await;
}
