//! `cargo xtask up [ENV]`: shows what it would do, asks, does exactly that, and says what is next.

use std::io::IsTerminal;

use provisioner::secrets::{SecretValue, Secrets};
use provisioner::show;
use provisioner::{Plan, StackOutputs};
use stacks::names::SecretName;

use crate::diff::BEFORE_CODE;
use crate::error::Error;
use crate::output::say;
use crate::rehearse;
use crate::target::Target;
use crate::terminal::{OnStderr, consent};

/// Deploys the environment of `target`.
pub async fn run(target: &Target, yes: bool) -> Result<StackOutputs, Error> {
    let progress = OnStderr::default();
    if let Some(preview) = target.preview(&progress).await?
        && !preview.is_empty()
    {
        say(&show::plan(&preview, &target.presentation()));
        if let Some((stack, because)) = preview.blocked() {
            return Err(provisioner::Error::Blocked {
                stack: stack.to_owned(),
                because: because.to_owned(),
            }
            .into());
        }
        say(BEFORE_CODE);
    }
    let code = target.code(&progress).await?;
    let mut target = target.clone();
    let mut plan = provisioner::diff(&target.deployment, &code, &progress).await?;
    if !yes && std::io::stdin().is_terminal() {
        let given = ask_secrets(&plan)?;
        if !given.is_empty() {
            target.deployment.secrets.extend(given);
            plan = provisioner::diff(&target.deployment, &code, &progress).await?;
        }
    }
    say(&show::plan(&plan, &target.presentation()));
    say(&show::summary(&plan));
    if !plan.is_empty() {
        let question = format!(
            "Deploy {} to account {}, {}?",
            plan.name, plan.account, plan.region
        );
        consent(&question, yes)?;
    }
    let outputs = provisioner::up(&target.deployment, &plan, &code, &progress).await?;
    if !plan.is_empty() {
        say("");
        for (name, value) in &outputs.by_name {
            say(&format!("{name:<12} {value}"));
        }
        let environment = &target.deployment.environment;
        let hook_url = target.hook_url.as_deref();
        say("");
        say(&show::hand_over(
            environment,
            &outputs,
            hook_url,
            &target.presentation(),
        ));
        rehearse::run(&target).await?;
    }
    Ok(outputs)
}

/// The missing secrets that somebody gives now; the others can follow.
fn ask_secrets(plan: &Plan) -> Result<Secrets, Error> {
    let mut given = Secrets::new();
    for missing in &plan.missing_secrets {
        let Some(secret) = SecretName::named(missing.name) else {
            continue;
        };
        let prompt = format!(
            "{} (empty: later; without it, {}): ",
            missing.name, missing.without
        );
        let text = rpassword::prompt_password(prompt).map_err(|source| Error::File {
            what: "reading the answer".to_owned(),
            source,
        })?;
        if !text.is_empty() {
            let value = SecretValue::new(secret, &text).map_err(provisioner::Error::from)?;
            given.insert(secret, value);
        }
    }
    Ok(given)
}
