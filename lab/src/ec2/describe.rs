//! EC2's answers: instances, prices, offerings.

use jiff::{SignedDuration, Timestamp};

use crate::ec2::api_error::ApiError;
use crate::ec2::catalog::{self, TYPES, ZONES};
use crate::ec2::params::{Filter, Params};
use crate::ec2::state::{Ec2State, Instance, InstanceState, Launched};
use crate::ec2::xml::Xml;

/// EC2's page when the caller sets no `MaxResults`.
const PAGE: usize = 1000;

/// One page of `DescribeInstances`.
#[derive(Debug)]
pub(crate) struct Page {
    instances: Vec<Instance>,
    next: Option<String>,
}

/// The page that `params` asks for.
pub(crate) fn instances(
    state: &Ec2State,
    mut params: Params,
    region: &str,
    now: Timestamp,
) -> Result<Page, ApiError> {
    let ids = params.list("InstanceId");
    let filters = params.filters()?;
    let page: usize = match params.number::<usize>("MaxResults")? {
        None => PAGE,
        Some(_) if !ids.is_empty() => {
            return Err(ApiError::combination(
                "The parameter instancesSet cannot be used with the parameter maxResults",
            ));
        }
        Some(page @ 5..=PAGE) => page,
        Some(page) => return Err(ApiError::value("MaxResults", &page.to_string())),
    };
    let after = params.take("NextToken").unwrap_or_default();
    params.finish()?;
    check_filters(&filters)?;
    let visible = |one: &Instance| one.visible <= now && one.blueprint.region == region;
    if let Some(unknown) = ids
        .iter()
        .find(|id| !state.instances.get(*id).is_some_and(visible))
    {
        return Err(unknown_instance(unknown));
    }
    let mut found = state
        .instances
        .values()
        .filter(|one| visible(one) && *one.id > *after)
        .filter(|one| ids.is_empty() || ids.contains(&one.id))
        .filter(|one| filters.iter().all(|filter| matches(one, filter)));
    let instances: Vec<Instance> = found.by_ref().take(page).cloned().collect();
    let more = found.next().is_some();
    let next = instances.last().filter(|_| more).map(|one| one.id.clone());
    Ok(Page { instances, next })
}

/// Every id must be an instance of this region.
pub(crate) fn check_known(state: &Ec2State, ids: &[String], region: &str) -> Result<(), ApiError> {
    let known = |id: &String| {
        state
            .instances
            .get(id)
            .is_some_and(|one| one.blueprint.region == region)
    };
    match ids.iter().find(|id| !known(id)) {
        None => Ok(()),
        Some(unknown) => Err(unknown_instance(unknown)),
    }
}

fn unknown_instance(id: &str) -> ApiError {
    ApiError::client(
        "InvalidInstanceID.NotFound",
        format!("The instance ID '{id}' does not exist"),
    )
}

impl Page {
    pub(crate) fn xml(&self, request_id: &str) -> Xml {
        let mut xml = Xml::answer("DescribeInstances", request_id);
        xml.list("reservationSet", &self.instances, |xml, one| {
            xml.leaf("reservationId", &one.reservation)
                .leaf("ownerId", &one.blueprint.account)
                .list("groupSet", [(); 0], |_, ()| {})
                .list("instancesSet", [one], write_instance);
        });
        if let Some(next) = &self.next {
            xml.leaf("nextToken", next);
        }
        xml.close("DescribeInstancesResponse");
        xml
    }
}

/// The answer to `RunInstances`.
pub(crate) fn reservation(
    state: &Ec2State,
    launched: &Launched,
    account: &str,
    request_id: &str,
) -> Xml {
    let mut xml = Xml::answer("RunInstances", request_id);
    let instances = launched.ids.iter().filter_map(|id| state.instances.get(id));
    xml.leaf("reservationId", &launched.reservation)
        .leaf("ownerId", account)
        .list("groupSet", [(); 0], |_, ()| {})
        .list("instancesSet", instances, write_instance)
        .close("RunInstancesResponse");
    xml
}

