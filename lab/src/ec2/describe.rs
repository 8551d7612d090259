//! EC2's answers about instances, as far as anybody of ours reads them.

use jiff::Timestamp;

use crate::ec2::api_error::ApiError;
use crate::ec2::instance::{Instance, InstanceState};
use crate::ec2::params::{Filter, Params};
use crate::ec2::state::{Ec2State, Launched};
use crate::ec2::xml::Xml;

/// EC2's page when the caller sets no `MaxResults`.
const PAGE: usize = 1000;

/// The answer to `DescribeInstances`: the page that `params` asks for.
pub(crate) fn instances(
    state: &Ec2State,
    mut params: Params,
    now: Timestamp,
    request_id: &str,
) -> Result<Xml, ApiError> {
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
    let visible = |one: &Instance| one.visible <= now;
    check_known(state, &ids, visible)?;
    let mut found = state
        .instances
        .values()
        .filter(|one| visible(one) && *one.id > *after)
        .filter(|one| ids.is_empty() || ids.contains(&one.id))
        .filter(|one| filters.iter().all(|filter| matches(one, filter)));
    let instances: Vec<&Instance> = found.by_ref().take(page).collect();
    let more = found.next().is_some();
    let mut xml = Xml::answer("DescribeInstances", request_id);
    xml.list("reservationSet", &instances, |xml, one| {
        xml.list("instancesSet", [*one], write_instance);
    });
    if let Some(last) = instances.last().filter(|_| more) {
        xml.leaf("nextToken", &last.id);
    }
    xml.close("DescribeInstancesResponse");
    Ok(xml)
}

/// The answer to a question about the encryption of volumes.
pub(crate) fn volume_key(action: &str, key: Option<&str>, request_id: &str) -> Xml {
    let mut xml = Xml::answer(action, request_id);
    if action == "GetEbsEncryptionByDefault" {
        xml.leaf("ebsEncryptionByDefault", &key.is_some().to_string());
    } else {
        xml.leaf("kmsKeyId", key.unwrap_or("alias/aws/ebs"));
    }
    xml.close(&format!("{action}Response"));
    xml
}

/// Every id must be one of an instance that the caller can see.
pub(crate) fn check_known(
    state: &Ec2State,
    ids: &[String],
    visible: impl Fn(&Instance) -> bool,
) -> Result<(), ApiError> {
    let known = |id: &&String| state.instances.get(*id).is_some_and(&visible);
    match ids.iter().find(|id| !known(id)) {
        None => Ok(()),
        Some(unknown) => Err(ApiError::client(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{unknown}' does not exist"),
        )),
    }
}

/// The answer to `RunInstances`.
pub(crate) fn reservation(state: &Ec2State, launched: &Launched, request_id: &str) -> Xml {
    let mut xml = Xml::answer("RunInstances", request_id);
    let instances = launched.ids.iter().filter_map(|id| state.instances.get(id));
    xml.list("instancesSet", instances, write_instance)
        .close("RunInstancesResponse");
    xml
}

/// The answer to `TerminateInstances` or `StopInstances`.
pub(crate) fn ending(
    action: &str,
    changes: &[(String, InstanceState, InstanceState)],
    request_id: &str,
) -> Xml {
    let mut xml = Xml::answer(action, request_id);
    xml.list("instancesSet", changes, |xml, (id, before, after)| {
        xml.leaf("instanceId", id);
        write_state(xml, "currentState", *after);
        write_state(xml, "previousState", *before);
    });
    xml.close(&format!("{action}Response"));
    xml
}

fn check_filters(filters: &[Filter]) -> Result<(), ApiError> {
    for filter in filters {
        let known = [
            "tag-key",
            "client-token",
            "instance-state-name",
            "image-id",
            "instance-id",
        ];
        if !known.contains(&filter.name.as_str()) && !filter.name.starts_with("tag:") {
            return Err(ApiError::client(
                "InvalidParameterValue",
                format!("The filter '{}' is invalid", filter.name),
            ));
        }
        if filter.values.is_empty() {
            return Err(ApiError::missing("Filter.Value"));
        }
    }
    Ok(())
}

fn matches(one: &Instance, filter: &Filter) -> bool {
    let tags = &one.blueprint.tags;
    let mut values = filter.values.iter();
    match filter.name.split_once(':') {
        Some(("tag", key)) => values.any(|value| tags.get(key) == Some(value)),
        _ => values.any(|value| match filter.name.as_str() {
            "tag-key" => tags.contains_key(value),
            "client-token" => one.token == *value,
            "image-id" => one.blueprint.image.id == *value,
            "instance-id" => one.id == *value,
            _ => one.state.name() == value,
        }),
    }
}

fn write_state(xml: &mut Xml, name: &str, state: InstanceState) {
    xml.open(name)
        .leaf("code", state.code())
        .leaf("name", state.name())
        .close(name);
}

fn write_instance(xml: &mut Xml, one: &Instance) {
    let launched = one.launched.strftime("%Y-%m-%dT%H:%M:%S.000Z");
    xml.leaf("instanceId", &one.id);
    write_state(xml, "instanceState", one.state);
    if let Some(reason) = one.reason {
        xml.open("stateReason")
            .leaf("code", reason.code())
            .leaf("message", reason.code())
            .close("stateReason");
    }
    xml.leaf("imageId", &one.blueprint.image.id)
        .leaf("instanceType", &one.blueprint.instance_type)
        .leaf("launchTime", &launched.to_string())
        .list("tagSet", &one.blueprint.tags, |xml, (key, value)| {
            xml.leaf("key", key).leaf("value", value);
        });
}
