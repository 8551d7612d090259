//! How much work one event's workflows may be.
//!
//! Each limit of a file or a list is generous alone, and everybody who may push can be at all of them at
//! once: a thousand jobs in each of two hundred files, a thousand patterns on ten thousand files. The
//! forge has the time, a function has not. So all of it is counted in one unit, and what is left when
//! that is used up can't be told: the forge is asked for the jobs that it made.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one event is given. A unit is a step of matching, some 3 ns, so this is a second or two of one core, and ten
/// of a small function's. Twenty workflows with four plain patterns and eight jobs each use a twentieth
/// of it for a thousand changed files.
const UNITS: u64 = 400_000_000;
/// A job that is made. It takes less time than this, but what is kept of some thousands fills memory.
pub(super) const JOB: u64 = 100_000;
/// A byte of a pattern that is made ready to match.
pub(super) const PATTERN_BYTE: u64 = 500;
/// A part of an expression that is evaluated.
pub(super) const PART: u64 = 50;
/// A byte of an expression that is read.
pub(super) const READ_BYTE: u64 = 10;

/// What is left of one event's work.
#[derive(Debug)]
pub struct Budget(AtomicU64);

/// Nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "all workflows together are more work than one event is given: fewer jobs, shorter expressions \
     or simpler patterns are followed"
)]
pub struct Spent;

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU64::new(UNITS))
    }
}

impl Budget {
    /// Takes `units`, if they are left; otherwise nothing is left from then on.
    pub(super) fn take(&self, units: u64) -> Result<(), Spent> {
        let left = self.0.load(Ordering::Relaxed).checked_sub(units);
        self.0.store(left.unwrap_or(0), Ordering::Relaxed);
        left.map(drop).ok_or(Spent)
    }
}
