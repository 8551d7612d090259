//! The loop: observe the world, plan, apply, until nothing changes.
//!
//! [`drain`] is woken by every delivery that recorded something, by the end of a machine and by the
//! [`tick`], and is the only place that launches. [`expect`] finds out which jobs an event has
//! started; `outbox` settles with the forge what can wait.

pub mod apply;
pub mod context;
pub mod drain;
pub mod expect;
pub mod known_jobs;
pub mod observe;
mod outbox;
pub mod rate_limit;
mod refusals;
pub mod tick;
