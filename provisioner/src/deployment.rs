//! One environment in one account: what every command is about.

use crate::aws::AwsEndpoint;
use crate::environment::Environment;
use crate::error::Error;
use crate::render::{self, Rendered};
use crate::secrets::Secrets;

/// One environment in one account.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// What it should be.
    pub environment: Environment,
    /// The templates of that.
    pub rendered: Rendered,
    /// Where it is.
    pub aws: AwsEndpoint,
    /// Values of secrets that were given; others are left as they are.
    pub secrets: Secrets,
}

impl Deployment {
    /// The deployment of `environment` at `aws`.
    pub fn new(environment: Environment, aws: AwsEndpoint) -> Result<Self, Error> {
        let rendered = render::render(&environment)?;
        Ok(Self {
            environment,
            rendered,
            aws,
            secrets: Secrets::new(),
        })
    }

    /// The same with values for secrets.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }
}

/// Refuses to act in another account or region than the environment's. The shell's region is ignored
/// where the endpoint is given outright.
pub(crate) fn guard_account(deployment: &Deployment, account: &str) -> Result<(), Error> {
    let ambient = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .filter(|_| deployment.aws.endpoint.is_none())
        .find_map(|variable| std::env::var(variable).ok())
        .filter(|region| !region.is_empty());
    guard(&deployment.environment, account, ambient)
}

/// `ambient` is the region that the shell's variables name.
fn guard(environment: &Environment, account: &str, ambient: Option<String>) -> Result<(), Error> {
    if let Some(found) = ambient.filter(|region| *region != environment.region) {
        return Err(Error::WrongRegion {
            found,
            expected: environment.region.clone(),
        });
    }
    match &environment.account_id {
        Some(expected) if expected != account => Err(Error::WrongAccount {
            found: account.to_owned(),
            expected: expected.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn environment() -> Environment {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/environments/lab.toml");
        crate::environment::load(&path).unwrap()
    }

    #[test]
    fn the_wrong_account_and_the_wrong_region_are_refused() {
        let environment = environment();
        assert!(guard(&environment, "111111111111", None).is_ok());
        assert!(guard(&environment, "111111111111", Some("eu-west-1".to_owned())).is_ok());
        let error = guard(&environment, "222222222222", None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("222222222222") && error.contains("111111111111"),
            "{error}"
        );
        let error = guard(&environment, "111111111111", Some("us-east-1".to_owned())).unwrap_err();
        assert!(error.to_string().contains("us-east-1"), "{error}");
    }
}
