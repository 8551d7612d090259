//! Which images stay.

use std::collections::BTreeSet;

use serde::Serialize;

use super::built::{BuiltImage, Current};

/// How many tested images of each kind are kept: the newest, and the one to go back to.
pub const KEPT: usize = 2;
/// After which an image that nobody has tested is left over, in seconds: its build has ended, however it did.
const UNTESTED_S: u64 = 2 * 3600;

/// Why an image is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptBecause {
    /// The next machine starts from it.
    Current,
    /// A machine runs on it, or a pool names it by its id.
    InUse,
    /// `ami rollback` and the function go back to it.
    GoneBackTo,
    /// It is one of the newest.
    Recent,
    /// Nobody has tested it yet, and somebody may be about to.
    BeingBuilt,
}

impl KeptBecause {
    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Current => "machines start from it",
            Self::InUse => "a machine or a pool uses it",
            Self::GoneBackTo => "it is the one to go back to",
            Self::Recent => "it is one of the two newest",
            Self::BeingBuilt => "it may be under way",
        }
    }
}

/// Why `one` must not go, if it must not. `in_use` are ids of images that machines run on or pools name,
/// `recorded` those that the records of the current images name.
pub(crate) fn kept_because(
    one: &BuiltImage,
    all: &[BuiltImage],
    current: &Current,
    in_use: &BTreeSet<String>,
    recorded: &BTreeSet<String>,
    now_s: u64,
) -> Option<KeptBecause> {
    if current.get(&one.kind()) == Some(&one.id) {
        return Some(KeptBecause::Current);
    }
    if in_use.contains(&one.id) {
        return Some(KeptBecause::InUse);
    }
    if recorded.contains(&one.id) {
        return Some(KeptBecause::GoneBackTo);
    }
    if !one.is_usable() {
        let is_young = now_s.saturating_sub(one.created_s) < UNTESTED_S;
        return is_young.then_some(KeptBecause::BeingBuilt);
    }
    let newer = all
        .iter()
        .filter(|other| other.kind() == one.kind() && other.is_usable())
        .filter(|other| other.version > one.version);
    (newer.count() < KEPT).then_some(KeptBecause::Recent)
}

/// A snapshot with the tag of an image of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// EC2's id.
    pub(crate) id: String,
    /// When it was begun, in seconds since 1970.
    pub(crate) begun_s: u64,
}

/// Whether no image of these has the snapshot, nor one that is being made.
pub(crate) fn is_left_over(snapshot: &Snapshot, all: &[BuiltImage], now_s: u64) -> bool {
    let mut images = all.iter();
    now_s.saturating_sub(snapshot.begun_s) >= UNTESTED_S
        && !images.any(|one| one.snapshots.contains(&snapshot.id))
}

#[cfg(test)]
mod tests {
    use super::super::built::tests::{NOW_S, current, image};
    use super::*;

    #[test]
    fn two_are_kept_and_what_is_current_or_in_use() {
        let all = [image(1), image(2), image(3), image(4)];
        let kept = |version: u32, current_id: &str, in_use: &[&str]| {
            let in_use = in_use.iter().map(|id| (*id).to_owned()).collect();
            let recorded = BTreeSet::from(["ami-0".to_owned()]);
            let current = current(current_id);
            kept_because(&image(version), &all, &current, &in_use, &recorded, NOW_S)
        };
        assert_eq!(kept(4, "ami-4", &[]), Some(KeptBecause::Current));
        assert_eq!(kept(3, "ami-4", &[]), Some(KeptBecause::Recent));
        assert_eq!(kept(2, "ami-4", &[]), None);
        assert_eq!(kept(1, "ami-4", &["ami-1"]), Some(KeptBecause::InUse));
        // A newer one was bad, and the current one has this before it.
        assert_eq!(kept(0, "ami-4", &[]), Some(KeptBecause::GoneBackTo));
        // Gone back to: it stays, and so do the newer ones.
        assert_eq!(kept(1, "ami-1", &[]), Some(KeptBecause::Current));
        assert_eq!(kept(2, "ami-1", &[]), None);
        let fresh = BuiltImage {
            tested: false,
            created_s: NOW_S - 60,
            ..image(5)
        };
        let none = BTreeSet::new();
        let current = current("ami-4");
        let because = |one: &BuiltImage| kept_because(one, &all, &current, &none, &none, NOW_S);
        assert_eq!(because(&fresh), Some(KeptBecause::BeingBuilt));
        let left_over = BuiltImage {
            created_s: NOW_S - UNTESTED_S,
            ..fresh
        };
        assert_eq!(because(&left_over), None);
    }

    #[test]
    fn a_snapshot_is_left_over_once_no_image_can_have_it() {
        let own = BuiltImage {
            snapshots: vec!["snap-1".to_owned()],
            ..image(1)
        };
        let begun = |id: &str, ago_s: u64| Snapshot {
            id: id.to_owned(),
            begun_s: NOW_S - ago_s,
        };
        for (snapshot, is) in [
            (begun("snap-1", UNTESTED_S), false),
            (begun("snap-2", UNTESTED_S), true),
            (begun("snap-2", UNTESTED_S - 1), false),
        ] {
            assert_eq!(
                is_left_over(&snapshot, std::slice::from_ref(&own), NOW_S),
                is
            );
        }
    }
}
