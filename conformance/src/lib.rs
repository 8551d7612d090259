//! What judges the trigger rules of `workflow`: recorded cases and verdicts of forges, Gitea's own rules as
//! programs, and a real Gitea that is pushed to at random. Nothing here is a second copy of the rules.

pub mod cases;
pub mod judge;
pub mod live;
pub mod verdicts;
