//! Images that EC2 has, as plain data, and what follows from them: which is current, and which was before it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use stacks::images::ImageRecord;

use super::keys;

/// One image that EC2 has, as its tags tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuiltImage {
    /// EC2's id.
    pub id: String,
    /// EC2's name for it.
    pub name: String,
    /// The image that it is of.
    pub image: String,
    /// For machines of this architecture.
    pub arch: String,
    /// The distribution that it stems from.
    pub stock: String,
    /// Its number among all builds of its image.
    pub version: u32,
    /// What decided its content.
    pub digest: String,
    /// The image that it was made of.
    pub parent: String,
    /// When it was made, in seconds since 1970.
    pub created_s: u64,
    /// Whether a machine of it has been tried, and was good.
    pub tested: bool,
    /// Whether machines were to start from it at any time.
    pub published: bool,
    /// Whether EC2 would launch it.
    pub available: bool,
    /// EC2's ids of its snapshots.
    #[serde(skip)]
    pub snapshots: Vec<String>,
}

/// How far EC2 is with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageStatus {
    /// It is being made.
    Pending,
    /// It can be launched.
    Available,
    /// It never will be; in EC2's word.
    Broken(String),
}

/// What an image is in its deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The next machine starts from it.
    Current,
    /// `ami rollback` goes back to it.
    Previous,
    /// It could be promoted.
    Other,
    /// Its build broke off before it was tried: nothing starts from it.
    Untested,
}

impl Role {
    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Other => "",
            Self::Untested => "untested",
        }
    }
}

/// An image and what it is in its deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The image.
    #[serde(flatten)]
    pub built: BuiltImage,
    /// What it is.
    pub role: Role,
    /// How old it is, in days.
    pub age_days: u64,
}

/// Image and architecture: of each such pair one is current.
pub(crate) type ImageKind = (String, String);
/// The parameters' values.
pub(crate) type Current = BTreeMap<ImageKind, String>;
/// The records beside them.
pub(crate) type Records = BTreeMap<ImageKind, ImageRecord>;

impl BuiltImage {
    pub(crate) fn kind(&self) -> ImageKind {
        (self.image.clone(), self.arch.clone())
    }

    /// Whether machines may start from it.
    pub(crate) fn is_usable(&self) -> bool {
        self.tested && self.available
    }

    /// Whether machines that start from `other` could start from it by the same launch template.
    pub(crate) fn takes_the_place_of(&self, other: &Self) -> bool {
        self.is_usable() && self.kind() == other.kind() && self.stock == other.stock
    }

    /// How old it is, in days.
    pub(crate) fn age_days(&self) -> u64 {
        self.age_days_at(keys::now_s())
    }

    fn age_days_at(&self, now_s: u64) -> u64 {
        now_s.saturating_sub(self.created_s) / 86_400
    }
}

/// The number of the next build of `image`.
pub(crate) fn next_version(all: &[BuiltImage], image: &str) -> u32 {
    let of_image = all.iter().filter(|one| one.image == image);
    of_image.map(|one| one.version).max().unwrap_or(0) + 1
}

/// The finished image with this digest, if there is one.
pub(crate) fn with_digest<'a>(all: &'a [BuiltImage], digest: &str) -> Option<&'a BuiltImage> {
    let of_digest = all.iter().filter(|one| one.digest == digest);
    let usable = of_digest.filter(|one| one.is_usable());
    usable.max_by_key(|one| one.version)
}

/// Whether machines may start from `one`. The launch templates of its pools name the root volume as `current`'s
/// distribution calls it, and after the next `up` as `stock` does: with another name the disk would be a second one.
pub(crate) fn fits(one: &BuiltImage, current: Option<&BuiltImage>, stock: &str) -> bool {
    one.stock == stock || current.is_some_and(|current| current.stock == one.stock)
}

/// The one to go back to from `current`: the newest before it of its kind and distribution that machines started from.
pub(crate) fn previous<'a>(all: &'a [BuiltImage], current: &BuiltImage) -> Option<&'a BuiltImage> {
    let mut older: Vec<&BuiltImage> = all
        .iter()
        .filter(|one| one.takes_the_place_of(current))
        .filter(|one| one.published && one.version < current.version)
        .collect();
    older.sort_by_key(|one| one.version);
    older.pop()
}

