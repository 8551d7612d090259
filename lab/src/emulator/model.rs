//! What the emulator answers, as far as the lab looks at it.

use bytes::Bytes;
use serde::Deserialize;

/// One version of a launch template, as far as `RunInstances` takes things from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) image: Option<String>,
    pub(crate) user_data: Option<String>,
    /// Name of the instance profile.
    pub(crate) profile: Option<String>,
    pub(crate) shutdown: Option<String>,
    pub(crate) security_groups: Vec<String>,
    pub(crate) network_interfaces: bool,
    /// Devices that it gives volumes.
    pub(crate) devices: Vec<String>,
}

/// The role in an instance profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) role: String,
    pub(crate) role_id: String,
}

/// One HTTP API.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Api {
    pub(crate) api_id: String,
    pub(crate) name: String,
}

/// What a function answered.
pub(crate) struct Invoked {
    pub(crate) failed: bool,
    pub(crate) payload: Bytes,
}
