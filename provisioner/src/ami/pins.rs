//! The vendors' files about versions and checksums, and what a refresh makes of them.
//!
//! A refresh never makes a pin weaker: a checksum that is known is replaced only together with the version,
//! a vendor that changes a published file is told of and not followed, and a tool changes whole, with all its
//! architectures, or not at all. Who fetches the files and writes the manifest is the caller.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml_edit::{DocumentMut, InlineTable, Item, Value};

use super::error::AmiError;
use super::manifest::{Follow, FollowFormat, Manifest, Sum, Tool};
use super::sources::Sources;
use crate::arch::Arch;

/// What a refresh does to one tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The tool.
    pub tool: String,
    /// Its version before.
    pub before: String,
    /// Its version now.
    pub version: String,
    /// The vendor's checksums, and the files in which they stand.
    pub pins: BTreeMap<Arch, (Sum, String)>,
    /// Whether a checksum is known now that was not.
    pub is_first: bool,
}

/// Why a tool stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// There is no file to read.
    #[error("its vendor publishes no checksums: docs/images.md says how such a pin is checked")]
    NothingPublished,
    /// A file was not had, or does not say what it should.
    #[error("{0}")]
    NotHad(String),
    /// The vendor would weaken it.
    #[error("its vendor publishes {now} now, which is weaker than the pinned {pinned}")]
    Weaker {
        /// The algorithm of the vendor's.
        now: &'static str,
        /// The pinned one.
        pinned: &'static str,
    },
    /// The vendor's file changed without another version.
    #[error(
        "the checksum of {version} for {arch} is another one at its vendor ({published}) than the pinned one \
         ({pinned}): find out why, and only if it is right say \"unpinned\" there and refresh again"
    )]
    Changed {
        /// The version.
        version: String,
        /// The architecture.
        arch: &'static str,
        /// What is pinned.
        pinned: String,
        /// What the vendor says.
        published: String,
    },
}

/// What is fetched of a vendor for a tool's version: the files of checksums by architecture.
pub fn files(tool: &Tool, version: &str) -> Result<BTreeMap<Arch, String>, Kept> {
    let urls = tool.pins.keys();
    let urls = urls.filter_map(|arch| Some((*arch, tool.checksums(version, *arch)?)));
    let urls: BTreeMap<Arch, String> = urls.collect();
    if urls.is_empty() {
        return Err(Kept::NothingPublished);
    }
    Ok(urls)
}

/// The version that the tool should have by the document that it follows: the newest of its line, and none
/// older than its own.
pub fn version(tool: &Tool, follow: &Follow, document: &str) -> Result<String, Kept> {
    let found = newest(follow, document)?;
    let own = numbers(&tool.version).unwrap_or_default();
    match numbers(&found) {
        Some(newest) if newest > own => Ok(found),
        _ => Ok(tool.version.clone()),
    }
}

/// What the fetched files make of the tool.
pub fn change(
    tool: &Tool,
    version: &str,
    files: &BTreeMap<Arch, (String, String)>,
) -> Result<Change, Kept> {
    let mut pins = BTreeMap::new();
    let mut is_first = false;
    for (arch, pin) in &tool.pins {
        let missing = || Kept::NotHad(format!("there is no file of checksums for {}", arch.name()));
        let (url, text) = files.get(arch).ok_or_else(missing)?;
        let file = tool.url(version, *arch).unwrap_or_default();
        let file = file.rsplit('/').next().unwrap_or_default();
        let published = checksum(text, file).map_err(|why| Kept::NotHad(format!("{url} {why}")))?;
        if let Some(pinned) = &pin.sum {
            if published.digits().len() < pinned.digits().len() {
                return Err(Kept::Weaker {
                    now: published.algorithm(),
                    pinned: pinned.algorithm(),
                });
            }
            let is_same_kind = published.algorithm() == pinned.algorithm();
            if version == tool.version && is_same_kind && published != *pinned {
                return Err(Kept::Changed {
                    version: version.to_owned(),
                    arch: arch.name(),
                    pinned: pinned.digits().to_owned(),
                    published: published.digits().to_owned(),
                });
            }
        } else {
            is_first = true;
        }
        pins.insert(*arch, (published, url.clone()));
    }
    Ok(Change {
        tool: tool.name.clone(),
        before: tool.version.clone(),
        version: version.to_owned(),
        pins,
        is_first,
    })
}

