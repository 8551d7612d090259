//! The life of every image, in the lab: built with its real steps, tried, put forward, run on by the next job of
//! its pool, put back, and the job after runs on the one before.
//!
//! Its machines are a booted Debian. Packages are Debian's own, fetched once; the tools are stand-ins from a
//! mirror, and the runner among them runs its job as the lab's does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Debian, Folder, ForgeProgram, InstanceReport, Leftovers, Setup};
use provisioner::ami::Manifest;
use provisioner::images::{self, Asked, Made, Outcome, Patience};
use provisioner::progress::Silent;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::machine;
use super::run::{Run, TestError, holds};
use super::stand_ins::{ARCH, STOCK, StandIns, file_error};
use crate::error::Error;
use crate::forge::{Checkout, Forge, ForgeJob};
use crate::lab_deployment::{LabDeployment, PlayError, then_lab_down};
use crate::output::say;

const STEP: &str = "image-lives";
/// The deployment, below the checkout's root.
const ENVIRONMENT: &str = "xtask/tests/ami/environment.toml";
const ORGANIZATION: &str = "images";
const REPOSITORY: &str = "images/app";
const WORKFLOW: &str = ".gitea/workflows/ci.yml";
/// Images that others stand on are built with those.
const LEAVES: [&str; 4] = ["go", "node", "deploy", "godot"];
/// A lab's EC2 does in a second what takes the real one a minute, and refuses four builds beside each other that
/// look more often.
const PATIENCE: Patience = Patience {
    look: Duration::from_secs(1),
    posted: Duration::from_secs(3),
};
/// Longest for six jobs, each with the boot of its machine, on two cores.
const JOBS_LIMIT: Duration = Duration::from_mins(2);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// What a job finds of its pool's image: a tool that has another version in the newer one.
struct Mark {
    image: &'static str,
    tool: &'static str,
    /// What tells the tool's version.
    ask: &'static str,
}

#[rustfmt::skip]
const MARKS: [Mark; 6] = [
    Mark { image: "base", tool: "git-lfs", ask: "git lfs version" },
    Mark { image: "go", tool: "go-1-27", ask: "go version" },
    Mark { image: "node", tool: "node-26", ask: "node --version" },
    Mark { image: "docker", tool: "docker-compose", ask: "docker compose version" },
    Mark { image: "deploy", tool: "helm", ask: "helm version" },
    Mark { image: "godot", tool: "godot", ask: "godot --headless --version" },
];
/// The other half of the engine, whose version is the editor's.
const TEMPLATES: &str = "godot-templates";

/// Image to EC2's id of it.
type Built = BTreeMap<String, String>;

/// Builds every image twice, and runs jobs on both.
pub fn run(run: &mut Run) -> Result<(), TestError> {
    let debian = machine::debian(run)?;
    let packages = machine::packages(run, &debian)?;
    let scratch = tempfile::tempdir().map_err(|source| file_error(Path::new("/tmp"), source))?;
    let scratch = scratch.path();
    let stand_ins = StandIns::serve(run, &scratch.join("mirror"))?;
    let mut newer: Vec<&str> = MARKS.iter().map(|mark| mark.tool).collect();
    newer.push(TEMPLATES);
    let older = stand_ins.manifest(run, &[])?;
    let newer = stand_ins.manifest(run, &newer)?;
    let stock = scratch.join("stock");
    stand_ins.trusted(&debian, &stock)?;
    without_user_data(&stock)?;
    let setup = Setup {
        debian: Some(Debian {
            layers: vec![stock, packages, debian],
            mirror: stand_ins.mirror.address,
        }),
        ..ForgeProgram::default().into()
    };
    let folder = Folder::at(&scratch.join("lab"));
    let lives = lives(&run.root, &folder, &setup, [&older, &newer]);
    let played = then_lab_down(&folder, lives);
    let (left, leftovers) = block_in_place(|| Handle::current().block_on(played)).map_err(told)?;
    for line in &left {
        say(&format!("left: {line}"));
    }
    holds(
        "an account and a machine with nothing left on them",
        left.is_empty() && leftovers == Leftovers::default(),
    )
}

