//! What the emulator answers, as far as the lab looks at it.

use bytes::Bytes;
use serde::Deserialize;

/// One version of a launch template, as far as `RunInstances` takes things from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// Id of the image, or `resolve:ssm:` and the parameter that has it.
    pub image: Option<String>,
    /// In base64.
    pub user_data: Option<String>,
    /// Name of the instance profile.
    pub profile: Option<String>,
    /// What becomes of an instance that shuts down by itself: `stop` or `terminate`.
    pub shutdown: Option<String>,
    /// Their ids.
    pub security_groups: Vec<String>,
    /// Whether it describes any.
    pub network_interfaces: bool,
    /// Volumes that it describes.
    pub volumes: Vec<Volume>,
}

/// A volume that a launch describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// As what it is attached.
    pub device: String,
    /// Its own size; the image's without.
    pub size_gb: Option<u32>,
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
