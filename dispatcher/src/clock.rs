//! The clock. Everything that decides gets the time as a number from here.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    #[cfg(debug_assertions)]
    if let Some(simulated) = crate::simulation::surroundings() {
        return simulated.now_ms();
    }
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
