//! The lab's environment as the demo and the soak deploy it: by the same calls as `up` and `down`.

use std::io;
use std::path::{Path, PathBuf};

use aws_credential_types::Credentials;
use dispatcher::aws::{Aws, AwsEndpoint};
use dispatcher::ledger::Ledger;
use lab::http::HttpError;
use lab::{Folder, Lab, LabFile, Leftovers, Setup};
use provisioner::Deployment;
use provisioner::progress::{Event, Progress};
use provisioner::teardown::{self, Found};
use stacks::names::Names;
use workflow::{ForgeKind, Server};

use crate::environments;
use crate::error::Error;
use crate::forge::{self, Forge};
use crate::output::say;
use crate::target::{self, Target};

/// Largest file that is searched for secrets, in bytes: consoles and logs are far smaller.
const SEARCH_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Shows each step and each stack that is done; the resources are shown by `up` itself.
struct Steps;

impl Progress for Steps {
    fn report(&self, event: Event) {
        match event {
            Event::Step(what) => say(&format!("  · {what}")),
            Event::Resource {
                stack, id, status, ..
            } if stack == id && !status.ends_with("IN_PROGRESS") => {
                say(&format!("  · {id}: {status}"));
            }
            Event::Resource { .. } | Event::Waiting { .. } => {}
        }
    }
}

/// Why a demo or a soak could not go on.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The lab.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// The stacks.
    #[error(transparent)]
    Target(#[from] Error),
    /// The forge.
    #[error(transparent)]
    Forge(#[from] forge::Error),
    /// The front door or EC2.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] dispatcher::aws::Failure),
    /// A file.
    #[error("a file of what is pushed can't be used: {source}")]
    File {
        /// Why.
        source: std::io::Error,
    },
    /// Nobody made what machines with Docker are made of.
    #[error(
        "{0} names no folder with Docker's programs and images: `cargo xtask test docker-jobs` makes one and names it"
    )]
    NoDocker(&'static str),
    /// What is there can't be counted.
    #[error("the kernel's lists can't be read: {0}")]
    Uncounted(#[from] io::Error),
    /// The workflow.
    #[error("the workflow is no YAML map with jobs: {0}")]
    Workflow(String),
    /// Nobody could tell what its jobs do.
    #[error(
        "demo and soak watch jobs by Gitea's API, which Forgejo {0} does not have; the lab's tests run on \
         it: CI_TEST_FORGE_PROGRAMS=DIR cargo test --workspace --test dispatch"
    )]
    Unwatched(String),
    /// It took too long.
    #[error("after {0} s: {1}")]
    TooLong(u64, String),
    /// Something went on, and was not as it should be.
    #[error("{0}")]
    Wrong(String),
    /// Somebody pressed Ctrl-C.
    #[error("stopped; everything was cleaned up")]
    Stopped,
}

/// The deployment in the lab.
pub struct LabDeployment {
    target: Target,
    /// Its ledger.
    pub ledger: Ledger,
    /// The deployment's names.
    pub names: Names,
}

impl LabDeployment {
    /// Puts the lab up with this setup, and the stacks in it.
    pub async fn up(
        root: &Path,
        folder: &Folder,
        setup: &Setup,
    ) -> Result<(Self, Forge), PlayError> {
        Self::up_as(root, folder, setup, environments::LAB).await
    }

    /// The same with the stacks of this environment, a name or a path.
    pub async fn up_as(
        root: &Path,
        folder: &Folder,
        setup: &Setup,
        environment: &str,
    ) -> Result<(Self, Forge), PlayError> {
        let lab = Lab::up(folder, setup, |step| say(&format!("lab: {step}"))).await?;
        let version = &lab.file().forge_version;
        if Server::parse(version).is_some_and(|server| server.kind == ForgeKind::Forgejo) {
            return Err(PlayError::Unwatched(version.clone()));
        }
        let deployment = Self::new(root, lab.file(), environment)?;
        deployment.stacks_up().await?;
        Ok((deployment, Forge::of(&lab)))
    }

