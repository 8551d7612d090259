//! `RunInstances`: the request, with its launch template, checked as EC2 checks it. What the dispatcher
//! leaves to the template (image, profile, groups, user-data), no request may say here.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use crate::ec2::api_error::{ApiError, CallError};
use crate::ec2::catalog;
use crate::ec2::params::Params;
use crate::ec2::state::{Blueprint, Plan};
use crate::emulator::{Emulator, Profile, Template};

/// EC2's limit on a client token.
const TOKEN_MAX_CHARS: usize = 64;
/// EC2's limit on user-data, before base64.
const USER_DATA_MAX_BYTES: usize = 16 * 1024;
/// EC2's limit on the tags of one resource.
const TAGS_MAX: usize = 50;

/// A request, parsed: every parameter is known and of the right kind.
#[derive(Debug)]
pub(crate) struct Request {
    fingerprint: String,
    token: String,
    min: u32,
    max: u32,
    /// Id and version of its launch template.
    template: (String, String),
    instance_type: String,
    subnet: String,
    has_credit: bool,
    spot: bool,
    tags: BTreeMap<String, String>,
}

impl Request {
    pub(crate) fn parse(mut params: Params) -> Result<Self, ApiError> {
        let count = || {
            ApiError::client(
                "InvalidParameterValue",
                "MinCount and MaxCount must be between 1 and 1000, MaxCount not below MinCount.",
            )
        };
        let mut template = params.group("LaunchTemplate");
        let request = Self {
            fingerprint: params.fingerprint(),
            // The SDK gives every request one.
            token: params.require("ClientToken")?,
            min: params.require("MinCount")?.parse().map_err(|_| count())?,
            max: params.require("MaxCount")?.parse().map_err(|_| count())?,
            template: (
                template.require("LaunchTemplateId")?,
                template
                    .take("Version")
                    .unwrap_or_else(|| "$Default".to_owned()),
            ),
            instance_type: params.require("InstanceType")?,
            subnet: params.require("SubnetId")?,
            has_credit: has_credit(params.group("CreditSpecification"))?,
            spot: spot(params.group("InstanceMarketOptions"))?,
            tags: tags(&mut params)?,
        };
        template.finish()?;
        params.finish()?;
        if request.min == 0 || request.max < request.min || request.max > 1000 {
            return Err(count());
        }
        if request.token.is_empty() || request.token.len() > TOKEN_MAX_CHARS {
            return Err(ApiError::client(
                "InvalidParameterValue",
                "ClientToken must have 1 to 64 characters.",
            ));
        }
        Ok(request)
    }

    /// Resolves what the request names and checks what only then can be checked.
    pub(crate) async fn resolve(self, emulator: &Emulator) -> Result<Plan, CallError> {
        let (id, version) = &self.template;
        let template = emulator.template(id, version).await?.ok_or_else(|| {
            ApiError::client(
                "InvalidLaunchTemplateId.NotFound",
                format!(
                    "The specified launch template, {id}, or its version {version} does not exist."
                ),
            )
        })?;
        if !catalog::offers(&self.instance_type) {
            return Err(ApiError::value("InstanceType", &self.instance_type).into());
        }
        if self.has_credit && !catalog::burstable(&self.instance_type) {
            return Err(ApiError::combination(&format!(
                "The parameter CreditSpecification is not supported for the instance type {}.",
                self.instance_type
            ))
            .into());
        }
        check_template(&template)?;
        let zone = emulator.zone_of(&self.subnet).await?.ok_or_else(|| {
            ApiError::client(
                "InvalidSubnetID.NotFound",
                format!("The subnet ID '{}' does not exist", self.subnet),
            )
        })?;
        for group in &template.security_groups {
            if !emulator.has_group(group).await? {
                return Err(ApiError::client(
                    "InvalidGroup.NotFound",
                    format!("The security group '{group}' does not exist"),
                )
                .into());
            }
        }
        let profile = match &template.profile {
            None => None,
            Some(name) => Some(find_profile(emulator, name).await?),
        };
        Ok(Plan {
            token: self.token,
            fingerprint: self.fingerprint,
            min: self.min,
            max: self.max,
            blueprint: Blueprint {
                zone,
                subnet: self.subnet,
                instance_type: self.instance_type,
                user_data: user_data(template.user_data)?,
                profile,
                spot: self.spot,
                tags: self.tags,
            },
        })
    }
}

