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

/// Whatever else EC2 says of an end (`StateReason` of `DescribeInstances`), no image can bring it about: what EC2
/// or the account lacks, a Spot machine that is taken back, somebody who ends it by hand.
const BY_THE_IMAGE: [&str; 2] = [
    // From inside: the boot gives up, or the deadline comes.
    "Client.InstanceInitiatedShutdown",
    // No volume but the image's own is made of a snapshot.
    "Client.InvalidSnapshot.NotFound",
];

/// The last words of a boot that somebody else has ended: EC2, or a person.
const TOLD_TO_STOP: &str = "told to stop";

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

/// What a machine that ended tells of the image that it started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    /// It was registered: whatever came then, its image brings a machine up.
    CameUp,
    /// It had not asked for its credential in time, and we ended it, or it gave up and said so.
    Failed,
    /// It ended before it asked, and not by us: only EC2 can say whether that was its own doing.
    Unexplained,
    /// Nothing: it was ended for another reason.
    Nothing,
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

impl Boot {
    /// The same with what EC2 says of the end. Where it says nothing, its image is blamed for nothing.
    pub(crate) fn explained(self, state_reason: Option<&str>) -> Self {
        match self {
            Self::Unexplained if state_reason.is_some_and(|it| BY_THE_IMAGE.contains(&it)) => {
                Self::Failed
            }
            Self::Unexplained => Self::Nothing,
            Self::CameUp | Self::Failed | Self::Nothing => self,
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

    /// Whether it asked for its credential before.
    pub(crate) fn has_asked(&self) -> bool {
        self.has_been(RunnerState::Registering.word())
    }

    fn has_been(&self, what: &str) -> bool {
        self.timeline.contains_key(what)
    }

    /// What it tells of its image, if it has ended. One that asked for its credential has come so far as its
    /// image brings it: what fails then is the forge, a download, or a pool's setting.
    pub(crate) fn boot(&self) -> Boot {
        if self.has_been(RunnerState::Idle.word()) || self.had_a_job() {
            return Boot::CameUp;
        }
        if self.has_asked() || self.has_been(INTERRUPTED) {
            return Boot::Nothing;
        }
        match self.end_reason() {
            Some(EndReason::BootTimeout) => Boot::Failed,
            // Its boot has given up by itself, whatever EC2 will say.
            Some(EndReason::Said(words)) if !words.ends_with(TOLD_TO_STOP) => Boot::Failed,
            Some(EndReason::Ended | EndReason::Gone | EndReason::Said(_)) | None => {
                Boot::Unexplained
            }
            Some(
                EndReason::MaxLifetime
                | EndReason::Orphan
                | EndReason::JobCancelled
                | EndReason::Surplus
                | EndReason::Idle
                | EndReason::Retired
                | EndReason::SmokeTest
                | EndReason::Interrupted,
            ) => Boot::Nothing,
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

    /// One that got as far as `timeline` tells, in `state`, ending for `reason`.
    fn ended(reason: Option<EndReason>, timeline: &[&str], state: RunnerState) -> Runner {
        serde_json::from_value(serde_json::json!({
            "instance": "i-1", "pool": "go", "launch": "a", "instance_type": "t3.small", "spot": true,
            "launched_ms": 0, "max_lifetime_minutes": 30, "runner_state": state,
            "timeline": timeline.iter().map(|what| (*what, 1)).collect::<BTreeMap<_, _>>(),
            "ending": reason.map(|reason| Ending { since_ms: 2, reason: Some(reason) }),
        }))
        .unwrap()
    }

    #[test]
    fn an_image_is_told_of_by_what_came_up_and_by_what_ended_before_it_asked() {
        use Boot::{CameUp, Failed, Nothing, Unexplained};
        use RunnerState::{Booting, Busy, Idle};
        const ASKED: &[&str] = &["registering"];
        const REGISTERED: &[&str] = &["registering", "idle"];
        let said = || Some(EndReason::Said("boot failed: image: no dnf".to_owned()));
        let stopped = EndReason::Said("boot failed: image: told to stop".to_owned());
        for (boot, reason, timeline, state) in [
            (Failed, Some(EndReason::BootTimeout), &[][..], Booting),
            (Unexplained, Some(EndReason::Ended), &[], Booting),
            (Unexplained, Some(EndReason::Gone), &[], Booting),
            (Failed, said(), &[], Booting),
            (Unexplained, Some(stopped), &[], Booting),
            (Unexplained, None, &[], Booting),
            // The forge registered none.
            (Nothing, said(), ASKED, Booting),
            (Nothing, Some(EndReason::BootTimeout), ASKED, Booting),
            (Nothing, Some(EndReason::Ended), ASKED, Booting),
            (Nothing, Some(EndReason::Surplus), &[], Booting),
            (Nothing, Some(EndReason::Ended), &[INTERRUPTED], Booting),
            (
                Nothing,
                Some(EndReason::BootTimeout),
                &[INTERRUPTED],
                Booting,
            ),
            // Whatever became of it.
            (CameUp, said(), REGISTERED, Idle),
            (CameUp, Some(EndReason::Ended), REGISTERED, Idle),
            (CameUp, None, REGISTERED, Idle),
            (CameUp, said(), REGISTERED, Busy),
            (CameUp, Some(EndReason::Ended), &["busy"], Busy),
        ] {
            let runner = ended(reason, timeline, state);
            assert_eq!(runner.boot(), boot, "{runner:?}");
        }
    }

    #[test]
    fn the_words_of_a_boot_that_was_told_to_stop_are_the_boot_files() {
        let boot_file = include_str!("../../../ami/boot/user-data.sh");
        assert!(boot_file.contains(&format!("words=\"{TOLD_TO_STOP}\"; exit")));
    }

    #[test]
    fn only_an_end_that_an_image_can_bring_about_is_its_failure() {
        // EC2's whole list, and none.
        for (failed, code) in [
            (true, Some("Client.InstanceInitiatedShutdown")),
            (true, Some("Client.InvalidSnapshot.NotFound")),
            (false, Some("Client.InstanceTerminated")),
            (false, Some("Client.InternalError")),
            (false, Some("Client.UserInitiatedHibernate")),
            (false, Some("Client.UserInitiatedShutdown")),
            (false, Some("Client.VolumeLimitExceeded")),
            (false, Some("Server.InsufficientInstanceCapacity")),
            (false, Some("Server.InternalError")),
            (false, Some("Server.ScheduledStop")),
            (false, Some("Server.SpotInstanceShutdown")),
            (false, Some("Server.SpotInstanceTermination")),
            (false, None),
        ] {
            let boot = if failed { Boot::Failed } else { Boot::Nothing };
            assert_eq!(Boot::Unexplained.explained(code), boot, "{code:?}");
            // What is known without EC2 stays.
            for known in [Boot::CameUp, Boot::Failed, Boot::Nothing] {
                assert_eq!(known.explained(code), known, "{code:?}");
            }
        }
    }
}
