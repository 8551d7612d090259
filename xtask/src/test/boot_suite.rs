//! The boot file on real systemd, and what its machines signed by a signer of others.

use std::path::PathBuf;
use std::process::Command;

use super::judges::judge_machines;
use super::run::{Run, TestError, pass};
use super::tools::from_debian;

/// Names the folder of the roots to the tests, and where they record.
const ENV_ROOTS: &str = "CI_TEST_ROOTS";
const ENV_RECORDING: &str = "CI_TEST_BOOT_RECORDING";
/// The test binary.
pub const TEST: &str = "systemd";

pub fn run(run: &mut Run) -> Result<(), TestError> {
    from_debian(run, "systemd-nspawn", "systemd-container")?;
    from_debian(run, "mmdebstrap", "mmdebstrap")?;
    let roots = roots(run)?;
    let recording = run.root.join("target/recordings/boot-suite");
    // Not there, as a rule.
    let _ = std::fs::remove_dir_all(&recording);
    let tests = format!("test --workspace --test {TEST}");
    let mut tests = run.cargo(tests.split(' '));
    tests.env(ENV_ROOTS, roots).env(ENV_RECORDING, &recording);
    pass("boot-suite", &mut tests)?;
    judge_machines(run, &recording)
}

/// Debian's releases as folders, made once by the recipe as it is now.
fn roots(run: &mut Run) -> Result<PathBuf, TestError> {
    let recipe = run.root.join("lab/tests/systemd/roots.sh");
    let unreadable = |source| TestError::File {
        path: recipe.clone(),
        source,
    };
    let roots = lab::cache_folder_for("roots", &recipe).map_err(unreadable)?;
    let done = roots.join("made");
    if !done.exists() {
        run.prepare("Debian 12 and 13", || {
            let mut make = Command::new("sh");
            pass("roots.sh", make.arg(&recipe).arg(&roots))?;
            super::tools::written(&done, "")
        })?;
    }
    Ok(roots)
}
