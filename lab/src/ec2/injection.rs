//! What the lab's EC2 is told to get wrong: `POST /_lab/faults`. The document replaces the one
//! before; `{}` ends all faults.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::ec2::api_error::ApiError;

/// EC2 is eventually consistent: an instance is described a moment after its launch, not at once.
const VISIBLE_AFTER_MS: u32 = 500;
/// How long a new image is pending. EC2 takes minutes, which nobody learns anything from.
const IMAGE_PENDING_MS: u32 = 1500;
/// What an instance writes to its console is told a moment later.
const CONSOLE_AFTER_MS: u32 = 500;
/// Instances that exist at once, ended ones not counted: more than any test starts.
const QUOTA: u32 = 2000;
/// Longest delay of an answer: above the SDK's own patience a longer one tests nothing more.
const LATENCY_MAX_MS: u32 = 60_000;

/// The faults in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultInjection {
    /// The next launches fail.
    pub run_error: Option<RunError>,
    /// The next ends fail.
    pub end_error: Option<RunError>,
    /// Capacity that runs out.
    pub capacity: Vec<Capacity>,
    /// Every answer comes this much later.
    pub latency_ms: u32,
    /// This many launches succeed, but are answered with `InternalError`: the caller can't know.
    pub lose_answers: u32,
    /// This many images are made, but answered with `InternalError`.
    pub lose_images: u32,
    /// This many images go and leave their snapshot, which EC2 says.
    pub stuck_snapshots: u32,
    /// This many instances lose their host when they have just begun to boot.
    pub crash_boots: u32,
    /// Whether instances boot. Without, they are only entries, for tests with hundreds of them.
    pub boot: bool,
    /// When a new instance is described.
    pub visible_after_ms: u32,
    /// Most instances that may live: EC2 refuses what asks for more, as it does at an account's quota.
    pub quota: u32,
    /// Whether the account is on the free plan, which admits a few types only.
    pub free_plan: bool,
    /// Whether the buckets of requests have no end, for tests that are not about them.
    pub unthrottled: bool,
    /// New instances say that they were launched this long ago: tests of limits don't wait for them.
    pub launched_ago_s: u32,
    /// This many requests to end instances are told that EC2 does not know one of them any more.
    pub forgotten_ends: u32,
    /// This many requests to end an instance that has ended are denied: EC2 takes its tags off after a while, and
    /// rights go by those.
    pub denied_ends: u32,
    /// How long a new image is pending.
    pub image_pending_ms: u32,
    /// This many new images fail.
    pub failing_images: u32,
    /// How much later EC2 tells what an instance wrote to its console.
    pub console_after_ms: u32,
    /// A key of the customer's with which the account encrypts every volume.
    pub volume_key: Option<String>,
}

/// An error for the next launches or ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunError {
    /// EC2's code.
    pub code: String,
    /// EC2's words; the lab's own when left out.
    #[serde(default)]
    pub message: Option<String>,
    /// How many of them.
    pub count: u32,
}

impl RunError {
    /// The error of this call, used up.
    fn next(this: &mut Option<Self>) -> Option<ApiError> {
        let error = this.as_mut()?;
        error.count = error.count.checked_sub(1)?;
        let named = ApiError::named(&error.code);
        Some(match &error.message {
            None => named,
            Some(message) => ApiError {
                message: message.clone(),
                ..named
            },
        })
    }
}

/// How many more instances come of a type in a subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Which type; every type when left out.
    #[serde(default)]
    pub instance_type: Option<String>,
    /// Which subnet; every subnet when left out.
    #[serde(default)]
    pub subnet: Option<String>,
    /// Whether as Spot; both markets when left out.
    #[serde(default)]
    pub spot: Option<bool>,
    /// How many are left.
    pub left: u32,
}

impl Default for FaultInjection {
    fn default() -> Self {
        Self {
            run_error: None,
            end_error: None,
            capacity: Vec::new(),
            latency_ms: 0,
            lose_answers: 0,
            lose_images: 0,
            stuck_snapshots: 0,
            crash_boots: 0,
            boot: true,
            visible_after_ms: VISIBLE_AFTER_MS,
            quota: QUOTA,
            free_plan: false,
            unthrottled: false,
            launched_ago_s: 0,
            forgotten_ends: 0,
            denied_ends: 0,
            image_pending_ms: IMAGE_PENDING_MS,
            failing_images: 0,
            console_after_ms: CONSOLE_AFTER_MS,
            volume_key: None,
        }
    }
}

