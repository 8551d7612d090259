//! What a launch names, as far as CloudFormation made it.

use crate::Error;
use crate::ec2::run_checks;
use crate::emulator::{Emulator, Profile, Template};

/// What a launch names, as far as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Where its subnet is.
    pub(crate) zone: Option<String>,
    /// The first of its security groups that is not there.
    pub(crate) missing_group: Option<String>,
    pub(crate) profile: Option<Profile>,
    /// Value and type of the parameter that names its image.
    pub(crate) parameter: Option<(String, String)>,
}

impl Named {
    /// What the emulator knows of what `wanted` names, and of the subnet.
    pub(super) async fn of(
        emulator: &Emulator,
        wanted: &Template,
        subnet: &str,
    ) -> Result<Self, Error> {
        let parameter = match run_checks::image_parameter(wanted) {
            Some(path) => emulator.parameter(path).await?,
            None => None,
        };
        let mut missing_group = None;
        for group in &wanted.security_groups {
            if !emulator.has_group(group).await? {
                missing_group = Some(group.clone());
                break;
            }
        }
        let profile = match &wanted.profile {
            Some(name) => emulator.profile(name).await?,
            None => None,
        };
        Ok(Self {
            zone: emulator.zone_of(subnet).await?,
            missing_group,
            profile,
            parameter,
        })
    }
}
