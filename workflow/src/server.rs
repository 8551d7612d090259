//! Which forge it is, how old, and what servers differ in.
//!
//! Everything that came with a version stands in the table of [`Capability`], and nowhere else: a rule asks
//! [`Server::has`]. What the two forges do differently in all their versions stands with the rule.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One forge: what it is and how old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// Gitea or Forgejo.
    pub kind: ForgeKind,
    /// Its own version.
    pub version: Version,
}

/// The forges that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForgeKind {
    /// Gitea.
    Gitea,
    /// Forgejo.
    Forgejo,
}

/// The version of a server. What is built on the way to a version (`1.27.0-rc0`, `1.28.0+dev-…`) counts
/// as that version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub patch: u32,
}

impl Version {
    /// `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            major,
            minor,
            patch,
        } = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// What some servers do and others don't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    // Files and how they are read.
    /// Reads the first MiB of a workflow file and takes it for the whole; others read on.
    CutsLargeFiles,
    /// Makes the jobs of every file before it looks at the event; a file of which that fails is none.
    ValidatesJobs,
    /// Does not look at what stands below `on.workflow_call`; others refuse a file whose `inputs` there
    /// they can't read.
    SkipsWorkflowCall,
    /// Refuses a file with a job that is null, alone; others panic at it.
    RefusesNullJobs,
    /// Puts what an alias repeats in its place before it looks at anything, and refuses merges (`<<`).
    ExpandsAliases,
    /// Reads `continue-on-error` of a step as it stands; others want it to be true or false.
    RawStepFailures,

    // Events and their filters.
    /// Has a pattern engine of its own for `branches`, `tags` and `paths` ([`Dialect::Gitea`]).
    OwnPatterns,
    /// Refuses a plain glob with a `{` that has no `}`.
    StrictGlobs,
    /// `paths` hold for every pushed tag (#34602); before, they are compared.
    TagsPassPaths,
    /// Tells labels that were put on an issue from those that were taken off (`labeled`, `unlabeled`).
    ComparesIssueLabels,
    /// Compares a pull request with the commit where its two sides parted, not with the end of its base
    /// branch. (It came with 1.23.7; of an older 1.23 the delivery names no such commit.)
    ComparesMergeBase,

    // Jobs of a run.
    /// Names, labels and matrices are made with the context `github`; in others it is null there.
    GithubInLabels,
    /// Evaluates `run-name`.
    EvaluatesRunName,
    /// Numbers a run before its names and labels are made.
    NumbersRunsFirst,
    /// Evaluates each expression of a text by itself, and refuses a text with a mistake in one. Others make
    /// one expression of the whole, and nothing of a mistake.
    EvaluatesParts,
    /// Has an answer to `cancelled()`; others panic.
    AnswersCancelled,
    /// Takes the branch of a `pull_request_target` for its `ref`; others its label.
    TakesBaseBranch,
    /// Evaluates expressions in a matrix.
    EvaluatesMatrix,
    /// In a matrix, a value that is no list is a list of one.
    SingleMatrixValues,
    /// Refuses an `include` or `exclude` that is no list of maps; others panic at some.
    ChecksMatrixFilters,
    /// Reads and evaluates `continue-on-error` of a job.
    ContinueOnError,
    /// Reads `concurrency` of a workflow.
    RunConcurrency,
    /// Reads `concurrency` of a job.
    JobConcurrency,
    /// Makes a run of which two jobs are of one concurrency group: the second cancels the first. Before, no
    /// run comes about.
    SharesJobGroups,
    /// Stores a job so that any text in its steps can be read again; others can't evaluate the
    /// `concurrency` of one with a text of several lines that begins with a blank.
    StoresAnyText,
    /// Has workflows of `pull_request_target` that are disabled, too.
    DisablesTargets,
    /// Puts the jobs of a called workflow in the place of the job that calls it.
    ExpandsCalls,
    /// Does so too where the workflow is in another repository.
    ExpandsRemoteCalls,
    /// Makes no job of a matrix without a combination; others make one.
    EmptyMatrixHasNoJob,
    /// Reads a `runs-on` anew from what it writes of it, and fails the run if that says nothing.
    RereadsRunsOn,
    /// Evaluates the `if` of a job whose needs have ended, instead of its runner.
    EvaluatesIf,
    /// Fails a run at once if a job of it can never start: it needs one that is not there, or its matrix
    /// or labels rest on what is not there. Others take no notice.
    ChecksRuns,

    // The API.
    /// Lists its unfinished jobs (Gitea: #33964; of an older Forgejo it is not known).
    ListsJobs,
    /// Numbers the attempts of a job from 1, in all that it tells of them; others from 0, and one more once
    /// a runner has it.
    NumbersAttemptsFromOne,
    /// Calls the checks of a workflow without a name by its file; others leave the name out.
    NamesChecksByFile,
    /// Lists and deletes runners, and gives registration tokens by POST.
    ListsRunners,
    /// Registers runners for one job by its API, and deletes them when they had it.
    OneJobRunners,
    /// Reads many files at once for somebody who may only read (#34521).
    ReadsFilesInBulk,
}

