//! Signed deliveries with something wrong in them, through the whole function.

use std::time::{Duration, Instant};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::delivery::{as_form, body_of, names, signed};
use crate::mutate::{mutated, mutations};
use crate::world::World;

/// Deliveries sent: some seconds against the emulator.
const DELIVERIES: usize = 400;
/// Longest time for one, debug build and busy machine included: a forge gives up after five.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_delivery_with_something_wrong_in_it_is_answered_soon_and_never_5xx() {
    let Some(world) = World::up().await else {
        return;
    };
    let of_1_27 = names("gitea-1.27.3").into_iter();
    let of_1_27 = of_1_27.map(|name| format!("gitea-1.27.3/{name}"));
    let mut recordings: Vec<String> = names("")
        .into_iter()
        .chain(of_1_27)
        .filter(|name| name.contains("workflow_job."))
        .collect();
    recordings.sort();
    // The same cases in every run.
    let mut runner = TestRunner::deterministic();
    let strategy = mutations();
    let mut seen = std::collections::BTreeMap::new();
    for index in 0..DELIVERIES {
        let name = &recordings[index % recordings.len()];
        let changes = strategy.new_tree(&mut runner).unwrap().current();
        let body = mutated(&body_of(name), &changes);
        let mut payload = signed("workflow_job", &body);
        if index % 7 == 0
            && let Ok(text) = std::str::from_utf8(&body)
        {
            payload = as_form(payload, text, "");
        }
        let started = Instant::now();
        let reply = world.send(&payload).await;
        let took = started.elapsed();
        assert!(took < PATIENCE, "{name} {changes:?}: {took:?}");
        assert!(
            [202, 400, 413].contains(&reply.status),
            "{name} {changes:?}: {} {}",
            reply.status,
            reply.body
        );
        let decision = reply.json()["decision"].as_str().map(str::to_owned);
        let kind = decision.unwrap_or_else(|| reply.status.to_string());
        *seen.entry(kind).or_insert(0) += 1;
    }
    eprintln!("{seen:?}");
    for kind in ["recorded", "duplicate", "refused", "ignored", "400"] {
        assert!(seen.contains_key(kind), "no case was {kind}: {seen:?}");
    }
    // What was taken can be read back and worked on.
    world.drain().await;
    world.tick().await;
    world.end().await;
}
