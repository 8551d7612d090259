//! Environment to templates to deployed stacks, and back to nothing.
//!
//! `environment` parses once, `render` is pure, then observe → plan → apply: `world` holds what is
//! deployed as plain data, `plan` decides what differs, `apply` executes exactly that, and `shell`
//! alone calls AWS. `teardown` is the way back. Invariant: nothing here knows the lab; a [`AwsEndpoint`]
//! says where AWS is.

pub mod ami;
mod apply;
mod arch;
pub mod ask;
pub mod aws;
mod deployment;
pub mod differ;
pub mod environment;
mod error;
pub mod images;
pub mod named_images;
pub mod occupied;
pub mod package;
pub mod plan;
pub mod progress;
pub mod rehearsal;
pub mod render;
pub mod secrets;
mod shell;
pub mod show;
pub mod smoke_test;
mod smoke_watch;
pub mod teardown;
mod up;
pub mod world;

pub use apply::StackOutputs;
pub use aws::AwsEndpoint;
pub use deployment::Deployment;
pub use environment::Environment;
pub use error::Error;
pub use plan::Plan;
pub use rehearsal::{Rehearsed, rehearse, rehearse_once};
pub use render::{Rendered, Stack, render};
pub use smoke_watch::{end_smoke_test, interrupt, smoke_test};
pub use teardown::{Teardown, down, survey};
pub use up::{diff, outputs, preview, read_secret, set_secret, up};
