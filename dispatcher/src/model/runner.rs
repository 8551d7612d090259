//! A runner: one instance that we launched, registered at the forge for one job.
//!
//! It boots, asks for its credential, is registered, takes a job, ends. What happens to it comes from
//! three sides in any order (the machine's own marks, the forge, our own decisions), so each event only
//! moves it forward, and whether it is to end is told apart from what it does: a machine that ends may
//! still be found to have a job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stacks::pool::Scope;
use stacks::smoke_test::SMOKE_LAUNCH;

use super::job::JobKey;

/// The moment of EC2's warning in a runner's timeline.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// An instance that we launched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// EC2's id, which is also the runner's name at the forge.
    pub instance: String,
    /// Its pool.
    pub pool: String,
    /// Its launch.
    pub launch: String,
    /// Instance type.
    pub instance_type: String,
    /// The AMI that it started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Whether as Spot.
    pub spot: bool,
    /// When EC2 said yes.
    pub launched_ms: u64,
    /// Minutes after which it is ended whatever it does.
    pub max_lifetime_minutes: u32,
    /// What it does.
    #[serde(rename = "runner_state")]
    pub state: RunnerState,
    /// When it first got to each state, by [`RunnerState::word`], and when its machine was online or
    /// interrupted: milliseconds since 1970.
    #[serde(default)]
    pub timeline: BTreeMap<String, u64>,
    /// Since when it is one machine too many, or when the forge was last asked in vain to disable it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surplus_since_ms: Option<u64>,
    /// Where it registers: the pool's scope then, which may be edited while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_in: Option<Scope>,
    /// The forge's id of its registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge_id: Option<u64>,
    /// Whether the answer to a registration got lost: there may be one more under its name.
    #[serde(default)]
    pub maybe_registered: bool,
    /// The job that it took, once the forge has said which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobKey>,
    /// What the machine of a smoke test says that a job would find.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// That it ends, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// What a runner does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunnerState {
    /// Its machine boots and has no credential.
    Booting,
    /// It asked for its credential, which is being made: it may have one.
    Registering,
    /// It is registered, and the forge may give it a job at any moment.
    Idle,
    /// The forge gives it no job any more. One that it was given before runs on.
    Disabled,
    /// It has a job.
    Busy,
}

/// What happens to a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunnerEvent {
    /// It asks for its credential. Only once: a second request finds it registering.
    Asked,
    /// The forge did not register it; it may ask again.
    NotRegistered,
    /// The forge registered it.
    Registered,
    /// It, or the forge, says that it has a job.
    Started,
    /// The forge was told to give it no job any more.
    Disabled,
}

/// That a runner ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Why; `None`: its machine ends itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
}

/// Why a runner ends or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum EndReason {
    /// It is older than its pool allows.
    MaxLifetime,
    /// It did not ask for its credential in time.
    BootTimeout,
    /// It carries the tag of a launch, but the ledger knows no such machine.
    Orphan,
    /// Its job was cancelled, and the forge can't reach an ephemeral runner any more.
    JobCancelled,
    /// There are more machines than jobs, and it has not asked for its credential.
    Surplus,
    /// The forge gives it no job any more, and says that it has none.
    Idle,
    /// The deployment is taken down.
    Retired,
    /// It was there for a smoke test, which is over.
    SmokeTest,
    /// EC2 took its machine back in the middle of its job, which it reported as failed.
    Interrupted,
    /// EC2 says that it has ended.
    Ended,
    /// EC2 does not have it any more.
    Gone,
    /// What its machine said before it ended, or what another version wrote.
    Said(String),
}

impl EndReason {
    /// Every reason for which we end instances.
    pub const OURS: [Self; 8] = [
        Self::MaxLifetime,
        Self::BootTimeout,
        Self::Orphan,
        Self::JobCancelled,
        Self::Surplus,
        Self::Idle,
        Self::Retired,
        Self::SmokeTest,
    ];

    /// The states in which a runner may be ended for this reason; checked as the end is written down,
    /// so that a job which comes first is not lost. `None`: in any, and also one without a row.
    pub(crate) fn ends_only(&self) -> Option<&'static [RunnerState]> {
        match self {
            Self::BootTimeout | Self::Surplus => Some(&[RunnerState::Booting]),
            Self::Idle | Self::SmokeTest => Some(&RunnerState::WITHOUT_JOB),
            Self::MaxLifetime
            | Self::Orphan
            | Self::JobCancelled
            | Self::Retired
            | Self::Interrupted
            | Self::Ended
            | Self::Gone
            | Self::Said(_) => None,
        }
    }

    /// The word in the ledger and in logs.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::MaxLifetime => "max-lifetime",
            Self::BootTimeout => "boot-timeout",
            Self::Orphan => "orphan",
            Self::JobCancelled => "job-cancelled",
            Self::Surplus => "surplus",
            Self::Idle => "idle",
            Self::Retired => "retired",
            Self::SmokeTest => "smoke-test",
            Self::Interrupted => "interrupted",
            Self::Ended => "ended",
            Self::Gone => "gone",
            Self::Said(words) => words,
        }
    }
}

impl From<EndReason> for String {
    fn from(reason: EndReason) -> Self {
        reason.word().to_owned()
    }
}

impl From<String> for EndReason {
    fn from(word: String) -> Self {
        let told = [Self::Interrupted, Self::Ended, Self::Gone];
        let known = Self::OURS.into_iter().chain(told);
        known
            .into_iter()
            .find(|reason| reason.word() == word)
            .unwrap_or(Self::Said(word))
    }
}

