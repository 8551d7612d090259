//! The real dispatcher in a world of faults: its handlers, plans, expressions and requests, over AWS and a
//! forge in memory, in virtual time, from a seed.
//!
//! Invariant: a story gives the same trace every time. One thread, a paused clock, and whatever is drawn
//! follows from the story's seed. Nothing of the product is replaced but the clock and the wires
//! ([`dispatcher::simulation`]).

mod account;
mod generate;
mod invoke;
mod life;
mod machine;
mod play;
mod process;
mod promises;
mod prove;
mod runner;
mod shrink;
mod site;
mod story;
pub mod table;
mod watch;
mod wires;
mod world;

pub use crate::generate::generate;
pub use crate::play::{Outcome, Playing, play, recorded};
pub use crate::prove::{Proof, SCHEDULES_MAX, prove};
pub use crate::shrink::shrink;
pub use crate::story::{
    Act, BadStory, CallFault, Expected, MachineFault, Message, Passage, Step, Story,
};
pub use dispatcher::simulation::Fault;
