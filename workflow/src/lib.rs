#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod budget;
pub mod discovery;
pub mod document;
pub mod evaluation;
pub mod event;
pub mod expression;
mod gather;
pub mod jobs;
pub mod pattern;
pub mod server;
pub mod trigger;
pub mod yaml;

pub use document::requirements::Requirements;
pub use evaluation::{Evaluation, PlannedJob};
pub use event::{Event, EventKind};
pub use gather::{Commit, Facts, Source, gather};
pub use jobs::workflow_set::WorkflowSet;
pub use server::{Capability, ForgeKind, Server};
pub use trigger::Changed;
