//! `RunInstances`: the request, merged with its launch template, checked as EC2 checks it.

use std::collections::BTreeMap;

use http::StatusCode;

use crate::ec2::api_error::{ApiError, CallError};
use crate::ec2::catalog;
use crate::ec2::params::Params;
use crate::ec2::run_parts::{
    Spot, Tags, TemplateRef, credit, profile_ref, spot, tags, template_ref, user_data,
};
use crate::ec2::state::{Blueprint, OnShutdown, Plan};
use crate::emulator::{Emulator, ProfileRef, Template};

/// EC2's limit on a client token.
const TOKEN_MAX_CHARS: usize = 64;
/// What a Spot request is called where it is tagged.
const SPOT_REQUEST: &str = "spot-instances-request";

/// A request, parsed: every parameter is known and of the right kind.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) dry_run: bool,
    fingerprint: String,
    token: Option<String>,
    min: u32,
    max: u32,
    template: Option<TemplateRef>,
    image: Option<String>,
    instance_type: Option<String>,
    subnet: Option<String>,
    user_data: Option<String>,
    profile: Option<ProfileRef>,
    security_groups: Vec<String>,
    shutdown: Option<String>,
    http_tokens: Option<String>,
    credit: Option<String>,
    spot: Option<Spot>,
    tags: Tags,
    network_interfaces: bool,
}

impl Request {
    pub(crate) fn parse(mut params: Params) -> Result<Self, ApiError> {
        let fingerprint = params.fingerprint();
        let mut metadata = params.group("MetadataOptions");
        let request = Self {
            fingerprint,
            dry_run: params.flag("DryRun")?,
            token: params.take("ClientToken"),
            min: params.require("MinCount")?.parse().map_err(|_| count())?,
            max: params.require("MaxCount")?.parse().map_err(|_| count())?,
            template: template_ref(params.group("LaunchTemplate"))?,
            image: params.take("ImageId"),
            instance_type: params.take("InstanceType"),
            subnet: params.take("SubnetId"),
            user_data: params.take("UserData"),
            profile: profile_ref(params.group("IamInstanceProfile"))?,
            security_groups: params.list("SecurityGroupId"),
            shutdown: params.choice("InstanceInitiatedShutdownBehavior", &["stop", "terminate"])?,
            http_tokens: metadata.choice("HttpTokens", &["optional", "required"])?,
            credit: credit(params.group("CreditSpecification"))?,
            spot: spot(params.group("InstanceMarketOptions"))?,
            tags: tags(&mut params)?,
            network_interfaces: !params.groups("NetworkInterface").is_empty(),
        };
        metadata.number::<u8>("HttpPutResponseHopLimit")?;
        metadata.choice("HttpEndpoint", &["enabled", "disabled"])?;
        metadata.choice("InstanceMetadataTags", &["enabled", "disabled"])?;
        metadata.finish()?;
        params.finish()?;
        if request.min == 0 || request.max < request.min || request.max > 1000 {
            return Err(count());
        }
        let too_long = |token: &String| token.is_empty() || token.len() > TOKEN_MAX_CHARS;
        if request.token.as_ref().is_some_and(too_long) {
            return Err(ApiError::client(
                "InvalidParameterValue",
                "ClientToken must have 1 to 64 characters.",
            ));
        }
        Ok(request)
    }

