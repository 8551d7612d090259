//! Which jobs an event of the forge starts: the forge's own verdict, come to from the same bytes.
//!
//! The tree is pure: bytes and facts in, jobs and reasons out; it knows no clock, network or log. It
//! is meant to be read as the specification of the trigger rules, one rule after the other: which
//! files are workflows ([`files`]), how a file is read ([`yaml`], [`document`], [`on`]), whether an
//! event starts it ([`trigger`], over [`pattern`] and [`tree`]), which jobs it has ([`jobs`],
//! [`matrix`], [`expression`]), and which of them wait for others ([`needs`]). Rules differ between
//! servers; [`server`] names every difference.

pub mod asks;
pub mod concurrency;
pub mod contexts;
pub mod document;
pub mod expression;
pub mod files;
pub mod fuel;
pub mod glob;
pub mod happened;
pub mod happening;
pub mod jobs;
pub mod labels;
pub mod matrix;
pub mod name;
pub mod needs;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of what can stand there few things may"
)]
pub mod on;
pub mod pattern;
pub mod reading;
mod regex;
pub mod reusable;
pub mod server;
pub mod tree;
pub mod trigger;
pub mod verdict;
pub mod yaml;

#[cfg(test)]
mod jobs_tests;
