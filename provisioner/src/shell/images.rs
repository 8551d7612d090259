//! The pools' images as EC2 knows them, and what the account does to every volume. A launch template
//! that does not fit its image fails at each launch, or leaves a machine with the wrong disk.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{DeviceType, Image as Ec2Image, ImageState};

use stacks::names::Names;

use super::Shell;
use crate::aws::{CallError, failed};
use crate::environment::{Environment, Image, Pool};
use crate::error::Error;
use crate::named_images::{Known, NamedImage};

/// The account's own key for volumes is none that anybody has to be let use.
const AWS_KEY: &str = "alias/aws/ebs";

impl Shell<'_> {
    /// The device of the root volume of each pool's image, by the pool's name.
    pub(crate) async fn root_devices(
        &self,
        environment: &Environment,
        known: &[NamedImage],
    ) -> Result<BTreeMap<String, String>, Error> {
        let names = environment.names();
        let mut ids = BTreeMap::new();
        for pool in &environment.pools {
            let id = self.image_id(pool, &names, known).await?;
            ids.insert(pool.document.name.as_str(), id);
        }
        let found = self.images(ids.values().cloned().collect()).await?;
        let of = |pool: &Pool| {
            let name = &pool.document.name;
            let id = &ids[name.as_str()];
            let image = found.iter().find(|one| one.image_id.as_ref() == Some(id));
            let device = image
                .ok_or_else(|| {
                    "EC2 does not show it: it has to be this account's, shared or public".to_owned()
                })
                .and_then(|image| root_device(image, pool))
                .map_err(|because| Error::Image {
                    pool: name.clone(),
                    image: id.clone(),
                    because,
                })?;
            Ok((name.clone(), device))
        };
        environment.pools.iter().map(of).collect()
    }

    /// The images that pools name: what their parameters say, and what they would start from.
    pub(crate) async fn named_images(
        &self,
        environment: &Environment,
    ) -> Result<Vec<NamedImage>, Error> {
        let names = environment.names();
        let mut found: Vec<NamedImage> = Vec::new();
        let mut built = None;
        for pool in &environment.pools {
            let Image::Built { name, stock } = &pool.image else {
                continue;
            };
            let parameter = names.image(name, pool.arch.name());
            if found.iter().any(|one| one.parameter == parameter) {
                continue;
            }
            let path = stock.parameter(pool.arch);
            let stock_ami = self.parameter(&path).await?;
            let stock_ami = stock_ami.ok_or_else(|| no_parameter(pool, path))?;
            let value = self.parameter(&parameter).await?;
            let record = self.image_record(&parameter).await?;
            let recorded = record.map(|record| record.current.ami);
            if built.is_none() {
                built = Some(self.built_images(&names).await?);
            }
            let usable = || built.iter().flatten().filter(|one| one.is_usable());
            let current = usable().find(|one| value.as_ref() == Some(&one.id));
            let kind = (name.as_str(), pool.arch.name(), stock.word());
            let newest = usable()
                .filter(|one| (one.image.as_str(), one.arch.as_str(), one.stock.as_str()) == kind)
                .max_by_key(|one| one.version);
            let newest = newest.map(|one| one.id.clone());
            let known = match current {
                Some(one) => Known::Built {
                    stock: one.stock.clone(),
                    age_days: one.age_days(),
                },
                None if value.is_some() && value == recorded => Known::Recorded,
                None => Known::Foreign,
            };
            found.push(NamedImage {
                image: name.clone(),
                parameter,
                stock: stock.word(),
                stock_ami,
                value,
                recorded,
                known,
                newest,
            });
        }
        Ok(found)
    }

    async fn image_id(
        &self,
        pool: &Pool,
        names: &Names,
        known: &[NamedImage],
    ) -> Result<String, Error> {
        let path = match &pool.image {
            Image::Ami(id) => return Ok(id.clone()),
            Image::Parameter(path) => path.clone(),
            Image::Stock(stock) => stock.parameter(pool.arch),
            Image::Built { name, .. } => {
                let parameter = names.image(name, pool.arch.name());
                match known.iter().find(|one| one.parameter == parameter) {
                    Some(one) => return Ok(one.ami().to_owned()),
                    None => parameter,
                }
            }
        };
        let value = self.parameter(&path).await?;
        value.ok_or_else(|| no_parameter(pool, path))
    }

    pub(super) async fn images(&self, mut ids: Vec<String>) -> Result<Vec<Ec2Image>, CallError> {
        ids.sort_unstable();
        ids.dedup();
        let images = self.ec2.describe_images().set_image_ids(Some(ids));
        let images = images.include_deprecated(true).into_paginator().items();
        let found = images.send().try_collect().await;
        found.map_err(failed("DescribeImages"))
    }

    /// The customer's key with which the account encrypts every volume, if it does. Somebody who may not
    /// ask is not told, and can deploy all the same.
    pub(crate) async fn volume_key(&self) -> Result<Option<String>, CallError> {
        let may_not = |error: &CallError| error.is("UnauthorizedOperation");
        let asked = self.ec2.get_ebs_encryption_by_default().send().await;
        let encrypts = match asked.map_err(failed("GetEbsEncryptionByDefault")) {
            Err(error) if may_not(&error) => return Ok(None),
            asked => asked?.ebs_encryption_by_default.unwrap_or_default(),
        };
        if !encrypts {
            return Ok(None);
        }
        let asked = self.ec2.get_ebs_default_kms_key_id().send().await;
        match asked.map_err(failed("GetEbsDefaultKmsKeyId")) {
            Err(error) if may_not(&error) => Ok(None),
            asked => Ok(asked?.kms_key_id.filter(|key| !key.ends_with(AWS_KEY))),
        }
    }
}

fn no_parameter(pool: &Pool, path: String) -> Error {
    Error::Image {
        pool: pool.document.name.clone(),
        image: path,
        because: "there is no such parameter in this account and region".to_owned(),
    }
}

/// The device of the image's root volume, if the pool can be launched with it at all.
fn root_device(image: &Ec2Image, pool: &Pool) -> Result<String, String> {
    if image.state.as_ref() != Some(&ImageState::Available) {
        return Err("it is not available (yet)".to_owned());
    }
    let arch = image.architecture.as_ref().map_or("", |arch| arch.as_str());
    if arch != pool.arch.name() {
        return Err(format!(
            "it is made for {arch}, and the pool's arch is {}",
            pool.arch.name()
        ));
    }
    let root = image.root_device_name.clone().unwrap_or_default();
    if image.root_device_type.as_ref() != Some(&DeviceType::Ebs) || root.is_empty() {
        return Err("its root is no EBS volume, whose size could be set".to_owned());
    }
    let mut mappings = image.block_device_mappings().iter();
    let size = mappings
        .find(|mapping| mapping.device_name() == Some(&root))
        .and_then(|mapping| mapping.ebs()?.volume_size());
    let smallest = size.and_then(|size| u32::try_from(size).ok()).unwrap_or(0);
    if pool.root_volume_gb < smallest {
        return Err(format!(
            "its root volume has {smallest} GB, and the pool's root_volume_gb is {}",
            pool.root_volume_gb
        ));
    }
    Ok(root)
}
