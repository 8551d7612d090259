//! The lab's EC2: the Query protocol over HTTP, signed requests only, the actions that we call. What
//! CloudFormation made in the emulator is read from there; instances are ours.

mod about;
mod api_error;
mod calls;
pub(crate) mod catalog;
mod console;
mod describe;
mod describe_images;
pub(crate) mod endpoint;
mod image;
mod image_calls;
pub(crate) mod images;
mod injection;
mod instance;
mod lab_routes;
mod params;
mod run;
mod run_checks;
mod state;
mod tags;
mod xml;

pub(crate) use self::api_error::ApiError;
pub use self::calls::Calls;
pub use self::catalog::on_demand_usd_per_hour;
pub(crate) use self::catalog::usd_per_hour;
pub use self::injection::{Capacity, FaultInjection, RunError};
#[cfg(test)]
pub(crate) use self::instance::Blueprint;
pub(crate) use self::instance::{Change, Instance, InstanceState, Reason, Shutdown};
pub(crate) use self::state::{Ec2State, Launched, Plan};
pub(crate) use self::xml::Xml;
