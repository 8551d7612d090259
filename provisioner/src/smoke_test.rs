//! A smoke test: what is asked for, and what came of it.

use std::time::Duration;

use stacks::smoke_test::SMOKE_LAUNCH;

use crate::rehearsal::Rehearsed;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The launch's id: [`new_id`].
    pub id: String,
    /// The pool.
    pub pool: String,
    /// As Spot, else On-Demand.
    pub spot: bool,
    /// How long the machine may take until it says what it found.
    pub wait: Duration,
    /// What ends it.
    pub ends: Ends,
}

/// What ends the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The function is told to, when the machine has said what it found.
    WhenFound,
    /// EC2 takes it back once it has said what it found: it has to be Spot.
    ByInterruption,
    /// The sweep, since the machine has this limit in minutes; what it says meanwhile counts for nothing.
    BySweep(u32),
}

/// Steps of a machine's life, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// EC2 said yes.
    Launched,
    /// EC2 says that it runs.
    Running,
    /// It asked for its credential.
    Asked,
    /// The forge registered it.
    Registered,
    /// It said what it found.
    Found,
    /// EC2 warned that it takes it back.
    Warned,
    /// EC2 has it no more.
    Gone,
    /// Its row is closed, and the forge has deleted its registration.
    Forgotten,
}

impl Stage {
    /// The word for people and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Launched => "launched",
            Self::Running => "running",
            Self::Asked => "asked",
            Self::Registered => "registered",
            Self::Found => "looked",
            Self::Warned => "warned",
            Self::Gone => "gone",
            Self::Forgotten => "forgotten",
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SmokeTested {
    /// The pool.
    pub pool: String,
    /// Whether as Spot.
    pub spot: bool,
    /// The machine's type and EC2's id of it, if there was one.
    pub machine: Option<(String, String)>,
    /// Seconds from EC2's yes to each stage that came, in order.
    pub seconds: Vec<(Stage, f64)>,
    /// What the machine said of itself: names and words.
    pub found: Vec<(String, String)>,
    /// Whether the function may end machines, where it was told to.
    pub end: Option<Rehearsed>,
    /// Why the machine ended, as the ledger has it.
    pub reason: String,
    /// Which stage did not come, and why.
    pub failed: Option<(Stage, String)>,
}

impl SmokeTested {
    /// How long there was a machine, in seconds; none where none came.
    #[must_use]
    pub fn lived_s(&self) -> f64 {
        self.seconds.iter().map(|(_, at)| *at).fold(0.0, f64::max)
    }
}

/// A new id.
#[must_use]
pub fn new_id() -> String {
    format!("{SMOKE_LAUNCH}{:012x}", fastrand::u64(..) >> 16)
}
