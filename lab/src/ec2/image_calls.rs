//! The actions about images and snapshots.

use jiff::Timestamp;

use crate::cloud::Cloud;
use crate::ec2::api_error::ApiError;
use crate::ec2::images::Order;
use crate::ec2::params::Params;
use crate::ec2::tags;
use crate::ec2::xml::Xml;

/// `CreateImage`.
pub(super) fn create(cloud: &Cloud, mut params: Params, request_id: &str) -> Result<Xml, ApiError> {
    let mut tags = tags::specified(&mut params, &["image", "snapshot"])?;
    let mut tags_of = |kind: &str| tags.remove(kind).unwrap_or_default();
    let order = Order {
        instance: params.require("InstanceId")?,
        name: params.require("Name")?,
        description: params.take("Description").unwrap_or_default(),
        image_tags: tags_of("image"),
        snapshot_tags: tags_of("snapshot"),
    };
    // Of a stopped instance it says nothing.
    params.flag("NoReboot")?;
    params.finish()?;
    let now = Timestamp::now();
    let disk = cloud.host.disk(&order.instance);
    let mut state = cloud.state();
    let instance = state.instances.get(&order.instance);
    let instance = instance.filter(|one| one.visible <= now).cloned();
    let instance = instance.ok_or_else(|| {
        let words = format!("The instance ID '{}' does not exist", order.instance);
        ApiError::client("InvalidInstanceID.NotFound", words)
    })?;
    let state = &mut *state;
    let made = state
        .images
        .create(order, &instance, disk, &mut state.faults, now)?;
    if state.faults.loses_image() {
        return Err(ApiError::server(
            "InternalError",
            "An internal error has occurred",
        ));
    }
    let mut xml = Xml::answer("CreateImage", request_id);
    xml.leaf("imageId", &made).close("CreateImageResponse");
    Ok(xml)
}

/// `DeregisterImage`.
pub(super) fn deregister(
    cloud: &Cloud,
    mut params: Params,
    request_id: &str,
) -> Result<Xml, ApiError> {
    let id = params.require("ImageId")?;
    let with_snapshots = params.flag("DeleteAssociatedSnapshots")?;
    params.finish()?;
    let now = Timestamp::now();
    let mut state = cloud.state();
    let stays = with_snapshots && state.faults.keeps_snapshot();
    let own = state.images.own_image(&id, now).ok();
    let snapshot = own.map(|one| one.snapshot.clone());
    let gone = state
        .images
        .deregister(&id, with_snapshots && !stays, now)?;
    let gone = gone.into_iter().map(|id| (id, "success"));
    let stays = snapshot.filter(|_| stays);
    let stays = stays.into_iter().map(|id| (id, "internal-error"));
    let told: Vec<_> = gone.chain(stays).collect();
    let mut xml = Xml::answer("DeregisterImage", request_id);
    xml.leaf("return", "true");
    xml.list("deleteSnapshotResultSet", &told, |xml, (id, code)| {
        xml.leaf("snapshotId", id).leaf("returnCode", code);
    });
    xml.close("DeregisterImageResponse");
    Ok(xml)
}

/// `DeleteSnapshot`.
pub(super) fn delete_snapshot(
    cloud: &Cloud,
    mut params: Params,
    request_id: &str,
) -> Result<Xml, ApiError> {
    let id = params.require("SnapshotId")?;
    params.finish()?;
    cloud.state().images.delete_snapshot(&id)?;
    Ok(done("DeleteSnapshot", request_id))
}

/// `CreateTags`, of images and snapshots: instances have all of theirs from their launch.
pub(super) fn tag(cloud: &Cloud, mut params: Params, request_id: &str) -> Result<Xml, ApiError> {
    let ids = params.list("ResourceId");
    let tags = tags::given(&mut params)?;
    params.finish()?;
    if ids.is_empty() || tags.is_empty() {
        return Err(ApiError::missing("ResourceId or Tag"));
    }
    for id in &ids {
        let now = Timestamp::now();
        cloud.state().images.tag(id, &tags, now)?;
    }
    Ok(done("CreateTags", request_id))
}

fn done(action: &str, request_id: &str) -> Xml {
    let mut xml = Xml::answer(action, request_id);
    xml.leaf("return", "true")
        .close(&format!("{action}Response"));
    xml
}
