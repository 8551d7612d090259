//! The lab's EC2: the Query protocol over HTTP, signed requests only, the actions that we call. What
//! CloudFormation made in the emulator is read from there; instances are ours.

mod about;
pub(crate) mod actions;
mod api_error;
mod calls;
pub(crate) mod catalog;
mod console;
mod describe;
mod describe_images;
pub(crate) mod endpoint;
pub(crate) mod image;
mod image_calls;
pub(crate) mod images;
mod injection;
mod instance;
mod lab_routes;
pub(crate) mod named;
pub(crate) mod params;
pub(crate) mod run;
pub(crate) mod run_checks;
mod state;
mod tags;
mod world;
mod xml;

pub(crate) use self::api_error::{ApiError, answer};
pub use self::calls::Calls;
pub use self::catalog::on_demand_usd_per_hour;
pub(crate) use self::catalog::usd_per_hour;
pub use self::injection::{Capacity, FaultInjection, RunError};
pub(crate) use self::instance::{Blueprint, Change, Instance, Shutdown};
pub use self::instance::{InstanceState, Reason, Stop};
pub(crate) use self::state::{Ec2State, Launched, Plan};
pub(crate) use self::world::World;
pub(crate) use self::xml::Xml;
