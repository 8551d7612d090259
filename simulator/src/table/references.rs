//! What an expression refers to.

use std::collections::BTreeSet;

/// What an expression refers to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct References {
    /// Names such as `#name`.
    pub(super) names: BTreeSet<String>,
    /// Values such as `:value`.
    pub(super) values: BTreeSet<String>,
}
