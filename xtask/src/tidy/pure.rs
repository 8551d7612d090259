//! What the dispatcher's plan may not have: it decides over data, so that a decision can be read, and
//! tested as a table, before anything happens.

use super::found::Found;
use super::tokens::{Kind, Token};
use super::tree::Tree;

/// The plan.
const PLAN: [&str; 2] = ["dispatcher/src/plan.rs", "dispatcher/src/plan/"];
/// Names that it may not say, and what to do instead.
const BANNED: [(&str, &str); 7] = [
    ("SystemTime", "a clock: the time is a field of the world"),
    ("Instant", "a clock: the time is a field of the world"),
    ("tracing", "a log: return why, and let the caller log it"),
    ("Result", "an error: what can fail is done before or after"),
    ("async", "a wait: what it needs to know is in the world"),
    ("fastrand", "chance: ids are passed in"),
    ("getrandom", "chance: ids are passed in"),
];
/// Macros that log.
const LOGS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Every clock, log, wait or error.
pub fn check(tree: &Tree) -> Vec<Found> {
    let plan = tree.product(&PLAN);
    plan.flat_map(|file| file.broken(impure)).collect()
}

fn impure(tokens: &[Token], at: usize) -> Option<String> {
    let token = &tokens[at];
    if token.kind != Kind::Ident {
        return None;
    }
    let before = at.checked_sub(1).map(|before| &tokens[before]);
    let next_is = |sign| tokens.get(at + 1).is_some_and(|next| next.is(sign));
    let is_called = next_is("(") && before.is_some_and(|before| before.is(":") || before.is("."));
    if token.text == "now" && is_called {
        return Some("a clock: the time is a field of the world".to_owned());
    }
    if LOGS.contains(&&*token.text) && next_is("!") {
        return Some("a log: return why, and let the caller log it".to_owned());
    }
    let banned = BANNED.iter().find(|(name, _)| token.text == *name);
    banned.map(|(name, why)| format!("`{name}` is {why}"))
}
