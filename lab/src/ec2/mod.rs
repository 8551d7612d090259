//! The lab's EC2: the Query protocol over HTTP, signed requests only, the actions that we call. What
//! CloudFormation made in the emulator is read from there; instances are ours.

mod about;
mod api_error;
mod calls;
mod catalog;
mod describe;
pub(crate) mod endpoint;
mod injection;
mod lab_routes;
mod params;
mod run;
mod state;
mod xml;

pub(crate) use self::api_error::ApiError;
pub use self::calls::Calls;
pub use self::catalog::on_demand_usd_per_hour;
pub(crate) use self::catalog::usd_per_hour;
pub use self::injection::{Capacity, FaultInjection, RunError};
#[cfg(test)]
pub(crate) use self::state::Blueprint;
pub(crate) use self::state::{Change, Ec2State, Instance, InstanceState, Launched, Plan, Reason};
pub(crate) use self::xml::Xml;
