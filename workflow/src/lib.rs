//! Which jobs an event of the forge starts: the forge's own verdict, come to from the same bytes.
//!
//! The tree is pure: bytes and facts in, jobs and reasons out; it knows no clock, network or log. It
//! is meant to be read as the specification of the trigger rules, one rule after the other: which
//! files are workflows ([`files`]), how a file is read ([`yaml`], [`document`], [`on`]), whether an
//! event starts it ([`trigger`], over [`pattern`] and [`tree`]), which jobs it has ([`jobs`],
//! [`matrix`], [`expression`]), and which of them wait for others ([`needs`]). Rules differ between
//! servers; [`server`] names every difference.

pub mod budget;
pub mod discovery;
pub mod document;
pub mod evaluation;
pub mod event;
pub mod expression;
mod facts;
mod gather;
pub mod jobs;
pub mod pattern;
pub mod server;
pub mod trigger;
pub mod yaml;

pub use document::requirements::Requirements;
pub use evaluation::{Evaluation, PlannedJob, Question, evaluate};
pub use event::{Event, EventKind};
pub use facts::Facts;
pub use gather::{Commit, Source, gather};
pub use jobs::workflow_set::WorkflowSet;
pub use server::{Capability, ForgeKind, Server};
pub use trigger::Changed;
