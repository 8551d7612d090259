//! A smoke test: what is asked for, and what came of it.

use std::time::Duration;

use stacks::smoke_test::{SMOKE_LAUNCH, SmokeMachine};

use crate::rehearsal::Rehearsed;

/// Longest part of the machine's own word of one thing that is kept, in characters.
const WORD_MAX_CHARS: usize = 80;

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
    /// How its boot went, in order.
    pub marks: Vec<BootMark>,
    /// What the machine said of itself: names and words.
    pub found: Vec<(String, String)>,
    /// Whether the function may end machines, where it was told to.
    pub end: Option<Rehearsed>,
    /// Whether EC2 or the function refused it, so that there never was a machine.
    pub refused: bool,
    /// Which stage did not come, and why.
    pub failed: Option<(Stage, String)>,
}

/// A mark in the boot of a machine, as it says of itself: `reached` in `ami/boot/user-data.sh`.
#[derive(Debug, Clone, PartialEq)]
pub struct BootMark {
    /// How far it was: `boot`, `credential`, `registered`, `online`.
    pub word: String,
    /// How long after its kernel had started, in seconds.
    pub after_s: f64,
    /// Connections that it had opened by then.
    pub connections: u64,
    /// What it had received by then, in bytes.
    pub bytes: u64,
}

impl BootMark {
    /// `None` for what a machine says of itself otherwise.
    fn of((word, said): &(String, String)) -> Option<Self> {
        let mut figures = said.split(' ');
        Some(Self {
            word: word.clone(),
            after_s: figures.next()?.parse().ok()?,
            connections: figures.next()?.parse().ok()?,
            bytes: figures.next()?.parse().ok()?,
        })
    }
}

impl SmokeTested {
    /// Whether EC2 was seen without the machine: else it may live on.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.seconds.iter().any(|(stage, _)| *stage == Stage::Gone)
    }

    /// How long there was a machine, in seconds; none where none came.
    #[must_use]
    pub fn lived_s(&self) -> f64 {
        let alive = self
            .seconds
            .iter()
            .filter(|(stage, _)| *stage <= Stage::Gone);
        alive.map(|(_, at)| *at).fold(0.0, f64::max)
    }
}

/// A new id.
#[must_use]
pub fn new_id() -> String {
    format!("{SMOKE_LAUNCH}{:012x}", fastrand::u64(..) >> 16)
}

/// A stage that did not come, and why.
pub(crate) type Failed = Option<(Stage, String)>;

/// What is known of one machine so far.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// The ledger's word, once EC2 has said yes.
    pub(crate) machine: Option<SmokeMachine>,
    /// When EC2 said that it runs, in seconds after its yes.
    pub(crate) running_s: Option<f64>,
    /// When EC2 had it no more.
    pub(crate) gone_s: Option<f64>,
    /// When nothing was left of it in the ledger and at the forge.
    pub(crate) forgotten_s: Option<f64>,
}

impl Life {
    /// Whether it has said what it found. It may boot faster than EC2 says that it runs.
    pub(crate) fn has_come(&self) -> bool {
        let found = |machine: &SmokeMachine| !machine.found.is_empty();
        self.machine.as_ref().is_some_and(found) && self.running_s.is_some()
    }

    /// Why it ends already, or has a job, if it does.
    pub(crate) fn cut_short(&self) -> Option<String> {
        let machine = self.machine.as_ref()?;
        if machine.timeline.contains_key("busy") {
            return Some("the forge gave it a job, so it was left alone".to_owned());
        }
        let is_over = machine.closed || !machine.reason.is_empty();
        is_over.then(|| format!("it ended: {}", machine.reason))
    }

    /// The first stage of its coming that did not come.
    pub(crate) fn missing(&self) -> Stage {
        let come = self.seconds();
        let all = [
            Stage::Running,
            Stage::Asked,
            Stage::Registered,
            Stage::Found,
        ];
        let is_missing = |stage: &Stage| !come.iter().any(|(one, _)| one == stage);
        // A machine that asked runs, whatever EC2 has said so far.
        let last = come.iter().map(|(stage, _)| *stage).max();
        let later = |stage: &Stage| last.is_none_or(|last| *stage > last);
        let mut all = all.into_iter().filter(later);
        all.find(is_missing).unwrap_or(Stage::Found)
    }

    /// What keeps jobs from running there although it came.
    pub(crate) fn unusable(&self) -> Failed {
        let found = self.found();
        let word = |name: &str| found.iter().find(|(own, _)| own == name);
        let forge = word("forge").map(|(_, status)| status.as_str());
        let status = forge.and_then(|status| status.parse::<u16>().ok());
        // A runner follows no redirect; who has to say who it is has at least been answered by the forge.
        let is_reached = status.is_some_and(|status| matches!(status, 200..=299 | 401 | 403));
        let why = format!(
            "from the machine the forge answers {} (000: not at all)",
            forge.unwrap_or("nothing")
        );
        (!is_reached).then_some((Stage::Found, why))
    }

    /// How its boot went, and what else it said of itself, name by name.
    pub(crate) fn told(&self) -> (Vec<BootMark>, Vec<(String, String)>) {
        let mut told = self.found();
        let marks = told.iter().filter_map(BootMark::of).collect();
        told.retain(|one| BootMark::of(one).is_none());
        (marks, told)
    }

