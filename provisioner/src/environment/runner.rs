//! The runner that boot installs on stock images. Each forge has a program of its own, and neither
//! takes the other's jobs for long: their protocols drift apart.

use std::collections::BTreeMap;

use stacks::pool::ForgeKind;

use super::read::Section;
use super::{Arch, RunnerBinary, syntax};

/// Pinned gitea-runner: version and checksum of the amd64 binary.
const GITEA_VERSION: &str = "3.3.2";
const GITEA_SHA256_X86_64: &str =
    "38b73d0d82172830c4f14f10d0300ab744914552f4dab1a972d177921faf0983";
/// The forgejo-runner that is installed unless the file names another. Its checksum is not pinned
/// here, because none was ever downloaded to be measured: the file has to say it.
const FORGEJO_VERSION: &str = "12.8.0";
/// Oldest forgejo-runner: those before it can't be told to wait for their one job.
const FORGEJO_OLDEST: (u32, u32) = (12, 8);

pub(super) fn of(root: &mut Section<'_, '_>, forge: ForgeKind) -> RunnerBinary {
    let mut runner = pinned(forge);
    let Some(mut section) = root.section("runner") else {
        return runner;
    };
    if let Some(version) = section.string("version") {
        if !syntax::is_word(&version, ".", 20) {
            section.problem("version", "must be a version such as 3.3.2");
        } else if forge == ForgeKind::Forgejo && is_too_old(&version) {
            let (major, minor) = FORGEJO_OLDEST;
            section.problem(
                "version",
                format_args!(
                    "is a forgejo-runner that can't wait for one job: {major}.{minor} or newer can"
                ),
            );
        }
        if version != runner.version {
            // The pinned checksums belong to the pinned version.
            runner.sha256.clear();
        }
        runner.version = version;
    }
    if let Some(mut sums) = section.section("sha256") {
        for arch in [Arch::X86_64, Arch::Arm64] {
            let Some(sum) = sums.string(arch.name()) else {
                continue;
            };
            if sum.len() != 64 || !sum.chars().all(|c| c.is_ascii_hexdigit()) {
                sums.problem(arch.name(), "must be the 64 hexadecimal digits of a sha256");
            }
            runner.sha256.insert(arch, sum.to_lowercase());
        }
        sums.finish();
    }
    section.finish();
    runner
}

fn pinned(forge: ForgeKind) -> RunnerBinary {
    match forge {
        ForgeKind::Gitea => RunnerBinary {
            version: GITEA_VERSION.to_owned(),
            sha256: BTreeMap::from([(Arch::X86_64, GITEA_SHA256_X86_64.to_owned())]),
        },
        ForgeKind::Forgejo => RunnerBinary {
            version: FORGEJO_VERSION.to_owned(),
            sha256: BTreeMap::new(),
        },
    }
}

fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next()) < FORGEJO_OLDEST
}
