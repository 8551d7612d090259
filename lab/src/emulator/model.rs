//! What the emulator answers, as far as the lab looks at it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

/// One version of a launch template, as far as `RunInstances` takes things from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) image: Option<String>,
    pub(crate) instance_type: Option<String>,
    pub(crate) user_data: Option<String>,
    pub(crate) profile: Option<ProfileRef>,
    pub(crate) shutdown: Option<String>,
    pub(crate) security_groups: Vec<String>,
    pub(crate) network_interfaces: bool,
    pub(crate) http_tokens: Option<String>,
    pub(crate) tags: BTreeMap<String, BTreeMap<String, String>>,
}

/// How a request names an instance profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProfileRef {
    Arn(String),
    Name(String),
}

impl ProfileRef {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Arn(arn) => arn.rsplit('/').next().unwrap_or(arn),
            Self::Name(name) => name,
        }
    }
}

/// An instance profile and the role in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) arn: String,
    pub(crate) id: String,
    pub(crate) role: String,
    pub(crate) role_id: String,
}

/// Where a subnet is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subnet {
    pub(crate) zone: String,
    pub(crate) vpc: String,
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
