//! What can't be taken is refused with a reason, and nothing is written.

use dispatcher::delivery::BODY_MAX_BYTES;
use serde_json::{Value, json};
use stacks::names::Secret;

use crate::delivery::{Job, delivery, signature, signed, with_signature};
use crate::world::{Shape, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_not_signed_with_the_secret_is_401_and_writes_nothing() {
    let Some(world) = World::up().await else {
        return;
    };
    let body = Job::new(1).queued().to_string();
    let body = body.as_bytes();
    let good = signature(lab::WEBHOOK_SECRET, body);
    let other_body = signature(lab::WEBHOOK_SECRET, b"{}");
    for (why, wrong) in [
        ("another secret", signature("another secret", body).as_str()),
        ("the empty secret", &signature("", body)),
        ("of another body", &other_body),
        ("empty", ""),
        ("blank", "  "),
        ("cut short", &good[..32]),
        ("nothing but a prefix", "sha256="),
        ("no hex", &"zz".repeat(32)),
    ] {
        let reply = world
            .send(&with_signature("workflow_job", body, wrong))
            .await;
        assert_eq!(reply.status, 401, "{why}: {}", reply.body);
        assert_eq!(reply.json()["error"], "bad-signature", "{why}");
    }
    let mut unsigned = with_signature("workflow_job", body, &good);
    let headers = unsigned["headers"].as_object_mut().unwrap();
    headers.retain(|name, _| !name.contains("signature"));
    let reply = world.send(&unsigned).await;
    assert_eq!(reply.status, 401, "no header: {}", reply.body);
    assert_eq!(world.rows().await, Vec::<Value>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_without_a_secret_takes_nothing() {
    let Some(world) = World::up().await else {
        return;
    };
    world
        .delete_parameter(&world.names.secret(Secret::Webhook))
        .await;
    let body = Job::new(1).queued().to_string();
    for secret in ["", lab::WEBHOOK_SECRET] {
        let signature = signature(secret, body.as_bytes());
        let payload = with_signature("workflow_job", body.as_bytes(), &signature);
        let reply = world.send(&payload).await;
        assert_eq!(reply.status, 401, "{}", reply.body);
        assert!(
            reply.body.contains("cargo xtask secret set webhook"),
            "{}",
            reply.body
        );
    }
    assert_eq!(world.rows().await, Vec::<Value>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_body_that_cannot_be_read_is_400_and_a_large_one_413() {
    let Some(world) = World::up().await else {
        return;
    };
    let job = Job::new(1).queued();
    let without = |path: [&str; 2]| {
        let mut body = job.clone();
        body[path[0]].as_object_mut().unwrap().remove(path[1]);
        body.to_string().into_bytes()
    };
    let with = |path: [&str; 2], value: Value| {
        let mut body = job.clone();
        body[path[0]][path[1]] = value;
        body.to_string().into_bytes()
    };
    let deep = |letter: &str| letter.repeat(10_000).into_bytes();
    for (why, body) in [
        ("empty", Vec::new()),
        ("not JSON", b"payload=%7B%7D".to_vec()),
        ("cut off", job.to_string().into_bytes()[..2000].to_vec()),
        ("another shape", b"[]".to_vec()),
        ("deep arrays", deep("[")),
        ("deep objects", deep("{\"a\":")),
        ("not UTF-8", b"{\"action\":\"\xff\xfe\"}".to_vec()),
        ("no id", without(["workflow_job", "id"])),
        ("no repository", without(["repository", "full_name"])),
        ("an id below zero", with(["workflow_job", "id"], json!(-1))),
        (
            "an id as text",
            with(["workflow_job", "id"], json!("1 OR 1=1")),
        ),
        (
            "labels as text",
            with(["workflow_job", "labels"], json!("base")),
        ),
        (
            "too many labels",
            with(["workflow_job", "labels"], json!(vec!["base"; 33])),
        ),
        (
            "a long label",
            with(["workflow_job", "labels"], json!(["x".repeat(1025)])),
        ),
        (
            "a path as repository",
            with(["repository", "full_name"], json!("acme/../admin")),
        ),
    ] {
        let reply = world.send(&signed("workflow_job", &body)).await;
        assert_eq!(reply.status, 400, "{why}: {}", reply.body);
        let answer = reply.json();
        assert_eq!(answer["error"], "unreadable", "{why}");
        assert!(!answer["reason"].as_str().unwrap().is_empty(), "{why}");
    }
    let mut deep_but_whole = deep("[");
    deep_but_whole.extend(deep("]"));
    let reply = world.send(&signed("push", &deep_but_whole)).await;
    assert_eq!(reply.status, 202, "what is ignored is not kept either");

    for (size, expected) in [(BODY_MAX_BYTES + 1, 413), (BODY_MAX_BYTES, 202)] {
        let mut body = Job::new(2).queued().to_string().into_bytes();
        body.resize(size, b' ');
        let reply = world.send(&signed("workflow_job", &body)).await;
        assert_eq!(reply.status, expected, "{}", reply.body);
    }
    let rows = world.live("job").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_cannot_be_recorded_is_never_answered_2xx() {
    let Some(world) = World::up().await else {
        return;
    };
    let payload = delivery(&Job::new(1).queued());
    let blind = world.without_table();
    let answer = world.invoke(&blind, &payload).await.unwrap();
    assert_eq!(answer["statusCode"], 503, "{answer}");

    world
        .delete_parameter(&world.names.parameter_settings)
        .await;
    let reply = world.send(&payload).await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("cargo xtask up"), "{}", reply.body);
    assert_eq!(world.rows().await, Vec::<Value>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_no_pool_serves_is_refused_with_the_reason_in_its_history() {
    let Some(world) = World::of(Shape {
        pool: |pool| {
            pool.default = false;
            if pool.name == "go" {
                pool.repositories = vec!["acme/tools".to_owned()];
            }
        },
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    for (job, words) in [
        (
            Job::new(1).on(&["gpu"]),
            vec!["gpu", "base, go, lab, self-hosted"],
        ),
        (Job::new(2).on(&["base", "gpu"]), vec!["base, gpu"]),
        // No pool has both.
        (Job::new(3).on(&["base", "go"]), vec!["base, go"]),
        (Job::new(4).on(&["go"]), vec!["acme/app", "repositories"]),
        (Job::new(5).on(&[]), vec!["no runs-on", "default"]),
        (Job::new(6).on(&["Base"]), vec!["Base"]),
    ] {
        let reply = world.send(&delivery(&job.queued())).await;
        let answer = reply.json();
        assert_eq!(answer["decision"], "refused", "{answer}");
        assert_eq!(answer["jobs"][0]["labels"], json!(job.labels));
        let (status, reason) = world.standing(&job).await;
        assert_eq!(status, "failed");
        assert_eq!(answer["reason"], json!(reason));
        for word in words {
            assert!(reason.contains(word), "{reason} does not say {word}");
        }
    }
    world.drain().await;
    assert_eq!(world.living().await, Vec::<String>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_works_at_once_and_the_old_one_no_longer() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    let rotated = "another-webhook-secret-9876543210";
    world.set_secret(Secret::Webhook, rotated).await;
    let body = Job::new(2).queued().to_string();
    let new = signature(rotated, body.as_bytes());
    let new = with_signature("workflow_job", body.as_bytes(), &new);
    // Parameters that were just read are not read again for every bad signature.
    until("the new secret is taken", async || {
        world.send(&new).await.status == 202
    })
    .await;
    let old = delivery(&Job::new(3).queued());
    assert_eq!(world.send(&old).await.status, 401);
    world.end().await;
}
