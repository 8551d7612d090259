//! The lab's two stand-ins, EC2 and the forge, without sockets, files, processes or runtime: whoever drives
//! them says what time it is, hands them requests, and takes out what they send.
//!
//! Invariant: the same calls at the same times, after the same `fastrand::seed` in the same thread, give the
//! same bytes. It is the code that the lab's servers run; only what surrounds it is another.

mod ec2;
mod forge;
#[cfg(test)]
mod tests;

pub use self::ec2::{Ec2, InstanceView, Made};
pub use self::forge::{Forge, HookScope, JobView, RunnerView, StatusView};
pub use crate::ec2::catalog::IMAGE;
pub use crate::ec2::{Calls, Capacity, FaultInjection, InstanceState, Reason, RunError, Stop};
pub use crate::emulator::{Template, Volume};
pub use crate::forge::deliver::Outgoing;
