//! Progress of what takes seconds to minutes, as events.

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step begins.
    Step(String),
    /// A resource of a stack, or the stack itself, has a new status.
    Resource {
        /// Name of the stack.
        stack: String,
        /// The resource's id in the template; the stack's name for the stack itself.
        id: String,
        /// Its new status.
        status: String,
        /// Why, where CloudFormation says.
        reason: Option<String>,
    },
    /// Something takes its time.
    Waiting {
        /// What is waited for.
        what: String,
        /// For how long already.
        seconds: u64,
    },
}

/// Receives the events of one command.
pub trait Progress: Send + Sync {
    /// Takes note of `event`.
    fn report(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> Progress for F {
    fn report(&self, event: Event) {
        self(event);
    }
}

/// Drops them.
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _: Event) {}
}
