//! What the dispatcher knows and decides about, as plain data: no clock, network or log.

pub mod image;
pub mod job;
pub mod launch;
pub mod launch_error;
pub mod runner;
pub mod secret;
pub mod world;
