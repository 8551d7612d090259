//! What was asked of EC2 and what came of it: `GET /_lab/calls`. A request that EC2 refuses costs
//! its bucket's owner as much patience as one that it serves, so tests count both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Action and outcome pairs that are counted: a dozen actions with their errors are far fewer.
const PAIRS_MAX: usize = 500;

/// How often each action had each outcome since the lab started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls(BTreeMap<String, BTreeMap<String, u64>>);

impl Calls {
    /// Word for a request that was served.
    pub const SERVED: &str = "served";

    /// How often `action` was asked for, served or not.
    #[must_use]
    pub fn attempts(&self, action: &str) -> u64 {
        self.0.get(action).map_or(0, |all| all.values().sum())
    }

    /// How often `action` came to `outcome`: [`Self::SERVED`], or the code of an error.
    #[must_use]
    pub fn with(&self, action: &str, outcome: &str) -> u64 {
        let all = self.0.get(action);
        all.and_then(|all| all.get(outcome)).copied().unwrap_or(0)
    }

    pub(crate) fn note(&mut self, action: &str, outcome: &str) {
        let pairs: usize = self.0.values().map(BTreeMap::len).sum();
        if pairs < PAIRS_MAX || self.with(action, outcome) > 0 {
            let of_action = self.0.entry(action.to_owned()).or_default();
            *of_action.entry(outcome.to_owned()).or_default() += 1;
        }
    }
}
