//! The proof that the simulator bites: each deliberate fault is found, or the proof fails.

use dispatcher::simulation::Fault;

use crate::generate::generate;
use crate::play::{Outcome, Playing, play};
use crate::shrink::shrink;
use crate::story::Story;

/// Most schedules that a fault may hide in.
pub const SCHEDULES_MAX: u64 = 10_000;

/// How one fault was found.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The promise that is broken on purpose.
    pub fault: Fault,
    /// After how many schedules it was found, with the shortest story that shows it; `None` if it hid.
    pub found: Option<(u64, Story, Outcome)>,
}

/// Looks for `fault`, from the schedule `seed` on. Where `stop` says so it gives up.
#[must_use]
pub fn prove(fault: Fault, seed: u64, schedules_max: u64) -> Proof {
    let playing = Playing {
        fault: Some(fault),
        records: false,
    };
    for nth in 0..schedules_max {
        let story = generate(seed.wrapping_add(nth));
        let outcome = play(&story, playing);
        let breaks_anyway = || !play(&story, Playing::default()).violations.is_empty();
        if outcome.violations.is_empty() || breaks_anyway() {
            continue;
        }
        let (story, outcome) = shrink(&story, outcome, playing);
        return Proof {
            fault,
            found: Some((nth + 1, story, outcome)),
        };
    }
    Proof { fault, found: None }
}
