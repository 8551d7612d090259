//! The dispatcher: one Lambda function that takes a forge's deliveries, gives every waiting job one
//! fresh EC2 instance, and leaves nothing behind.
//!
//! Reading order: [`invocation`] says what can happen, [`handler`] what is done about each. A delivery
//! is only recorded ([`webhook`]); the loop in [`reconcile`] observes the world ([`model`]), lets the
//! pure [`plan`] decide, and applies.
//!
//! Invariants: `plan` and `model` know no clock, network or log. Only [`aws`] calls AWS (the [`ledger`]
//! also knows DynamoDB's values), and only [`forge`] speaks to the forge. A webhook is a
//! hint: losing the nudge that follows it costs a tick, never a job. Every effect on EC2 is written
//! into the ledger before it is tried.

pub mod aws;
mod clock;
pub mod config;
pub mod forge;
pub mod handler;
mod http_response;
pub mod invocation;
pub mod lambda;
pub mod ledger;
pub mod model;
pub mod plan;
pub mod reconcile;
mod rehearsal;
pub mod runner_route;
pub mod simulation;
mod smoke_test;
pub mod webhook;
