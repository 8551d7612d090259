//! One story, from its beginning to its end.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use dispatcher::simulation::Fault;
use serde_json::json;
use stacks::names::ACTION_CLEANUP;
use tokio::time::MissedTickBehavior;

use crate::account;
use crate::generate::generate;
use crate::invoke::TICK;
use crate::promises::TICK_S;
use crate::story::{Act, Message, Step, Story};
use crate::world::World;

/// Stack of the thread that plays: futures of a debug build are large.
const STACK_BYTES: usize = 32 << 20;
/// How long after its last line a story may take to settle: a job may wait for three machines, each for its
/// boot timeout, with a minute between.
const SETTLES_WITHIN_S: u64 = 40 * 60;
/// How often it is asked whether it has.
const LOOK: Duration = Duration::from_secs(5);
/// How many ticks must have found nothing to do in the end.
const IDLE_TICKS: u32 = 1;
/// The same while a job waits at the forge in vain: each tick sees it, and none may do anything about it.
const IDLE_TICKS_BESIDE: u32 = 2;

/// What came of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The promises that were broken, in words; none is what everybody wants.
    pub violations: Vec<String>,
    /// What happened, with its milliseconds since the beginning.
    pub trace: Vec<(u64, String)>,
    /// How long it took until it had settled, in the story's own seconds.
    pub seconds: u64,
    /// How many machines were launched.
    pub machines: usize,
    /// What DynamoDB was asked, where that was to be kept: operation, body, and when.
    pub exchanges: Vec<(String, String, u64)>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at_ms, what) in &self.trace {
            let (minutes, seconds, ms) = (at_ms / 60_000, at_ms / 1000 % 60, at_ms % 1000);
            writeln!(f, "{minutes:02}:{seconds:02}.{ms:03}  {what}")?;
        }
        for violation in &self.violations {
            writeln!(f, "BROKEN: {violation}")?;
        }
        Ok(())
    }
}

/// How a story is played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Playing {
    /// A promise that the product breaks on purpose.
    pub fault: Option<Fault>,
    /// Whether what DynamoDB was asked is kept.
    pub records: bool,
}

/// What DynamoDB is asked in the story of `seed`: operation, body, and when.
#[must_use]
pub fn recorded(seed: u64) -> Vec<(String, String, u64)> {
    let playing = Playing {
        records: true,
        ..Playing::default()
    };
    play(&generate(seed), playing).exchanges
}

/// Plays a story to its end.
#[must_use]
pub fn play(story: &Story, playing: Playing) -> Outcome {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        let playing = thread.spawn_scoped(scope, || play_here(story, playing));
        let outcome = playing.expect("a thread can be had").join();
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn play_here(story: &Story, playing: Playing) -> Outcome {
    fastrand::seed(story.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    runtime.block_on(played(story, playing))
}

async fn played(story: &Story, playing: Playing) -> Outcome {
    let world = World::new(story);
    *world
        .fleet
        .fault
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = playing.fault;
    world.state().watch.records = playing.records;
    // The first tick says since when the deployment is there.
    let first = world
        .invoke(TICK, json!({ "action": ACTION_CLEANUP }))
        .await;
    first.expect("nothing is wrong before a story begins");
    world.start();
    tokio::spawn(Arc::clone(&world).run_forge());
    tokio::spawn(tick(Arc::clone(&world)));
    world.begin();
    let until_ms = until_s(story) * 1000;
    let settled = loop {
        tokio::time::sleep(LOOK).await;
        world.look_at_waiting();
        if !world.state().watch.violations.is_empty() {
            break true;
        }
        let passed_ms = world.passed_ms();
        if !world.is_settled() {
            world.state().watch.idle_ticks = 0;
        }
        let needed = if world.some_wait() {
            IDLE_TICKS_BESIDE
        } else {
            IDLE_TICKS
        };
        if world.state().watch.idle_ticks >= needed {
            break true;
        }
        if passed_ms > until_ms {
            break false;
        }
    };
    let seconds = world.passed_ms() / 1000;
    if settled && world.state().watch.violations.is_empty() {
        epilogue(&world).await;
    }
    if world.state().watch.violations.is_empty() {
        world.look_at_the_end(settled);
    }
    let mut state = world.state();
    Outcome {
        violations: std::mem::take(&mut state.watch.violations),
        trace: std::mem::take(&mut state.trace),
        seconds,
        machines: state.machines.len(),
        exchanges: std::mem::take(&mut state.watch.exchanges),
    }
}

/// When a story should have settled: its jobs may have to take turns on one machine.
fn until_s(story: &Story) -> u64 {
    let ends_s = story
        .steps
        .iter()
        .filter_map(Step::at_s)
        .max()
        .unwrap_or_default();
    let limit_s = account::LIMIT_MINUTES * 60;
    let turns_s = story.steps.iter().map(|step| match step {
        Step::At(_, Act::Run { jobs, seconds, .. }) => jobs * (90 + (*seconds).min(limit_s)),
        // Every job of a run once more, and no run of a story has more jobs.
        Step::At(_, Act::Rerun(_)) => 4 * (90 + limit_s),
        Step::At(..) | Step::Call(..) | Step::Machine(..) | Step::Message(..) | Step::Clock(..) => {
            0
        }
    });
    u64::from(ends_s + turns_s.sum::<u32>()) + SETTLES_WITHIN_S
}

/// What is sent again when the ledger has forgotten everything.
async fn epilogue(world: &Arc<World>) {
    let later = world.story.steps.iter().filter_map(|step| match step {
        Step::At(_, Act::RedeliverLater(nth)) => Some(*nth),
        Step::At(..) | Step::Call(..) | Step::Machine(..) | Step::Message(..) | Step::Clock(..) => {
            None
        }
    });
    let later: Vec<u32> = later.collect();
    if later.is_empty() {
        return;
    }
    tokio::time::advance(Duration::from_hours(24 * 93)).await;
    let now_ms = world.now_ms();
    let expired = world.state().table.expire(now_ms);
    world.tell(format!("three months later, {expired} rows have expired"));
    for nth in later {
        world.send_again(nth);
    }
    tokio::time::sleep(Duration::from_mins(4)).await;
}

/// The schedule: one tick a minute, whatever became of the one before.
async fn tick(world: Arc<World>) {
    tokio::time::sleep(Duration::from_secs(17)).await;
    let mut ticks = tokio::time::interval(Duration::from_secs(TICK_S));
    // Three months may pass in between.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        world.send(Message::Tick, 0, |world| async move {
            let event = json!({ "action": ACTION_CLEANUP });
            match world.invoke(TICK, event).await {
                Ok(_) => world.look_at_ages(),
                Err(why) => world.tell(format!("tick: {why}")),
            }
        });
    }
}