/// The answer to `TerminateInstances`.
pub(crate) fn terminating(
    changes: &[(String, InstanceState, InstanceState)],
    request_id: &str,
) -> Xml {
    let mut xml = Xml::answer("TerminateInstances", request_id);
    xml.list("instancesSet", changes, |xml, (id, before, after)| {
        xml.leaf("instanceId", id);
        write_state(xml, "currentState", *after);
        write_state(xml, "previousState", *before);
    });
    xml.close("TerminateInstancesResponse");
    xml
}

/// The answer to `DescribeSpotPriceHistory`: the price of now, for each type and zone asked for.
pub(crate) fn spot_prices(
    mut params: Params,
    region: &str,
    now: Timestamp,
    request_id: &str,
) -> Result<Xml, ApiError> {
    let types = params.list("InstanceType");
    let products = params.list("ProductDescription");
    let zone = params.take("AvailabilityZone");
    for time in ["StartTime", "EndTime"] {
        if let Some(text) = params.take(time) {
            text.parse::<Timestamp>()
                .map_err(|_| ApiError::value(time, &text))?;
        }
    }
    params.number::<u32>("MaxResults")?;
    params.take("NextToken");
    let filters = params.filters()?;
    params.finish()?;
    for filter in &filters {
        let known = [
            "instance-type",
            "product-description",
            "availability-zone",
            "timestamp",
        ];
        if !known.contains(&filter.name.as_str()) {
            return Err(unknown_filter(&filter.name));
        }
    }
    let product = "Linux/UNIX";
    let since = now - SignedDuration::from_mins(17);
    let passes = |name: &str, value: &str| {
        filters
            .iter()
            .filter(|filter| filter.name == name)
            .all(|filter| filter.values.iter().any(|own| like(own, value)))
    };
    let mut rows = Vec::new();
    for offered in &TYPES {
        for (index, letter) in ZONES.iter().enumerate() {
            let own_zone = format!("{region}{letter}");
            let wanted = (types.is_empty() || types.iter().any(|own| own == offered.name))
                && (products.is_empty() || products.iter().any(|own| own.starts_with(product)))
                && zone.as_ref().is_none_or(|zone| *zone == own_zone)
                && passes("instance-type", offered.name)
                && passes("product-description", product)
                && passes("availability-zone", &own_zone);
            if wanted {
                rows.push((offered, own_zone, offered.spot_price(index)));
            }
        }
    }
    let mut xml = Xml::answer("DescribeSpotPriceHistory", request_id);
    xml.list(
        "spotPriceHistorySet",
        rows,
        |xml, (offered, zone, price)| {
            xml.leaf("instanceType", offered.name)
                .leaf("productDescription", product)
                .leaf("spotPrice", &price)
                .leaf("timestamp", &time(since))
                .leaf("availabilityZone", &zone);
        },
    );
    xml.leaf("nextToken", "");
    xml.close("DescribeSpotPriceHistoryResponse");
    Ok(xml)
}

/// The answer to `DescribeInstanceTypeOfferings`.
pub(crate) fn offerings(
    mut params: Params,
    region: &str,
    request_id: &str,
) -> Result<Xml, ApiError> {
    let place = params
        .choice("LocationType", &["region", "availability-zone"])?
        .unwrap_or_else(|| "region".to_owned());
    params.number::<u32>("MaxResults")?;
    params.take("NextToken");
    let filters = params.filters()?;
    params.finish()?;
    let locations: Vec<String> = if place == "region" {
        vec![region.to_owned()]
    } else {
        ZONES.iter().map(|zone| format!("{region}{zone}")).collect()
    };
    let mut rows = Vec::new();
    for offered in &TYPES {
        for location in &locations {
            let mut wanted = true;
            for filter in &filters {
                let own = match filter.name.as_str() {
                    "instance-type" => offered.name,
                    "location" => location,
                    other => return Err(unknown_filter(other)),
                };
                wanted &= filter.values.iter().any(|value| like(value, own));
            }
            if wanted {
                rows.push((offered.name, location));
            }
        }
    }
    let mut xml = Xml::answer("DescribeInstanceTypeOfferings", request_id);
    xml.list("instanceTypeOfferingSet", rows, |xml, (name, location)| {
        xml.leaf("instanceType", name)
            .leaf("locationType", &place)
            .leaf("location", location);
    });
    xml.close("DescribeInstanceTypeOfferingsResponse");
    Ok(xml)
}

