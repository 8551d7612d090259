//! The promises of the dispatcher, each with a test that goes red when it breaks: the real handler,
//! over DynamoDB and SSM of the emulator, the lab's EC2 and its forge.
//!
//! Every story closes with [`world::World::end`], which looks for secrets wherever nobody should
//! find one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod again;
mod attempts;
mod bombs;
mod budget;
mod caps;
mod crashes;
mod delivery;
mod ec2_answers;
mod fallback;
mod forge_answers;
mod forgejo;
mod hostile;
mod hostile_forge;
mod launches;
mod lease;
mod log;
mod looks;
#[path = "../../../fixtures/mutate.rs"]
mod mutate;
mod mutated;
mod new_images;
mod owed;
mod pauses;
mod process;
mod push;
mod recordings;
mod redelivered;
mod refused;
mod refused_runners;
mod rehearsal;
mod renamed;
mod replaced;
mod runner_route;
mod scale_in;
mod secrets;
mod slow_forge;
mod smoke_test;
#[path = "../support/mod.rs"]
mod support;
mod thousand;
mod tick;
mod twice;
mod wake;
mod world;

/// The function's own process, which tests start from this program.
#[test]
#[ignore = "it serves events until it is killed"]
fn function() {
    dispatcher::lambda::serve().unwrap();
}
