//! What the promises need to remember.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What the promises need to remember.
#[derive(Default)]
pub(crate) struct Watch {
    /// Instances that are none of ours.
    pub(crate) foreign: BTreeSet<String>,
    /// The forge's id of the task of each machine.
    pub(crate) tasks: BTreeMap<String, Value>,
    /// Since when more jobs wait than machines are on their way, while nothing is in their way.
    pub(crate) stalled_since_ms: Option<u64>,
    /// When something last went wrong or was done.
    pub(crate) disturbed_ms: u64,
    /// How many ticks in a row have found nothing to do.
    pub(crate) idle_ticks: u32,
    /// What was broken.
    pub(crate) violations: Vec<String>,
    /// What DynamoDB was asked, in order: operation, body, time.
    pub(crate) exchanges: Vec<(String, String, u64)>,
    /// Whether exchanges are kept.
    pub(crate) records: bool,
}

impl Watch {
    /// DynamoDB was asked something.
    pub(crate) fn asked(&mut self, operation: &str, body: &[u8], now_ms: u64) {
        if self.records {
            let body = String::from_utf8_lossy(body).into_owned();
            self.exchanges.push((operation.to_owned(), body, now_ms));
        }
    }
}
