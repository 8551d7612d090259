//! Tags as requests give them, checked as EC2 checks them.

use std::collections::BTreeMap;

use http::StatusCode;

use crate::ec2::api_error::ApiError;
use crate::ec2::image::Tags;
use crate::ec2::params::Params;

/// EC2's limit on the tags of one resource.
const TAGS_MAX: usize = 50;

/// The `TagSpecification`s of a request that may tag these `kinds` of resources, by kind.
pub(super) fn specified(
    params: &mut Params,
    kinds: &[&str],
) -> Result<BTreeMap<String, Tags>, ApiError> {
    let mut all = BTreeMap::new();
    for mut specification in params.groups("TagSpecification") {
        let kind = specification.require("ResourceType")?;
        // EC2 asks the caller's policy for every kind of resource that a launch tags, and does not
        // say for a Spot request which launch template it comes from. The dispatcher's role is
        // bound to its own templates, so it has no right to tag one.
        if kind == "spot-instances-request" {
            return Err(ApiError::with(
                StatusCode::FORBIDDEN,
                "UnauthorizedOperation",
                "You are not authorized to perform: ec2:RunInstances on resource: \
                 spot-instances-request/*",
            ));
        }
        if !kinds.contains(&kind.as_str()) {
            return Err(ApiError::value("ResourceType", &kind));
        }
        let tags = given(&mut specification)?;
        specification.finish()?;
        if all.insert(kind.clone(), tags).is_some() {
            return Err(ApiError::client(
                "InvalidParameterValue",
                format!("'{kind}' is given twice in TagSpecifications."),
            ));
        }
    }
    Ok(all)
}

/// `Tag.1.Key`, `Tag.1.Value` and so on.
pub(super) fn given(params: &mut Params) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for mut tag in params.groups("Tag") {
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
    if tags.len() > TAGS_MAX {
        return Err(ApiError::client(
            "TagLimitExceeded",
            "You have reached the maximum number of tags.",
        ));
    }
    Ok(tags)
}
