//! The runner that boot installs on stock images. Each forge has a program of its own, and neither
//! takes the other's jobs for long: their protocols drift apart.

use stacks::pool::ForgeKind;

use super::read::Section;
use super::{Arch, RunnerBinary, syntax};
use crate::ami::{self, Sum};

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

/// The version and the sha256 sums that the images' manifest pins: what boot installs is what images have.
/// An architecture that is unpinned there has to be told by the file.
fn pinned(forge: ForgeKind) -> RunnerBinary {
    let tool = ami::pinned_runner(forge);
    let pins = tool.pins.iter();
    let sums = pins.filter_map(|(arch, pin)| match &pin.sum {
        Some(Sum::Sha256(digits)) => Some((*arch, digits.clone())),
        Some(Sum::Sha512(_)) | None => None,
    });
    RunnerBinary {
        sha256: sums.collect(),
        version: tool.version,
    }
}

fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next()) < FORGEJO_OLDEST
}
