//! Every crash point: the function is killed outright after each call that it makes (what is written to AWS
//! and to the forge, and what is read between), before it hears the answer. What was on its way is told again
//! as its source would, the world goes on with ticks, and in the end all is as if nothing had happened.
//!
//! Nobody lists the calls of a handler: it is killed after one more each time, until it is done before.

mod play;
mod state;
mod story;

use std::time::Instant;

use lab::ForgeProgram;
use serde_json::json;

use self::play::Play;
use self::state::State;
use self::story::{Event, Story};
use crate::process::Function;
use crate::support;
use crate::support::tap::INVOKE;
use crate::world::World;

const READ: &str = "dynamodb:Query";
const WRITE: &str = "dynamodb:TransactWriteItems";
const PARAMETERS: &str = "ssm:GetParametersByPath";
const REGISTER: &str = "http:POST /api/actions/runner.v1.RunnerService/Register";
const UNREGISTER: &str = "http:DELETE /api/v1/admin/actions/runners/";

/// More calls than any handler makes for a job or two.
const POINTS_MAX: usize = 60;

/// A handler that is killed in a story.
struct Handler {
    story: Story,
    event: Event,
    /// Calls without which it is not the handler that is meant, by their beginning.
    calls: &'static [&'static str],
    /// Whether what its machine was given may get lost with it, so that another has to take its place.
    may_lose_a_machine: bool,
}

const fn handler(story: Story, event: Event, calls: &'static [&'static str]) -> Handler {
    Handler {
        story,
        event,
        calls,
        may_lose_a_machine: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_of_a_job_and_the_drain_that_launches_for_it() {
    let launches = &[PARAMETERS, READ, WRITE, "ec2:RunInstances"];
    every_point(&[
        handler(Story::Served, Event::Queued, &[PARAMETERS, WRITE, INVOKE]),
        handler(Story::Served, Event::Nudge, launches),
        handler(Story::NoCapacity, Event::Nudge, launches),
    ])
    .await;
}

/// A credential is given once. Where it got lost with the function, the machine gives up, and another one is
/// launched.
#[tokio::test(flavor = "multi_thread")]
async fn a_machines_request_and_what_the_forge_tells_of_its_job() {
    let asks = Handler {
        may_lose_a_machine: true,
        ..handler(Story::Served, Event::Ask, &[READ, WRITE, REGISTER])
    };
    every_point(&[
        asks,
        handler(Story::Served, Event::Started, &[PARAMETERS, WRITE]),
        handler(Story::Served, Event::Ended, &[PARAMETERS, WRITE]),
        handler(Story::Cancelled, Event::Ended, &[WRITE, INVOKE]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_machine() {
    let replaces = &[READ, WRITE, "ec2:RunInstances", UNREGISTER];
    every_point(&[
        handler(Story::Served, Event::Gone, &[READ, WRITE]),
        handler(Story::LostIdle, Event::Gone, replaces),
        handler(Story::OverLimit, Event::Gone, &[READ, WRITE]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_ends_machines_and_sends_a_launch_again() {
    let tick = &["ec2:TerminateInstances", WRITE, "ec2:RunInstances"];
    every_point(&[
        handler(Story::Overdue, Event::Tick, tick),
        handler(Story::OverLimit, Event::Tick, &["ec2:TerminateInstances"]),
        handler(Story::Cancelled, Event::Nudge, &["ec2:TerminateInstances"]),
    ])
    .await;
}

/// Plays the story of each handler without a crash, and once more for each of its calls.
async fn every_point(handlers: &[Handler]) {
    if support::forge() != ForgeProgram::default() {
        // It is the function that dies: with another forge nothing else is killed.
        return;
    }
    let Some(world) = World::up().await else {
        return;
    };
    let mut function = Function::of(&world).await;
    let organization = json!({ "username": "acme" });
    world.forge("POST", "orgs", &organization).await;
    // From the first tick on, what waits at the forge is served although nobody has told of it.
    world.tick().await;
    let mut wrong = Vec::new();
    for handler in handlers {
        let begun = Instant::now();
        let (story, event) = (handler.story, handler.event);
        let expected = Play::of(&world, &mut function, story, event, None).await;
        for call in handler.calls {
            let is_made = expected.calls.iter().any(|one| one.starts_with(call));
            assert!(is_made, "{story:?}, {event:?}: no {call}: {expected:#?}");
        }
        let mut points = 0;
        loop {
            let at = points + 1;
            let played = Play::of(&world, &mut function, story, event, Some(at)).await;
            let call = played.calls.get(points).map_or("the end", String::as_str);
            let point = format!("{story:?}, {event:?}, call {at}: {call}");
            let difference = difference(handler, &expected.state, &played.state);
            wrong.extend(difference.map(|what| format!("{point}:\n{what}")));
            if !played.is_killed {
                break;
            }
            points = at;
            assert!(points < POINTS_MAX, "{point}: there is no end of them");
        }
        let took = begun.elapsed().as_secs_f64();
        let calls = expected.calls.join(", ");
        eprintln!("{story:?}, {event:?}: killed at {points} points, {took:.1} s: {calls}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.end().await;
}

/// What is not as it is without a crash.
fn difference(handler: &Handler, expected: &State, seen: &State) -> Option<String> {
    let lost_before = expected.unused.len();
    let lost = seen.unused.len();
    let allowed = lost == lost_before || handler.may_lose_a_machine && lost == lost_before + 1;
    // All else is told of jobs and of machines that had one.
    let as_expected = State {
        unused: expected.unused.clone(),
        machines: (seen.machines + lost_before).saturating_sub(lost),
        ..seen.clone()
    };
    if allowed && as_expected == *expected {
        return None;
    }
    let (expected, seen) = (format!("{expected:#?}"), format!("{seen:#?}"));
    let only = |of: &str, other: &str| {
        let lines = of.lines().filter(|line| !other.contains(line));
        lines.collect::<Vec<_>>().join("\n")
    };
    let (without, with) = (only(&expected, &seen), only(&seen, &expected));
    Some(format!("without a crash\n{without}\nwith it\n{with}"))
}
