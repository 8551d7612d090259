//! One instance as the lab's EC2 knows it: what it was launched with, and the states that it goes through.

use std::collections::BTreeMap;

use jiff::Timestamp;

#[cfg(test)]
use crate::ec2::catalog;
use crate::ec2::image::Image;
use crate::emulator::Profile;

/// What every instance of a launch has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blueprint {
    pub(crate) zone: String,
    pub(crate) subnet: String,
    pub(crate) instance_type: String,
    pub(crate) user_data: Vec<u8>,
    pub(crate) profile: Option<Profile>,
    pub(crate) spot: bool,
    pub(crate) tags: BTreeMap<String, String>,
    /// What it boots from.
    pub(crate) image: Image,
    /// What becomes of it when it shuts down.
    pub(crate) shutdown: Shutdown,
    /// Size of its root volume, which an image of it has as well.
    pub(crate) root_volume_gb: u32,
}

/// What becomes of an instance that shuts down by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shutdown {
    /// It is stopped, with its volume.
    Stop,
    /// It is no more.
    Terminate,
}

#[cfg(test)]
impl Blueprint {
    pub(crate) fn example(zone: &str) -> Self {
        Self {
            zone: zone.to_owned(),
            subnet: format!("subnet-{zone}"),
            instance_type: "t3.small".to_owned(),
            user_data: b"#!/bin/sh\n".to_vec(),
            profile: Some(Profile {
                role: "ci-runner".to_owned(),
                role_id: "AROA1".to_owned(),
            }),
            spot: true,
            tags: BTreeMap::new(),
            image: Image::stock(catalog::IMAGE).expect("the lab's own"),
            shutdown: Shutdown::Terminate,
            root_volume_gb: 8,
        }
    }
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) blueprint: Blueprint,
    pub(crate) state: InstanceState,
    pub(crate) reason: Option<Reason>,
    pub(crate) launched: Timestamp,
    pub(crate) visible: Timestamp,
    pub(crate) running: Option<Timestamp>,
    /// When its machine was last off.
    pub(crate) halted: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
}

/// EC2's states. What is stopped is never started again here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceState {
    /// It boots.
    Pending,
    /// Its machine is up.
    Running,
    /// Its machine goes off, and its volume stays.
    Stopping,
    /// Its machine is off.
    Stopped,
    /// Its machine goes off for good.
    ShuttingDown,
    /// It is no more.
    Terminated,
}

/// What moves an instance from state to state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its machine is up.
    Booted,
    /// It is stopped, by someone or by itself, and keeps its volume.
    Stop(Reason),
    /// It is ended, by someone or by itself.
    Terminate(Reason),
    /// Its machine is gone.
    Gone,
}

/// Why an instance ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Somebody asked EC2 for it.
    User,
    /// It shut down by itself.
    Itself,
    /// EC2 took it back.
    Spot,
    /// Its host failed.
    Host,
}

/// How a machine is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// It is not.
    Not,
    /// Its power button is pressed.
    Graceful,
    /// It is cut off.
    Outright,
}

impl Reason {
    /// EC2's code for it.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::User => "Client.UserInitiatedShutdown",
            Self::Itself => "Client.InstanceInitiatedShutdown",
            Self::Spot => "Server.SpotInstanceTermination",
            Self::Host => "Server.InternalError",
        }
    }
}

impl InstanceState {
    /// EC2's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
        }
    }

    /// EC2's number for it.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Pending => "0",
            Self::Running => "16",
            Self::Stopping => "64",
            Self::Stopped => "80",
            Self::ShuttingDown => "32",
            Self::Terminated => "48",
        }
    }

    /// The state after `change`; `None` when it changes nothing.
    pub(super) fn after(self, change: Change) -> Option<Self> {
        match (change, self) {
            (Change::Booted, Self::Pending) => Some(Self::Running),
            (Change::Stop(_), Self::Pending | Self::Running) => Some(Self::Stopping),
            (
                Change::Terminate(_),
                Self::Pending | Self::Running | Self::Stopping | Self::Stopped,
            ) => Some(Self::ShuttingDown),
            (Change::Gone, Self::Stopping) => Some(Self::Stopped),
            (Change::Gone, Self::Pending | Self::Running | Self::ShuttingDown) => {
                Some(Self::Terminated)
            }
            (
                Change::Booted,
                Self::Running
                | Self::Stopping
                | Self::Stopped
                | Self::ShuttingDown
                | Self::Terminated,
            )
            | (
                Change::Stop(_),
                Self::Stopping | Self::Stopped | Self::ShuttingDown | Self::Terminated,
            )
            | (Change::Terminate(_), Self::ShuttingDown | Self::Terminated)
            | (Change::Gone, Self::Stopped | Self::Terminated) => None,
        }
    }
}
