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
    /// Whether something that is no mistake of ours took it away or kept it from its job.
    pub(crate) excused: bool,
    pub(crate) launched_ms: u64,
    /// What the runner shows to the forge.
    pub(crate) runner: Option<(String, String)>,
    pub(crate) life: Option<AbortHandle>,
    pub(crate) off: bool,
}
