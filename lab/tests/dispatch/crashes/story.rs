//! Which stories are told, and who tells the function what.

/// What comes to the function, by who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The forge: a job waits. It says nothing twice, but a person can have it do so.
    Queued,
    /// The function itself. It is not asked twice.
    Nudge,
    /// A machine asks for its credential, until it is answered.
    Ask,
    /// The forge: a runner has a job.
    Started,
    /// The forge: a job has ended.
    Ended,
    /// EC2: a machine has ended. It is not said again to a function that fails: the template says so.
    Gone,
    /// The schedule. The next one comes by itself.
    Tick,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Story {
    /// A job is served.
    Served,
    /// The first machine is lost when it is registered and has no job.
    LostIdle,
    /// EC2 has no machine for the job for a minute.
    NoCapacity,
    /// The job is cancelled while it runs; from then on the function may die.
    Cancelled,
    /// The job runs for longer than its pool allows. Its forge gives it up when all else is at rest.
    OverLimit,
    /// Of two jobs, one has a machine that never asks, and one a launch that was claimed and not sent; beside
    /// them there is a machine of a launch that nobody knows.
    Overdue,
}
