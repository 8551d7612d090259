//! What a simulation puts in the place of the clock and of the wires to AWS and the forge, and the deliberate
//! faults that show that it bites. What Lambda runs is built without debug assertions and has none of this.

#[cfg(debug_assertions)]
use std::{error::Error, future::Future, pin::Pin, sync::Arc};

/// A promise broken on purpose. Each is a mistake that such a program is easily written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `RunInstances` is sent before its launch is written down.
    RecordAfterLaunch,
    /// All candidates of a launch have one client token.
    TokenReusedOverZones,
    /// The caps are looked at, and not a part of the claim.
    CapReadThenActedOn,
    /// An instance that the ledger does not know is ended at once.
    SweepByAbsence,
    /// Who has the lease claims jobs whatever became of them.
    LeaseTrusted,
    /// Instances are asked to shut down.
    GracefulTermination,
    /// A machine that asks again is given another credential.
    SecondCredential,
    /// A runner's row is closed whether or not it was.
    CounterGivenBackTwice,
    /// A candidate's outcome is not written down before the next one is tried.
    OutcomeNotPersisted,
    /// A runner is known by its name.
    CancelledByRunnerName,
    /// A job that is not in the ledger is new, however old it is.
    ExpiredHistoryLaunches,
    /// What was refused is looked at again at every tick.
    RefusedLookedAtForEver,
    /// Attempts count from zero at every server.
    AttemptsCountedWrongly,
}

impl Fault {
    /// Every one of them.
    pub const ALL: [Self; 13] = [
        Self::RecordAfterLaunch,
        Self::TokenReusedOverZones,
        Self::CapReadThenActedOn,
        Self::SweepByAbsence,
        Self::LeaseTrusted,
        Self::GracefulTermination,
        Self::SecondCredential,
        Self::CounterGivenBackTwice,
        Self::OutcomeNotPersisted,
        Self::CancelledByRunnerName,
        Self::ExpiredHistoryLaunches,
        Self::RefusedLookedAtForEver,
        Self::AttemptsCountedWrongly,
    ];
}

/// What an exchange comes to.
#[cfg(debug_assertions)]
pub type Exchange = Pin<
    Box<
        dyn Future<Output = Result<http::Response<bytes::Bytes>, Box<dyn Error + Send + Sync>>>
            + Send,
    >,
>;

/// The world around one process of the function.
#[cfg(debug_assertions)]
pub trait Surroundings: Send + Sync {
    /// What its clock says, in milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// Sends a request to AWS or to the forge.
    fn exchange(&self, request: http::Request<bytes::Bytes>) -> Exchange;
    /// The promise that is broken here, if one is.
    fn fault(&self) -> Option<Fault>;
}

#[cfg(debug_assertions)]
tokio::task_local! {
    static SURROUNDINGS: Arc<dyn Surroundings>;
}

/// Does `work` of a process whose world is `surroundings`.
#[cfg(debug_assertions)]
pub async fn within<T>(surroundings: Arc<dyn Surroundings>, work: impl Future<Output = T>) -> T {
    SURROUNDINGS.scope(surroundings, work).await
}

/// What surrounds this process, if that is simulated.
#[cfg(debug_assertions)]
pub(crate) fn surroundings() -> Option<Arc<dyn Surroundings>> {
    SURROUNDINGS.try_with(Arc::clone).ok()
}

/// Whether this promise is broken on purpose.
#[cfg(debug_assertions)]
pub(crate) fn breaks(fault: Fault) -> bool {
    SURROUNDINGS.try_with(|it| it.fault() == Some(fault)) == Ok(true)
}

/// The same in what Lambda runs.
#[cfg(not(debug_assertions))]
pub(crate) const fn breaks(_: Fault) -> bool {
    false
}