/// The manifest's text with the changes in it, comments and order as they were. `today` is the day on which the
/// vendors' files were read. What comes out was read again, and is a manifest.
pub fn rewrite(
    text: &str,
    changes: &[Change],
    today: &str,
    sources: Sources,
) -> Result<String, AmiError> {
    let not_toml = |error: toml_edit::TomlError| AmiError::Invalid(vec![error.to_string()]);
    let mut document: DocumentMut = text.parse().map_err(not_toml)?;
    for change in changes {
        let lost = || AmiError::Invalid(vec![format!("there is no tool {}", change.tool)]);
        let tools = document.get_mut("tools").and_then(Item::as_table_mut);
        let tool = tools.and_then(|tools| tools.get_mut(&change.tool));
        let tool = tool.and_then(Item::as_table_mut).ok_or_else(lost)?;
        put(
            tool.get_mut("version").ok_or_else(lost)?,
            change.version.as_str().into(),
        );
        for (arch, (sum, url)) in &change.pins {
            let mut pin = InlineTable::new();
            pin.insert(sum.algorithm(), sum.digits().into());
            pin.insert("source", url.as_str().into());
            pin.insert("date", today.into());
            put(
                tool.get_mut(arch.name()).ok_or_else(lost)?,
                Value::InlineTable(pin),
            );
        }
    }
    let text = document.to_string();
    Manifest::parse(&text, sources)?;
    Ok(text)
}

/// Another value, with the comments of the one before.
fn put(item: &mut Item, mut value: Value) {
    if let Some(before) = item.as_value() {
        *value.decor_mut() = before.decor().clone();
    }
    *item = Item::Value(value);
}

/// The newest version of a line that the document names.
fn newest(follow: &Follow, document: &str) -> Result<String, Kept> {
    #[derive(Deserialize)]
    struct Release {
        version: String,
        #[serde(default = "yes")]
        stable: bool,
    }
    let not_json = |error| Kept::NotHad(format!("{} is not what it was: {error}", follow.url));
    let (prefix, named) = match follow.format {
        FollowFormat::Go | FollowFormat::Node => {
            let releases: Vec<Release> = serde_json::from_str(document).map_err(not_json)?;
            let stable = releases.into_iter().filter(|release| release.stable);
            let prefix = if follow.format == FollowFormat::Go {
                "go"
            } else {
                "v"
            };
            (prefix, stable.map(|release| release.version).collect())
        }
        FollowFormat::Line => ("v", vec![document.trim().to_owned()]),
    };
    let versions = named.iter().filter_map(|named| named.strip_prefix(prefix));
    let ours = versions.filter(|version| version.starts_with(&follow.within));
    let newest = ours
        .filter_map(|version| Some((numbers(version)?, version)))
        .max();
    newest
        .map(|(_, version)| version.to_owned())
        .ok_or_else(|| {
            let line = format!("{}x", follow.within);
            Kept::NotHad(format!("{} names no version {line} (any more)", follow.url))
        })
}

const fn yes() -> bool {
    true
}

/// `1.27.2` as numbers; none for `1.27rc1`, which nobody is moved to.
fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// The checksum of a file in a vendor's file: the one of its line, as `sha256sum` writes and reads it, or the
/// only thing that the file says.
fn checksum(text: &str, file: &str) -> Result<Sum, String> {
    if let Some(sum) = Sum::parse(text.trim()) {
        return Ok(sum);
    }
    let mut found: Option<Sum> = None;
    for line in text.lines() {
        let Some((digits, name)) = line.split_once([' ', '\t']) else {
            continue;
        };
        let name = name.trim().trim_start_matches('*').trim_start_matches("./");
        let Some(sum) = Sum::parse(digits).filter(|_| name == file) else {
            continue;
        };
        if found.as_ref().is_some_and(|before| *before != sum) {
            return Err(format!("says two things of {file}"));
        }
        found = Some(sum);
    }
    found.ok_or_else(|| format!("says nothing of {file}"))
}
