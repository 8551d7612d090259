//! `ami/images.toml`, as what can be built: `read` checks it, and here nothing is doubtful any more.

use std::collections::BTreeMap;

use super::error::AmiError;
use super::sources::Sources;
use crate::arch::Arch;

/// Where the manifest lies in a checkout.
pub const PATH: &str = "ami/images.toml";

/// Images and the tools in them, with the scripts that make them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Parents before their children.
    pub(super) images: Vec<Image>,
    pub(super) tools: BTreeMap<String, Tool>,
    pub(super) sources: Sources,
    pub(super) mirror: Option<String>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// What it starts from.
    pub parent: Parent,
    /// What machines it is made for.
    pub architectures: Vec<Arch>,
    /// Its own steps, in the order in which they run; its parent has run its own before.
    pub steps: Vec<String>,
    /// The tools that its own steps install.
    pub tools: Vec<String>,
    /// Size of the volume that it is built on, and the least that a pool can have.
    pub root_volume_gb: u32,
}

/// What an image starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parent {
    /// A distribution's own image: whoever builds it says which.
    Stock,
    /// Another image of the manifest.
    Image(String),
}

/// Something that is downloaded as its vendor publishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// The step that installs it.
    pub step: String,
    /// Its version.
    pub version: String,
    /// Whether an image does without it as long as it is unpinned.
    pub optional: bool,
    /// Where its newer versions are named, if it follows them.
    pub follow: Option<Follow>,
    /// Its file for each architecture.
    pub pins: BTreeMap<Arch, Pin>,
    pub(super) url: String,
    pub(super) checksums: Option<String>,
}

/// Where newer versions are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follow {
    /// The document.
    pub url: String,
    /// What it is.
    pub format: FollowFormat,
    /// How a version begins that may be taken.
    pub within: String,
}

/// Documents that name versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowFormat {
    /// `go.dev/dl/?mode=json`.
    Go,
    /// `nodejs.org/dist/index.json`.
    Node,
    /// One line with one version.
    Line,
}

/// The file of a tool for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What the vendor calls the architecture.
    pub word: String,
    /// What has to be in it; none while it is unpinned.
    pub sum: Option<Sum>,
    /// Where the checksum was read.
    pub source: String,
    /// On which day, as `2026-11-30`.
    pub date: String,
}

/// A checksum, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sum {
    /// 64 hexadecimal digits.
    Sha256(String),
    /// 128 of them, where the vendor publishes these.
    Sha512(String),
}

impl Sum {
    /// The checksum of so many digits, if it is one.
    #[must_use]
    pub fn parse(digits: &str) -> Option<Self> {
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let digits = digits.to_ascii_lowercase();
        match digits.len() {
            64 => Some(Self::Sha256(digits)),
            128 => Some(Self::Sha512(digits)),
            _ => None,
        }
    }

    /// `sha256` or `sha512`.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }

    /// Its digits.
    #[must_use]
    pub fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::Sha512(digits) => digits,
        }
    }
}

impl Tool {
    /// Where a version's file is published for an architecture; none if it is not made for it.
    #[must_use]
    pub fn url(&self, version: &str, arch: Arch) -> Option<String> {
        let word = &self.pins.get(&arch)?.word;
        Some(fill(&self.url, version, word, None))
    }

    /// Where that file's checksum is published; none if its vendor publishes none.
    #[must_use]
    pub fn checksums(&self, version: &str, arch: Arch) -> Option<String> {
        let url = self.url(version, arch)?;
        let word = &self.pins.get(&arch)?.word;
        let template = self.checksums.as_ref()?;
        Some(fill(template, version, word, Some(&url)))
    }
}

fn fill(template: &str, version: &str, word: &str, url: Option<&str>) -> String {
    let url = url.unwrap_or_default();
    let file = url.rsplit('/').next().unwrap_or_default();
    let minor: Vec<&str> = version.split('.').take(2).collect();
    template
        .replace("{url}", url)
        .replace("{file}", file)
        .replace("{version}", version)
        .replace("{minor}", &minor.join("."))
        .replace("{arch}", word)
}

impl Manifest {
    /// The image of this name.
    pub fn image(&self, name: &str) -> Result<&Image, AmiError> {
        let found = self.images.iter().find(|image| image.name == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = self.images.iter().map(|it| it.name.as_str()).collect();
            AmiError::NoSuchImage {
                name: name.to_owned(),
                known: known.join(", "),
            }
        })
    }

    /// Every image, parents before their children.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// Every tool, in the order of their names.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.tools.values()
    }

    /// The image and what it descends from, the first ancestor first.
    #[must_use]
    pub fn lineage<'a>(&'a self, image: &'a Image) -> Vec<&'a Image> {
        let mut lineage = vec![image];
        while let Some(Image {
            parent: Parent::Image(parent),
            ..
        }) = lineage.last()
        {
            let Some(parent) = self.images.iter().find(|image| image.name == *parent) else {
                break;
            };
            lineage.push(parent);
        }
        lineage.reverse();
        lineage
    }

    /// The tools of the image's own steps that are installed on this architecture, with where they are and
    /// what they must be. Refuses one that is unpinned, unless the image can do without it.
    pub fn pinned<'a>(
        &'a self,
        image: &Image,
        arch: Arch,
    ) -> Result<Vec<(&'a Tool, String, &'a Sum)>, AmiError> {
        if !image.architectures.contains(&arch) {
            let known: Vec<&str> = image.architectures.iter().map(|it| it.name()).collect();
            return Err(AmiError::NotMadeFor {
                image: image.name.clone(),
                arch: arch.name(),
                known: known.join(", "),
            });
        }
        let mut pinned = Vec::new();
        let mut unpinned = Vec::new();
        for tool in image.tools.iter().filter_map(|name| self.tools.get(name)) {
            let sum = tool.pins.get(&arch).and_then(|pin| pin.sum.as_ref());
            match (sum, tool.url(&tool.version, arch)) {
                (Some(sum), Some(url)) => pinned.push((tool, url, sum)),
                _ if tool.optional => {}
                _ => unpinned.push(format!("{} {}", tool.name, tool.version)),
            }
        }
        if unpinned.is_empty() {
            return Ok(pinned);
        }
        let verb = if unpinned.len() == 1 { "is" } else { "are" };
        Err(AmiError::Unpinned {
            image: image.name.clone(),
            arch: arch.name(),
            tools: format!("{} {verb}", unpinned.join(", ")),
        })
    }

    /// The optional tools that the image is built without on this architecture, because they are unpinned.
    #[must_use]
    pub fn left_out(&self, image: &Image, arch: Arch) -> Vec<&Tool> {
        let tools = image.tools.iter().filter_map(|name| self.tools.get(name));
        let is_unpinned = |tool: &&Tool| tool.pins.get(&arch).is_none_or(|pin| pin.sum.is_none());
        tools.filter(is_unpinned).collect()
    }
}
