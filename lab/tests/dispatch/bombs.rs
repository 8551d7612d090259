//! Bodies and headers that are made to be expensive or ambiguous, all of them signed.

use std::time::{Duration, Instant};

use dispatcher::forge::LABELS_MAX;
use dispatcher::webhook::delivery::BODY_MAX_BYTES;
use serde_json::{Value, json};

use crate::delivery::{Job, delivery, signature, signed, with_signature};
use crate::world::{Reply, World};

/// Longest time for one delivery of four megabytes in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Job `id` with `value`, as raw JSON, in a field of `workflow_job`.
fn job_with(id: u64, field: &str, value: &str) -> Vec<u8> {
    let mut body = Job::new(id).queued();
    body["workflow_job"][field] = json!("HERE");
    body.to_string().replace("\"HERE\"", value).into_bytes()
}

async fn sent(world: &World, why: &str, body: &[u8]) -> Reply {
    let started = Instant::now();
    let reply = world.send(&signed("workflow_job", body)).await;
    let took = started.elapsed();
    assert!(took < PATIENCE, "{why}: {took:?}");
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_may_be_as_deep_and_wide_as_it_likes() {
    let Some(world) = World::up().await else {
        return;
    };
    let deep = |open: &str, close: &str| open.repeat(100_000) + "1" + &close.repeat(100_000);
    let keys: Vec<String> = (0..100_000).map(|key| format!("\"{key}\":{key}")).collect();
    let long = "9".repeat(3 * 1024 * 1024);
    for (id, (why, value)) in [
        ("deep arrays", deep("[", "]")),
        ("deep objects", deep("{\"a\":", "}")),
        ("many keys", format!("{{{}}}", keys.join(","))),
        ("the same key twice", "{\"a\":1,\"a\":2}".to_owned()),
        ("a long number", long.clone()),
        ("a long text", format!("\"{long}\"")),
        ("a huge exponent", "1e999999999".to_owned()),
        ("nothing", "null".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let body = job_with(u64::try_from(id).unwrap(), "steps", &value);
        let reply = sent(&world, why, &body).await;
        assert_eq!(
            reply.json()["decision"],
            "recorded",
            "{why}: {}",
            reply.body
        );
    }
    let mut body = Job::new(100).queued().to_string().into_bytes();
    let at = body
        .windows(8)
        .position(|part| part == b"labadmin")
        .unwrap();
    body[at] = 0xff;
    let reply = sent(&world, "not UTF-8", &body).await;
    assert_eq!(reply.json()["decision"], "recorded", "{}", reply.body);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_bounded() {
    let Some(world) = World::up().await else {
        return;
    };
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let labels = vec!["\"\""; BODY_MAX_BYTES / 4].join(",");
    let text = |length: usize| format!("\"{}\"", "x".repeat(length));
    let megabyte = text(1024 * 1024);
    for (why, field, value) in [
        ("deep labels", "labels", deep),
        ("a million labels", "labels", format!("[{labels}]")),
        ("a long number", "id", "9".repeat(3 * 1024 * 1024)),
        ("a huge exponent", "id", "1e999999999".to_owned()),
        ("a fraction", "id", "1.0".to_owned()),
        ("a long name", "name", megabyte.clone()),
        ("a long commit", "head_sha", megabyte.clone()),
        ("a long address", "html_url", megabyte.clone()),
        ("a long conclusion", "conclusion", megabyte.clone()),
        ("a long runner", "runner_name", megabyte),
        ("a runner too long for a key", "runner_name", text(1020)),
        ("half a character", "name", "\"\\ud800\"".to_owned()),
    ] {
        let reply = sent(&world, why, &job_with(1, field, &value)).await;
        assert_eq!(reply.status, 400, "{why}: {}", reply.body);
        assert!(reply.body.len() < 1000, "{why}: {}", reply.body.len());
    }
    let body = Job::new(1).queued().to_string();
    let twice = body.replacen('{', "{\"action\":\"completed\",", 1);
    let marked = format!("\u{feff}{body}");
    for (why, body) in [("an action twice", twice), ("a byte order mark", marked)] {
        let reply = sent(&world, why, body.as_bytes()).await;
        assert_eq!(reply.status, 400, "{why}: {}", reply.body);
    }
    let mut body = body.into_bytes();
    let at = body.windows(5).position(|part| part == b"job 1").unwrap();
    body[at] = 0xff;
    let reply = sent(&world, "a name that is not UTF-8", &body).await;
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert_eq!(world.rows().await, Vec::<Value>::new());

    // At the bound it is written, key and all.
    let mut most = Job::new(2).on(&vec!["base"; LABELS_MAX]);
    most.repository = format!("acme/{}", "x".repeat(955));
    let mut body = most.queued();
    body["workflow_job"]["id"] = json!(u64::MAX);
    body["workflow_job"]["run_attempt"] = json!(u64::MAX);
    let reply = sent(&world, "the most", body.to_string().as_bytes()).await;
    assert_eq!(reply.json()["decision"], "recorded", "{}", reply.body);
    world.drain().await;
    assert_eq!(world.living().await.len(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_headers_is_passed_over() {
    let Some(world) = World::up().await else {
        return;
    };
    let mut flood = delivery(&Job::new(1).queued());
    let headers = flood["headers"].as_object_mut().unwrap();
    for index in 0..20_000 {
        headers.insert(format!("x-{index}"), json!("y".repeat(50)));
    }
    headers.insert("x-long".to_owned(), json!("z".repeat(2 * 1024 * 1024)));
    headers.insert("x-gitea-".to_owned(), json!(null));
    headers.insert(String::new(), json!(["a", 1, {}]));
    let started = Instant::now();
    let reply = world.send(&flood).await;
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(reply.json()["decision"], "recorded", "{}", reply.body);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_say_two_things_or_none_are_not_believed() {
    let Some(world) = World::up().await else {
        return;
    };
    let body = Job::new(1).queued().to_string();
    let good = signature(lab::WEBHOOK_SECRET, body.as_bytes());
    let with = |value: &Value| {
        let mut payload = with_signature("workflow_job", body.as_bytes(), &good);
        let headers = payload["headers"].as_object_mut().unwrap();
        headers.remove("x-hub-signature-256");
        headers.insert("x-gitea-signature".to_owned(), value.clone());
        payload
    };
    for (why, value) in [
        // API Gateway joins headers of one name by a comma.
        (
            "two signatures",
            json!(format!("{good},{}", "0".repeat(64))),
        ),
        ("the same twice", json!(format!("{good},{good}"))),
        ("a list", json!([good])),
        ("a number", json!(1)),
        ("nothing", json!(null)),
        ("not UTF-8 on its way", json!(format!("\u{fffd}{good}"))),
        ("a wide character", json!("é".repeat(32))),
        ("a long one", json!("a".repeat(1024 * 1024))),
    ] {
        let reply = world.send(&with(&value)).await;
        assert_eq!(reply.status, 401, "{why}: {}", reply.body);
    }
    for headers in [json!(null), json!([]), json!("x"), json!({})] {
        let mut payload = with_signature("workflow_job", body.as_bytes(), &good);
        payload["headers"] = headers;
        assert_eq!(world.send(&payload).await.status, 401);
    }
    for missing in [json!(null), json!(1), json!([])] {
        let mut payload = signed("workflow_job", b"");
        payload["body"] = missing;
        assert_eq!(world.send(&payload).await.status, 400);
        payload.as_object_mut().unwrap().remove("body");
        assert_eq!(world.send(&payload).await.status, 400);
    }
    let mut twice = signed("workflow_job", body.as_bytes());
    twice["headers"]["x-gitea-event"] = json!("workflow_job,workflow_job");
    let reply = world.send(&twice).await.json();
    assert_eq!(reply["decision"], "ignored");
    assert!(
        reply["reason"]
            .as_str()
            .unwrap()
            .contains("workflow_job,workflow_job")
    );
    assert_eq!(world.rows().await, Vec::<Value>::new());
    world.end().await;
}
