//! Images and their snapshots: made, found, tagged, and taken away.

use aws_sdk_ec2::operation::deregister_image::DeregisterImageOutput;
use aws_sdk_ec2::types::{
    Filter, Image, ImageState, ResourceType, Snapshot as Ec2Snapshot, SnapshotReturnCodes, Tag,
    TagSpecification,
};
use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::types::ParameterType;
use aws_smithy_types::date_time::{DateTime, Format};
use stacks::images::ImageRecord;
use stacks::names::{IMAGE_RECORD, Names};

use super::Shell;
use crate::aws::{CallError, failed};
use crate::images::{BuiltImage, ImageStatus, Keys, Snapshot};

const DEREGISTER: &str = "DeregisterImage";
/// The only kind of parameter that EC2 takes an image from. AWS refuses one that names no image.
const IMAGE_PARAMETER: &str = "aws:ec2:image";

impl Shell<'_> {
    /// The deployment's images, in every state.
    pub(crate) async fn built_images(&self, names: &Names) -> Result<Vec<BuiltImage>, CallError> {
        let keys = Keys::of(names);
        let found = self.tagged_images(names).await?;
        let found = found.iter();
        Ok(found.filter_map(|image| built(image, &keys)).collect())
    }

    /// The ids of all that carries the tag of an image of ours, whatever else it says.
    pub(crate) async fn image_ids(&self, names: &Names) -> Result<Vec<String>, CallError> {
        let found = self.tagged_images(names).await?.into_iter();
        Ok(found.filter_map(|image| image.image_id).collect())
    }

    async fn tagged_images(&self, names: &Names) -> Result<Vec<Image>, CallError> {
        let by_tag = Filter::builder()
            .name("tag-key")
            .values(&names.tag_image)
            .build();
        let found = self.ec2.describe_images().owners("self").filters(by_tag);
        let found = found.include_deprecated(true).into_paginator().items();
        let found = found.send().try_collect().await;
        found.map_err(failed("DescribeImages"))
    }

    /// Makes an image of the stopped machine: its id.
    pub(crate) async fn create_image(
        &self,
        machine: &str,
        name: &str,
        tags: &[(String, String)],
    ) -> Result<String, CallError> {
        const CALL: &str = "CreateImage";
        let tags: Vec<Tag> = tags.iter().map(|(key, value)| tag(key, value)).collect();
        let mut request = self.ec2.create_image().instance_id(machine).name(name);
        for kind in [ResourceType::Image, ResourceType::Snapshot] {
            let tagged = TagSpecification::builder()
                .resource_type(kind)
                .set_tags(Some(tags.clone()));
            request = request.tag_specifications(tagged.build());
        }
        let answer = request.send().await.map_err(failed(CALL))?;
        answer.image_id.ok_or_else(|| CallError {
            call: CALL,
            code: None,
            message: "the answer names no image".to_owned(),
        })
    }

    /// EC2's word for the image's state; nothing while it is not shown.
    pub(crate) async fn image_state(&self, id: &str) -> Result<Option<ImageStatus>, CallError> {
        let asked = self.ec2.describe_images().image_ids(id).send().await;
        match asked.map_err(failed("DescribeImages")) {
            Err(error) if error.is("InvalidAMIID.NotFound") => Ok(None),
            answer => {
                let mut images = answer?.images.unwrap_or_default().into_iter();
                let state = images.next().and_then(|image| image.state);
                Ok(state.map(|state| match state.as_str() {
                    "available" => ImageStatus::Available,
                    "pending" | "transient" => ImageStatus::Pending,
                    other => ImageStatus::Broken(other.to_owned()),
                }))
            }
        }
    }

    /// The device and size in GB of the root volume of an image.
    pub(crate) async fn root_of(&self, id: &str) -> Result<Option<(String, u32)>, CallError> {
        let images = self.images(vec![id.to_owned()]).await?;
        Ok(images.first().and_then(|image| {
            let device = image.root_device_name.clone()?;
            let mut mappings = image.block_device_mappings().iter();
            let root = mappings.find(|one| one.device_name() == Some(&device))?;
            let size = u32::try_from(root.ebs()?.volume_size()?).ok()?;
            Some((device, size))
        }))
    }

    /// The ids of this account's images with that tag.
    pub(crate) async fn images_with(
        &self,
        key: &str,
        value: &str,
    ) -> Result<Vec<String>, CallError> {
        let by_tag = Filter::builder().name(format!("tag:{key}")).values(value);
        let found = self.ec2.describe_images().owners("self");
        let found = found.filters(by_tag.build()).into_paginator().items();
        let found = found.send().try_collect().await;
        let found: Vec<Image> = found.map_err(failed("DescribeImages"))?;
        Ok(found.into_iter().filter_map(|one| one.image_id).collect())
    }

    /// Takes an image away with its snapshots. One that is gone is gone.
    pub(crate) async fn deregister(&self, id: &str) -> Result<(), CallError> {
        let asked = self.ec2.deregister_image().image_id(id);
        let asked = asked.delete_associated_snapshots(true).send().await;
        match asked
            .map_err(failed(DEREGISTER))
            .and_then(|answer| all_gone(&answer))
        {
            Err(error)
                if error
                    .code
                    .as_deref()
                    .is_some_and(|it| it.starts_with("InvalidAMIID.")) =>
            {
                Ok(())
            }
            answer => answer,
        }
    }

    /// The snapshots that carry the tag of an image of ours.
    pub(crate) async fn image_snapshots(&self, names: &Names) -> Result<Vec<Snapshot>, CallError> {
        let by_tag = Filter::builder()
            .name("tag-key")
            .values(&names.tag_image)
            .build();
        let found = self.ec2.describe_snapshots().owner_ids("self");
        let found = found.filters(by_tag).into_paginator().items();
        let found: Vec<_> = found
            .send()
            .try_collect()
            .await
            .map_err(failed("DescribeSnapshots"))?;
        let snapshot = |one: Ec2Snapshot| {
            Some(Snapshot {
                id: one.snapshot_id?,
                begun_s: seconds(Some(&one.start_time?)),
            })
        };
        Ok(found.into_iter().filter_map(snapshot).collect())
    }

    pub(crate) async fn delete_snapshot(&self, id: &str) -> Result<(), CallError> {
        let asked = self.ec2.delete_snapshot().snapshot_id(id).send().await;
        match asked.map_err(failed("DeleteSnapshot")) {
            Err(error) if error.is("InvalidSnapshot.NotFound") => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Tags an image of ours.
    pub(crate) async fn tag_image(
        &self,
        id: &str,
        key: &str,
        value: &str,
    ) -> Result<(), CallError> {
        let asked = self.ec2.create_tags().resources(id).tags(tag(key, value));
        asked.send().await.map(drop).map_err(failed("CreateTags"))
    }

    /// What is recorded beside the parameter of an image; nothing if nobody can read it.
    pub(crate) async fn image_record(
        &self,
        parameter: &str,
    ) -> Result<Option<ImageRecord>, CallError> {
        let path = format!("{parameter}{IMAGE_RECORD}");
        let record = self.parameter(&path).await?;
        Ok(record.and_then(|record| serde_json::from_str(&record).ok()))
    }

    pub(crate) async fn put_image_record(
        &self,
        path: &str,
        record: &ImageRecord,
    ) -> Result<(), CallError> {
        let text = serde_json::to_string(record).expect("a plain struct");
        let put = self.ssm.put_parameter().name(path).value(text);
        let put = put.r#type(ParameterType::String).overwrite(true);
        put.send().await.map(drop).map_err(failed("PutParameter"))
    }

    /// Has the parameter name `image` from now on. AWS says yes before it has looked at the value: whoever
    /// calls reads it back.
    pub(crate) async fn put_image(&self, path: &str, image: &str) -> Result<(), CallError> {
        let put = self.image_parameter(path, image).overwrite(true);
        put.send().await.map(drop).map_err(failed("PutParameter"))
    }

    /// The same of a parameter that is not there: AWS refuses to overwrite one that is.
    pub(crate) async fn make_image_parameter(
        &self,
        path: &str,
        image: &str,
    ) -> Result<(), CallError> {
        let put = self.image_parameter(path, image);
        put.send().await.map(drop).map_err(failed("PutParameter"))
    }

    fn image_parameter(&self, path: &str, image: &str) -> PutParameterFluentBuilder {
        let put = self.ssm.put_parameter().name(path).value(image);
        put.r#type(ParameterType::String).data_type(IMAGE_PARAMETER)
    }
}

/// A moment, in seconds since 1970, as RFC 3339 writes it.
pub(crate) fn moment(seconds: u64) -> String {
    let at = DateTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    at.fmt(Format::DateTime).unwrap_or_default()
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// What the tags say of an image; nothing of one that somebody tagged so by hand.
fn built(image: &Image, keys: &Keys) -> Option<BuiltImage> {
    let tag = |key: &str| {
        let mut tags = image.tags().iter();
        let found = tags.find(|tag| tag.key() == Some(key))?;
        Some(found.value().unwrap_or_default().to_owned())
    };
    let created = image.creation_date.as_deref();
    let created = created.and_then(|at| DateTime::from_str(at, Format::DateTime).ok());
    let mappings = image.block_device_mappings().iter();
    let snapshots = mappings.filter_map(|one| one.ebs()?.snapshot_id.clone());
    Some(BuiltImage {
        id: image.image_id.clone()?,
        name: image.name.clone().unwrap_or_default(),
        image: tag(&keys.image)?,
        arch: image.architecture.as_ref()?.as_str().to_owned(),
        stock: tag(&keys.stock)?,
        version: tag(&keys.version)?.parse().ok()?,
        digest: tag(&keys.digest)?,
        parent: tag(&keys.parent)?,
        created_s: seconds(created.as_ref()),
        tested: tag(&keys.tested).is_some(),
        published: tag(&keys.published).is_some(),
        available: image.state.as_ref() == Some(&ImageState::Available),
        snapshots: snapshots.collect(),
    })
}

/// Seconds since 1970.
fn seconds(at: Option<&DateTime>) -> u64 {
    at.and_then(|at| u64::try_from(at.secs()).ok())
        .unwrap_or_default()
}

/// EC2 says yes to the image, and of each snapshot by itself what became of it: one that stays costs money.
fn all_gone(answer: &DeregisterImageOutput) -> Result<(), CallError> {
    let stays = answer.delete_snapshot_results().iter().find(|one| {
        let code = one.return_code();
        // Skipped: another image has it too.
        !matches!(
            code,
            None | Some(SnapshotReturnCodes::Success | SnapshotReturnCodes::WarnSkipped)
        )
    });
    stays.map_or(Ok(()), |one| {
        let why = one.return_code().map_or("", SnapshotReturnCodes::as_str);
        Err(CallError {
            call: DEREGISTER,
            code: Some(why.to_owned()),
            message: format!(
                "the image is gone, its snapshot {} is not and costs money: delete it in EC2's console",
                one.snapshot_id().unwrap_or_default()
            ),
        })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_moment_is_written_as_the_sweep_reads_it() {
        assert_eq!(super::moment(1_800_000_000), "2027-01-15T08:00:00Z");
    }
}