const ALWAYS: Version = Version::new(0, 0, 0);
const NEVER: Version = Version::new(u32::MAX, 0, 0);

impl Capability {
    /// Since when Gitea has it, and since when Forgejo.
    fn since(self) -> (Version, Version) {
        let from = Version::new;
        match self {
            Self::CutsLargeFiles
            | Self::ValidatesJobs
            | Self::EvaluatesRunName
            | Self::JobConcurrency => (from(1, 26, 0), NEVER),
            Self::NumbersRunsFirst => (from(1, 26, 1), NEVER),
            Self::RefusesNullJobs => (from(1, 26, 2), NEVER),
            Self::SkipsWorkflowCall => (from(1, 26, 3), NEVER),
            Self::OwnPatterns
            | Self::StrictGlobs
            | Self::SingleMatrixValues
            | Self::ContinueOnError
            | Self::DisablesTargets
            | Self::NamesChecksByFile
            | Self::SharesJobGroups => (from(1, 27, 0), NEVER),
            Self::AnswersCancelled | Self::TakesBaseBranch | Self::StoresAnyText => {
                (from(1, 27, 1), NEVER)
            }
            Self::EvaluatesParts => (from(1, 27, 2), NEVER),
            Self::ExpandsAliases | Self::RawStepFailures | Self::ChecksMatrixFilters => {
                (from(1, 27, 3), NEVER)
            }
            Self::TagsPassPaths => (from(1, 24, 0), ALWAYS),
            Self::ComparesIssueLabels | Self::ReadsFilesInBulk => (from(1, 25, 0), NEVER),
            Self::ComparesMergeBase => (from(1, 23, 0), NEVER),
            Self::GithubInLabels => (from(1, 25, 0), from(16, 0, 0)),
            Self::EvaluatesMatrix => (from(1, 28, 0), ALWAYS),
            Self::RunConcurrency => (from(1, 26, 0), from(14, 0, 0)),
            Self::ExpandsCalls => (from(1, 27, 0), from(14, 0, 0)),
            Self::EvaluatesIf | Self::ExpandsRemoteCalls => (from(1, 27, 0), from(15, 0, 0)),
            Self::EmptyMatrixHasNoJob | Self::RereadsRunsOn | Self::ChecksRuns => {
                (NEVER, from(15, 0, 0))
            }
            Self::NumbersAttemptsFromOne => (from(1, 27, 0), ALWAYS),
            Self::ListsJobs => (from(1, 25, 0), from(11, 0, 0)),
            Self::ListsRunners => (from(1, 24, 0), NEVER),
            Self::OneJobRunners => (from(1, 24, 0), from(15, 0, 0)),
        }
    }

    fn since_of(self, kind: ForgeKind) -> Version {
        let (gitea, forgejo) = self.since();
        match kind {
            ForgeKind::Gitea => gitea,
            ForgeKind::Forgejo => forgejo,
        }
    }

    /// The first version of that forge that has it, where it came with a version.
    #[must_use]
    pub fn first(self, kind: ForgeKind) -> Option<Version> {
        let first = self.since_of(kind);
        (![ALWAYS, NEVER].contains(&first)).then_some(first)
    }
}

