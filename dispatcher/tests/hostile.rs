//! Whatever comes in: never a panic, and what is taken keeps its bounds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use dispatcher::config::no_pool::why_no_pool;
use dispatcher::forge::{KEY_TEXT_MAX_BYTES, LABELS_MAX, TEXT_MAX_BYTES};
use dispatcher::invocation::{HttpRequest, Invocation};
use dispatcher::model::job::Job;
use dispatcher::model::secret::Secret;
use dispatcher::webhook::delivery::{BadDelivery, Delivery};
use dispatcher::webhook::origin::why_foreign;
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use sha2::Sha256;
use stacks::pool::Pool;

use mutate::{mutated, mutations};

#[path = "../../fixtures/mutate.rs"]
mod mutate;

const SECRET: &str = "a-webhook-secret-0123456789";
/// DynamoDB's limit for a sort key.
const SORT_KEY_MAX_BYTES: usize = 1024;
/// Longest reason that still is one, in bytes.
const REASON_MAX_BYTES: usize = 2048;

/// How many of each: `cargo xtask test properties` asks for many more.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(4000)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        // A failing case is printed whole; a file of seeds would be one more thing to keep.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_event_of_any_shape_is_parsed_or_refused(payload in event()) {
        if let Err(error) = Invocation::parse(&payload) {
            prop_assert!(error.to_string().len() < REASON_MAX_BYTES);
        }
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..200),
        name in select(&["workflow_job", "push", "", "\u{0}"][..]),
        kind in select(&["application/json", "application/x-www-form-urlencoded", "x"][..]),
        signed in any::<bool>(),
    ) {
        let signature = if signed { sign(&body) } else { "00".repeat(32) };
        let request = request(&body, name, kind, &signature);
        match Delivery::verify(&request, Secret::new(SECRET.to_owned()).as_ref()) {
            Ok(_) | Err(BadDelivery::Unreadable(_)) => prop_assert!(signed),
            Err(BadDelivery::BadSignature) => prop_assert!(!signed || kind.contains("form")),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn a_mutated_recording_is_refused_or_has_bounds_and_a_decision(
        name in select(RECORDINGS.as_slice()),
        changes in mutations(),
    ) {
        let body = mutated(&recording(name), &changes);
        let request = request(&body, "workflow_job", "application/json", &sign(&body));
        match Delivery::verify(&request, Secret::new(SECRET.to_owned()).as_ref()) {
            Ok(delivery) => if let Some(job) = delivery.job() {
                check_bounds(job);
                check_decision(job);
            },
            Err(BadDelivery::Unreadable(reason)) => prop_assert!(!reason.is_empty()),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}

const RECORDINGS: [&str; 6] = [
    "queued",
    "in_progress",
    "completed_success",
    "completed_cancelled_while_running",
    "queued_labels_fromJSON_array_is_Array",
    "waiting_matrix_needs",
];

/// What is kept of `job` fits where it is written.
fn check_bounds(job: &Job) {
    assert!(job.labels.len() <= LABELS_MAX);
    let texts = [&job.name, &job.head_sha, &job.html_url];
    for text in texts.into_iter().chain(&job.labels) {
        assert!(text.len() <= TEXT_MAX_BYTES);
    }
    assert!(job.key.repository.len() <= KEY_TEXT_MAX_BYTES);
    assert!(format!("job#{}", job.key).len() <= SORT_KEY_MAX_BYTES);
    let (owner, name) = job.key.repository.split_once('/').unwrap();
    let address = format!("https://git.example.com/api/v1/repos/{owner}/{name}");
    let parsed: http::Uri = address.parse().unwrap();
    assert_eq!(parsed.path(), format!("/api/v1/repos/{owner}/{name}"));
}

/// Somebody serves `job`, or a reason says why nobody does.
fn check_decision(job: &Job) {
    let pools = [pool("base", true), pool("go", false)];
    let served = pools
        .iter()
        .any(|pool| pool.serves(&job.key.repository, &job.labels));
    let settings = json!({
        "forge_url": "https://git.example.com", "forge_kind": "gitea", "max_runners": 1,
    });
    let settings = serde_json::from_value(settings).unwrap();
    let mut reasons: Vec<String> = why_foreign(&settings, &job.html_url).into_iter().collect();
    if !served {
        reasons.push(why_no_pool(&pools, job));
    }
    for reason in reasons {
        assert!(
            (1..=REASON_MAX_BYTES).contains(&reason.len()),
            "{} bytes: {reason}",
            reason.len()
        );
    }
}

/// Events with the words of real ones in any place.
fn event() -> impl Strategy<Value = Value> {
    let key = select(
        &[
            "action",
            "authorizer",
            "body",
            "detail",
            "detail-type",
            "headers",
            "iam",
            "instance-id",
            "isBase64Encoded",
            "requestContext",
            "routeKey",
            "state",
            "userArn",
            "x",
        ][..],
    );
    let word = select(
        &[
            "",
            "cleanup",
            "drain",
            "POST /dispatch",
            "POST /runner",
            "EC2 Instance State-change Notification",
            "EC2 Spot Instance Interruption Warning",
            "arn:aws:sts::1:assumed-role/ci-runner/i-0a",
            "arn:aws:sts::1:assumed-role/",
            ":::::",
            "terminated",
            "cGF5bG9hZA==",
        ][..],
    );
    let leaf = prop_oneof![
        4 => word.prop_map(|word| json!(word)),
        1 => any::<String>().prop_map(|text| json!(text)),
        1 => any::<bool>().prop_map(|yes| json!(yes)),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            4 => prop::collection::vec((key.clone(), inner.clone()), 0..6)
                .prop_map(|pairs| Value::Object(
                    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
                )),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

/// A recorded body, less what would only slow down its signature.
fn recording(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/deliveries");
    let body = std::fs::read(folder.join(format!("workflow_job.{name}.body.json"))).unwrap();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    body["repository"] = json!({ "full_name": body["repository"]["full_name"] });
    body["sender"] = json!({ "login": body["sender"]["login"] });
    body.as_object_mut().unwrap().remove("organization");
    body.to_string().into_bytes()
}

fn sign(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

fn request(body: &[u8], event: &str, kind: &str, signature: &str) -> HttpRequest {
    use base64::Engine as _;
    let payload = json!({
        "routeKey": "POST /dispatch",
        "headers": {
            "content-type": kind, "x-gitea-event": event, "x-gitea-signature": signature,
        },
        "body": base64::engine::general_purpose::STANDARD.encode(body),
        "isBase64Encoded": true,
    });
    match Invocation::parse(&payload) {
        Ok(Invocation::Delivery(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn pool(name: &str, default: bool) -> Pool {
    let pool = json!({
        "name": name, "labels": [{ "name": name, "serve": "host" }], "accepts_unlabelled": default,
        "scope": "global", "repositories": ["acme/*"], "clone_token": false,
        "instance_types": ["t3.small"], "subnets": "subnet-a", "capacity": "spot",
        "max_runners": 1, "max_lifetime_minutes": 10, "boot_timeout_minutes": 2,
        "idle_timeout_minutes": 1, "template_id": "lt-1", "template_version": "1",
    });
    serde_json::from_value(pool).unwrap()
}
