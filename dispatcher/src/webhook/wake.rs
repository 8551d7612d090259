//! Who launches for what a delivery recorded: the drain that is at work, or one that is woken.
//!
//! A drain at work is asked in the transaction that records the job, which is refused where none is. So
//! nothing is asked of a drain that has looked for the last time. In a burst a delivery is one call, and a
//! thousand jobs are not a thousand drains; outside of one it is a record and a nudge.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::Ask;

/// Longest time between two deliveries of a burst.
const BURST: Duration = Duration::from_secs(2);
/// How long a drain that was woken takes to be at work. Until then nothing is asked of it: what is refused
/// is one call more.
const BEGINS: Duration = Duration::from_millis(200);

/// What this process knows of drains at work. It only chooses which way is tried first.
#[derive(Debug, Default)]
pub(crate) struct Wake(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    delivered: Option<Instant>,
    nudged: Option<Instant>,
    cancelled: Option<Instant>,
}

impl Wake {
    /// A delivery came: the drain is asked if one that was woken by those before is probably at work.
    pub(super) fn ask(&self) -> Ask {
        let now = Instant::now();
        let mut state = self.state();
        let is_burst = state.delivered.is_some_and(|at| now - at < BURST);
        state.delivered = Some(now);
        if !is_burst {
            state.nudged = None;
        }
        match state.nudged {
            Some(at) if now - at >= BEGINS => Ask::TheDrain,
            Some(_) | None => Ask::Nobody,
        }
    }

    /// Whether no drain was woken for a cancelled job a moment ago. Those of a moment wait for the next drain.
    pub(super) fn is_first_cancelled(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let is_first = state.cancelled.is_none_or(|at| now - at >= BURST);
        if is_first {
            state.cancelled = Some(now);
        }
        is_first
    }

    /// No drain was at work.
    pub(super) fn found_none(&self) {
        self.state().nudged = None;
    }

    /// A drain was woken.
    pub(super) fn nudged(&self) {
        self.state().nudged.get_or_insert_with(Instant::now);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
