//! A story from a seed: a few runs, and a few things that go wrong, each drawn. What is rare alone and bad
//! together is drawn together: a burst under a small cap while two drains are at work, a launch that comes to
//! nothing in the middle of its candidates, an image that is broken.

use fastrand::Rng;

use crate::account::REPOSITORIES;
use crate::story::{Act, CallFault, FORGES, MachineFault, Message, Passage, Step, Story};

/// The calls that a story can let go wrong, each as often as it stands here.
const CALLS: [&str; 17] = [
    "claim",
    "TransactWriteItems",
    "TransactWriteItems",
    "TransactWriteItems",
    "Query",
    "RunInstances",
    "RunInstances",
    "TerminateInstances",
    "DescribeInstances",
    "Invoke",
    "GetParametersByPath",
    "Register",
    "GET jobs",
    "GET job",
    "PATCH runner",
    "DELETE runner",
    "POST status",
];

/// The story of `seed`.
#[must_use]
pub fn generate(seed: u64) -> Story {
    let mut rng = Rng::with_seed(seed ^ 0x005e_ed0f_a570_71e5);
    let (forge, _) = FORGES[rng.usize(..FORGES.len())];
    let mut steps = Vec::new();
    let runs = rng.u32(1..=3);
    for _ in 0..runs {
        let act = Act::Run {
            repository: REPOSITORIES[rng.usize(..REPOSITORIES.len())].to_owned(),
            jobs: rng.u32(1..=3),
            label: if rng.u32(..8) == 0 { "gpu" } else { "base" }.to_owned(),
            seconds: [8, 20, 45, 90, 330][rng.usize(..5)],
        };
        steps.push(Step::At(rng.u32(..60), act));
    }
    for _ in 0..rng.u32(1..=6) {
        steps.push(trouble(&mut rng, runs));
    }
    match rng.u32(..16) {
        0 | 1 => steps.extend(burst(&mut rng)),
        2 | 3 => steps.extend(short_of_capacity(&mut rng)),
        4 => steps.extend((1..=3).map(|nth| Step::Machine(nth, MachineFault::NeverBoots))),
        _ => {}
    }
    // As it is printed: what happens at one moment happens in the order of the lines.
    steps.sort_by_key(Step::place);
    Story {
        title: format!("seed {seed}"),
        forge,
        machines_max: [1, 1, 2, 3, 4][rng.usize(..5)],
        seed,
        steps,
        expect: Vec::new(),
    }
}

fn trouble(rng: &mut Rng, runs: u32) -> Step {
    match rng.u32(..100) {
        0..45 => call(rng),
        45..60 => message(rng),
        60..68 => {
            let fault = match rng.u32(..3) {
                0 => MachineFault::NeverBoots,
                1 => MachineFault::BootsIn(rng.u32(30..260)),
                _ => MachineFault::Hangs,
            };
            Step::Machine(rng.u32(1..=3), fault)
        }
        68..74 => Step::Clock(rng.u32(1..=3), rng.i32(-12..=12)),
        _ => Step::At(rng.u32(5..200), act(rng, runs)),
    }
}

/// Jobs of both repositories within seconds, and a drain that is not alone in the middle of its work. By the
/// clock of who records one it may be older than those that were there before.
fn burst(rng: &mut Rng) -> Vec<Step> {
    let begins = rng.u32(..40);
    let mut steps = Vec::new();
    for nth in 0..3 {
        let act = Act::Run {
            repository: REPOSITORIES[rng.usize(..REPOSITORIES.len())].to_owned(),
            jobs: rng.u32(1..=2),
            label: "base".to_owned(),
            seconds: 45,
        };
        steps.push(Step::At(begins + nth, act));
    }
    for _ in 0..rng.u32(1..=2) {
        let (name, most) = [("claim", 3), ("claim", 3), ("TransactWriteItems", 24)][rng.usize(..3)];
        let nth = rng.u32(1..=most);
        steps.push(Step::Call(name.to_owned(), nth, CallFault::LeaseLost));
    }
    if rng.bool() {
        steps.push(Step::Clock(rng.u32(1..=3), rng.i32(-12..-3)));
    }
    steps
}

/// The first candidates of a launch have no capacity, and the function dies at one of them.
fn short_of_capacity(rng: &mut Rng) -> Vec<Step> {
    let act = match rng.u32(..2) {
        0 => Act::NoSpot(rng.u32(20..90)),
        _ => Act::NoCapacity(rng.u32(3..90)),
    };
    let fault = match rng.u32(..3) {
        0 => CallFault::AnswerLost,
        1 => CallFault::DiesBefore,
        _ => CallFault::DiesAfter,
    };
    vec![
        Step::At(0, act),
        Step::Call("RunInstances".to_owned(), rng.u32(2..=8), fault),
    ]
}

fn call(rng: &mut Rng) -> Step {
    let name = CALLS[rng.usize(..CALLS.len())];
    let fault = match rng.u32(..13) {
        0 | 1 => CallFault::Fails,
        2 => CallFault::Throttled,
        3 => CallFault::Lost,
        4..=6 => CallFault::AnswerLost,
        7 => CallFault::Slow(rng.u32(1..12)),
        8 => CallFault::DiesBefore,
        9 => CallFault::LeaseLost,
        _ => CallFault::DiesAfter,
    };
    let most = if name == "TransactWriteItems" { 24 } else { 6 };
    Step::Call(name.to_owned(), rng.u32(1..=most), fault)
}

fn message(rng: &mut Rng) -> Step {
    let (message, most) = [
        (Message::Delivery, 12),
        (Message::Delivery, 12),
        (Message::Event, 6),
        (Message::Nudge, 4),
        (Message::Tick, 4),
        (Message::Request, 12),
    ][rng.usize(..6)];
    let passage = match rng.u32(..4) {
        0 => Passage::Lost,
        1 => Passage::Twice,
        2 if message == Message::Request => Passage::AnswerLost,
        _ => Passage::Late(rng.u32(1..120)),
    };
    Step::Message(message, rng.u32(1..=most), passage)
}

fn act(rng: &mut Rng, runs: u32) -> Act {
    let run = rng.u32(1..=runs);
    let machine = rng.u32(1..=3);
    match rng.u32(..23) {
        0..=3 => Act::Cancel(run),
        4..=6 => Act::Rerun(run),
        7 | 8 => Act::ForgeDown(rng.u32(5..120)),
        21 => Act::RegistersNobody(rng.u32(30..400)),
        9 => Act::NoSpot(rng.u32(10..120)),
        10 => Act::NoCapacity(rng.u32(10..120)),
        11 | 12 => Act::SpotTakes(machine),
        13 | 14 => Act::HostDies(machine),
        15 => Act::Foreign,
        16 | 17 => Act::Impostor(machine),
        18 => Act::Redeliver(rng.u32(1..=4)),
        19 => Act::RedeliverLater(rng.u32(1..=4)),
        20 => Act::Rename(REPOSITORIES[0].to_owned(), "acme/renamed".to_owned()),
        _ => Act::Delete(REPOSITORIES[1].to_owned()),
    }
}
