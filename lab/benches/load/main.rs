//! How the dispatcher carries a load: a thousand jobs at once, the time of an answer while its
//! neighbours are slow, and the most deliveries that the lab sustains.
//!
//! ```sh
//! cargo bench --profile dev --workspace --bench load              # all, five to eight minutes
//! cargo bench --profile dev --workspace --bench load -- answers   # burst, answers, minute, path
//! cargo bench --profile dev --workspace --bench load -- minute path --seconds 10
//! ```
//!
//! The profile is that of the tests, whose dependencies are there; with another the SDK is compiled
//! once more. So the figures of our own code are those of a debug build, and AWS is an emulator in
//! Python on the same two cores: compare lines of one run with each other, not with AWS.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails by panicking, and prints what it found"
)]

mod answers;
mod burst;
mod measure;
mod minute;
mod path;
#[path = "../../tests/support/mod.rs"]
mod support;
// The deployment of the stories, of which each bench uses its part.
#[allow(dead_code, reason = "shared with the stories")]
#[path = "../../tests/dispatch"]
mod stories {
    pub(crate) mod delivery;
    pub(crate) mod world;
}

use std::time::Duration;

use stories::{delivery, world};

/// The stories keep what is logged; here that would only cost time.
#[allow(dead_code, reason = "shared with the stories")]
mod log {
    pub(crate) fn start() {}

    pub(crate) fn text() -> String {
        String::new()
    }
}

/// How long deliveries are sent at the highest rate, unless `--seconds` says otherwise.
const SECONDS: u64 = 60;
const PARTS: [&str; 4] = ["burst", "answers", "minute", "path"];

#[tokio::main]
async fn main() {
    let mut seconds = SECONDS;
    let mut chosen: Vec<String> = Vec::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--seconds" => seconds = words.next().and_then(|n| n.parse().ok()).unwrap(),
            part if PARTS.contains(&part) => chosen.push(word),
            _ => panic!("unknown: {word}; there are --seconds N and {PARTS:?}"),
        }
    }
    let has = |part: &str| chosen.is_empty() || chosen.iter().any(|one| one == part);
    let time = Duration::from_secs(seconds);
    if has("burst") {
        burst::run().await;
    }
    if has("answers") {
        answers::run().await;
    }
    if has("minute") {
        minute::run(time).await;
    }
    if has("path") {
        path::run(time).await;
    }
}
