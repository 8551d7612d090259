//! Which deployment a command is about: an environment on AWS, or in the running lab.

use std::path::Path;

use lab::{Folder, Lab, LabFile};
use provisioner::secrets::{SecretValue, Secrets};
use provisioner::{Deployment, Environment, Target};
use stacks::names::Secret;

use crate::place::{Error, Place, environment_path};

/// The deployment of the environment called `env`, on AWS or in the running lab.
pub fn of(root: &Path, env: &str, lab: bool) -> Result<Place, Error> {
    let environment = provisioner::environment::load(&environment_path(root, env))
        .map_err(provisioner::Error::from)?;
    if !lab {
        let target = Target::aws(&environment.region);
        return Ok(Place {
            env: env.to_owned(),
            lab,
            root: root.to_owned(),
            deployment: Deployment::new(environment, target)?,
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
    environment: Environment,
    lab: &LabFile,
) -> Result<Place, Error> {
    let target = Target {
        region: lab.region.clone(),
        endpoint: Some(lab.aws_endpoint.clone()),
        ec2_endpoint: Some(lab.ec2_endpoint.clone()),
        credentials: Some((lab.access_key_id.clone(), lab.secret_access_key.clone())),
    };
    let mut secrets = Secrets::new();
    for (secret, value) in [
        (Secret::Webhook, &lab.webhook_secret),
        (Secret::ForgeToken, &lab.forge_token),
        (Secret::RegistrationToken, &lab.registration_token),
    ] {
        let value = SecretValue::new(secret, value).map_err(provisioner::Error::from)?;
        secrets.insert(secret, value);
    }
    Ok(Place {
        env: env.to_owned(),
        lab: true,
        root: root.to_owned(),
        deployment: Deployment::new(environment, target)?.with_secrets(secrets),
        hook_url: Some(format!("{}/dispatch", lab.front_door)),
        forge_endpoint: Some(lab.forge.clone()),
    })
}

/// Where deliveries go, if anything is deployed.
pub async fn hook_url(place: &Place) -> Result<Option<String>, Error> {
    if let Some(url) = &place.hook_url {
        return Ok(Some(url.clone()));
    }
    let outcome = provisioner::outcome(&place.deployment).await?;
    Ok(outcome.api_endpoint().map(|url| format!("{url}/dispatch")))
}
