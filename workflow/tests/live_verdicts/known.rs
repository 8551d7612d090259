//! Where the rules are known to differ from these servers.

use crate::Side::{self, Foreign, Missed, Unknown};

/// What the server does, and the jobs in which it shows: the repository (empty for the large one), the
/// workflow, who has them, and how many they are, of all events.
pub(crate) type Known = (
    &'static str,
    &'static [(&'static str, &'static str, Side, usize)],
);

/// Any workflow of the repository.
pub(crate) const ANY: &str = "*";

pub(crate) const FORGEJO_15: &[Known] = &[
    (
        "Forgejo makes no job of an empty matrix, and a run without jobs",
        &[("", "m-empty.yml", Foreign, 7)],
    ),
    (
        "Forgejo fails a job at once that needs one that is not there",
        &[("", "n-missing.yml", Foreign, 7)],
    ),
    (
        "names, labels and matrices are made without the context github, which is empty there",
        &[
            ("", "r-cond.yml", Foreign, 7),
            ("", "r-cond.yml", Missed, 7),
            ("", "r-gitea.yml", Foreign, 7),
            ("", "r-gitea.yml", Missed, 7),
            ("", "r-ref.yml", Foreign, 7),
            ("", "r-ref.yml", Missed, 7),
            ("mini", "matrix-github.yml", Foreign, 1),
            ("mini", "matrix-github.yml", Missed, 2),
            ("mini", "name-event.yml", Foreign, 1),
            ("mini", "name-event.yml", Missed, 1),
            ("mini", "name-ref.yml", Foreign, 1),
            ("mini", "name-ref.yml", Missed, 1),
        ],
    ),
    (
        "the rules know no context forgejo; Forgejo's is empty in labels",
        &[
            ("", "r-forgejo.yml", Foreign, 7),
            ("", "r-forgejo.yml", Missed, 7),
        ],
    ),
    (
        "without the context github too, and labels that come out empty are left out of a list",
        &[
            ("", "r-listexp.yml", Foreign, 7),
            ("", "r-listexp.yml", Missed, 7),
            ("mini", "runson-sha.yml", Foreign, 1),
            ("mini", "runson-sha.yml", Missed, 1),
        ],
    ),
    (
        "Forgejo fails a job at once that calls a file that is not there",
        &[("", "u-local-missing.yml", Unknown, 7)],
    ),
    (
        "jobs of a called workflow stand in its caller's place, also of another repository",
        &[
            ("", "u-remote.yml", Foreign, 7),
            ("", "u-remote.yml", Missed, 21),
        ],
    ),
    (
        "an empty matrix has no job, and what needs that fails at once",
        &[("mini", "empty-matrix-need.yml", Foreign, 2)],
    ),
    (
        "its code fails on a file: those before it have started, those after it are lost",
        &[
            ("pan-empty-job", "a.yml", Missed, 1),
            ("trig", ANY, Missed, 301),
        ],
    ),
    (
        "Forgejo's code panics at an include that is no map, and later files are lost",
        &[("pan-include-no-map", "z.yml", Foreign, 1)],
    ),
    (
        "Forgejo refuses a file with runs-on null",
        &[("pan-runs-on-null", "m.yml", Foreign, 1)],
    ),
];

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
        "Gitea makes no run of a call of a file that is not there",
        &[("", "u-local-missing.yml", Unknown, 6)],
    ),
    (
        "Gitea makes no run of a call of a workflow that can't be called",
        &[("", "u-remote.yml", Unknown, 6)],
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