/// Masks the unit that runs what is mounted for it elsewhere: in the lab user-data comes from EC2.
fn without_user_data(layer: &Path) -> Result<(), TestError> {
    let unit = layer.join(machine::USER_DATA);
    let mask = || {
        std::fs::create_dir_all(unit.parent().unwrap_or(&unit))?;
        symlink("/dev/null", &unit)
    };
    mask().map_err(|source| file_error(&unit, source))
}

/// Everything between lab up and lab down: what the account and the forge still have then.
async fn lives(
    root: &Path,
    folder: &Folder,
    setup: &Setup,
    manifests: [&Manifest; 2],
) -> Result<Vec<String>, PlayError> {
    let environment = root.join(ENVIRONMENT).display().to_string();
    let (deployment, forge) = LabDeployment::up_as(root, folder, setup, &environment).await?;
    forge.make_organization(ORGANIZATION).await?;
    let hook = deployment.hook_url();
    let events = ["push", "workflow_job"];
    forge.make_hook(ORGANIZATION, &hook, &events).await?;
    forge.make_repository(ORGANIZATION, "app").await?;
    let checkout = forge.checkout(REPOSITORY).await?;
    let fleet = Fleet {
        deployment: &deployment,
        forge: &forge,
        checkout: &checkout,
    };
    let [first, second] = manifests;
    let older = fleet.build(first).await?;
    let newer = fleet.build(second).await?;
    for (image, id) in &newer {
        if older.get(image) == Some(id) {
            return Err(PlayError::Wrong(format!("{image} was not built anew")));
        }
    }
    fleet.jobs_run_on(second, &newer).await?;
    fleet.roll_back(&newer, &older).await?;
    fleet.jobs_run_on(first, &older).await?;
    deployment.down(&forge).await
}

struct Fleet<'a> {
    deployment: &'a LabDeployment,
    forge: &'a Forge,
    checkout: &'a Checkout,
}

