//! What the stacks and the operators say: the deployment's parameters, parsed once.

pub(crate) mod cache;
pub mod no_pool;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stacks::names::{IMAGE_RECORD, Names, SecretName};
use stacks::pool::{ForgeKind, Pool, Settings};
use tokio::time::Instant;

use self::no_pool::why_no_pool;
use crate::aws::{Failure, Parameters, Versions};
use crate::forge::{Forge, ForgeConfig, ForgeError, Known};
use crate::model::image::Image;
use crate::model::job::Job;
use crate::model::secret::Secret;

/// What the stacks and the operators say.
#[derive(Debug)]
pub struct Config {
    /// What holds for all pools.
    pub settings: Settings,
    /// The pools, by name.
    pub pools: Vec<Pool>,
    /// The images that machines start from, of those that this deployment makes.
    pub(crate) images: Vec<Image>,
    /// Signs the deliveries.
    pub webhook: Option<Secret>,
    /// Read-only token for pools that ask.
    pub clone_token: Option<Secret>,
    pub(crate) forge: Forge,
    versions: Versions,
    /// When this was what the parameters say.
    read_at: Mutex<Instant>,
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
    /// Reads the deployment's parameters, which were asked for at `read_at`;
    /// `forge_endpoint` is another address for the forge, of which so much is `known` already.
    pub(crate) fn parse(
        names: &Names,
        (mut parameters, versions): (Parameters, Versions),
        forge_endpoint: Option<&str>,
        known: &Arc<Known>,
        read_at: Instant,
    ) -> Result<Self, BadConfig> {
        let settings: Settings = document(
            &names.parameter_settings,
            parameters.get(&names.parameter_settings),
        )?;
        let mut pools: Vec<Pool> = parameters
            .iter()
            .filter(|(name, _)| name.starts_with(&names.parameter_pools))
            .map(|(name, value)| document(name, Some(value)))
            .collect::<Result<_, _>>()?;
        if gives_unlabelled_to_none(settings.forge_kind) {
            for pool in &mut pools {
                pool.accepts_unlabelled = false;
            }
        }
        let images = images(names, &parameters);
        let ca = parameters.remove(&names.parameter_forge_ca);
        let mut secret = |name| parameters.remove(&names.secret(name)).and_then(Secret::new);
        let labels = pools.iter().flat_map(|pool| &pool.labels);
        let forge = Forge::new(ForgeConfig {
            kind: settings.forge_kind,
            labels: labels.map(|label| label.name.clone()).collect(),
            url: settings.forge_url.clone(),
            endpoint: forge_endpoint.map(str::to_owned),
            ca,
            token: secret(SecretName::ForgeToken),
            registration_token: secret(SecretName::RegistrationToken),
        })?
        .with_known(Arc::clone(known));
        Ok(Self {
            webhook: secret(SecretName::Webhook),
            clone_token: secret(SecretName::CloneToken),
            settings,
            pools,
            images,
            forge,
            versions,
            read_at: Mutex::new(read_at),
        })
    }

    /// How long ago this was what the parameters say.
    pub(crate) fn age(&self) -> Duration {
        let read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        read_at.elapsed()
    }

    /// Whether the parameters, asked for at `now`, are still those that were read: then this is as new
    /// as they are.
    pub(crate) fn is_confirmed_by(&self, versions: &Versions, now: Instant) -> bool {
        let same = self.versions == *versions;
        if same {
            *self.read_at.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
        same
    }

    /// The pool that serves `job`: the first that does, in order of their names.
    pub(crate) fn pool_for(&self, job: &Job) -> Option<&Pool> {
        self.pools
            .iter()
            .find(|pool| pool.serves(&job.key.repository, &job.labels))
    }

    /// Why no pool serves `job`.
    pub(crate) fn why_no_pool(&self, job: &Job) -> String {
        if job.labels.is_empty() && gives_unlabelled_to_none(self.settings.forge_kind) {
            return "the job has no runs-on, and a Forgejo gives such a job to no runner: name a \
                    label in runs-on"
                .to_owned();
        }
        why_no_pool(&self.pools, job)
    }
}

/// Whether a job without labels can have no runner at all (Forgejo 11 to 15, `ItRunsOn`); at a Gitea
/// any runner may take it.
fn gives_unlabelled_to_none(forge: ForgeKind) -> bool {
    forge == ForgeKind::Forgejo
}

/// The images whose parameter and record agree. No job rests on them, so one that can't be read is passed over.
fn images(names: &Names, parameters: &Parameters) -> Vec<Image> {
    let records = parameters.iter().filter_map(|(path, record)| {
        let parameter = path.strip_suffix(IMAGE_RECORD)?;
        let is_image = parameter.starts_with(&names.parameter_images);
        Some((parameter, record)).filter(|_| is_image)
    });
    let image = |(parameter, record): (&str, &String)| {
        let record = serde_json::from_str(record)
            .inspect_err(
                |error| tracing::warn!(parameter, %error, "an image's record can't be read"),
            )
            .ok()?;
        Image::of(parameter, parameters.get(parameter)?, record)
    };
    records.filter_map(image).collect()
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
