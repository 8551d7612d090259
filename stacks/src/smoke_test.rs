//! A smoke test: one machine comes as for a job, says what a job would find on it, and takes none.
//!
//! The words of the function and of `smoke-test`. Each step is one call of the function, which may be made
//! again: a machine that is there already is not launched twice, and one that ends is ended once more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rehearsal::RehearsedCall;

/// What the ids of these launches begin with, and with them the machines' tag: no launch for a job has such
/// an id, which is a digest in hexadecimal.
pub const SMOKE_LAUNCH: &str = "smoke-";
/// Longest id, in bytes: with the number of a candidate it is a client token, of which EC2 takes 64.
pub const SMOKE_ID_MAX_BYTES: usize = 40;

/// What is asked of the function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeTest {
    /// The launch's id, which whoever asks makes up: [`is_smoke_id`].
    pub id: String,
    /// What is to be done.
    pub step: SmokeStep,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SmokeStep {
    /// Launch the machine, within the caps and unless its pool is paused.
    Launch {
        /// Of this pool.
        pool: String,
        /// As Spot, else On-Demand.
        spot: bool,
        /// The machine's own limit in minutes, if it is to be another than its pool's.
        max_lifetime_minutes: Option<u32>,
    },
    /// Tell how it fares.
    Look {
        /// The machine, once it is known: its row is closed when it has ended.
        instance: Option<String>,
    },
    /// End the machine.
    End,
}

/// How the machine fares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeState {
    /// Why there is no machine and none comes; empty where that is not so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub refused: String,
    /// Whether its launch is under way: EC2's answer is not known, and a machine may still come of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
    /// The machine, once EC2 has said yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<SmokeMachine>,
    /// What came of the call that ends it, in the answer to that step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RehearsedCall>,
}

/// The machine as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeMachine {
    /// EC2's id.
    pub instance: String,
    /// Its type.
    pub instance_type: String,
    /// Whether as Spot.
    pub spot: bool,
    /// When EC2 said yes, in milliseconds since 1970.
    pub launched_ms: u64,
    /// When it first got to each state, in milliseconds since 1970.
    pub timeline: BTreeMap<String, u64>,
    /// What it said of itself: `name=value`, separated by semicolons. Its own word, and no more than that.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub found: String,
    /// Why it ends or ended, if somebody said why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Whether its row is closed: EC2 has told of its end.
    pub closed: bool,
    /// Whether the forge may still have its registration.
    pub registered: bool,
}

/// Whether `id` may be that of a smoke test: the prefix, then small letters, digits and hyphens.
#[must_use]
pub fn is_smoke_id(id: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    id.len() > SMOKE_LAUNCH.len()
        && id.len() <= SMOKE_ID_MAX_BYTES
        && id.starts_with(SMOKE_LAUNCH)
        && id.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_that_of_no_job_and_fits_into_a_token_and_a_tag() {
        assert!(is_smoke_id("smoke-0a1b2c"));
        let long = format!("{SMOKE_LAUNCH}{}", "a".repeat(SMOKE_ID_MAX_BYTES));
        for id in [
            "",
            "smoke-",
            "0a1b2c",
            "smoke-A",
            "smoke-a b",
            "smoke-a#1",
            &long,
        ] {
            assert!(!is_smoke_id(id), "{id}");
        }
    }
}