fn unknown_filter(name: &str) -> ApiError {
    ApiError::client(
        "InvalidParameterValue",
        format!("The filter '{name}' is invalid"),
    )
}

fn check_filters(filters: &[Filter]) -> Result<(), ApiError> {
    for filter in filters {
        let known = matches!(
            filter.name.as_str(),
            "tag-key" | "client-token" | "instance-state-name" | "instance-id" | "instance-type"
        ) || filter.name.starts_with("tag:");
        if !known {
            return Err(unknown_filter(&filter.name));
        }
        if filter.values.is_empty() {
            return Err(ApiError::missing("Filter.Value"));
        }
    }
    Ok(())
}

fn matches(one: &Instance, filter: &Filter) -> bool {
    let tags = &one.blueprint.tags;
    filter.values.iter().any(|value| {
        let is = |own: &str| like(value, own);
        match filter.name.as_str() {
            "tag-key" => tags.keys().any(|key| is(key)),
            "client-token" => one.token.as_deref().is_some_and(is),
            "instance-state-name" => is(one.state.name()),
            "instance-id" => is(&one.id),
            "instance-type" => is(&one.blueprint.instance_type),
            name => name
                .strip_prefix("tag:")
                .and_then(|key| tags.get(key))
                .is_some_and(|own| is(own)),
        }
    })
}

/// EC2's wildcards: `*` for any characters, `?` for one.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn write_state(xml: &mut Xml, name: &str, state: InstanceState) {
    xml.open(name)
        .leaf("code", state.code())
        .leaf("name", state.name())
        .close(name);
}

fn write_instance(xml: &mut Xml, one: &Instance) {
    let blueprint = &one.blueprint;
    xml.leaf("instanceId", &one.id)
        .leaf("imageId", &blueprint.image);
    write_state(xml, "instanceState", one.state);
    xml.leaf("instanceType", &blueprint.instance_type)
        .leaf("launchTime", &time(one.launched))
        .leaf("amiLaunchIndex", "0");
    xml.open("placement")
        .leaf("availabilityZone", &blueprint.zone)
        .leaf("tenancy", "default")
        .close("placement");
    if !one.state.ended() {
        xml.leaf("privateIpAddress", &one.address)
            .leaf("subnetId", &blueprint.subnet)
            .leaf("vpcId", &blueprint.vpc);
    }
    if let Some(token) = &one.token {
        xml.leaf("clientToken", token);
    }
    if blueprint.spot {
        xml.leaf("instanceLifecycle", "spot")
            .leaf("spotInstanceRequestId", &format!("sir-{}", &one.id[2..10]));
    }
    if let Some(profile) = &blueprint.profile {
        xml.open("iamInstanceProfile")
            .leaf("arn", &profile.arn)
            .leaf("id", &profile.id)
            .close("iamInstanceProfile");
    }
    let arm = catalog::named(&blueprint.instance_type).is_some_and(|offered| offered.arm);
    xml.leaf("architecture", if arm { "arm64" } else { "x86_64" })
        .list("groupSet", &blueprint.security_groups, |xml, group| {
            xml.leaf("groupId", group);
        })
        .list("tagSet", &blueprint.tags, |xml, (key, value)| {
            xml.leaf("key", key).leaf("value", value);
        });
    xml.open("metadataOptions")
        .leaf("state", "applied")
        .leaf(
            "httpTokens",
            if blueprint.tokens_required {
                "required"
            } else {
                "optional"
            },
        )
        .close("metadataOptions");
    if let Some(reason) = one.reason {
        xml.leaf("reason", reason.code())
            .open("stateReason")
            .leaf("code", reason.code())
            .leaf("message", reason.code())
            .close("stateReason");
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn filters_know_ec2s_wildcards() {
        for (pattern, text, expected) in [
            ("t3.*", "t3.small", true),
            ("*small", "t3.small", true),
            ("t?.small", "t3.small", true),
            ("t3.small", "t3.smallest", false),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