    fn found(&self) -> Vec<(String, String)> {
        let found = self.machine.as_ref().map(|machine| machine.found.as_str());
        let words = found.unwrap_or_default().split(';');
        let pairs = words.filter_map(|word| word.trim().split_once('='));
        let cut = |word: &str| word.chars().take(WORD_MAX_CHARS).collect::<String>();
        pairs.map(|(name, word)| (cut(name), cut(word))).collect()
    }

    /// Seconds from EC2's yes to each stage that came: what the ledger noted by the function's clock, what
    /// EC2 says by ours.
    pub(crate) fn seconds(&self) -> Vec<(Stage, f64)> {
        let Some(machine) = &self.machine else {
            return Vec::new();
        };
        let noted = |state: &str| {
            let at = machine.timeline.get(state)?;
            let ms = u32::try_from(at.saturating_sub(machine.launched_ms)).ok()?;
            Some(f64::from(ms) / 1000.0)
        };
        let stages = [
            (Stage::Launched, Some(0.0)),
            (Stage::Running, self.running_s),
            (Stage::Asked, noted("registering")),
            (Stage::Registered, noted("idle")),
            (Stage::Found, noted("found")),
            (Stage::Warned, noted("interrupted")),
            (Stage::Gone, self.gone_s),
            (Stage::Forgotten, self.forgotten_s),
        ];
        let come = stages.into_iter();
        come.filter_map(|(stage, at)| Some((stage, at?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that got to these states, a second after each other, and said this.
    fn life(states: &[&str], found: &str) -> Life {
        let timeline = states.iter().zip((1..).map(|second| second * 1000));
        let timeline = timeline.map(|(state, ms)| ((*state).to_owned(), ms));
        Life {
            machine: Some(SmokeMachine {
                instance: "i-1".to_owned(),
                instance_type: "t3.small".to_owned(),
                spot: true,
                launched_ms: 0,
                timeline: timeline.collect(),
                found: found.to_owned(),
                reason: String::new(),
                closed: false,
                registered: true,
            }),
            running_s: Some(0.5),
            ..Life::default()
        }
    }

    #[test]
    fn the_first_stage_that_did_not_come_is_the_one_that_is_named() {
        let never_asked = life(&[], "");
        assert_eq!(never_asked.missing(), Stage::Asked);
        let unseen = Life {
            running_s: None,
            ..never_asked
        };
        assert_eq!(unseen.missing(), Stage::Running);
        for (states, missing) in [
            (&["registering"][..], Stage::Registered),
            (&["registering", "idle"], Stage::Found),
        ] {
            assert_eq!(life(states, "").missing(), missing);
        }
        // One that asked runs, whatever EC2 has said so far.
        let early = Life {
            running_s: None,
            ..life(&["registering"], "")
        };
        assert_eq!(early.missing(), Stage::Registered);
    }

    #[test]
    fn a_machine_that_does_not_reach_the_forge_has_come_in_vain() {
        let states = ["registering", "idle", "found"];
        for (found, is_usable) in [
            ("user=ci;forge=200;path=/bin", true),
            // It wants to know who asks, and is there.
            ("forge=403", true),
            ("forge=000;user=ci", false),
            ("forge=502", false),
            ("forge=301", false),
            ("forge=404", false),
            ("forge=", false),
            ("nothing", false),
        ] {
            let life = life(&states, found);
            assert!(life.has_come());
            assert_eq!(life.unusable().is_none(), is_usable, "{found}");
        }
        let seconds = life(&states, "forge=200").seconds();
        let asked = (Stage::Asked, 1.0);
        assert!(seconds.contains(&asked) && seconds.is_sorted_by_key(|(stage, _)| *stage));
    }

    #[test]
    fn the_marks_of_its_boot_are_told_apart_from_what_it_found() {
        let said = "boot=3.10 2 900;online=3.95 9 24000;forge=200;path=/bin;odd=1 2";
        let (marks, found) = life(&["registering"], said).told();
        let marks: Vec<(&str, u64)> = marks
            .iter()
            .map(|mark| (mark.word.as_str(), mark.bytes))
            .collect();
        assert_eq!(marks, [("boot", 900), ("online", 24_000)]);
        let found: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, ["forge", "path", "odd"]);
    }

    #[test]
    fn what_ends_early_or_has_a_job_is_waited_for_no_longer() {
        assert_eq!(life(&["registering"], "").cut_short(), None);
        let job = life(&["registering", "idle", "busy"], "").cut_short();
        assert!(job.unwrap().contains("a job"));
        let mut failed = life(&[], "");
        let machine = failed.machine.as_mut().unwrap();
        "boot failed: image: no curl".clone_into(&mut machine.reason);
        assert!(failed.cut_short().unwrap().contains("no curl"));
        assert!(!failed.has_come());
    }

    #[test]
    fn every_test_has_an_id_of_its_own() {
        let (one, other) = (new_id(), new_id());
        assert!(
            one != other && stacks::smoke_test::is_smoke_id(&one),
            "{one}"
        );
    }
}
