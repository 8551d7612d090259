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
    /// Volumes that it describes.
    pub(crate) volumes: Vec<Volume>,
}

/// A volume that a launch describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) device: String,
    pub(crate) size_gb: Option<u32>,
}

impl Template {
    /// This, and what `template` says where this says nothing.
    pub(crate) fn over(self, template: Self) -> Self {
        Self {
            image: self.image.or(template.image),
            user_data: self.user_data.or(template.user_data),
            profile: self.profile.or(template.profile),
            shutdown: self.shutdown.or(template.shutdown),
            security_groups: if self.security_groups.is_empty() {
                template.security_groups
            } else {
                self.security_groups
            },
            network_interfaces: self.network_interfaces || template.network_interfaces,
            volumes: if self.volumes.is_empty() {
                template.volumes
            } else {
                self.volumes
            },
        }
    }
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