impl FaultInjection {
    pub(crate) fn visible_after(&self) -> SignedDuration {
        SignedDuration::from_millis(i64::from(self.visible_after_ms))
    }

    pub(crate) fn image_pending(&self) -> SignedDuration {
        SignedDuration::from_millis(i64::from(self.image_pending_ms))
    }

    pub(crate) fn console_after(&self) -> SignedDuration {
        SignedDuration::from_millis(i64::from(self.console_after_ms))
    }

    /// Whether this new image fails, used up.
    pub(crate) fn fails_image(&mut self) -> bool {
        let fails = self.failing_images > 0;
        self.failing_images = self.failing_images.saturating_sub(1);
        fails
    }

    pub(crate) fn launched_ago(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.launched_ago_s))
    }

    pub(crate) fn latency(&self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::from(self.latency_ms.min(LATENCY_MAX_MS)))
    }

    /// The error of this launch, used up.
    pub(crate) fn next_run_error(&mut self) -> Option<ApiError> {
        RunError::next(&mut self.run_error)
    }

    /// The error of this end, used up.
    pub(crate) fn next_end_error(&mut self) -> Option<ApiError> {
        RunError::next(&mut self.end_error)
    }

    /// Whether the answer of this launch is lost, used up.
    pub(crate) fn loses_answer(&mut self) -> bool {
        let loses = self.lose_answers > 0;
        self.lose_answers = self.lose_answers.saturating_sub(1);
        loses
    }

    /// Whether the answer of this `CreateImage` is lost, used up.
    pub(crate) fn loses_image(&mut self) -> bool {
        let loses = self.lose_images > 0;
        self.lose_images = self.lose_images.saturating_sub(1);
        loses
    }

    /// Whether the snapshot of the image that goes now stays, used up.
    pub(crate) fn keeps_snapshot(&mut self) -> bool {
        let keeps = self.stuck_snapshots > 0;
        self.stuck_snapshots = self.stuck_snapshots.saturating_sub(1);
        keeps
    }

    /// Whether the machine that boots now loses its host, used up.
    pub(crate) fn crashes_boot(&mut self) -> bool {
        let crashes = self.crash_boots > 0;
        self.crash_boots = self.crash_boots.saturating_sub(1);
        crashes
    }

    /// Whether this request to end instances meets an id that is not known any more, used up.
    pub(crate) fn forgets(&mut self) -> bool {
        let forgets = self.forgotten_ends > 0;
        self.forgotten_ends = self.forgotten_ends.saturating_sub(1);
        forgets
    }

    /// Whether the end of an instance that has ended is denied, used up.
    pub(crate) fn denies_end(&mut self) -> bool {
        let denies = self.denied_ends > 0;
        self.denied_ends = self.denied_ends.saturating_sub(1);
        denies
    }

    /// How many more come of a type in a subnet in a market.
    pub(crate) fn capacity(&self, of: Sold<'_>) -> u32 {
        self.capacity
            .iter()
            .filter(|limit| limit.covers(of))
            .map(|limit| limit.left)
            .min()
            .unwrap_or(u32::MAX)
    }

    pub(crate) fn use_capacity(&mut self, of: Sold<'_>, count: u32) {
        for limit in &mut self.capacity {
            if limit.covers(of) {
                limit.left = limit.left.saturating_sub(count);
            }
        }
    }
}

/// Type, subnet, and whether as Spot: what EC2 has capacity of.
pub(crate) type Sold<'a> = (&'a str, &'a str, bool);

impl Capacity {
    fn covers(&self, (instance_type, subnet, spot): Sold<'_>) -> bool {
        let is = |own: &Option<String>, value: &str| own.as_deref().is_none_or(|own| own == value);
        is(&self.instance_type, instance_type)
            && is(&self.subnet, subnet)
            && self.spot.is_none_or(|own| own == spot)
    }
}
