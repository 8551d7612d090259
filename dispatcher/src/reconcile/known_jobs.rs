//! Jobs that the ledger knows and that are not on its list: refused or given up. The forge may list them as
//! waiting for a day, and each look at it would write, in vain, what was written before.
//!
//! Only a saving: what a new process does not know yet, the conditions of its writes tell it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::model::job::JobKey;

/// Most keys that are kept, a hundred bytes each: more jobs than wait in vain at any forge.
const JOBS_MAX: usize = 10_000;

/// The keys of such jobs. A rerun has another key, or comes by a delivery.
#[derive(Debug, Default)]
pub struct KnownJobs(Mutex<BTreeSet<JobKey>>);

impl KnownJobs {
    pub(crate) fn contains(&self, key: &JobKey) -> bool {
        self.keys().contains(key)
    }

    pub(crate) fn add(&self, key: &JobKey) {
        let mut keys = self.keys();
        if keys.len() >= JOBS_MAX {
            keys.clear();
        }
        keys.insert(key.clone());
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, BTreeSet<JobKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
