//! One credential for one machine, and nothing for anybody else.

use dispatcher::handler::Error;
use dispatcher::invocation::BadInvocation;
use serde_json::{Value, json};
use stacks::pool::Scope;
use stacks::route::TEXT_MAX_CHARS;

use crate::delivery::{Job, delivery, from_runner, interruption};
use crate::world::{ROLE, Shape, World, document};

/// A world with one machine.
async fn one_machine(shape: Shape) -> Option<(World, String)> {
    let world = World::of(shape).await?;
    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    let machine = world.the_instance().await;
    Some((world, machine))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_gets_its_credential_once_and_nobody_else_gets_one() {
    let Some((world, machine)) = one_machine(Shape::default()).await else {
        return;
    };
    let early = world.ask("i-0123456789abcdef0").await;
    assert_eq!(early.status, 503, "unknown instances ask again");
    let ask: &[u8] = br#"{"ask":"credential"}"#;
    for role in ["lab-ci-dispatch", "lab-ci-runnerx", "other-ci-runner", ""] {
        let reply = world.send(&from_runner(role, &machine, ask)).await;
        assert_eq!(reply.status, 410, "{role}: {}", reply.body);
    }
    for body in ["", "{}", "[", r#"{"ask":"token"}"#, r#"{"mark":"green"}"#] {
        let request = from_runner(ROLE, &machine, body.as_bytes());
        let reply = world.send(&request).await;
        assert_eq!(reply.status, 400, "{body}");
    }
    let nobody = from_runner(ROLE, "mallory", ask);
    let answer = world.invoke(&world.handler, &nobody).await;
    assert!(matches!(answer, Err(Error::Event(BadInvocation::Caller))));
    assert_eq!(world.registered("admin").await, Vec::<Value>::new());

    let reply = world.ask(&machine).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body.lines().count(), 1, "no clone token unless asked");
    let document = document(&reply).unwrap();
    let registered = world.registered("admin").await;
    assert_eq!(registered.len(), 1);
    assert_eq!(registered[0]["name"], json!(machine));
    assert_eq!(registered[0]["ephemeral"], true);
    let labels = registered[0]["labels"].as_array().unwrap();
    let labels: Vec<&Value> = labels.iter().map(|label| &label["name"]).collect();
    assert_eq!(labels, ["base", "lab", "self-hosted"]);
    let expected = json!({
        "id": registered[0]["id"],
        "uuid": document["uuid"],
        "name": machine,
        "token": document["token"],
        "address": lab::FORGE_URL,
        "labels": ["base:host", "lab:host", "self-hosted:host"],
        "ephemeral": true,
    });
    assert_eq!(document, expected);
    assert_eq!(
        world.runner(&machine).await["forge_id"],
        registered[0]["id"]
    );

    let second = world.ask(&machine).await;
    assert_eq!(second.status, 410, "{}", second.body);
    assert_eq!(world.registered("admin").await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_requests_at_once_get_one_credential() {
    let Some((world, machine)) = one_machine(Shape::default()).await else {
        return;
    };
    let ask = from_runner(ROLE, &machine, br#"{"ask":"credential"}"#);
    let answers = world.invoke_all(vec![ask; 10], 10, None).await;
    let given = answers.iter().filter(|one| one["statusCode"] == 200);
    assert_eq!(given.count(), 1, "{answers:?}");
    assert_eq!(world.registered("admin").await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_to_end_gets_no_credential_any_more() {
    let Some((world, machine)) = one_machine(Shape::default()).await else {
        return;
    };
    let reply = world.mark(&machine, &json!({"mark": "ending"})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(world.ask(&machine).await.status, 410);
    assert_eq!(world.registered("admin").await, Vec::<Value>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_one_organization_registers_there_and_hands_out_its_git_token() {
    let shape = Shape {
        pool: |pool| {
            pool.scope = Scope::Organization("acme".to_owned());
            pool.clone_token = true;
        },
        ..Shape::default()
    };
    let Some((world, machine)) = one_machine(shape).await else {
        return;
    };
    let organization = json!({"username": "acme"});
    world.forge("POST", "orgs", &organization).await;
    let reply = world.ask(&machine).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let lines: Vec<&str> = reply.body.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1], "clone-token clone-token-0123456789abcdef");
    let names: Vec<Value> = world
        .registered("orgs/acme")
        .await
        .into_iter()
        .map(|runner| runner["name"].clone())
        .collect();
    assert_eq!(names, [json!(machine)]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_of_one_repository_is_given_no_job_of_another() {
    let shape = Shape {
        pool: |pool| pool.scope = Scope::Repository("acme/tools".to_owned()),
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    // The stranger's job waits longest, and asks for the same label.
    let stranger = world.push(crate::replaced::ONE_JOB).await.remove(0);
    let answer = world.send(&delivery(&stranger.queued())).await.json();
    assert_eq!(answer["decision"], "refused");
    let reason = answer["reason"].as_str().unwrap();
    assert!(
        reason.contains("acme/app") && reason.contains("scope"),
        "{reason}"
    );

    let own = world
        .push_to("tools", crate::replaced::ONE_JOB)
        .await
        .remove(0);
    world.queue(std::slice::from_ref(&own)).await;
    world.drain().await;
    let machine = world.the_instance().await;
    let reply = world.ask(&machine).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let registered = world.registered("repos/acme/tools").await;
    assert_eq!(registered.len(), 1);
    let task = world.fetch_task(&document(&reply).unwrap()).await;
    assert_eq!(task["context"]["repository"], "acme/tools", "{task}");
    assert_eq!(world.standing_at_forge(&stranger).await, "queued");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_was_taken_in_the_middle_of_its_job_ends_as_interrupted() {
    let Some((world, machine)) = one_machine(Shape::default()).await else {
        return;
    };
    world.ask(&machine).await;
    world.mark(&machine, &json!({"mark": "started"})).await;
    let words = "job: EC2 took this Spot machine back";
    let body = json!({"mark": "interrupted", "text": words});
    assert_eq!(world.mark(&machine, &body).await.status, 200);
    let row = world.runner(&machine).await;
    assert_eq!(row["ending"]["reason"], "interrupted");
    assert!(row["timeline"]["interrupted"].is_u64());
    // Its trap says once more that it ends.
    world.mark(&machine, &json!({"mark": "ending"})).await;
    world.lose(&machine).await;
    let ended = world.ended(&machine).await;
    assert_eq!(ended["ending"]["reason"], "interrupted");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_and_warnings_are_recorded_and_last_words_kept_short() {
    let Some((world, machine)) = one_machine(Shape::default()).await else {
        return;
    };
    for (mark, attribute) in [("online", "online"), ("started", "busy")] {
        let reply = world.mark(&machine, &json!({ "mark": mark })).await;
        assert_eq!(reply.status, 200, "{mark}");
        assert!(
            world.runner(&machine).await["timeline"][attribute].is_u64(),
            "{mark} is not recorded"
        );
    }
    let warned = world.invoke(&world.handler, &interruption(&machine)).await;
    warned.unwrap();
    assert!(world.runner(&machine).await["timeline"]["interrupted"].is_u64());

    let words = format!("no\u{1b}[31m network\n{}", "x".repeat(2 * TEXT_MAX_CHARS));
    let body = json!({ "mark": "failed", "text": words });
    assert_eq!(world.mark(&machine, &body).await.status, 200);
    let row = world.runner(&machine).await;
    let kept = row["ending"]["reason"].as_str().unwrap();
    assert!(kept.starts_with("boot failed: no[31m networkx"), "{kept}");
    let limit = "boot failed: ".len() + TEXT_MAX_CHARS;
    assert_eq!(kept.chars().count(), limit);
    assert!(row["ending"]["since_ms"].is_u64());
    world.lose(&machine).await;
    assert_eq!(world.ended(&machine).await["ending"]["reason"], json!(kept));

    // Warnings of machines that are none of ours make no rows.
    let rows = world.rows().await;
    let stranger = interruption("i-0123456789abcdef0");
    world.invoke(&world.handler, &stranger).await.unwrap();
    assert_eq!(world.rows().await, rows);
    world.end().await;
}
