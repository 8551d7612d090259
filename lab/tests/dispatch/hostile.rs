//! What can't be taken is refused with a reason, and nothing is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatcher::webhook::delivery::BODY_MAX_BYTES;
use serde_json::{Value, json};
use stacks::names::SecretName;

use crate::delivery::{Job, as_form, delivery, signature, signed, with_signature};
use crate::replaced::ONE_JOB;
use crate::world::{NO_FORGE, Shape, World, now_ms, until};

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
        .delete_parameter(&world.names.secret(SecretName::Webhook))
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
    for (why, body) in [
        ("empty", Vec::new()),
        ("a form that calls itself JSON", b"payload=%7B%7D".to_vec()),
        ("cut off", job.to_string().into_bytes()[..2000].to_vec()),
        ("another shape", b"[]".to_vec()),
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
    let deep_but_whole = "[".repeat(10_000) + &"]".repeat(10_000);
    let deep_but_whole = deep_but_whole.as_bytes();
    let reply = world.send(&signed("status", deep_but_whole)).await;
    assert_eq!(reply.status, 202, "what is ignored is not kept either");
    let reply = world.send(&signed("push", deep_but_whole)).await;
    assert_eq!(reply.status, 400, "what is looked into is read");

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

/// The job is refused, and its history and the answer say why in these words.
async fn is_refused(world: &World, job: &Job, words: &[&str]) {
    let answer = world.send(&delivery(&job.queued())).await.json();
    assert_eq!(answer["decision"], "refused", "{answer}");
    assert_eq!(answer["jobs"][0]["labels"], json!(job.labels));
    let (status, reason) = world.standing(job).await;
    assert_eq!(status, "failed");
    assert_eq!(answer["reason"], json!(reason));
    for word in words {
        assert!(reason.contains(word), "{reason} does not say {word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_no_pool_serves_is_refused_with_the_reason_in_its_history() {
    let Some(world) = World::of(Shape {
        pool: |pool| {
            pool.accepts_unlabelled = false;
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
        (
            Job::new(5).on(&[]),
            vec!["no runs-on", "accepts_unlabelled"],
        ),
        (Job::new(6).on(&["Base"]), vec!["Base"]),
    ] {
        is_refused(&world, &job, &words).await;
    }
    world.drain().await;
    assert_eq!(world.living().await, Vec::<String>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_no_runner_can_have_is_refused_with_its_cause_and_its_cure() {
    let Some(world) = World::of(Shape {
        pool: |pool| pool.repositories = vec!["acme/app".to_owned()],
        ..Shape::default()
    })
    .await
    else {
        return;
    };
    let known = "there is base, go, lab, self-hosted";
    let empty = ["an empty label", "${{ vars.NAME }}", "define it", known];
    let list = ["the one word Array", "fromJSON", "one by one", known];
    let elsewhere = Job {
        repository: "acme/other".to_owned(),
        ..Job::new(6)
    };
    for (job, words) in [
        (Job::new(1).on(&[""]), empty.as_slice()),
        (Job::new(2).on(&["base", ""]), &empty),
        (Job::new(3).on(&["  "]), &empty),
        (Job::new(4).on(&["Array"]), &list),
        (Job::new(5).on(&["base", "Array"]), &list),
        // The default pool serves other repositories only.
        (elsewhere.on(&[]), &["acme/other", "repositories"]),
    ] {
        is_refused(&world, &job, words).await;
    }
    assert_eq!(
        world.deliver(&Job::new(7).on(&[]).queued()).await,
        "recorded"
    );
    world.drain().await;
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_sends_forms_is_as_good_as_one_that_sends_json() {
    let Some(world) = World::up().await else {
        return;
    };
    let body = Job::new(1).queued();
    let form =
        |body: &str, more: &str| as_form(signed("workflow_job", body.as_bytes()), body, more);
    let reply = world.send(&form(&body.to_string(), "")).await;
    assert_eq!(reply.json()["decision"], "recorded", "{}", reply.body);
    assert_eq!(world.deliver(&body).await, "duplicate");
    let rows = world.rows().await;

    let unsigned_field = form(&body.to_string(), "&payload=%7B%7D");
    let mut of_another = form(&body.to_string(), "");
    of_another["body"] = json!(STANDARD.encode("payload=%7B%7D"));
    let mut without = form(&body.to_string(), "");
    without["body"] = json!(STANDARD.encode("data=%7B%7D"));
    for payload in [unsigned_field, of_another, without] {
        assert_eq!(world.send(&payload).await.status, 401);
    }
    assert_eq!(world.send(&form("[", "")).await.status, 400);
    assert_eq!(world.rows().await, rows);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_of_another_forge_is_refused_and_touches_nothing_of_ours() {
    let Some(world) = World::up().await else {
        return;
    };
    let job = Job::new(1);
    world.queue(std::slice::from_ref(&job)).await;
    let rows = world.rows().await;
    let elsewhere = |mut body: Value, page: &str| {
        body["workflow_job"]["html_url"] = json!(page);
        body
    };
    let other = "https://git.example.org/acme/app/actions/runs/1/jobs/1";
    for body in [
        job.queued(),
        job.started("i-0123456789abcdef0"),
        job.ended("cancelled", None),
        Job::new(2).queued(),
    ] {
        let answer = world.send(&delivery(&elsewhere(body, other))).await.json();
        assert_eq!(answer["decision"], "refused", "{answer}");
        let reason = answer["reason"].as_str().unwrap();
        for word in ["git.example.org", lab::FORGE_URL, "root_url"] {
            assert!(reason.contains(word), "{reason} does not say {word}");
        }
    }
    assert_eq!(world.rows().await, rows);
    // The same forge behind a proxy.
    let ours = elsewhere(Job::new(2).queued(), "https://Forge.lab/git/acme/app");
    assert_eq!(world.deliver(&ours).await, "recorded");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_sent_again_a_day_later_launches_nothing() {
    let Some(world) = World::up().await else {
        return;
    };
    let (served, cancelled) = (Job::new(1), Job::new(2));
    world.queue(&[served.clone(), cancelled.clone()]).await;
    world.deliver(&served.started("another runner")).await;
    let end = served.ended("success", Some("another runner"));
    world.deliver(&end).await;
    world.deliver(&cancelled.ended("cancelled", None)).await;
    for job in [&served, &cancelled] {
        let row = world.history(job).await;
        let kept_s = row["ttl"].as_u64().unwrap() - now_ms() / 1000;
        assert!(kept_s > 91 * 24 * 3600, "{kept_s}");
        assert_eq!(world.deliver(&job.queued()).await, "duplicate");
    }
    world.drain().await;
    assert_eq!(world.instances().await.len(), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_ledger_is_taken_only_if_it_waits_at_the_forge() {
    let Some(world) = World::up().await else {
        return;
    };
    let old = |job: &Job| {
        let mut body = job.queued();
        body["workflow_job"]["created_at"] = json!("2020-02-29T12:00:00Z");
        body
    };
    let gone = Job::new(4711);
    let answer = world.send(&delivery(&old(&gone))).await.json();
    assert_eq!(answer["decision"], "duplicate", "{answer}");
    assert_eq!(world.rows().await, Vec::<Value>::new());
    // A rerun of an old job has its day of birth.
    let jobs = world.push(ONE_JOB).await;
    assert_eq!(world.deliver(&old(&jobs[0])).await, "recorded");
    // A machine too many is better than a job that hangs.
    let blind = world.cold(NO_FORGE);
    assert_eq!(world.deliver_to(&blind, &old(&gone)).await, "recorded");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_works_at_once_and_the_old_one_no_longer() {
    let Some(world) = World::up().await else {
        return;
    };
    world.queue(&[Job::new(1)]).await;
    let rotated = "another-webhook-secret-9876543210";
    world.set_secret(SecretName::Webhook, rotated).await;
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