/// The one to go back to from `current`: the one that its record names, of those that there still are, else the
/// newest before it. After an image was put back, a newer one has that before it and not the bad one.
pub(crate) fn before<'a>(
    all: &'a [BuiltImage],
    current: &BuiltImage,
    record: Option<&ImageRecord>,
) -> Option<&'a BuiltImage> {
    let recorded = record.filter(|record| record.current.ami == current.id);
    let Some(recorded) = recorded else {
        return previous(all, current);
    };
    let named = recorded.previous.as_ref()?;
    let mut fit = all.iter().filter(|one| one.takes_the_place_of(current));
    let found = fit.find(|one| one.id == named.ami);
    found.or_else(|| previous(all, current))
}

/// The one to go back to from `to` once it takes the place of `from`: that, if it fits. One that takes its own place has
/// the same before it as it had.
pub(crate) fn left_for<'a>(
    all: &'a [BuiltImage],
    to: &BuiltImage,
    from: Option<&str>,
    record: Option<&ImageRecord>,
) -> Option<&'a BuiltImage> {
    if from == Some(&to.id) {
        return before(all, to, record);
    }
    let mut fit = all.iter().filter(|one| one.takes_the_place_of(to));
    let was = fit.find(|one| Some(one.id.as_str()) == from);
    was.or_else(|| previous(all, to))
}

