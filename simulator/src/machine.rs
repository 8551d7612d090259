//! What is known of one machine.

use tokio::task::AbortHandle;

/// One machine of ours.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) id: String,
    /// How often the function gave it a credential.
    pub(crate) credentials: u32,
    /// Id and attempt of the job that it has, once it has one.
    pub(crate) job: Option<(i64, i64)>,
    /// Whether it is at work on that job.
    pub(crate) busy: bool,
    /// What took it away or kept it from its job, if that is no mistake of ours.
    pub(crate) excuse: Option<Excuse>,
    pub(crate) launched_ms: u64,
    /// What the runner shows to the forge.
    pub(crate) runner: Option<(String, String)>,
    pub(crate) life: Option<AbortHandle>,
    pub(crate) off: bool,
}

/// What is no mistake of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// It is broken, or EC2 took it away.
    Fault,
    /// It asked for its credential, or for a job in all of its time, and was not answered: what was registered
    /// may be lost with that.
    Unanswered,
}

impl Machine {
    /// Whether it is broken, or EC2 took it away.
    pub(crate) fn is_faulty(&self) -> bool {
        self.excuse == Some(Excuse::Fault)
    }

    /// Whether something that is no mistake of ours kept it from every job, so that another is launched for
    /// the one it was there for.
    pub(crate) fn is_lost(&self) -> bool {
        self.job.is_none() && self.excuse.is_some()
    }
}
