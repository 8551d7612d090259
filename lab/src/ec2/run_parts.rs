//! The structured parameters of `RunInstances`, each checked as a whole.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ec2::api_error::ApiError;
use crate::ec2::params::Params;
use crate::emulator::ProfileRef;

/// Tags by the type of resource that they are for.
pub(super) type Tags = BTreeMap<String, BTreeMap<String, String>>;

/// How a request names its launch template.
#[derive(Debug)]
pub(super) struct TemplateRef {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) version: String,
}

/// What a Spot request asks for.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) max_price: Option<f64>,
}

/// EC2's limit on user-data, before base64.
const USER_DATA_MAX_BYTES: usize = 16 * 1024;
/// EC2's limit on the tags of one resource.
const TAGS_MAX: usize = 50;

pub(super) fn template_ref(mut group: Params) -> Result<Option<TemplateRef>, ApiError> {
    if group.is_empty() {
        return Ok(None);
    }
    let template = TemplateRef {
        id: group.take("LaunchTemplateId"),
        name: group.take("LaunchTemplateName"),
        version: group
            .take("Version")
            .unwrap_or_else(|| "$Default".to_owned()),
    };
    group.finish()?;
    Ok(Some(template))
}

pub(super) fn profile_ref(mut group: Params) -> Result<Option<ProfileRef>, ApiError> {
    let profile = match (group.take("Arn"), group.take("Name")) {
        (Some(arn), None) => Some(ProfileRef::Arn(arn)),
        (None, Some(name)) => Some(ProfileRef::Name(name)),
        (None, None) => None,
        (Some(_), Some(_)) => {
            return Err(ApiError::combination(
                "The parameter 'iamInstanceProfile.name' may not be used in combination with \
                 'iamInstanceProfile.arn'",
            ));
        }
    };
    group.finish()?;
    Ok(profile)
}

pub(super) fn credit(mut group: Params) -> Result<Option<String>, ApiError> {
    let credit = group.choice("CpuCredits", &["standard", "unlimited"])?;
    group.finish()?;
    Ok(credit)
}

pub(super) fn spot(mut group: Params) -> Result<Option<Spot>, ApiError> {
    let market = group.choice("MarketType", &["spot"])?;
    let mut options = group.group("SpotOptions");
    group.finish()?;
    let spot = Spot {
        max_price: options.number("MaxPrice")?,
    };
    options.choice("SpotInstanceType", &["one-time"])?;
    options.choice("InstanceInterruptionBehavior", &["terminate"])?;
    options.finish()?;
    Ok(market.map(|_| spot))
}

pub(super) fn tags(params: &mut Params) -> Result<Tags, ApiError> {
    let mut all = Tags::new();
    for mut specification in params.groups("TagSpecification") {
        let kind = specification
            .choice(
                "ResourceType",
                &[
                    "instance",
                    "volume",
                    "network-interface",
                    "spot-instances-request",
                ],
            )?
            .ok_or_else(|| ApiError::missing("TagSpecification.ResourceType"))?;
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
    Ok(all)
}

pub(super) fn user_data(encoded: Option<String>) -> Result<Vec<u8>, ApiError> {
    let Some(encoded) = encoded else {
        return Ok(Vec::new());
    };
    let compact: String = encoded.split_ascii_whitespace().collect();
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
