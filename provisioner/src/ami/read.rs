//! Reads the manifest: everything that is wrong with it at once, each with where it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::error::AmiError;
use super::manifest::{Follow, FollowFormat, Image, Manifest, PATH, Parent, Pin, Sum, Tool};
use super::sources::{Sources, unreadable};
use super::syntax::{is_date, is_name, is_url, is_version, is_word};
use crate::arch::Arch;

/// Images and tools of a manifest, before it is no list that somebody keeps.
const NAMES_MAX: usize = 50;
/// Smallest and largest volume, in GB: the stock images have 8, and a job's own data is the pool's matter.
const VOLUME_GB: std::ops::RangeInclusive<u32> = 8..=200;
/// Scripts that are no steps of images: what stands around steps, and the last step of each.
const RESERVED: [&str; 3] = ["frame", "distribution", "clean"];
/// What a pin says that is not known.
const UNPINNED: &str = "unpinned";
/// What both architectures are called in the manifest.
const ARCHITECTURES: [Arch; 2] = [Arch::X86_64, Arch::Arm64];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawManifest {
    images: BTreeMap<String, RawImage>,
    #[serde(default)]
    pub(super) runners: BTreeMap<String, RawRunner>,
    #[serde(default)]
    pub(super) tools: BTreeMap<String, RawTool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImage {
    parent: String,
    architectures: Vec<String>,
    steps: Vec<String>,
    #[serde(default)]
    tools: Vec<String>,
    root_volume_gb: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRunner {
    pub(super) pinned: String,
    pub(super) lab: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTool {
    step: String,
    version: String,
    url: String,
    arch: BTreeMap<String, String>,
    checksums: Option<String>,
    follow: Option<RawFollow>,
    #[serde(default)]
    optional: bool,
    x86_64: Option<RawPin>,
    arm64: Option<RawPin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFollow {
    url: String,
    format: String,
    within: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPin {
    sha256: Option<String>,
    sha512: Option<String>,
    #[serde(default)]
    source: String,
    #[serde(default)]
    date: String,
}

impl Manifest {
    /// The manifest of the checkout at `root`, with its scripts.
    pub fn read(root: &Path) -> Result<Self, AmiError> {
        let path = root.join(PATH);
        let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
        Self::parse(&text, Sources::read(root)?)
    }

    /// From a manifest's text and the scripts that it names.
    pub fn parse(text: &str, sources: Sources) -> Result<Self, AmiError> {
        manifest(text, sources)
    }

    /// The same with every download from a mirror: `https://HOST/PATH` is fetched as `MIRROR/HOST/PATH`.
    /// Changes no digest, since the checksums say what the files are. The mirror too is `https`.
    pub fn mirrored(&self, mirror: &str) -> Result<Self, AmiError> {
        if !is_url(mirror) {
            let problem = format!("the mirror {mirror} is no https address");
            return Err(AmiError::Invalid(vec![problem]));
        }
        Ok(Self {
            mirror: Some(mirror.trim_end_matches('/').to_owned()),
            ..self.clone()
        })
    }
}

fn manifest(text: &str, sources: Sources) -> Result<Manifest, AmiError> {
    let raw = raw(text)?;
    let mut problems = Vec::new();
    if raw.images.is_empty() || raw.images.len() > NAMES_MAX || raw.tools.len() > NAMES_MAX {
        problems.push(format!(
            "there must be 1 to {NAMES_MAX} images and at most as many tools"
        ));
    }
    for script in RESERVED {
        if !sources.steps.contains_key(script) {
            problems.push(format!("there is no script ami/steps/{script}.sh"));
        }
    }
    let tools: BTreeMap<String, Tool> = raw
        .tools
        .iter()
        .map(|(name, tool)| (name.clone(), tool_of(name, tool, &mut problems)))
        .collect();
    for (forge, runner) in &raw.runners {
        if !raw.tools.contains_key(&runner.pinned) {
            problems.push(format!(
                "runners.{forge}: there is no tool {}",
                runner.pinned
            ));
        }
    }
    let mut images: BTreeMap<String, Image> = raw
        .images
        .into_iter()
        .map(|(name, image)| {
            let image = image_of(&name, image, &tools, &sources, &mut problems);
            (name, image)
        })
        .collect();
    against_parents(&images, &mut problems);
    let mut sorted: Vec<Image> = Vec::new();
    // One round takes all whose parent was taken before, so a chain of n images needs n.
    for _ in 0..=images.len() {
        let is_next = |image: &Image| match &image.parent {
            Parent::Stock => true,
            Parent::Image(parent) => sorted.iter().any(|it| it.name == *parent),
        };
        let next: Vec<String> = images
            .values()
            .filter(|it| is_next(it))
            .map(|it| it.name.clone())
            .collect();
        sorted.extend(next.iter().filter_map(|name| images.remove(name)));
    }
    for image in images.values() {
        if let Parent::Image(parent) = &image.parent {
            problems.push(format!(
                "images.{}: parent {parent} leads to no stock image",
                image.name
            ));
        }
    }
    if !problems.is_empty() {
        return Err(AmiError::Invalid(problems));
    }
    Ok(Manifest {
        images: sorted,
        tools,
        sources,
        mirror: None,
    })
}

pub(super) fn raw(text: &str) -> Result<RawManifest, AmiError> {
    toml::from_str(text).map_err(|error| AmiError::Invalid(vec![error.to_string()]))
}

pub(super) fn tool_of(name: &str, raw: &RawTool, problems: &mut Vec<String>) -> Tool {
    let mut wrong = |what: String| problems.push(format!("tools.{name}: {what}"));
    if !is_name(name) {
        wrong("a name is small letters, digits and dashes".to_owned());
    }
    if !is_version(&raw.version) {
        wrong(format!("{} is no version", raw.version));
    }
    let addresses = [Some(&raw.url), raw.follow.as_ref().map(|it| &it.url)];
    for url in addresses.into_iter().flatten() {
        if !is_url(url) {
            wrong(format!("{url} is no https address"));
        }
    }
    if let Some(checksums) = &raw.checksums
        && !checksums.starts_with("{url}")
        && !is_url(checksums)
    {
        wrong(format!("{checksums} is no https address"));
    }
    let mut pins = BTreeMap::new();
    for (arch, pin) in ARCHITECTURES.into_iter().zip([&raw.x86_64, &raw.arm64]) {
        let word = raw.arch.get(arch.name());
        match (word, pin) {
            (Some(word), Some(pin)) => {
                if !is_word(word) {
                    wrong(format!(
                        "arch.{}: {word} is no word of an address",
                        arch.name()
                    ));
                }
                pins.insert(arch, pin_of(arch, word, pin, &mut wrong));
            }
            (None, None) => {}
            _ => wrong(format!("{0} and arch.{0} go together", arch.name())),
        }
    }
    for arch in raw.arch.keys() {
        if !ARCHITECTURES.iter().any(|known| known.name() == arch) {
            wrong(format!("there is no architecture {arch}"));
        }
    }
    let follow = raw.follow.as_ref().and_then(|follow| {
        let format = match follow.format.as_str() {
            "go" => FollowFormat::Go,
            "node" => FollowFormat::Node,
            "line" => FollowFormat::Line,
            other => {
                wrong(format!(
                    "follow: there is no format {other}; there are go, node, line"
                ));
                return None;
            }
        };
        if !raw.version.starts_with(&follow.within) || !follow.within.ends_with('.') {
            wrong(format!(
                "follow: version {} is not within {:?}, which ends with a dot",
                raw.version, follow.within
            ));
        }
        Some(Follow {
            url: follow.url.clone(),
            format,
            within: follow.within.clone(),
        })
    });
    Tool {
        name: name.to_owned(),
        step: raw.step.clone(),
        version: raw.version.clone(),
        optional: raw.optional,
        follow,
        pins,
        url: raw.url.clone(),
        checksums: raw.checksums.clone(),
    }
}

fn pin_of(arch: Arch, word: &str, raw: &RawPin, wrong: &mut impl FnMut(String)) -> Pin {
    let arch = arch.name();
    let (said, digits) = match (&raw.sha256, &raw.sha512) {
        (Some(sum), None) => (sum, 64),
        (None, Some(sum)) => (sum, 128),
        (Some(_), Some(_)) | (None, None) => {
            wrong(format!("{arch}: a pin is a sha256 or a sha512"));
            (&raw.source, 0)
        }
    };
    let mut sum = None;
    if said != UNPINNED && digits > 0 {
        sum = Sum::parse(said).filter(|sum| sum.digits().len() == digits);
        if sum.is_none() {
            wrong(format!(
                "{arch}: {said:?} is neither {digits} hexadecimal digits nor {UNPINNED:?}"
            ));
        }
        if raw.source.is_empty() || !is_date(&raw.date) {
            wrong(format!(
                "{arch}: a pin says its source, and its date as 2026-11-30"
            ));
        }
    }
    Pin {
        word: word.to_owned(),
        sum,
        source: raw.source.clone(),
        date: raw.date.clone(),
    }
}

fn image_of(
    name: &str,
    raw: RawImage,
    tools: &BTreeMap<String, Tool>,
    sources: &Sources,
    problems: &mut Vec<String>,
) -> Image {
    let mut wrong = |what: String| problems.push(format!("images.{name}: {what}"));
    if !is_name(name) {
        wrong("a name is small letters, digits and dashes".to_owned());
    }
    if !VOLUME_GB.contains(&raw.root_volume_gb) {
        let (least, most) = (VOLUME_GB.start(), VOLUME_GB.end());
        wrong(format!("root_volume_gb must be {least} to {most}"));
    }
    let mut architectures = Vec::new();
    for word in &raw.architectures {
        match ARCHITECTURES.into_iter().find(|arch| arch.name() == word) {
            Some(arch) if !architectures.contains(&arch) => architectures.push(arch),
            Some(_) => wrong(format!("architecture {word} is named twice")),
            None => wrong(format!("there is no architecture {word}")),
        }
    }
    if raw.architectures.is_empty() || raw.steps.is_empty() {
        wrong("an image has an architecture and a step at least".to_owned());
    }
    let mut seen = BTreeSet::new();
    for step in &raw.steps {
        let script = sources.steps.get(step).filter(|_| is_name(step));
        match script {
            _ if RESERVED.contains(&step.as_str()) || !seen.insert(step) => {
                wrong(format!("step {step} is none to name, or named twice"));
            }
            None => wrong(format!(
                "there is no step {step}: a step is a file of ami/steps"
            )),
            Some(script) => {
                for function in ["provision() {", "check() {"] {
                    if !script.lines().any(|line| line == function) {
                        wrong(format!("step {step} has no function `{function}`"));
                    }
                }
            }
        }
    }
    for tool in &raw.tools {
        let Some(found) = tools.get(tool) else {
            wrong(format!("there is no tool {tool}"));
            continue;
        };
        if !raw.steps.contains(&found.step) {
            wrong(format!(
                "tool {tool} is installed by step {}, which is none of its own",
                found.step
            ));
        }
        for arch in &architectures {
            if !found.pins.contains_key(arch) {
                wrong(format!("tool {tool} is not made for {}", arch.name()));
            }
        }
    }
    Image {
        name: name.to_owned(),
        parent: match raw.parent.as_str() {
            "stock" => Parent::Stock,
            parent => Parent::Image(parent.to_owned()),
        },
        architectures,
        steps: raw.steps,
        tools: raw.tools,
        root_volume_gb: raw.root_volume_gb,
    }
}

/// What an image and its parent must agree on.
fn against_parents(images: &BTreeMap<String, Image>, problems: &mut Vec<String>) {
    for image in images.values() {
        let Parent::Image(parent) = &image.parent else {
            continue;
        };
        let name = &image.name;
        let Some(parent) = images.get(parent) else {
            problems.push(format!(
                "images.{name}: there is no image {parent} to start from"
            ));
            continue;
        };
        if image
            .architectures
            .iter()
            .any(|arch| !parent.architectures.contains(arch))
        {
            problems.push(format!(
                "images.{name}: its parent is not made for all its architectures"
            ));
        }
        if image.root_volume_gb < parent.root_volume_gb {
            problems.push(format!(
                "images.{name}: its volume is smaller than its parent's"
            ));
        }
    }
}
