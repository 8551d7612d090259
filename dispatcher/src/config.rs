//! What the stacks and the operators say: the deployment's parameters, parsed once.

use stacks::names::{Names, Secret as SecretName};
use stacks::pool::{Pool, Settings};
use tokio::time::Instant;

use crate::forge::{Forge, ForgeConfig, ForgeError};
use crate::job::Job;
use crate::secret::Secret;
use crate::shell::{Failure, Parameters};
use crate::unserved::why_no_pool;

/// What the stacks and the operators say.
#[derive(Debug)]
pub struct Config {
    /// What holds for all pools.
    pub settings: Settings,
    /// The pools, by name.
    pub pools: Vec<Pool>,
    /// Signs the deliveries.
    pub webhook: Option<Secret>,
    /// Read-only token for pools that ask.
    pub git_token: Option<Secret>,
    pub(crate) forge: Forge,
    pub(crate) read_at: Instant,
}

/// Why the parameters can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// They can't be read.
    #[error(transparent)]
    Call(#[from] Failure),
    /// One is missing.
    #[error("the parameter {0} is missing: run `cargo xtask up`")]
    Missing(String),
    /// One can't be parsed.
    #[error("the parameter {name} can't be read: {message}: run `cargo xtask up`")]
    Unreadable {
        /// Its path.
        name: String,
        /// The parser's words.
        message: String,
    },
    /// The forge's address or CA is unusable.
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

impl Config {
    /// Reads the deployment's parameters, which were asked for at `read_at`; `forge_endpoint` is another address for the forge.
    pub(crate) fn parse(
        names: &Names,
        mut parameters: Parameters,
        forge_endpoint: Option<&str>,
        read_at: Instant,
    ) -> Result<Self, BadConfig> {
        let settings: Settings = document(
            &names.parameter_settings,
            parameters.get(&names.parameter_settings),
        )?;
        let pools: Vec<Pool> = parameters
            .iter()
            .filter(|(name, _)| name.starts_with(&names.parameter_pools))
            .map(|(name, value)| document(name, Some(value)))
            .collect::<Result<_, _>>()?;
        let ca = parameters.remove(&names.parameter_forge_ca);
        let mut secret = |name| parameters.remove(&names.secret(name)).and_then(Secret::new);
        let forge = Forge::new(ForgeConfig {
            url: settings.forge_url.clone(),
            endpoint: forge_endpoint.map(str::to_owned),
            ca,
            token: secret(SecretName::ForgeToken),
            registration_token: secret(SecretName::RegistrationToken),
        })?;
        Ok(Self {
            webhook: secret(SecretName::Webhook),
            git_token: secret(SecretName::GitToken),
            settings,
            pools,
            forge,
            read_at,
        })
    }

    /// The pool that serves `job`: the first that does, in order of their names.
    pub(crate) fn pool_for(&self, job: &Job) -> Option<&Pool> {
        self.pools
            .iter()
            .find(|pool| pool.serves(&job.key.repository, &job.labels))
    }

    /// Why no pool serves `job`.
    pub(crate) fn why_no_pool(&self, job: &Job) -> String {
        why_no_pool(&self.pools, job)
    }
}

fn document<T: serde::de::DeserializeOwned>(
    name: &str,
    value: Option<&String>,
) -> Result<T, BadConfig> {
    let value = value.ok_or_else(|| BadConfig::Missing(name.to_owned()))?;
    serde_json::from_str(value).map_err(|error| BadConfig::Unreadable {
        name: name.to_owned(),
        message: error.to_string(),
    })
}
