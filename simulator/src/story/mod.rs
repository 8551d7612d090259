//! A schedule as a text that people read: who does what when, and which calls go wrong. What a seed
//! makes, what is printed of a violation, and the documentation in `tests/stories` are all such texts, and
//! each can be played.

mod print;
mod read;

use lab::forge::Version;

pub use read::BadStory;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// What it is about, for people.
    pub title: String,
    /// Which forge.
    pub forge: Version,
    /// Most machines at once.
    pub machines_max: u32,
    /// What small things follow from: how long calls take.
    pub seed: u64,
    /// What happens.
    pub steps: Vec<Step>,
    /// What is to come of it, beside the promises.
    pub expect: Vec<Expected>,
}

/// One line of what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Somebody does something, so many seconds after the start.
    At(u32, Act),
    /// The n-th call of that name goes wrong.
    Call(String, u32, CallFault),
    /// The n-th of the machines.
    Machine(u32, MachineFault),
    /// The n-th message on its way to the function.
    Message(Message, u32, Passage),
    /// The n-th process of the function has another clock, in seconds.
    Clock(u32, i32),
}

/// What somebody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A run starts.
    Run {
        /// `owner/name`.
        repository: String,
        /// How many jobs it has.
        jobs: u32,
        /// The label that they ask for.
        label: String,
        /// How long each takes, in seconds.
        seconds: u32,
    },
    /// The n-th run is cancelled.
    Cancel(u32),
    /// The n-th run is started once more.
    Rerun(u32),
    /// A repository gets another name.
    Rename(String, String),
    /// A repository is deleted.
    Delete(String),
    /// The forge answers nobody, for so many seconds.
    ForgeDown(u32),
    /// It registers nobody for so many seconds: the token is wrong, or was revoked.
    RegistersNobody(u32),
    /// There is no Spot capacity for so many seconds.
    NoSpot(u32),
    /// There is no capacity at all.
    NoCapacity(u32),
    /// EC2 takes the n-th machine back.
    SpotTakes(u32),
    /// The n-th machine loses its host.
    HostDies(u32),
    /// Somebody else starts a machine in the account.
    Foreign,
    /// Somebody registers a runner called like the n-th machine, and has its job cancelled.
    Impostor(u32),
    /// The delivery that told of the n-th job is sent once more.
    Redeliver(u32),
    /// The same, three months after everything has come to its end.
    RedeliverLater(u32),
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFault {
    /// An error, and no effect.
    Fails,
    /// Too many requests, and no effect.
    Throttled,
    /// It never arrives, and is not answered.
    Lost,
    /// It takes effect, and is not answered.
    AnswerLost,
    /// It takes so many seconds: what is read is old by then, and what is written arrives that late.
    Slow(u32),
    /// The function dies before it is sent.
    DiesBefore,
    /// The function dies when it has taken effect.
    DiesAfter,
    /// The drain's lease is gone before it is sent, and another drain begins: the two are at work at once.
    LeaseLost,
}

/// What is wrong with a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineFault {
    /// It never asks for anything.
    NeverBoots,
    /// It takes so many seconds to ask.
    BootsIn(u32),
    /// It stands still in the middle of its job, with its own deadline.
    Hangs,
}

/// What is on its way to the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Message {
    /// A delivery of the forge.
    Delivery,
    /// An event of EC2.
    Event,
    /// The function's word to itself.
    Nudge,
    /// The scheduled event.
    Tick,
    /// What a machine asks or says by the runner route.
    Request,
}

/// How it comes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Not at all.
    Lost,
    /// Twice.
    Twice,
    /// So many seconds late.
    Late(u32),
    /// It comes over, and what is answered does not.
    AnswerLost,
}

/// What is to come of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// So many jobs end so: `succeed`, `fail`, `are cancelled`, `wait`.
    Jobs(u32, String),
    /// So many machines are launched.
    Machines(u32),
    /// The n-th job's commit or history says this.
    Says(u32, String),
}

impl Step {
    /// When it happens, in seconds; calls and messages have no time of their own.
    #[must_use]
    pub fn at_s(&self) -> Option<u32> {
        match self {
            Self::At(at, _) => Some(*at),
            Self::Call(..) | Self::Machine(..) | Self::Message(..) | Self::Clock(..) => None,
        }
    }

    /// Where it stands in a story: what has a time first, in order.
    pub(crate) fn place(&self) -> (bool, Option<u32>) {
        (self.at_s().is_none(), self.at_s())
    }
}

impl Message {
    const ALL: [Self; 5] = [
        Self::Delivery,
        Self::Event,
        Self::Nudge,
        Self::Tick,
        Self::Request,
    ];

    /// What stories call it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Event => "event",
            Self::Nudge => "nudge",
            Self::Tick => "tick",
            Self::Request => "request",
        }
    }
}

/// The forges of stories: those that tell of jobs.
pub(crate) const FORGES: [(Version, &str); 3] = [
    (Version::Gitea1_25, "Gitea 1.25"),
    (Version::Gitea1_26, "Gitea 1.26"),
    (Version::Gitea1_27, "Gitea 1.27"),
];

/// What stories call a forge.
fn forge_word(forge: Version) -> &'static str {
    let known = FORGES.iter().find(|(version, _)| *version == forge);
    known.map_or("another", |(_, word)| *word)
}

impl Story {
    /// By how much a clock is wrong at most, in milliseconds.
    pub(crate) fn skew_ms(&self) -> u64 {
        let skews = self.steps.iter().map(|step| match step {
            Step::Clock(_, skew_s) => u64::from(skew_s.unsigned_abs()) * 1000,
            Step::At(..) | Step::Call(..) | Step::Machine(..) | Step::Message(..) => 0,
        });
        skews.max().unwrap_or_default()
    }
}