impl RunnerEvent {
    /// The states that it moves, and to which. In any other it is stale and changes nothing.
    ///
    /// A start is told by the machine and by the forge, in any order, and only the forge says which job
    /// it is. A runner that is disabled is disabled again when the forge could not say that it is idle.
    pub(crate) const fn moves(self) -> (&'static [RunnerState], RunnerState) {
        use RunnerState::{Booting, Busy, Disabled, Idle, Registering};
        match self {
            Self::Asked => (&[Booting], Registering),
            Self::NotRegistered => (&[Registering], Booting),
            Self::Registered => (&[Registering], Idle),
            Self::Started => (&[Booting, Registering, Idle, Disabled, Busy], Busy),
            Self::Disabled => (&[Idle, Disabled], Disabled),
        }
    }
}

impl RunnerState {
    /// Those in which nothing has told of a job.
    pub const WITHOUT_JOB: [Self; 4] =
        [Self::Booting, Self::Registering, Self::Idle, Self::Disabled];

    /// The word in the ledger.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Registering => "registering",
            Self::Idle => "idle",
            Self::Disabled => "disabled",
            Self::Busy => "busy",
        }
    }
}

impl Runner {
    /// Whether its machine is there for a smoke test and asks for no job.
    #[must_use]
    pub fn is_smoke_test(&self) -> bool {
        self.launch.starts_with(SMOKE_LAUNCH)
    }

    /// Whether it could still take a job.
    pub(crate) fn is_supply(&self) -> bool {
        let could = match self.state {
            RunnerState::Booting | RunnerState::Registering | RunnerState::Idle => true,
            RunnerState::Disabled | RunnerState::Busy => false,
        };
        could && self.ending.is_none() && !self.is_smoke_test()
    }

    /// When it got to its state.
    pub(crate) fn since_ms(&self) -> u64 {
        let stamp = self.timeline.get(self.state.word());
        stamp.copied().unwrap_or(self.launched_ms)
    }

    /// Whether it has told of a job, or the forge has.
    pub(crate) fn had_a_job(&self) -> bool {
        self.state == RunnerState::Busy || self.job.is_some()
    }

    fn has_been(&self, what: &str) -> bool {
        self.timeline.contains_key(what)
    }

    /// Whether it ended before its runner was up, by nobody's wish: its image may be the cause. Not if it asked
    /// for its credential and the forge registered none.
    pub(crate) fn failed_to_boot(&self) -> bool {
        let asked = self.has_been(RunnerState::Registering.word());
        match self.end_reason() {
            _ if self.has_been(INTERRUPTED) || self.had_a_job() => false,
            Some(EndReason::BootTimeout | EndReason::Ended | EndReason::Gone) => !asked,
            Some(EndReason::Said(_)) => !asked || self.has_been(RunnerState::Idle.word()),
            Some(
                EndReason::MaxLifetime
                | EndReason::Orphan
                | EndReason::JobCancelled
                | EndReason::Surplus
                | EndReason::Idle
                | EndReason::Retired
                | EndReason::SmokeTest
                | EndReason::Interrupted,
            )
            | None => false,
        }
    }

    /// Why it ends, if it does and somebody said why.
    pub(crate) fn end_reason(&self) -> Option<&EndReason> {
        self.ending.as_ref()?.reason.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_back_as_it_was_written() {
        for reason in EndReason::OURS.into_iter().chain([
            EndReason::Interrupted,
            EndReason::Ended,
            EndReason::Gone,
            EndReason::Said("boot failed: no route".to_owned()),
        ]) {
            assert_eq!(EndReason::from(String::from(reason.clone())), reason);
        }
    }

    #[test]
    fn a_boot_has_failed_that_nobody_wanted_to_end_and_that_came_to_no_runner() {
        const ASKED: &[&str] = &["registering"];
        const REGISTERED: &[&str] = &["registering", "idle"];
        let said = || EndReason::Said("boot failed: no dnf".to_owned());
        for (failed, reason, timeline, state) in [
            (true, EndReason::BootTimeout, &[][..], RunnerState::Booting),
            (true, EndReason::Ended, &[], RunnerState::Booting),
            (true, said(), &[], RunnerState::Booting),
            (true, said(), REGISTERED, RunnerState::Idle),
            // The forge registered none.
            (false, said(), ASKED, RunnerState::Booting),
            (false, EndReason::BootTimeout, ASKED, RunnerState::Booting),
            (false, EndReason::Ended, REGISTERED, RunnerState::Idle),
            (false, said(), REGISTERED, RunnerState::Busy),
            (false, EndReason::Surplus, &[], RunnerState::Booting),
            (
                false,
                EndReason::Ended,
                &[INTERRUPTED],
                RunnerState::Booting,
            ),
        ] {
            let runner: Runner = serde_json::from_value(serde_json::json!({
                "instance": "i-1", "pool": "go", "launch": "a", "instance_type": "t3.small", "spot": true,
                "launched_ms": 0, "max_lifetime_minutes": 30, "runner_state": state,
                "timeline": timeline.iter().map(|what| (*what, 1)).collect::<BTreeMap<_, _>>(),
                "ending": { "since_ms": 2, "reason": reason },
            }))
            .unwrap();
            assert_eq!(runner.failed_to_boot(), failed, "{runner:?}");
        }
    }
}
