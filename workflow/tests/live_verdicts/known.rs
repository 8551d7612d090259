//! Where the rules are known to differ from these servers.

use crate::Side::{self, Foreign, Missed};

/// What the server does, and the jobs in which it shows: the repository (empty for the large one), the
/// workflow, who has them, and how many they are, of all events.
pub(crate) type Known = (
    &'static str,
    &'static [(&'static str, &'static str, Side, usize)],
);

pub(crate) const FORGEJO_15: &[Known] = &[];

pub(crate) const GITEA_1_27: &[Known] = &[
    (
        "Gitea knows no context forgejo, and refuses the file",
        &[("", "r-forgejo.yml", Foreign, 6)],
    ),
    (
        "without its variables Gitea can't read fromJSON of one, and refuses the file",
        &[("", "r-list-json.yml", Foreign, 6)],
    ),
    (
        "Gitea reads an alias below on",
        &[("", "y-anchor.yml", Missed, 6)],
    ),
    (
        "Gitea makes no run of a job whose keys are merged in",
        &[("", "y-merge.yml", Foreign, 9)],
    ),
    (
        "its code fails on a file no more: that one is refused, the others start",
        &[
            ("pan-empty-job", "a.yml", Missed, 1),
            ("pan-empty-job", "z.yml", Missed, 1),
            ("pan-include-no-map", "a.yml", Missed, 1),
            ("pan-include-no-map", "z.yml", Missed, 1),
        ],
    ),
];
