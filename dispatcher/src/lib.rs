//! The dispatcher: one Lambda function that takes a forge's deliveries, gives every waiting job one
//! fresh EC2 instance, and leaves nothing behind.
//!
//! Reading order: [`event`] says what can happen, [`handler`] what is done about each. A delivery is
//! only recorded ([`delivery`], [`job`], [`ledger`]); the loop in [`drain`] and the tick in
//! [`cleanup`] observe the [`world`], let the pure [`plan`] decide, and [`apply`] acts.
//!
//! Invariants: `plan` and `world` know no clock, network or log. Only [`shell`] calls AWS (the
//! [`ledger`] also knows DynamoDB's values), and only [`forge`] speaks to the forge. A webhook is a
//! hint: losing the nudge that follows it costs a tick, never a job. Every effect on EC2 is written
//! into the ledger before it is tried.

pub mod answer;
pub mod apply;
pub mod cleanup;
pub mod config;
pub mod delivery;
pub mod drain;
pub mod event;
pub mod forge;
pub mod handler;
pub mod home;
mod https;
pub mod job;
pub mod lambda;
pub mod launch;
pub mod ledger;
mod owed;
pub mod pace;
pub mod plan;
pub mod predict;
pub mod runner;
pub mod secret;
pub mod shell;
pub mod unserved;
pub mod world;
