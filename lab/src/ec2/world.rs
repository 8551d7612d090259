//! What the actions are done in: the book, and what there is around it. The lab has machines and a clock;
//! in process somebody else says what these would have done.

use std::ops::DerefMut;

use jiff::Timestamp;

use crate::ec2::api_error::ApiError;
use crate::ec2::instance::{Change, InstanceState, Reason, Stop};
use crate::ec2::state::{Ec2State, Launched, Plan};

pub(crate) trait World {
    /// The book. Whoever holds it asks for nothing else that needs it, and awaits nothing.
    fn state(&self) -> impl DerefMut<Target = Ec2State>;

    fn now(&self) -> Timestamp;

    /// Launches `plan` and boots what is new.
    fn launch(&self, plan: &Plan) -> Result<Launched, ApiError>;

    /// Applies `change`; the new state if there is one.
    fn change(&self, id: &str, change: Change) -> Option<InstanceState>;

    /// Has the machine end like this, unless it was asked for more.
    fn ask(&self, id: &str, stop: Stop);

    /// Ends an instance: state before and after.
    fn end(&self, id: &str, reason: Reason, stop: Stop) -> Option<(InstanceState, InstanceState)> {
        let before = self.state().instances.get(id)?.state;
        let after = self.change(id, Change::Terminate(reason)).unwrap_or(before);
        if before == InstanceState::Stopped {
            // Of its machine nothing is left that could end.
            self.change(id, Change::Gone);
        }
        self.ask(id, stop);
        Some((before, after))
    }

    /// Stops an instance, which keeps its volume: state before and after.
    fn stop(&self, id: &str, reason: Reason, how: Stop) -> Option<(InstanceState, InstanceState)> {
        let before = self.state().instances.get(id)?.state;
        let after = self.change(id, Change::Stop(reason)).unwrap_or(before);
        self.ask(id, how);
        Some((before, after))
    }
}
