//! The tools of images, as small files in the forms in which their vendors publish the real ones, on a mirror
//! with checksums of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use provisioner::ami::pins::{self, Change};
use provisioner::ami::{AmiError, Manifest, PATH, Sources, Stock, Sum};
use provisioner::environment::Arch;
use sha2::{Digest as _, Sha256};

use super::mirror::Mirror;
use super::run::{Run, TestError, pass};
use super::tools::{from_debian, read, written};
use crate::output::say;

/// What makes the stand-ins.
pub const STAND_IN: &str = "xtask/tests/ami/stand-in.sh";
/// The one architecture that this can run, and the stock whose packages Debian's are.
pub const ARCH: Arch = Arch::X86_64;
pub const STOCK: Stock = Stock::Ubuntu;
/// What machines trust.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// A mirror with stand-ins.
pub struct StandIns {
    folder: PathBuf,
    pub mirror: Mirror,
}

impl StandIns {
    /// Serves what will be made in `folder`.
    pub fn serve(run: &mut Run, folder: &Path) -> Result<Self, TestError> {
        for (package, program) in [("zip", "zip"), ("binutils", "ar"), ("xz-utils", "xz")] {
            from_debian(run, program, package)?;
        }
        let mirror = Mirror::serve(folder).map_err(|source| file_error(folder, source))?;
        Ok(Self {
            folder: folder.to_owned(),
            mirror,
        })
    }

    /// The manifest with the stand-ins' checksums and addresses. The `newer` tools have a version more than it
    /// says.
    pub fn manifest(&self, run: &Run, newer: &[&str]) -> Result<Manifest, TestError> {
        let mut changes = Vec::new();
        for tool in Manifest::read(&run.root).map_err(wrong)?.tools() {
            let version = if newer.contains(&tool.name.as_str()) {
                one_newer(&tool.version)
            } else {
                tool.version.clone()
            };
            let url = tool.url(&version, ARCH).unwrap_or_default();
            let file = self.folder.join(url.trim_start_matches("https://"));
            // Once made it stays: archives have dates in them, and so another checksum each time.
            if !file.exists() {
                let mut make = run.program("sh", [STAND_IN, &tool.name, &version]);
                pass(STAND_IN, make.arg(&file))?;
            }
            let bytes = fs::read(&file).map_err(|source| file_error(&file, source))?;
            let sum = Sum::Sha256(hex::encode(Sha256::digest(bytes)));
            changes.push(Change {
                tool: tool.name.clone(),
                before: tool.version.clone(),
                version,
                pins: BTreeMap::from([(ARCH, (sum, url))]),
                is_first: false,
            });
        }
        let text = read(&run.root.join(PATH))?;
        let sources = || Sources::read(&run.root).map_err(wrong);
        let text = pins::rewrite(&text, &changes, "2026-11-30", sources()?).map_err(wrong)?;
        let manifest = Manifest::parse(&text, sources()?);
        manifest
            .and_then(|it| it.mirrored(&self.mirror.url))
            .map_err(wrong)
    }

    /// Makes `layer` one over `debian` whose machines trust the mirror.
    pub fn trusted(&self, debian: &Path, layer: &Path) -> Result<(), TestError> {
        let known = read(&debian.join(BUNDLE))?;
        let authority = &self.mirror.authority;
        written(&layer.join(BUNDLE), &format!("{known}{authority}"))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
pub fn wrong(error: AmiError) -> TestError {
    say(&error.to_string());
    TestError::Step("the images' manifest".to_owned())
}

pub fn file_error(path: &Path, source: std::io::Error) -> TestError {
    TestError::File {
        path: path.to_owned(),
        source,
    }
}

/// The version with its last number one higher.
fn one_newer(version: &str) -> String {
    let (before, last) = version.rsplit_once('.').unwrap_or(("", version));
    let last: u64 = last.parse().unwrap_or_default();
    format!("{before}.{}", last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_more_differs_in_its_last_number() {
        assert_eq!(one_newer("1.27.9"), "1.27.10");
        assert_eq!(one_newer("1.2.835.0"), "1.2.835.1");
    }
}
