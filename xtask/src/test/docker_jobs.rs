//! Jobs that use Docker, in machines that have a real one.

use std::path::PathBuf;
use std::process::Command;

use super::lab_steps;
use super::run::{Run, TestError, pass};
use super::tools::{from_debian, written};

const STEP: &str = "docker-jobs";

pub fn run(run: &mut Run) -> Result<(), TestError> {
    lab_steps::gitea(run)?;
    let docker = docker(run)?;
    let mut jobs = run.xtask([STEP]);
    pass(STEP, jobs.env(lab::ENV_DOCKER, docker))
}

/// Docker's programs and two images, made once by the recipe as it is now. Where no daemon can run, none are
/// made, and the step can't run.
fn docker(run: &mut Run) -> Result<PathBuf, TestError> {
    let recipe = run.root.join("lab/docker/make.sh");
    let folder = lab::cache_folder_for("docker", &recipe).map_err(|source| TestError::File {
        path: recipe.clone(),
        source,
    })?;
    let done = folder.join("made");
    if !done.exists() {
        from_debian(run, "mmdebstrap", "mmdebstrap")?;
        run.prepare("Docker and two images", || {
            let mut make = Command::new("sh");
            pass("lab/docker/make.sh", make.arg(&recipe).arg(&folder))?;
            written(&done, "")
        })?;
    }
    Ok(folder)
}
