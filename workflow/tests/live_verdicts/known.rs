//! Where the rules are known to differ from these servers.

use crate::Side::{self, Foreign, Missed, Unknown};

/// A difference.
#[derive(Debug)]
pub(crate) struct Known {
    /// The repository; empty for the large one.
    pub(crate) repo: &'static str,
    pub(crate) workflow: &'static str,
    pub(crate) side: Side,
    /// How many jobs, of all events.
    pub(crate) times: usize,
    /// What the server does.
    pub(crate) because: &'static str,
}

/// Any workflow of the repository.
pub(crate) const ANY: &str = "*";

const GH: &str =
    "names, labels and matrices are made without the context github, which is empty there";
const EMPTY: &str =
    "without the context github too, and labels that come out empty are left out of a list";
const REMOTE: &str =
    "jobs of a called workflow stand in its caller's place, also of another repository";
const PANIC: &str =
    "its code fails on a file: those before it have started, those after it are lost";
const NOPANIC: &str = "its code fails on a file no more: that one is refused, the others start";

const fn known(
    repo: &'static str,
    workflow: &'static str,
    side: Side,
    times: usize,
    because: &'static str,
) -> Known {
    Known {
        repo,
        workflow,
        side,
        times,
        because,
    }
}

pub(crate) const FORGEJO_15: &[Known] = &[
    known(
        "",
        "m-empty.yml",
        Foreign,
        7,
        "Forgejo makes no job of an empty matrix, and a run without jobs",
    ),
    known(
        "",
        "n-missing.yml",
        Foreign,
        7,
        "Forgejo fails a job at once that needs one that is not there",
    ),
    known("", "r-cond.yml", Foreign, 7, GH),
    known("", "r-cond.yml", Missed, 7, GH),
    known(
        "",
        "r-forgejo.yml",
        Foreign,
        7,
        "the rules know no context forgejo; Forgejo's is empty in labels",
    ),
    known(
        "",
        "r-forgejo.yml",
        Missed,
        7,
        "the rules know no context forgejo; Forgejo's is empty in labels",
    ),
    known("", "r-gitea.yml", Foreign, 7, GH),
    known("", "r-gitea.yml", Missed, 7, GH),
    known("", "r-listexp.yml", Foreign, 7, EMPTY),
    known("", "r-listexp.yml", Missed, 7, EMPTY),
    known("", "r-ref.yml", Foreign, 7, GH),
    known("", "r-ref.yml", Missed, 7, GH),
    known(
        "",
        "u-local-missing.yml",
        Unknown,
        7,
        "Forgejo fails a job at once that calls a file that is not there",
    ),
    known("", "u-remote.yml", Foreign, 7, REMOTE),
    known("", "u-remote.yml", Missed, 21, REMOTE),
    known(
        "mini",
        "empty-matrix-need.yml",
        Foreign,
        2,
        "an empty matrix has no job, and what needs that fails at once",
    ),
    known("mini", "matrix-github.yml", Foreign, 1, GH),
    known("mini", "matrix-github.yml", Missed, 2, GH),
    known("mini", "name-event.yml", Foreign, 1, GH),
    known("mini", "name-event.yml", Missed, 1, GH),
    known("mini", "name-ref.yml", Foreign, 1, GH),
    known("mini", "name-ref.yml", Missed, 1, GH),
    known("mini", "runson-sha.yml", Foreign, 1, EMPTY),
    known("mini", "runson-sha.yml", Missed, 1, EMPTY),
    known("pan-empty-job", "a.yml", Missed, 1, PANIC),
    known(
        "pan-include-no-map",
        "z.yml",
        Foreign,
        1,
        "Forgejo's code panics at an include that is no map, and later files are lost",
    ),
    known(
        "pan-runs-on-null",
        "m.yml",
        Foreign,
        1,
        "Forgejo refuses a file with runs-on null",
    ),
    known("trig", ANY, Missed, 301, PANIC),
];

pub(crate) const GITEA_1_27: &[Known] = &[
    known(
        "",
        "r-forgejo.yml",
        Foreign,
        6,
        "Gitea knows no context forgejo, and refuses the file",
    ),
    known(
        "",
        "r-list-json.yml",
        Foreign,
        6,
        "without its variables Gitea can't read fromJSON of one, and refuses the file",
    ),
    known(
        "",
        "u-local-missing.yml",
        Unknown,
        6,
        "Gitea makes no run of a call of a file that is not there",
    ),
    known(
        "",
        "u-remote.yml",
        Unknown,
        6,
        "Gitea makes no run of a call of a workflow that can't be called",
    ),
    known(
        "",
        "y-anchor.yml",
        Missed,
        6,
        "Gitea reads an alias below on",
    ),
    known(
        "",
        "y-merge.yml",
        Foreign,
        9,
        "Gitea makes no run of a job whose keys are merged in",
    ),
    known("pan-empty-job", "a.yml", Missed, 1, NOPANIC),
    known("pan-empty-job", "z.yml", Missed, 1, NOPANIC),
    known("pan-include-no-map", "a.yml", Missed, 1, NOPANIC),
    known("pan-include-no-map", "z.yml", Missed, 1, NOPANIC),
];
