//! `RunInstances`: the request, with its launch template if it names one, checked as EC2 checks it. What
//! the request says itself goes before what the template says.

use jiff::Timestamp;

use crate::ec2::api_error::ApiError;
use crate::ec2::image::Tags;
use crate::ec2::images::Images;
use crate::ec2::instance::Blueprint;
use crate::ec2::named::Named;
use crate::ec2::params::Params;
use crate::ec2::state::Plan;
use crate::ec2::{catalog, run_checks, tags};
use crate::emulator::{Template, Volume};

/// EC2's limit on a client token.
const TOKEN_MAX_CHARS: usize = 64;
/// What a launch can tag.
const TAGGED: [&str; 3] = ["instance", "volume", "network-interface"];

/// A request, parsed: every parameter is known and of the right kind.
#[derive(Debug)]
pub(crate) struct Request {
    fingerprint: String,
    token: String,
    min: u32,
    max: u32,
    /// Id and version of its launch template.
    template: Option<(String, String)>,
    /// What it says itself of what a template may say.
    own: Template,
    instance_type: String,
    subnet: String,
    has_credit: bool,
    spot: bool,
    tags: Tags,
    is_rehearsed: bool,
}

impl Request {
    pub(crate) fn parse(mut params: Params) -> Result<Self, ApiError> {
        let count = || {
            ApiError::client(
                "InvalidParameterValue",
                "MinCount and MaxCount must be between 1 and 1000, MaxCount not below MinCount.",
            )
        };
        let is_rehearsed = params.flag("DryRun")?;
        let mut template = params.group("LaunchTemplate");
        let request = Self {
            fingerprint: params.fingerprint(),
            // The SDK gives every request one.
            token: params.require("ClientToken")?,
            min: params.require("MinCount")?.parse().map_err(|_| count())?,
            max: params.require("MaxCount")?.parse().map_err(|_| count())?,
            template: template.take("LaunchTemplateId").map(|id| {
                let version = template.take("Version");
                (id, version.unwrap_or_else(|| "$Default".to_owned()))
            }),
            own: own(&mut params)?,
            instance_type: params.require("InstanceType")?,
            subnet: params.require("SubnetId")?,
            has_credit: has_credit(params.group("CreditSpecification"))?,
            spot: spot(params.group("InstanceMarketOptions"))?,
            tags: tags::specified(&mut params, &TAGGED)?
                .remove("instance")
                .unwrap_or_default(),
            is_rehearsed,
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

    /// Id and version of its launch template.
    pub(crate) fn template(&self) -> Option<(&str, &str)> {
        let (id, version) = self.template.as_ref()?;
        Some((id, version))
    }

    pub(crate) fn subnet(&self) -> &str {
        &self.subnet
    }

    /// Whether nothing is to be launched: it asks whether it would.
    pub(crate) fn is_rehearsed(&self) -> bool {
        self.is_rehearsed
    }

    /// What it says itself, over what its launch template says, which is `template` if it is there.
    pub(crate) fn wanted(&self, template: Option<Template>) -> Result<Template, ApiError> {
        let Some((id, version)) = &self.template else {
            return Ok(self.own.clone());
        };
        let template = template.ok_or_else(|| {
            ApiError::client(
                "InvalidLaunchTemplateId.NotFound",
                format!(
                    "The specified launch template, {id}, or its version {version} does not exist."
                ),
            )
        })?;
        Ok(self.own.clone().over(template))
    }

    /// Checks what only can be checked once it is known what the request names.
    pub(crate) fn resolve(
        self,
        wanted: Template,
        named: Named,
        images: &Images,
        now: Timestamp,
    ) -> Result<Plan, ApiError> {
        if !catalog::offers(&self.instance_type) {
            return Err(ApiError::value("InstanceType", &self.instance_type));
        }
        if self.has_credit && !catalog::burstable(&self.instance_type) {
            return Err(ApiError::combination(&format!(
                "The parameter CreditSpecification is not supported for the instance type {}.",
                self.instance_type
            )));
        }
        let image = run_checks::image(images, &wanted, named.parameter, now)?;
        let bought = (self.instance_type.as_str(), self.spot);
        let (shutdown, root_volume_gb) = run_checks::fitting(&wanted, &image, bought)?;
        let zone = named.zone.ok_or_else(|| {
            ApiError::client(
                "InvalidSubnetID.NotFound",
                format!("The subnet ID '{}' does not exist", self.subnet),
            )
        })?;
        if let Some(group) = named.missing_group {
            return Err(ApiError::client(
                "InvalidGroup.NotFound",
                format!("The security group '{group}' does not exist"),
            ));
        }
        let profile = match &wanted.profile {
            None => None,
            Some(name) => Some(run_checks::found_profile(named.profile, name)?),
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
                user_data: run_checks::user_data(wanted.user_data)?,
                profile,
                spot: self.spot,
                tags: self.tags,
                image,
                shutdown,
                root_volume_gb,
            },
        })
    }
}

/// What the request itself says of what a template may say.
fn own(params: &mut Params) -> Result<Template, ApiError> {
    let mut profile = params.group("IamInstanceProfile");
    let mut metadata = params.group("MetadataOptions");
    metadata.choice("HttpTokens", &["required"])?;
    metadata.choice("HttpEndpoint", &["enabled"])?;
    metadata.choice("HttpPutResponseHopLimit", &["1"])?;
    metadata.choice("InstanceMetadataTags", &["disabled"])?;
    metadata.finish()?;
    let own = Template {
        image: params.take("ImageId"),
        user_data: params.take("UserData"),
        profile: profile.take("Name"),
        shutdown: params.choice("InstanceInitiatedShutdownBehavior", &["stop", "terminate"])?,
        security_groups: params.list("SecurityGroupId"),
        network_interfaces: false,
        volumes: params
            .groups("BlockDeviceMapping")
            .into_iter()
            .map(volume)
            .collect::<Result<_, _>>()?,
    };
    profile.finish()?;
    Ok(own)
}

fn volume(mut mapping: Params) -> Result<Volume, ApiError> {
    let device = mapping.require("DeviceName")?;
    let mut ebs = mapping.group("Ebs");
    ebs.choice("VolumeType", &["gp3"])?;
    ebs.flag("DeleteOnTermination")?;
    let size_gb = ebs.number("VolumeSize")?;
    ebs.finish()?;
    mapping.finish()?;
    Ok(Volume { device, size_gb })
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
