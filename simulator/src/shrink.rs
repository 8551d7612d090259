//! The shortest story that still breaks a promise: lines are left out, half of them at first, one at a
//! time at last.

use crate::play::{Outcome, Playing, play};
use crate::story::Story;

/// Most times that a story is played for that.
const PLAYS_MAX: usize = 200;

/// A story with as few lines as still break a promise, and what comes of it. `broken` is what came of all of
/// it.
#[must_use]
pub fn shrink(story: &Story, broken: Outcome, playing: Playing) -> (Story, Outcome) {
    let (mut least, mut outcome) = (story.clone(), broken);
    let mut plays = 0;
    let mut size = least.steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let before = least.steps.len();
        while at < least.steps.len() && plays < PLAYS_MAX {
            let mut shorter = least.clone();
            let end = (at + size).min(shorter.steps.len());
            shorter.steps.drain(at..end);
            plays += 1;
            let came = play(&shorter, playing);
            if came.violations.is_empty() {
                at += size;
            } else {
                (least, outcome) = (shorter, came);
            }
        }
        if plays >= PLAYS_MAX || (size == 1 && least.steps.len() == before) {
            return (least, outcome);
        }
        size = (size / 2).max(1);
    }
}
