//! What EC2 knows of the resources that a request names, and a policy may ask for: for judges.

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::ec2::api_error::CallError;
use crate::ec2::params::Params;

/// Of the launch template of `RunInstances`, and of the instances, images and snapshots that other calls name.
pub(super) async fn resources(
    cloud: &Cloud,
    action: &str,
    mut params: Params,
) -> Result<Value, CallError> {
    match action {
        "RunInstances" => launch(cloud, params.group("LaunchTemplate")).await,
        "TerminateInstances" => Ok(tags(cloud, &params.list("InstanceId"))),
        "CreateImage" | "GetConsoleOutput" => {
            let instance = params.take("InstanceId").unwrap_or_default();
            Ok(tags(cloud, &[instance]))
        }
        "CreateTags" => Ok(image_tags(cloud, &params.list("ResourceId"))),
        "DeregisterImage" | "DeleteSnapshot" => {
            let ids = ["ImageId", "SnapshotId"];
            let ids = ids.into_iter().filter_map(|name| params.take(name));
            Ok(image_tags(cloud, &ids.collect::<Vec<_>>()))
        }
        _ => Ok(Value::Null),
    }
}

async fn launch(cloud: &Cloud, mut named: Params) -> Result<Value, CallError> {
    let id = named.take("LaunchTemplateId").unwrap_or_default();
    let version = named.take("Version").unwrap_or_default();
    if id.is_empty() {
        return Ok(Value::Null);
    }
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

/// Tags of images, of the snapshots that they rest on, and of snapshots.
fn image_tags(cloud: &Cloud, ids: &[String]) -> Value {
    let state = cloud.state();
    json!({ "tags": state.images.tags_of(ids) })
}

fn tags(cloud: &Cloud, ids: &[String]) -> Value {
    let state = cloud.state();
    let known = ids.iter().filter_map(|id| {
        let instance = state.instances.get(id)?;
        Some((id.clone(), json!(instance.blueprint.tags)))
    });
    json!({ "instances": known.collect::<serde_json::Map<_, _>>() })
}
