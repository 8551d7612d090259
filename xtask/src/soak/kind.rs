//! The kinds of trouble that people make for a CI, and what is pushed for each.

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// One job of a finished run again.
    RerunJob,
    /// A whole finished run again.
    RerunRun,
    /// The failed jobs of a finished run again.
    RerunFailed,
    /// Cancelled before a machine can have it.
    CancelWaiting,
    /// Cancelled while it runs.
    CancelRunning,
    /// Cancelled, and at once run again.
    CancelAndRerun,
    /// A second push that cancels the first by its concurrency group.
    Concurrency,
    /// Jobs behind `needs` and `if`.
    Needs,
    /// Twenty jobs at once.
    Matrix,
    /// Two jobs with different labels of one pool: a runner may take the other's.
    Swap,
    /// The labels of a pool that serves another organization: the one gets its machine, the other
    /// nothing but the reason.
    Scope,
    /// A job that leaves pipes and links where root once looked, and processes that hear no signal.
    Leavings,
    /// EC2 takes the machine back in the middle of its job.
    Interrupted,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::RerunJob,
        Self::RerunRun,
        Self::RerunFailed,
        Self::CancelWaiting,
        Self::CancelRunning,
        Self::CancelAndRerun,
        Self::Concurrency,
        Self::Needs,
        Self::Matrix,
        Self::Swap,
        Self::Scope,
        Self::Leavings,
        Self::Interrupted,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RerunJob => "rerun-job",
            Self::RerunRun => "rerun-run",
            Self::RerunFailed => "rerun-failed",
            Self::CancelWaiting => "cancel-waiting",
            Self::CancelRunning => "cancel-running",
            Self::CancelAndRerun => "cancel-and-rerun",
            Self::Concurrency => "concurrency",
            Self::Needs => "needs",
            Self::Matrix => "matrix",
            Self::Swap => "swap",
            Self::Scope => "scope",
            Self::Leavings => "leavings",
            Self::Interrupted => "interrupted",
        }
    }

    /// The workflow that is pushed for it.
    pub const fn workflow(self) -> &'static str {
        match self {
            Self::RerunJob | Self::RerunRun | Self::CancelAndRerun => {
                "on: push\n\
                 jobs:\n  \
                 a: {runs-on: base, steps: [{run: echo a}]}\n  \
                 b: {runs-on: go, steps: [{run: echo b}]}\n"
            }
            Self::RerunFailed => {
                "on: push\n\
                 jobs:\n  \
                 a: {runs-on: base, steps: [{run: echo a}]}\n  \
                 b: {runs-on: go, steps: [{run: exit 3}]}\n"
            }
            Self::CancelWaiting | Self::CancelRunning | Self::Interrupted => {
                "on: push\n\
                 jobs:\n  \
                 long: {runs-on: base, steps: [{run: sleep 300}]}\n"
            }
            Self::Concurrency => {
                "on: push\n\
                 concurrency: {group: one, cancel-in-progress: true}\n\
                 jobs:\n  \
                 only:\n    \
                 runs-on: base\n    \
                 env: {PUSH: '${{ github.event.head_commit.message }}'}\n    \
                 steps: [{run: 'case $PUSH in first*) sleep 240;; esac'}]\n"
            }
            Self::Needs => {
                "on: push\n\
                 jobs:\n  \
                 build: {runs-on: base, steps: [{run: echo built}]}\n  \
                 fails: {needs: build, runs-on: go, steps: [{run: exit 3}]}\n  \
                 after: {needs: fails, runs-on: base, steps: [{run: echo never}]}\n  \
                 always: {needs: fails, if: always(), runs-on: base, steps: [{run: echo always}]}\n  \
                 never: {if: false, runs-on: go, steps: [{run: echo never}]}\n"
            }
            Self::Matrix => {
                "on: push\n\
                 jobs:\n  \
                 many:\n    \
                 runs-on: base\n    \
                 strategy: {matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, \
                 18, 19, 20]}}\n    \
                 steps: [{run: 'echo ${{ matrix.n }}'}]\n"
            }
            Self::Swap => {
                "on: push\n\
                 jobs:\n  \
                 base: {runs-on: base, steps: [{run: sleep 1}]}\n  \
                 lab: {runs-on: [self-hosted, lab], steps: [{run: sleep 1}]}\n"
            }
            Self::Scope => {
                "on: push\n\
                 jobs:\n  \
                 ours: {runs-on: team, steps: [{run: echo ours}]}\n"
            }
            Self::Leavings => {
                "on: push\n\
                 jobs:\n  \
                 leaves:\n    \
                 runs-on: base\n    \
                 steps:\n    \
                 - run: |\n        \
                 rm -rf /run/ci/* || true\n        \
                 mkfifo /run/ci/runner.log || true\n        \
                 cd /run/ci-runner && rm -f .runner config.yaml runner.log\n        \
                 mkfifo runner.log && ln -s /etc/shadow .runner && ln -s /etc/shadow config.yaml\n        \
                 setsid sh -c 'trap : TERM HUP INT; exec sleep 600' >/dev/null 2>&1 </dev/null &\n        \
                 nohup sleep 600 >/dev/null 2>&1 &\n"
            }
        }
    }
}
