//! Whose turn it is: which events are looked into, and in which order.
//!
//! A look costs a handful of requests to the forge, so few are taken at a time. An event that nobody
//! has looked into may have jobs that wait without a machine; one that is followed has had its first.
//! Repositories take turns, so that one push of a hundred branches keeps no other repository waiting.

use std::collections::BTreeMap;

use crate::ledger::PendingEvent;
use crate::reconcile::context::Woken;

/// The events that are due, the first to be looked into first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turns<'a> {
    pub(super) due: Vec<&'a PendingEvent>,
    /// Somebody else is looking into one of them.
    pub(super) busy: bool,
}

/// Puts `events` in order: those that are new before those that are followed, of both the
/// repositories in turn, of one repository the one that is due longest.
pub(super) fn of(events: &[PendingEvent], now_ms: u64, woken: Woken) -> Turns<'_> {
    let mut busy = false;
    let mut due: Vec<&PendingEvent> = Vec::new();
    for pending in events {
        let is_due = pending.not_before_ms <= now_ms;
        let is_taken = pending.tries > 0 && !is_due;
        busy |= is_taken;
        // A machine that ended may have had the job that another one waits for.
        if is_due || (woken == Woken::ByAnEnd && !is_taken) {
            due.push(pending);
        }
    }
    due.sort_unstable_by_key(|pending| (!is_new(pending), since_ms(pending), &pending.id));
    let mut places = BTreeMap::<(bool, &str), usize>::new();
    let mut turns: Vec<(usize, &PendingEvent)> = Vec::new();
    for pending in due {
        let own = (is_new(pending), pending.repository.as_str());
        let place = places.entry(own).or_default();
        turns.push((*place, pending));
        *place += 1;
    }
    turns.sort_unstable_by_key(|(place, pending)| {
        (!is_new(pending), *place, since_ms(pending), &pending.id)
    });
    Turns {
        due: turns.into_iter().map(|(_, pending)| pending).collect(),
        busy,
    }
}

/// Whether nobody knows yet which jobs the event has.
pub(super) fn is_new(pending: &PendingEvent) -> bool {
    pending.expects.is_none()
}

/// Since when it is due.
fn since_ms(pending: &PendingEvent) -> u64 {
    pending.not_before_ms.max(pending.recorded_ms)
}

#[cfg(test)]
mod tests {
    use workflow::event::EventKind;

    use super::*;

    fn event(repository: &str, id: &str, recorded_ms: u64) -> PendingEvent {
        PendingEvent {
            id: id.to_owned(),
            repository: repository.to_owned(),
            event: EventKind::Push,
            at: String::new(),
            recorded_ms,
            not_before_ms: 0,
            tries: 0,
            expects: None,
        }
    }

    fn followed(pending: PendingEvent, not_before_ms: u64) -> PendingEvent {
        PendingEvent {
            not_before_ms,
            expects: Some(Vec::new()),
            ..pending
        }
    }

    fn ids<'a>(turns: &Turns<'a>) -> Vec<&'a str> {
        turns.due.iter().map(|one| one.id.as_str()).collect()
    }

    #[test]
    fn new_events_come_first_and_repositories_take_turns() {
        let events = [
            followed(event("a/a", "a-old", 1), 90),
            followed(event("b/b", "b-old", 1), 20),
            followed(event("b/b", "b-older", 1), 10),
            event("a/a", "a-3", 30),
            event("a/a", "a-1", 10),
            event("a/a", "a-2", 20),
            event("c/c", "c-1", 40),
        ];
        let turns = of(&events, 100, Woken::Otherwise);
        assert_eq!(
            ids(&turns),
            ["a-1", "c-1", "a-2", "a-3", "b-older", "a-old", "b-old"]
        );
        assert!(!turns.busy);
    }

    #[test]
    fn a_hundred_branches_of_one_repository_keep_no_other_waiting() {
        let mut events: Vec<PendingEvent> = (0..150)
            .map(|at| event("big/big", &format!("{at:03}"), at))
            .collect();
        events.push(event("small/small", "last", 1_000));
        let turns = of(&events, 2_000, Woken::Otherwise);
        assert_eq!(ids(&turns)[..3], ["000", "last", "001"]);
        assert_eq!(turns.due.len(), 151);
    }

    #[test]
    fn what_rests_is_looked_at_after_an_end_and_what_somebody_has_taken_is_not() {
        let taken = PendingEvent {
            tries: 1,
            not_before_ms: 200,
            ..event("a/a", "taken", 1)
        };
        let events = [taken, followed(event("a/a", "rests", 1), 150)];
        let turns = of(&events, 100, Woken::Otherwise);
        assert_eq!((ids(&turns), turns.busy), (vec![], true));
        let turns = of(&events, 100, Woken::ByAnEnd);
        assert_eq!((ids(&turns), turns.busy), (vec!["rests"], true));
        let turns = of(&events, 300, Woken::Otherwise);
        assert_eq!((ids(&turns), turns.busy), (vec!["taken", "rests"], false));
    }
}
