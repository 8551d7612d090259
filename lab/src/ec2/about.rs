//! What EC2 knows of the resources that a request names, and a policy may ask for: for judges.

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::ec2::api_error::CallError;
use crate::ec2::params::Params;

/// Of the launch template of `RunInstances`, and of the instances of `TerminateInstances`.
pub(super) async fn resources(
    cloud: &Cloud,
    action: &str,
    mut params: Params,
) -> Result<Value, CallError> {
    match action {
        "RunInstances" => launch(cloud, params.group("LaunchTemplate")).await,
        "TerminateInstances" => Ok(tags(cloud, &params.list("InstanceId"))),
        _ => Ok(Value::Null),
    }
}

async fn launch(cloud: &Cloud, mut named: Params) -> Result<Value, CallError> {
    let id = named.take("LaunchTemplateId").unwrap_or_default();
    let version = named.take("Version").unwrap_or_default();
    let Some(template) = cloud.emulator.template(&id, &version).await? else {
        return Ok(Value::Null);
    };
    Ok(json!({
        "template_tags": cloud.emulator.template_tags(&id).await?,
        "image": template.image,
        "profile": template.profile,
        "security_groups": template.security_groups,
    }))
}

fn tags(cloud: &Cloud, ids: &[String]) -> Value {
    let state = cloud.state();
    let known = ids.iter().filter_map(|id| {
        let instance = state.instances.get(id)?;
        Some((id.clone(), json!(instance.blueprint.tags)))
    });
    json!({ "instances": known.collect::<serde_json::Map<_, _>>() })
}