    /// Resolves what the request names and checks what only then can be checked.
    pub(crate) async fn resolve(
        self,
        emulator: &Emulator,
        region: &str,
    ) -> Result<Plan, CallError> {
        let template = self.find_template(emulator, region).await?;
        let type_name = self
            .instance_type
            .clone()
            .or_else(|| template.instance_type.clone())
            .ok_or_else(|| ApiError::missing("InstanceType"))?;
        let offered = catalog::named(&type_name)
            .ok_or_else(|| ApiError::value("InstanceType", &type_name))?;
        if (self.network_interfaces || template.network_interfaces)
            && (self.subnet.is_some() || !self.security_groups.is_empty())
        {
            return Err(ApiError::combination(
                "Network interfaces and an instance-level subnet ID may not be specified on the \
                 same request",
            )
            .into());
        }
        if self.credit.is_some() && !catalog::burstable(&type_name) {
            return Err(ApiError::combination(&format!(
                "The parameter CreditSpecification is not supported for the instance type \
                 {type_name}."
            ))
            .into());
        }
        let image = self.find_image(&template, emulator, region).await?;
        let placement = self.find_placement(&template, emulator, region).await?;
        self.check_price(offered, &placement.zone)?;
        let profile = match self.profile.as_ref().or(template.profile.as_ref()) {
            None => None,
            Some(named) => Some(emulator.profile(region, named.name()).await?.ok_or_else(
                || {
                    ApiError::client(
                        "InvalidParameterValue",
                        format!(
                            "Value ({}) for parameter iamInstanceProfile.name is invalid. Invalid \
                             IAM Instance Profile name",
                            named.name()
                        ),
                    )
                },
            )?),
        };
        let tags = self.merge_tags(&template)?;
        let shutdown = self.shutdown.or(template.shutdown);
        let http_tokens = self.http_tokens.or(template.http_tokens);
        Ok(Plan {
            token: self.token,
            token_scope: self
                .subnet
                .map_or(region.to_owned(), |_| placement.zone.clone()),
            fingerprint: self.fingerprint,
            min: self.min,
            max: self.max,
            blueprint: Blueprint {
                account: emulator.account().to_owned(),
                region: region.to_owned(),
                zone: placement.zone,
                vpc: placement.vpc,
                subnet: placement.subnet,
                image,
                instance_type: type_name,
                user_data: user_data(self.user_data.or(template.user_data))?,
                profile,
                security_groups: placement.security_groups,
                spot: self.spot.is_some(),
                credit: self.credit,
                tags,
                tokens_required: http_tokens.as_deref() == Some("required"),
                on_shutdown: match shutdown.as_deref() {
                    Some("terminate") => OnShutdown::Terminate,
                    Some(_) | None => OnShutdown::Stop,
                },
                template: self.template.map(|_| (template.id, template.version)),
            },
        })
    }

    /// The client token, by which an earlier request is found.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The subnet, which makes the token zonal.
    pub(crate) fn subnet(&self) -> Option<&str> {
        self.subnet.as_deref()
    }