/// Every image with what it is, by image and architecture, the newest first.
pub(crate) fn listed(
    all: &[BuiltImage],
    current: &Current,
    records: &Records,
    now_s: u64,
) -> Vec<Listed> {
    let is_current = |one: &BuiltImage| current.get(&one.kind()) == Some(&one.id);
    let gone_back_to: BTreeSet<&str> = all
        .iter()
        .filter(|one| is_current(one))
        .filter_map(|one| Some(before(all, one, records.get(&one.kind()))?.id.as_str()))
        .collect();
    let role = |one: &BuiltImage| {
        if is_current(one) {
            Role::Current
        } else if !one.is_usable() {
            Role::Untested
        } else if gone_back_to.contains(one.id.as_str()) {
            Role::Previous
        } else {
            Role::Other
        }
    };
    let mut listed: Vec<Listed> = all
        .iter()
        .map(|one| Listed {
            role: role(one),
            age_days: one.age_days_at(now_s),
            built: one.clone(),
        })
        .collect();
    listed.sort_by(|a, b| {
        let of = |it: &Listed| (it.built.kind(), std::cmp::Reverse(it.built.version));
        of(a).cmp(&of(b))
    });
    listed
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::images) const NOW_S: u64 = 1_800_000_000;

    pub(in crate::images) fn image(version: u32) -> BuiltImage {
        BuiltImage {
            id: format!("ami-{version}"),
            name: format!("ci-runner-go-v{version}"),
            image: "go".to_owned(),
            arch: "x86_64".to_owned(),
            stock: "al2023".to_owned(),
            version,
            digest: format!("d{version}"),
            parent: "ami-0".to_owned(),
            created_s: NOW_S - 86_400 * u64::from(10 - version),
            tested: true,
            published: true,
            available: true,
            snapshots: Vec::new(),
        }
    }

    pub(in crate::images) fn current(id: &str) -> Current {
        let kind = ("go".to_owned(), "x86_64".to_owned());
        Current::from([(kind, id.to_owned())])
    }

    #[test]
    fn each_image_has_its_role_and_the_one_before_is_the_newest_that_is_older() {
        let untested = BuiltImage {
            tested: false,
            ..image(5)
        };
        let arm = BuiltImage {
            id: "ami-arm".to_owned(),
            arch: "arm64".to_owned(),
            ..image(2)
        };
        let all = [image(1), image(3), image(4), untested, arm];
        let roles = |current: &Current| -> Vec<(u32, Role)> {
            let listed = listed(&all, current, &Records::new(), NOW_S);
            let mut x86 = listed.iter().filter(|one| one.built.arch == "x86_64");
            assert!(x86.all(|one| one.age_days == 10 - u64::from(one.built.version)));
            let x86 = listed.iter().filter(|one| one.built.arch == "x86_64");
            x86.map(|one| (one.built.version, one.role)).collect()
        };
        let expected = [
            (5, Role::Untested),
            (4, Role::Current),
            (3, Role::Previous),
            (1, Role::Other),
        ];
        assert_eq!(roles(&current("ami-4")), expected);
        // After a rollback, and with a stock image as the current one.
        let expected = [
            (5, Role::Untested),
            (4, Role::Other),
            (3, Role::Current),
            (1, Role::Previous),
        ];
        assert_eq!(roles(&current("ami-3")), expected);
        assert!(
            roles(&current("ami-stock"))
                .iter()
                .all(|(_, role)| *role != Role::Previous)
        );
        assert_eq!(previous(&all, &image(1)), None);
        assert_eq!(next_version(&all, "go"), 6);
        assert_eq!(next_version(&all, "node"), 1);
    }

    #[test]
    fn the_record_says_which_one_to_go_back_to_as_long_as_it_is_there() {
        let all = [image(1), image(2), image(4)];
        let made = |version: u32| stacks::images::Made {
            ami: format!("ami-{version}"),
            made_s: 0,
        };
        let record = |current: u32, previous: Option<u32>| ImageRecord {
            current: made(current),
            previous: previous.map(made),
        };
        let before = |record: Option<ImageRecord>| {
            before(&all, &image(4), record.as_ref()).map(|one| one.version)
        };
        assert_eq!(before(None), Some(2));
        // The second was bad, and the first put back before the fourth was built.
        assert_eq!(before(Some(record(4, Some(1)))), Some(1));
        assert_eq!(before(Some(record(4, None))), None);
        // Retired since, and of another image than the current one.
        assert_eq!(before(Some(record(4, Some(3)))), Some(2));
        assert_eq!(before(Some(record(2, Some(1)))), Some(2));
        // Named again, it has the same before it.
        let again = |record: &ImageRecord| left_for(&all, &image(4), Some("ami-4"), Some(record));
        assert_eq!(again(&record(4, Some(1))).map(|one| one.version), Some(1));
        assert_eq!(again(&record(4, None)), None);
        // What is listed as the one before is the one that is gone back to.
        for (previous, is_previous) in [(Some(1), Some(1)), (None, None), (Some(3), Some(2))] {
            let records = Records::from([(image(4).kind(), record(4, previous))]);
            let listed = listed(&all, &current("ami-4"), &records, NOW_S);
            let found = listed.iter().find(|one| one.role == Role::Previous);
            assert_eq!(found.map(|one| one.built.version), is_previous);
        }
    }

    #[test]
    fn no_image_takes_the_place_of_one_on_another_distribution() {
        let ubuntu = |version| BuiltImage {
            stock: "ubuntu".to_owned(),
            ..image(version)
        };
        let all = [image(1), ubuntu(2), image(3), ubuntu(4), image(5)];
        let version = |found: Option<&BuiltImage>| found.map(|one| one.version);
        assert_eq!(version(previous(&all, &all[4])), Some(3));
        assert_eq!(version(previous(&all, &all[3])), Some(2));
        assert_eq!(version(previous(&all, &all[1])), None);
        // A record from before the pools' distribution changed.
        let made = |version: u32| stacks::images::Made {
            ami: format!("ami-{version}"),
            made_s: 0,
        };
        let record = ImageRecord {
            current: made(5),
            previous: Some(made(4)),
        };
        assert_eq!(version(before(&all, &all[4], Some(&record))), Some(3));

        let left_for =
            |to: usize, from: &str, record| version(left_for(&all, &all[to], Some(from), record));
        assert_eq!(left_for(4, "ami-1", None), Some(1));
        assert_eq!(left_for(4, "ami-4", None), Some(3));
        assert_eq!(left_for(3, "ami-5", None), Some(2));

        // As launch templates are now, and as the next `up` makes them.
        assert!(fits(&all[0], Some(&all[4]), "ubuntu"));
        assert!(fits(&all[1], Some(&all[4]), "ubuntu"));
        assert!(!fits(&all[1], Some(&all[4]), "al2023"));
        assert!(!fits(&all[1], None, "al2023"));
    }

    #[test]
    fn a_digest_is_built_once_it_is_tested() {
        let untested = BuiltImage {
            tested: false,
            ..image(2)
        };
        let all = [image(1), untested];
        assert_eq!(with_digest(&all, "d1").map(|one| one.version), Some(1));
        assert_eq!(with_digest(&all, "d2"), None);
    }
}