    fn new(root: &Path, lab: &LabFile, name: &str) -> Result<Self, Error> {
        let environment = provisioner::environment::load(&environments::path(root, name))
            .map_err(provisioner::Error::from)?;
        let names = environment.names();
        let target = target::in_lab(root, name, environment, lab)?;
        let (key, secret) = (&lab.access_key_id, &lab.secret_access_key);
        let witness = Some(lab::WITNESS_TOKEN.to_owned());
        let aws = Aws::new(
            names.clone(),
            AwsEndpoint {
                region: lab.region.clone(),
                credentials: Credentials::new(key, secret, witness, None, "lab"),
                endpoint: Some(lab.aws_endpoint.clone()),
                endpoint_ec2: Some(lab.ec2_endpoint.clone()),
            },
        );
        let ledger = Ledger::new(&aws);
        Ok(Self {
            target,
            ledger,
            names,
        })
    }

    /// The deployment as commands have it.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where the forge sends its deliveries.
    pub fn hook_url(&self) -> String {
        self.target.hook_url.clone().unwrap_or_default()
    }

    /// What is deployed.
    pub fn deployment(&self) -> &Deployment {
        &self.target.deployment
    }

    async fn stacks_up(&self) -> Result<(), Error> {
        say("stacks: going up");
        let progress = Steps;
        let code = self.target.code(&progress).await?;
        let deployment = &self.target.deployment;
        let plan = provisioner::diff(deployment, &code, &progress).await?;
        provisioner::up(deployment, &plan, &code, &progress).await?;
        Ok(())
    }

    async fn stacks_down(&self) -> Result<Vec<Found>, Error> {
        say("stacks: going down");
        let deployment = &self.target.deployment;
        let found = teardown::survey(deployment).await?;
        Ok(teardown::down(deployment, &found, &Steps).await?.found)
    }

    /// Takes the stacks down, and says what AWS and the forge still have.
    pub async fn down(&self, forge: &Forge) -> Result<Vec<String>, PlayError> {
        let left = self.stacks_down().await?.into_iter();
        let mut left: Vec<String> = left
            .map(|found| format!("{} {}", found.kind, found.name))
            .collect();
        let runners = forge.runners().await?;
        if runners > 0 {
            left.push(format!("{runners} runners at the forge"));
        }
        Ok(left)
    }

    /// Everything that was written where people and machines may look: templates, user-data, the
    /// lab's logs and its instances' consoles.
    pub fn written(&self, folder: &Folder) -> io::Result<Vec<(String, Vec<u8>)>> {
        let rendered = &self.target.deployment.rendered;
        let templates = rendered
            .templates
            .iter()
            .map(|it| (it.stack.to_string(), it.body.clone().into_bytes()));
        let user_data = rendered
            .user_data
            .iter()
            .map(|it| (it.pool.clone(), it.script.clone().into_bytes()));
        let mut written: Vec<_> = templates.chain(user_data).collect();
        for path in logs(folder.path())? {
            if path.metadata()?.len() <= SEARCH_MAX_BYTES {
                written.push((path.display().to_string(), std::fs::read(&path)?));
            }
        }
        Ok(written)
    }
}

/// Plays something in the lab in `folder`, and takes the lab down whatever happens.
pub async fn then_lab_down<T>(
    folder: &Folder,
    play: impl Future<Output = Result<T, PlayError>>,
) -> Result<(T, Leftovers), PlayError> {
    let played = tokio::select! {
        played = play => played,
        _ = tokio::signal::ctrl_c() => Err(PlayError::Stopped),
    };
    say("lab: going down");
    let left = Lab::down(folder).await?;
    Ok((played?, left))
}

/// The lab's logs, and the console of each instance.
fn logs(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_log = |path: &PathBuf| path.extension().is_some_and(|end| end == "log");
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        logs.push(entry?.path());
    }
    for entry in std::fs::read_dir(folder.join("instances"))? {
        logs.push(entry?.path().join("console.log"));
    }
    logs.retain(|path| is_log(path) && path.is_file());
    Ok(logs)
}
