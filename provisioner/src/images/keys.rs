//! Tags of images, and of the machines that make and try them.

use std::time::{SystemTime, UNIX_EPOCH};

use stacks::names::{IMAGE_LAUNCH, Names};

/// Keys of the tags of an image and its snapshots. The first says that they are the deployment's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) image: String,
    pub(crate) stock: String,
    pub(crate) version: String,
    pub(crate) digest: String,
    pub(crate) parent: String,
    /// When a machine of it was tried and found good. Without it nothing starts from it.
    pub(crate) tested: String,
    /// When machines were first to start from it. From then on only people put it forward again.
    pub(crate) published: String,
    /// Of which build it is: no two have the same word.
    pub(crate) build: String,
}

impl Keys {
    pub(crate) fn of(names: &Names) -> Self {
        let with = |word: &str| format!("{}:{word}", names.name);
        Self {
            image: names.tag_image.clone(),
            stock: with("stock"),
            version: with("version"),
            digest: with("digest"),
            parent: with("parent"),
            tested: with("tested"),
            published: with("published"),
            build: with("build"),
        }
    }
}

/// Tags of a machine that makes or tries an image: the sweep ends it after `expires`, running or stopped, and
/// never before.
pub(super) fn of_machine(names: &Names, digest: &str, expires: &str) -> Vec<(String, String)> {
    vec![
        ("Name".to_owned(), format!("{}/image", names.name)),
        (names.tag.clone(), "image".to_owned()),
        (names.tag_launch.clone(), launch(digest)),
        (names.tag_expires.clone(), expires.to_owned()),
    ]
}

/// The launch of the machines of one build.
pub(super) fn launch(digest: &str) -> String {
    format!("{IMAGE_LAUNCH}{digest}")
}

/// A word that no other request or build has.
pub(super) fn nonce() -> String {
    format!("ami-{:016x}{:08x}", fastrand::u64(..), fastrand::u32(..))
}

/// Seconds since 1970.
pub(super) fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_says_what_it_makes_and_until_when() {
        let tags = of_machine(&Names::of("ci"), "0a1b", "2027-01-15T08:00:00Z");
        let value = |key: &str| {
            let found = tags.iter().find(|(own, _)| own == key);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(value("ci:launch"), Some("ami:0a1b"));
        assert_eq!(value("ci:expires"), Some("2027-01-15T08:00:00Z"));
        assert_eq!(value("ci"), Some("image"));
    }
}
