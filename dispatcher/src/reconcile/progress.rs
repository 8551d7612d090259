//! What an action came to.

use crate::model::job::JobKey;
use crate::model::world::ForgeJobState;

/// What an action came to, as far as the loop cares.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// The world has changed, or may have: look again.
    Changed,
    /// The forge said this of jobs: look again with it.
    Verified(Vec<(JobKey, ForgeJobState)>),
    /// Nothing more to do about it in this drain.
    Waits,
}