/// The two pattern engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// That of nektos/act: older Giteas and Forgejo.
    Nektos,
    /// Gitea's own (its `modules/glob`, #37717).
    Gitea,
}

impl Server {
    /// The Gitea that we know best: what is measured is measured on it.
    pub const GITEA_1_26: Self = Self::gitea(1, 26, 0);

    /// A Gitea of that version.
    #[must_use]
    pub const fn gitea(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            kind: ForgeKind::Gitea,
            version: Version::new(major, minor, patch),
        }
    }

    /// A Forgejo of that version.
    #[must_use]
    pub const fn forgejo(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            kind: ForgeKind::Forgejo,
            version: Version::new(major, minor, patch),
        }
    }

    /// Reads what a forge says at `GET /api/v1/version`: Gitea `1.26.0`, Forgejo its own version with
    /// the Gitea that its API is compatible with, `12.0.1+gitea-1.22.0`.
    #[must_use]
    pub fn parse(version: &str) -> Option<Self> {
        let version = version.trim().trim_start_matches('v');
        let kind = if version.contains("+gitea-") {
            ForgeKind::Forgejo
        } else {
            ForgeKind::Gitea
        };
        let mut numbers = version.split(['.', '-', '+']);
        let mut next = || numbers.next()?.parse().ok();
        let version = Version {
            major: next()?,
            minor: next()?,
            patch: next().unwrap_or_default(),
        };
        Some(Self { kind, version })
    }

    /// Whether it is newer than the newest of its kind that was judged: the newest rules are taken for it.
    #[must_use]
    pub fn is_newer_than_judged(self) -> bool {
        let Version { major, minor, .. } = self.version;
        match self.kind {
            ForgeKind::Gitea => (major, minor) > (1, 27),
            ForgeKind::Forgejo => major > 15,
        }
    }

    /// Whether this server has it.
    #[must_use]
    pub fn has(self, capability: Capability) -> bool {
        let since = capability.since_of(self.kind);
        since != NEVER && self.version >= since
    }

    /// How its `branches`, `tags` and `paths` are read.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        if self.has(Capability::OwnPatterns) {
            Dialect::Gitea
        } else {
            Dialect::Nektos
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_what_it_is_and_how_old() {
        for (told, expected) in [
            ("1.26.4", Some(Server::gitea(1, 26, 4))),
            ("v1.26.0", Some(Server::gitea(1, 26, 0))),
            (" 1.27.0-rc0\n", Some(Server::gitea(1, 27, 0))),
            ("1.28.0+dev-12-gabcdef", Some(Server::gitea(1, 28, 0))),
            ("1.26", Some(Server::gitea(1, 26, 0))),
            ("1.27-dev", Some(Server::gitea(1, 27, 0))),
            ("15.0.3+gitea-1.22.0", Some(Server::forgejo(15, 0, 3))),
            (
                "12.0.0-95-ga1b2+gitea-1.22.0",
                Some(Server::forgejo(12, 0, 0)),
            ),
            ("development", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(Server::parse(told), expected, "{told}");
        }
        assert!(Server::gitea(1, 28, 0).is_newer_than_judged());
        assert!(!Server::gitea(1, 27, 99).is_newer_than_judged());
        assert!(Server::forgejo(16, 0, 0).is_newer_than_judged());
        assert!(!Server::forgejo(15, 9, 0).is_newer_than_judged());
        assert_eq!(Server::gitea(1, 26, 4).version.to_string(), "1.26.4");
    }

    #[test]
    fn what_came_with_a_version_is_there_from_it_on() {
        let capability = Capability::RunConcurrency;
        assert!(!Server::gitea(1, 25, 9).has(capability));
        assert!(!Server::gitea(0, 27, 4).has(capability));
        assert!(!Server::gitea(1, 9, 9).has(capability));
        assert!(Server::gitea(1, 26, 0).has(capability));
        assert!(Server::gitea(2, 0, 0).has(capability));
        assert!(!Server::forgejo(13, 9, 9).has(capability));
        assert!(Server::forgejo(14, 0, 0).has(capability));
        assert!(Server::forgejo(7, 0, 0).has(Capability::TagsPassPaths));
        assert!(!Server::forgejo(99, 0, 0).has(Capability::OwnPatterns));
    }
}
