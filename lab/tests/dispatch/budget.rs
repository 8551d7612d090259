//! What a deployment costs while nothing happens: the calls of an idle reconcile, counted, times prices.
//! `docs/cost.md` has its figures from here.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::delivery::{Job, delivery, with_signature};
use crate::support::tap::{Call, Heard};
use crate::world::World;

/// Prices in dollars, eu-west-1, as known on 2026-11-30; those of DynamoDB are not verified. Of free
/// allowances only those count that never end, and are named.
mod price {
    /// A unit of consistent reading: one query that finds up to 4 KB.
    pub(super) const READ_UNIT: f64 = 0.1415e-6;
    /// A unit of writing. One item in a transaction is two.
    pub(super) const WRITE_UNIT: f64 = 0.705e-6;
    /// One decryption by KMS; 20,000 a month are free.
    pub(super) const DECRYPTION: f64 = 0.03e-4;
    /// A request of Lambda.
    pub(super) const REQUEST: f64 = 0.20e-6;
    /// A gigabyte-second of Lambda on arm64.
    pub(super) const GIGABYTE_SECOND: f64 = 13.3334e-6;
    /// Calls without a price: Describe calls of EC2, standard parameters.
    pub(super) const FREE: [&str; 2] = ["ec2:DescribeInstances", "ssm:GetParametersByPath"];
}

/// Reconciles a month, one a minute.
const RECONCILES: f64 = 730.0 * 60.0;
/// What Lambda bills for one: measured in the lab it is far less, but AWS is not on this machine.
const BILLED_S: f64 = 0.5;
const MEMORY_GB: f64 = 0.25;

/// What AWS bills for a call beside the function's own time.
fn price_of(call: &Call) -> f64 {
    match call.name.as_str() {
        "dynamodb:Query" => price::READ_UNIT,
        "dynamodb:TransactWriteItems" => 2.0 * price::WRITE_UNIT,
        "ssm:GetParametersByPath" if decrypts(call) => 4.0 * price::DECRYPTION,
        name if price::FREE.contains(&name) => 0.0,
        name => panic!("{name} has no price here"),
    }
}

fn decrypts(call: &Call) -> bool {
    String::from_utf8_lossy(&call.body).contains("\"WithDecryption\":true")
}

fn names(calls: &[Call]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.name.as_str()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_reconcile_costs_what_the_page_of_costs_says() {
    let Some(world) = World::up().await else {
        return;
    };
    let heard = Heard::default();
    let handler = world.tapped(&heard, &world.bench.lab.file().forge).await;
    // Something was there once, and the function is warm.
    let job = Job::new(1);
    world.queue(std::slice::from_ref(&job)).await;
    world.tick_by(&handler).await;
    let machine = world.the_instance().await;
    world.take(&job, &machine).await;
    world.deliver(&job.ended("success", Some(&machine))).await;
    world.lose(&machine).await;
    world.tick_by(&handler).await;
    let forged = with_signature("workflow_job", b"{}", "00");
    world.invoke(&handler, &forged).await.unwrap();
    heard.take();

    world.tick_by(&handler).await;
    let idle = heard.take();
    let expected = [("dynamodb:Query", 1), ("ec2:DescribeInstances", 1)];
    assert_eq!(names(&idle), expected.into());

    // Once a minute the parameters are asked for; a bad signature asks sooner.
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    world.invoke(&handler, &forged).await.unwrap();
    let again = heard.take();
    assert_eq!(names(&again), [("ssm:GetParametersByPath", 1)].into());
    assert!(!again.iter().any(decrypts), "nothing has changed");

    let calls: f64 = idle.iter().chain(&again).map(price_of).sum();
    let function = price::REQUEST + BILLED_S * MEMORY_GB * price::GIGABYTE_SECOND;
    let (calls, function) = (calls * RECONCILES, function * RECONCILES);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cost.md");
    let page = std::fs::read_to_string(page).unwrap();
    for line in [
        format!(
            "| **idle**: a reconcile a minute, 256 MB for half a second each | {function:.2} |"
        ),
        format!(
            "| its calls: one query, one `DescribeInstances`, one `GetParametersByPath` without decryption | {calls:.2} |"
        ),
    ] {
        assert!(page.contains(&line), "docs/cost.md lacks: {line}");
    }
    eprintln!("idle, a month: the function {function:.4}, its calls {calls:.4} dollars");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_is_decrypted_and_counts_at_once() {
    let Some(world) = World::up().await else {
        return;
    };
    let heard = Heard::default();
    let handler = world.tapped(&heard, &world.bench.lab.file().forge).await;
    let job = Job::new(1).queued();
    assert_eq!(world.deliver_to(&handler, &job).await, "recorded");
    heard.take();
    let rotated = "another-secret-of-the-hook-0123456789";
    let name = stacks::names::SecretName::Webhook;
    world.set_secret(name, rotated).await;
    tokio::time::sleep(Duration::from_millis(5_100)).await;

    let body = Job::new(2).queued().to_string();
    let signature = crate::delivery::signature(rotated, body.as_bytes());
    let signed = with_signature("workflow_job", body.as_bytes(), &signature);
    let answer = world.invoke(&handler, &signed).await.unwrap();
    assert_eq!(answer["statusCode"], 202, "{answer}");
    let calls = heard.take();
    let asked: Vec<bool> = calls
        .iter()
        .filter(|call| call.name == "ssm:GetParametersByPath")
        .map(decrypts)
        .collect();
    assert_eq!(asked, [false, true], "the versions, then the values");
    let old = world.invoke(&handler, &delivery(&job)).await.unwrap();
    assert_eq!(old["statusCode"], 401);
    world.end().await;
}
