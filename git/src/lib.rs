//! A clone on this machine as a source of facts for the trigger rules: `explain` and the comparison
//! with a real Gitea read the same files in the same way.

mod clone;

pub use clone::{BadClone, LocalClone, Settings};