fn check_template(template: &Template) -> Result<(), ApiError> {
    if template.network_interfaces {
        return Err(ApiError::combination(
            "Network interfaces and an instance-level subnet ID may not be specified on the same request",
        ));
    }
    // AWS publishes images as parameters; the lab has one image for all of them.
    let image = template
        .image
        .as_deref()
        .ok_or_else(|| ApiError::missing("ImageId"))?;
    let known = catalog::image(image);
    if known.is_none() && !image.starts_with("resolve:ssm:") {
        return Err(ApiError::client(
            "InvalidAMIID.NotFound",
            format!("The image id '[{image}]' does not exist"),
        ));
    }
    let root = known.map_or("/dev/xvda", |(_, _, root, _)| root);
    if template.devices.iter().any(|device| device != root) {
        return Err(ApiError::client(
            "UnsupportedOperation",
            format!(
                "The lab's machines have one disk, and that of {image} is {root}: EC2 would add a \
                 blank one for any other device."
            ),
        ));
    }
    if template.shutdown.as_deref() != Some("terminate") {
        return Err(ApiError::client(
            "UnsupportedOperation",
            "The lab's instances end when they shut down: the launch template must say so in \
             InstanceInitiatedShutdownBehavior.",
        ));
    }
    Ok(())
}

async fn find_profile(emulator: &Emulator, name: &str) -> Result<Profile, CallError> {
    let profile = emulator.profile(name).await?;
    Ok(profile.ok_or_else(|| {
        ApiError::client(
            "InvalidParameterValue",
            format!(
                "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM \
                 Instance Profile name"
            ),
        )
    })?)
}

fn has_credit(mut group: Params) -> Result<bool, ApiError> {
    let credit = group.choice("CpuCredits", &["standard", "unlimited"])?;
    group.finish()?;
    Ok(credit.is_some())
}

fn spot(mut group: Params) -> Result<bool, ApiError> {
    let market = group.choice("MarketType", &["spot"])?;
    let mut options = group.group("SpotOptions");
    options.choice("SpotInstanceType", &["one-time"])?;
    options.choice("InstanceInterruptionBehavior", &["terminate"])?;
    options.finish()?;
    group.finish()?;
    Ok(market.is_some())
}

/// The tags of the instances; those of what comes with them are checked only.
fn tags(params: &mut Params) -> Result<BTreeMap<String, String>, ApiError> {
    let mut all = BTreeMap::new();
    for mut specification in params.groups("TagSpecification") {
        let kind = specification.require("ResourceType")?;
        match kind.as_str() {
            "instance" | "volume" | "network-interface" => {}
            // EC2 asks the caller's policy for every kind of resource that a launch tags, and does not
            // say for a Spot request which launch template it comes from. The dispatcher's role is
            // bound to its own templates, so it has no right to tag one.
            "spot-instances-request" => {
                return Err(ApiError::with(
                    StatusCode::FORBIDDEN,
                    "UnauthorizedOperation",
                    "You are not authorized to perform: ec2:RunInstances on resource: \
                     spot-instances-request/*",
                ));
            }
            _ => return Err(ApiError::value("ResourceType", &kind)),
        }
        let mut tags = BTreeMap::new();
        for mut tag in specification.groups("Tag") {
            let key = tag.require("Key")?;
            let value = tag.take("Value").unwrap_or_default();
            tag.finish()?;
            let long = key.chars().count() > 128 || value.chars().count() > 256;
            if long || key.is_empty() || key.starts_with("aws:") {
                return Err(ApiError::value("tag", &key));
            }
            if tags.insert(key.clone(), value).is_some() {
                return Err(ApiError::client(
                    "InvalidParameterValue",
                    format!("Duplicate tag key '{key}' specified."),
                ));
            }
        }
        specification.finish()?;
        if tags.len() > TAGS_MAX {
            return Err(ApiError::client(
                "TagLimitExceeded",
                "You have reached the maximum number of tags.",
            ));
        }
        if all.insert(kind.clone(), tags).is_some() {
            return Err(ApiError::client(
                "InvalidParameterValue",
                format!("'{kind}' is given twice in TagSpecifications."),
            ));
        }
    }
    Ok(all.remove("instance").unwrap_or_default())
}

fn user_data(encoded: Option<String>) -> Result<Vec<u8>, ApiError> {
    let compact: String = encoded
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect();
    let data = STANDARD.decode(compact).map_err(|_| {
        ApiError::client(
            "InvalidUserData.Malformed",
            "Invalid BASE64 encoding of user data.",
        )
    })?;
    if data.len() > USER_DATA_MAX_BYTES {
        return Err(ApiError::client(
            "InvalidParameterValue",
            "User data is limited to 16384 bytes",
        ));
    }
    Ok(data)
}
