//! Which deployment a command is about: an environment on AWS, or in the running lab.

use std::path::{Path, PathBuf};

use lab::{Folder, Lab, LabFile};
use provisioner::package::{self, Code, Profile};
use provisioner::progress::{Event, Progress};
use provisioner::secrets::{SecretValue, Secrets};
use provisioner::show::Presentation;
use provisioner::{AwsEndpoint, Deployment, Environment, Plan};
use stacks::names::SecretName;
use stacks::pool::{ForgeKind, Pool};

use crate::environments;
use crate::error::Error;
use crate::terminal::palette;

/// One deployment, and how its commands are called.
#[derive(Debug, Clone)]
pub struct Target {
    /// The environment as it was named on the command line.
    pub env: String,
    /// Whether it is the lab.
    pub lab: bool,
    /// The checkout.
    pub root: PathBuf,
    /// The deployment itself.
    pub deployment: Deployment,
    /// Where the forge reaches the dispatcher, when that is not the API's own address.
    pub hook_url: Option<String>,
    /// Where the forge is reached from here, when that is not its own address.
    pub forge_endpoint: Option<String>,
}

impl Target {
    /// Its pools, or the one called `name`.
    pub fn pools(&self, name: Option<&str>) -> Result<Vec<Pool>, Error> {
        let all = self.deployment.environment.pools.iter();
        let all: Vec<Pool> = all.map(|pool| pool.document.clone()).collect();
        let Some(name) = name else {
            return Ok(all);
        };
        let known: Vec<&str> = all.iter().map(|pool| pool.name.as_str()).collect();
        match all.iter().find(|pool| pool.name == name) {
            Some(pool) => Ok(vec![pool.clone()]),
            None => Err(Error::NoSuchPool {
                name: name.to_owned(),
                known: known.join(", "),
            }),
        }
    }

    /// How its commands are written.
    #[must_use]
    pub fn presentation(&self) -> Presentation {
        let set_secret = if self.lab {
            "cargo xtask --lab secret set NAME".to_owned()
        } else {
            format!("cargo xtask secret set NAME {}", self.env)
        };
        Presentation {
            palette: palette(),
            set_secret,
        }
    }

    /// What can be told before the function's code is built, which takes minutes for Lambda: the lab's
    /// takes seconds, and has no page of its own.
    pub async fn preview(&self, progress: &dyn Progress) -> Result<Option<Plan>, Error> {
        if self.lab {
            return Ok(None);
        }
        Ok(Some(
            provisioner::preview(&self.deployment, progress).await?,
        ))
    }

    /// The function's code, built and packed.
    pub async fn code(&self, progress: &dyn Progress) -> Result<Code, Error> {
        let profile = if self.lab {
            Profile::Lab
        } else {
            Profile::Lambda(self.deployment.environment.dispatcher.arch)
        };
        let takes = match profile {
            Profile::Lab => "",
            Profile::Lambda(_) => ", which takes minutes the first time",
        };
        progress.report(Event::Step(format!("building the function's code{takes}")));
        let code = package::build(&self.root, profile).await;
        Ok(code.map_err(provisioner::Error::from)?)
    }
}

/// The deployment of the environment called `env`, on AWS or in the running lab.
pub fn of(root: &Path, env: &str, lab: bool) -> Result<Target, Error> {
    let environment = provisioner::environment::load(&environments::path(root, env))
        .map_err(provisioner::Error::from)?;
    if !lab {
        let endpoint = AwsEndpoint::aws(&environment.region);
        return Ok(Target {
            env: env.to_owned(),
            lab,
            root: root.to_owned(),
            deployment: Deployment::new(environment, endpoint)?,
            hook_url: None,
            forge_endpoint: None,
        });
    }
    let lab = Lab::find(&Folder::default_one()).ok_or(Error::NoLab)?;
    in_lab(root, env, environment, lab.file())
}

/// The deployment of `environment` in `lab`, with the lab's own secrets.
pub fn in_lab(
    root: &Path,
    env: &str,
    mut environment: Environment,
    lab: &LabFile,
) -> Result<Target, Error> {
    environment.forge.kind = lab.forge_kind;
    for pool in &mut environment.pools {
        // No pool of a Forgejo can: it gives such jobs to no runner.
        pool.document.accepts_unlabelled &= lab.forge_kind == ForgeKind::Gitea;
    }
    let endpoint = AwsEndpoint {
        region: lab.region.clone(),
        endpoint: Some(lab.aws_endpoint.clone()),
        ec2_endpoint: Some(lab.ec2_endpoint.clone()),
        credentials: Some((lab.access_key_id.clone(), lab.secret_access_key.clone())),
    };
    let mut secrets = Secrets::new();
    for (secret, value) in [
        (SecretName::Webhook, &lab.webhook_secret),
        (SecretName::ForgeToken, &lab.forge_token),
        (SecretName::RegistrationToken, &lab.registration_token),
    ] {
        let value = SecretValue::new(secret, value).map_err(provisioner::Error::from)?;
        secrets.insert(secret, value);
    }
    Ok(Target {
        env: env.to_owned(),
        lab: true,
        root: root.to_owned(),
        deployment: Deployment::new(environment, endpoint)?.with_secrets(secrets),
        hook_url: Some(format!("{}/dispatch", lab.front_door)),
        forge_endpoint: Some(lab.forge.clone()),
    })
}

/// Where deliveries go, if anything is deployed.
pub async fn hook_url(target: &Target) -> Result<Option<String>, Error> {
    if let Some(url) = &target.hook_url {
        return Ok(Some(url.clone()));
    }
    let outputs = provisioner::outputs(&target.deployment).await?;
    Ok(outputs.api_endpoint().map(|url| format!("{url}/dispatch")))
}
