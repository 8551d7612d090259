//! What a person asks of the deployed dispatcher itself.

use serde_json::{Value, json};
use stacks::names::{ACTION_PAUSE, ACTION_RESUME, ACTION_WAITING};

use crate::deployment::Deployment;
use crate::error::Error;
use crate::progress::Silent;
use crate::shell::Shell;

/// Whose jobs get no machine for a while.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paused {
    /// Those of this pool only.
    pub pool: Option<String>,
    /// Those of this repository only.
    pub repository: Option<String>,
}

/// Has jobs recorded and not launched for, until [`resume`].
pub async fn pause(deployment: &Deployment, paused: &Paused, reason: &str) -> Result<(), Error> {
    let mut call = call_of(ACTION_PAUSE, paused);
    call["reason"] = reason.into();
    ask(deployment, &call).await.map(drop)
}

/// Ends a pause; `false`: there was none of these.
pub async fn resume(deployment: &Deployment, paused: &Paused) -> Result<bool, Error> {
    let answer = ask(deployment, &call_of(ACTION_RESUME, paused)).await?;
    Ok(answer["done"] == "resumed")
}

/// The jobs that waited at the forge before the deployment was there, as `owner/name: job`, and how many
/// there are in all. With `include` they get machines too.
pub async fn waiting(
    deployment: &Deployment,
    include: bool,
) -> Result<(Vec<String>, usize), Error> {
    let call = json!({ "action": ACTION_WAITING, "include": include });
    let answer = ask(deployment, &call).await?;
    let jobs = answer["waiting"].as_array().map(Vec::as_slice);
    let named = jobs.unwrap_or_default().iter().map(|job| {
        let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("repository"), text("name"))
    });
    let count = answer["count"].as_u64().unwrap_or_default();
    Ok((
        named.collect(),
        usize::try_from(count).unwrap_or(usize::MAX),
    ))
}

fn call_of(action: &str, paused: &Paused) -> Value {
    json!({ "action": action, "pool": paused.pool, "repository": paused.repository })
}

async fn ask(deployment: &Deployment, call: &Value) -> Result<Value, Error> {
    let shell = Shell::open(deployment, &Silent).await?;
    let function = deployment.environment.names().function;
    let answer = shell.call(&function, call).await?;
    answer.map_err(|words| Error::Function { function, words })
}
