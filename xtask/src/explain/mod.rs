//! `cargo xtask explain`: what the forge makes of an event, rule by rule, and what would be launched
//! for it. It asks the same code that runs in the Lambda.

mod event;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use dispatcher::forge::{Forge, ForgeConfig, ForgeError};
use dispatcher::model::secret::Secret;
use git::{BadClone, LocalClone, Settings};
use stacks::names::SecretName;
use stacks::pool::{ForgeKind, Pool};
use workflow::{Event, Facts, Server, gather};

use crate::error;
use crate::output::say;
use crate::target::Target;

/// What is to be explained.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Explain {
    /// The body of a webhook delivery; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub event: PathBuf,
    /// The event's name, where the body does not show it: `push`, `create`, `pull_request_sync`, …
    #[arg(long, value_name = "EVENT")]
    pub kind: Option<String>,
    /// Read this clone instead of asking the forge.
    #[arg(long, value_name = "DIR")]
    pub repo: Option<PathBuf>,
    /// With a clone: whose rules count, by version (1.26.0, or 12.0.0+gitea-1.22.0 for Forgejo).
    #[arg(long, value_name = "VERSION", requires = "repo")]
    pub server: Option<String>,
    /// Print the verdict as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The event.
    #[error(transparent)]
    Event(#[from] event::BadEvent),
    /// The clone.
    #[error(transparent)]
    Clone(#[from] BadClone),
    /// The deployment.
    #[error(transparent)]
    Target(#[from] error::Error),
    /// The forge.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The version.
    #[error(
        "{0:?} is no version of a forge: write 1.26.0 for Gitea, 12.0.0+gitea-1.22.0 for Forgejo"
    )]
    Version(String),
    /// There is nothing to ask the forge with.
    #[error(
        "the deployment has no forge-token to ask the forge with: run `cargo xtask secret set \
         forge-token`, or name a clone with --repo"
    )]
    NoToken,
}

/// The versions whose rules count where nobody says which: those that were read and measured.
const GITEA: &str = "1.26.0";
const FORGEJO: &str = "12.0.0+gitea-1.22.0";

/// Explains. Exit code 0, whatever the verdict is.
pub async fn run(target: &Target, explain: &Explain) -> Result<ExitCode, ExplainError> {
    let event = event::read(&explain.event, explain.kind.as_deref())?;
    let environment = &target.deployment.environment;
    let facts = match &explain.repo {
        Some(folder) => {
            let version = explain
                .server
                .as_deref()
                .unwrap_or(match environment.forge.kind {
                    ForgeKind::Gitea => GITEA,
                    ForgeKind::Forgejo => FORGEJO,
                });
            let server =
                Server::parse(version).ok_or_else(|| ExplainError::Version(version.to_owned()))?;
            let clone = LocalClone::open(folder, Settings::default())?;
            gather(&clone, &event, server).await?
        }
        None => from_forge(target, &event).await?,
    };
    let pools = environment.pools.iter();
    let pools: Vec<Pool> = pools.map(|pool| pool.document.clone()).collect();
    let told = show::Told::of(&event, &facts, &pools);
    if explain.json {
        say(&told.json().to_string());
    } else {
        say(told.text().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// The facts as the forge has them now.
async fn from_forge(target: &Target, event: &Event) -> Result<Facts, ExplainError> {
    let environment = &target.deployment.environment;
    let token = provisioner::read_secret(&target.deployment, SecretName::ForgeToken)
        .await
        .map_err(error::Error::from)?
        .and_then(|token| Secret::new(token.reveal().to_owned()))
        .ok_or(ExplainError::NoToken)?;
    let forge = Forge::new(ForgeConfig {
        kind: environment.forge.kind,
        labels: Vec::new(),
        url: environment.forge.url.clone(),
        endpoint: target.forge_endpoint.clone(),
        ca: environment.forge.ca.clone(),
        token: Some(token),
        registration_token: None,
    })?;
    let server = forge.server().await?;
    Ok(gather(&forge, event, server).await?)
}
