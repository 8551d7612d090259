//! An image, as far as an instance of it needs it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::ec2::catalog;

/// Tags of one resource.
pub(crate) type Tags = BTreeMap<String, String>;

/// An image, as far as an instance of it needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) id: String,
    /// The image of the catalog that it was made on, over however many others.
    pub(crate) stock: String,
    pub(crate) arch: String,
    pub(crate) root_device: String,
    pub(crate) size_gb: u32,
    /// Folders with what it has over the lab's own disk, the newest first.
    pub(crate) layers: Vec<PathBuf>,
}

impl Image {
    /// The image of the catalog called `id`.
    pub(crate) fn stock(id: &str) -> Option<Self> {
        let (id, arch, root_device, size_gb) = *catalog::image(id)?;
        Some(Self {
            id: id.to_owned(),
            stock: id.to_owned(),
            arch: arch.to_owned(),
            root_device: root_device.to_owned(),
            size_gb,
            layers: Vec::new(),
        })
    }
}
