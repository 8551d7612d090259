//! The parameters as last read. They are read once for many invocations. After a while their versions are
//! asked for, and only where one has changed are they read again: each secret is decrypted for money.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{BadConfig, Config};
use crate::aws::Aws;
use crate::forge::Known;

/// How long parameters are kept unasked: `up` and a rotated token show within a minute.
pub(crate) const KEEP: Duration = Duration::from_mins(1);
/// A signature that does not match makes us read them again if they are older than this: a rotated
/// secret works at once, and a flood of bad ones costs little.
pub(crate) const RECHECK: Duration = Duration::from_secs(5);

/// The parameters of one deployment.
#[derive(Debug)]
pub(crate) struct ConfigCache {
    forge_endpoint: Option<String>,
    forge_facts: Arc<Known>,
    held: Mutex<Option<Arc<Config>>>,
}

impl ConfigCache {
    /// Nothing read yet; `forge_endpoint` is another address for the forge.
    pub(crate) fn new(forge_endpoint: Option<String>) -> Self {
        Self {
            forge_endpoint,
            forge_facts: Arc::default(),
            held: Mutex::new(None),
        }
    }

    /// The parameters, read again when older than `keep`.
    pub(crate) async fn get(&self, aws: &Aws, keep: Duration) -> Result<Arc<Config>, BadConfig> {
        let mut held = self.held.lock().await;
        if let Some(config) = held.as_ref().filter(|c| c.age() < keep) {
            return Ok(Arc::clone(config));
        }
        let read = async {
            let read_at = Instant::now();
            if let Some(config) = held.as_ref()
                && config.is_confirmed_by(&aws.parameter_versions().await?, read_at)
            {
                return Ok(Arc::clone(config));
            }
            let parameters = aws.parameters().await?;
            let config = Config::parse(
                aws.names(),
                parameters,
                self.forge_endpoint.as_deref(),
                &self.forge_facts,
                read_at,
            );
            config.map(Arc::new)
        };
        match (read.await, held.as_ref()) {
            (Ok(config), _) => {
                *held = Some(Arc::clone(&config));
                Ok(config)
            }
            // What was good a minute ago serves better than nothing while AWS is not at its best.
            (Err(error), Some(old)) => {
                tracing::error!(%error, "parameters can't be read; using those read last");
                Ok(Arc::clone(old))
            }
            (Err(error), _) => Err(error),
        }
    }
}