impl Fleet<'_> {
    /// Every image: what all stand on first, then the others beside each other, as several people may build them.
    async fn build(&self, manifest: &Manifest) -> Result<Built, PlayError> {
        let begun = Instant::now();
        let base = self.build_one(manifest, "base").await?;
        let [go, node, deploy, godot] = LEAVES.map(|leaf| self.build_one(manifest, leaf));
        let (go, node, deploy, godot) = tokio::try_join!(go, node, deploy, godot)?;
        let mut built = Built::new();
        for outcome in [base, go, node, deploy, godot].into_iter().flatten() {
            let was_there = outcome.was_there();
            let one = outcome.built;
            // Base is there for those that stand on it, and for itself it was not.
            if was_there != built.contains_key(&one.image) {
                let words = format!("{} was there: {was_there}", one.image);
                return Err(PlayError::Wrong(words));
            }
            if !one.tested {
                return Err(PlayError::Wrong(format!("nothing has tried {}", one.image)));
            }
            built.insert(one.image, one.id);
        }
        let count = built.len();
        if MARKS.iter().any(|mark| !built.contains_key(mark.image)) || count != MARKS.len() {
            return Err(PlayError::Wrong(format!("built are {built:?} only")));
        }
        let seconds = begun.elapsed().as_secs_f64();
        say(&format!("{count} images built and tried in {seconds:.1} s"));
        Ok(built)
    }

    async fn build_one(&self, manifest: &Manifest, image: &str) -> Result<Vec<Outcome>, PlayError> {
        let begun = Instant::now();
        let asked = Asked {
            manifest,
            image: Some(image),
            arch: None,
            instance_type: None,
            patience: PATIENCE,
        };
        let deployment = self.deployment.deployment();
        let built = images::build(deployment, &asked, &Made::default(), &Silent).await;
        let built = built.map_err(Error::from)?;
        let seconds = begun.elapsed().as_secs_f64();
        say(&format!("{image}: there after {seconds:.1} s"));
        Ok(built)
    }

    /// One write for each.
    async fn roll_back(&self, from: &Built, to: &Built) -> Result<(), PlayError> {
        for (image, id) in to {
            let deployment = self.deployment.deployment();
            let moved = images::rollback(deployment, image, Some(ARCH), &Silent).await;
            let moved = moved.map_err(Error::from)?;
            let moved: Vec<_> = moved
                .iter()
                .map(|it| (it.from.as_ref(), &it.to.id))
                .collect();
            if moved != [(from.get(image), id)] {
                return Err(PlayError::Wrong(format!("{image}: moved were {moved:?}")));
            }
        }
        say("every image is put back");
        Ok(())
    }

    /// Pushes a job for each pool that looks what it runs on, and has each run on the image that was `built`.
    async fn jobs_run_on(&self, manifest: &Manifest, built: &Built) -> Result<(), PlayError> {
        let begun = Instant::now();
        let jobs_before = self.forge.jobs(REPOSITORY).await?.len();
        let machines_before = self.forge.machines().await?;
        let before: BTreeSet<&str> = machines_before.iter().map(|it| it.id.as_str()).collect();
        let workflow = workflow(manifest)?;
        let files = [(WORKFLOW, workflow.as_str())];
        self.checkout.push("A job for each image", &files).await?;
        let (jobs, machines) = loop {
            let jobs = self.forge.jobs(REPOSITORY).await?.split_off(jobs_before);
            let mut machines = self.forge.machines().await?;
            machines.retain(|it| !before.contains(it.id.as_str()));
            let is_open = jobs.iter().any(|job| job.status != "completed");
            let is_alive = machines.iter().any(|it| it.ended.is_none());
            if jobs.len() == MARKS.len() && !is_open && !is_alive {
                break (jobs, machines);
            }
            if begun.elapsed() > JOBS_LIMIT {
                self.show(&jobs, &machines).await?;
                let stand = "six jobs and their machines were not all over".to_owned();
                return Err(PlayError::TooLong(JOBS_LIMIT.as_secs(), stand));
            }
            tokio::time::sleep(LOOK).await;
        };
        let mut ran_on: Vec<&str> = machines.iter().map(|it| it.image.as_str()).collect();
        let mut wanted: Vec<&str> = built.values().map(String::as_str).collect();
        ran_on.sort_unstable();
        wanted.sort_unstable();
        let is_green = |job: &ForgeJob| job.conclusion.as_deref() == Some("success");
        if !jobs.iter().all(is_green) || ran_on != wanted {
            self.show(&jobs, &machines).await?;
            let words = format!("jobs ran on {ran_on:?}, not all well on {wanted:?}");
            return Err(PlayError::Wrong(words));
        }
        let seconds = begun.elapsed().as_secs_f64();
        say(&format!("a job on each of them in {seconds:.1} s"));
        Ok(())
    }

    /// What there is to read when something is wrong.
    async fn show(&self, jobs: &[ForgeJob], machines: &[InstanceReport]) -> Result<(), PlayError> {
        for job in jobs {
            let ended = job.conclusion.as_deref().unwrap_or(&job.status);
            let log = self.forge.log(REPOSITORY, job).await.unwrap_or_default();
            say(&format!("{}: {ended}\n{log}", job.name));
        }
        for one in machines {
            let console = std::fs::read_to_string(&one.console)?;
            say(&format!(
                "{} of {}: {}\n{console}",
                one.id, one.image, one.state
            ));
        }
        Ok(())
    }
}

/// A job for each image that fails unless its machine is of that image as the manifest has it: by the digest that
/// stands in the image, and by a tool as a job finds it.
fn workflow(manifest: &Manifest) -> Result<String, PlayError> {
    let invalid = |error| Error::from(provisioner::Error::from(error));
    let mut text = "on: push\njobs:\n".to_owned();
    for Mark { image, tool, ask } in &MARKS {
        let of_manifest = manifest.image(image).map_err(invalid)?;
        let digest = manifest.digest(of_manifest, STOCK, ARCH).map_err(invalid)?;
        let found = manifest.tools().find(|one| one.name == *tool);
        let none = || PlayError::Wrong(format!("there is no tool {tool}"));
        let version = &found.ok_or_else(none)?.version;
        let _ = write!(
            text,
            "  {image}:\n    runs-on: {image}\n    steps:\n      - run: |\n\
             \x20         grep -qx image={image} /etc/ci-image\n\
             \x20         grep -qx digest={digest} /etc/ci-image\n\
             \x20         {ask} | grep -F '{version}'\n",
        );
    }
    Ok(text)
}

/// Where no lab is possible, the step can't run.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn told(error: PlayError) -> TestError {
    if let PlayError::Lab(error) = &error
        && error.is_lack()
    {
        return TestError::Unavailable(error.to_string());
    }
    say(&error.to_string());
    TestError::Step(STEP.to_owned())
}