    /// Everything but the token, to tell the same request from another.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    async fn find_template(
        &self,
        emulator: &Emulator,
        region: &str,
    ) -> Result<Template, CallError> {
        let Some(named) = &self.template else {
            return Ok(Template::default());
        };
        let (selector, code, name) = match (&named.id, &named.name) {
            (Some(id), None) => (
                ("LaunchTemplateId", id.as_str()),
                "InvalidLaunchTemplateId.NotFound",
                id,
            ),
            (None, Some(name)) => (
                ("LaunchTemplateName", name.as_str()),
                "InvalidLaunchTemplateName.NotFoundException",
                name,
            ),
            (Some(_), Some(_)) | (None, None) => {
                return Err(ApiError::combination(
                    "Either the launch template ID or the launch template name must be given, \
                     not both.",
                )
                .into());
            }
        };
        let found = emulator.template(region, selector, &named.version).await?;
        Ok(found.ok_or_else(|| {
            ApiError::client(
                code,
                format!(
                    "The specified launch template, {name}, or its version {} does not exist.",
                    named.version
                ),
            )
        })?)
    }

    async fn find_image(
        &self,
        template: &Template,
        emulator: &Emulator,
        region: &str,
    ) -> Result<String, CallError> {
        let named = self
            .image
            .as_ref()
            .or(template.image.as_ref())
            .ok_or_else(|| ApiError::missing("ImageId"))?;
        let image = match named.strip_prefix("resolve:ssm:") {
            None => named.clone(),
            // AWS publishes its images there; the lab has one image for all of them.
            Some(path) if path.starts_with("/aws/service/") => catalog::IMAGE.to_owned(),
            Some(path) => emulator.parameter(region, path).await?.ok_or_else(|| {
                ApiError::client(
                    "InvalidParameterValue",
                    format!("The SSM parameter {path} of the image does not exist."),
                )
            })?,
        };
        if image == catalog::IMAGE {
            return Ok(image);
        }
        Err(ApiError::client(
            "InvalidAMIID.NotFound",
            format!("The image id '[{image}]' does not exist"),
        )
        .into())
    }

    async fn find_placement(
        &self,
        template: &Template,
        emulator: &Emulator,
        region: &str,
    ) -> Result<Placement, CallError> {
        let missing = |id: &str| {
            ApiError::client(
                "InvalidSubnetID.NotFound",
                format!("The subnet ID '{id}' does not exist"),
            )
        };
        let subnet = match &self.subnet {
            Some(subnet) => subnet.clone(),
            None => emulator.default_subnet(region).await?.ok_or_else(|| {
                ApiError::client("MissingInput", "No subnets found for the default VPC")
            })?,
        };
        let found = emulator
            .subnet(region, &subnet)
            .await?
            .ok_or_else(|| missing(&subnet))?;
        let security_groups = if self.security_groups.is_empty() {
            template.security_groups.clone()
        } else {
            self.security_groups.clone()
        };
        for group in &security_groups {
            let vpc = emulator.group_vpc(region, group).await?.ok_or_else(|| {
                ApiError::client(
                    "InvalidGroup.NotFound",
                    format!("The security group '{group}' does not exist"),
                )
            })?;
            if vpc != found.vpc {
                return Err(ApiError::client(
                    "InvalidParameter",
                    format!(
                        "Security group {group} and subnet {subnet} belong to different networks."
                    ),
                )
                .into());
            }
        }
        Ok(Placement {
            zone: found.zone,
            vpc: found.vpc,
            subnet,
            security_groups,
        })
    }

    fn check_price(&self, offered: &catalog::Type, zone: &str) -> Result<(), ApiError> {
        let zone = catalog::ZONES.iter().position(|own| zone.ends_with(own));
        let price: f64 = offered
            .spot_price(zone.unwrap_or(0))
            .parse()
            .map_err(|_| ApiError::server("InternalError", "no price"))?;
        let max = self.spot.as_ref().and_then(|spot| spot.max_price);
        match max {
            Some(max) if max < price => Err(ApiError::client(
                "SpotMaxPriceTooLow",
                format!(
                    "Your Spot request price of {max} is lower than the minimum required Spot \
                     request fulfillment price of {price}."
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Per resource type the request's tags replace the template's.
    fn merge_tags(&self, template: &Template) -> Result<BTreeMap<String, String>, ApiError> {
        let mut all = template.tags.clone();
        all.extend(self.tags.clone());
        if all.contains_key(SPOT_REQUEST) && self.spot.is_none() {
            return Err(ApiError::combination(
                "spot-instances-request can be tagged only with the Spot market option.",
            ));
        }
        // EC2 asks the caller's policy for every kind of resource that a launch tags, and does not
        // say for a Spot request which launch template it comes from. The dispatcher's role is bound
        // to its own templates, so it has no right to tag one.
        if all.contains_key(SPOT_REQUEST) {
            return Err(ApiError::with(
                StatusCode::FORBIDDEN,
                "UnauthorizedOperation",
                "You are not authorized to perform: ec2:RunInstances on resource: \
                 spot-instances-request/*",
            ));
        }
        Ok(all.remove("instance").unwrap_or_default())
    }
}

/// Where an instance goes, and behind which groups.
struct Placement {
    zone: String,
    vpc: String,
    subnet: String,
    security_groups: Vec<String>,
}

fn count() -> ApiError {
    ApiError::client(
        "InvalidParameterValue",
        "MinCount and MaxCount must be between 1 and 1000, MaxCount not below MinCount.",
    )
}
