//! What is to be built: which images, and for which machines.

use super::machine::Patience;
use crate::ami::{AmiError, Image, Manifest};
use crate::deployment::Deployment;
use crate::environment::Arch;
use crate::error::Error;

/// What is to be built.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The images that there are.
    pub manifest: &'a Manifest,
    /// Which of them, with what it descends from; all without.
    pub image: Option<&'a str>,
    /// For these machines alone; else for those of the pools that use it.
    pub arch: Option<Arch>,
    /// On a machine of this type; else on a small one.
    pub instance_type: Option<&'a str>,
    /// How it waits.
    pub patience: Patience,
}

impl<'a> Asked<'a> {
    /// The images that are asked for and what they descend from, each for its machines, parents first.
    pub(super) fn wanted(
        &self,
        deployment: &Deployment,
    ) -> Result<Vec<(&'a Image, Arch)>, AmiError> {
        let mut wanted: Vec<(&Image, Arch)> = Vec::new();
        for image in self.images()? {
            for arch in self.architectures(deployment, image)? {
                // What it descends from is needed for the same machines.
                for one in self.manifest.lineage(image) {
                    if !wanted.contains(&(one, arch)) {
                        wanted.push((one, arch));
                    }
                }
            }
        }
        Ok(wanted)
    }

    fn images(&self) -> Result<Vec<&'a Image>, AmiError> {
        match self.image {
            Some(name) => Ok(vec![self.manifest.image(name)?]),
            None => Ok(self.manifest.images().iter().collect()),
        }
    }

    /// The architectures that are asked for, or those of the pools that use the image, or the only usual one.
    fn architectures(&self, deployment: &Deployment, image: &Image) -> Result<Vec<Arch>, AmiError> {
        let mut all: Vec<Arch> = if let Some(arch) = self.arch {
            vec![arch]
        } else {
            let pools = deployment.environment.pools.iter();
            let users = pools.filter(|pool| pool.image.is_named(&image.name));
            users.map(|pool| pool.arch).collect()
        };
        if all.is_empty() {
            all.push(Arch::X86_64);
        }
        all.sort_unstable();
        all.dedup();
        let unfit = all.iter().find(|arch| !image.architectures.contains(arch));
        match unfit {
            None => Ok(all),
            Some(arch) => Err(AmiError::NotMadeFor {
                image: image.name.clone(),
                arch: arch.name(),
                known: image
                    .architectures
                    .iter()
                    .map(|arch| arch.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }
}

/// A pool whose volume is smaller than the image's could launch nothing any more.
pub(super) fn fits_pools(deployment: &Deployment, image: &Image) -> Result<(), Error> {
    let pools = deployment.environment.pools.iter();
    let mut users = pools.filter(|pool| pool.image.is_named(&image.name));
    match users.find(|pool| pool.root_volume_gb < image.root_volume_gb) {
        None => Ok(()),
        Some(pool) => Err(Error::Image {
            pool: pool.document.name.clone(),
            image: image.name.clone(),
            because: format!(
                "it needs {} GB, and the pool's root_volume_gb is {}",
                image.root_volume_gb, pool.root_volume_gb
            ),
        }),
    }
}
