//! `cargo xtask up [ENV]`: shows what it would do, asks, does exactly that, and says what is next.

use std::io::IsTerminal;

use provisioner::secrets::{SecretValue, Secrets};
use provisioner::show;
use provisioner::{Outcome, Plan};
use stacks::names::Secret;

use crate::place::{Error, OnStderr, Place, consent};
use crate::say;

/// Deploys the place's environment.
pub async fn run(place: &Place, yes: bool) -> Result<Outcome, Error> {
    let progress = OnStderr::default();
    let code = place.code(&progress).await?;
    let mut place = place.clone();
    let mut plan = provisioner::diff(&place.deployment, &code, &progress).await?;
    if !yes && std::io::stdin().is_terminal() {
        let given = ask_secrets(&plan)?;
        if !given.is_empty() {
            place.deployment.secrets.extend(given);
            plan = provisioner::diff(&place.deployment, &code, &progress).await?;
        }
    }
    say(&show::plan(&plan, &place.words()));
    say(&show::summary(&plan));
    if !plan.is_empty() {
        let question = format!(
            "Deploy {} to account {}, {}?",
            plan.name, plan.account, plan.region
        );
        consent(&question, yes)?;
    }
    let outcome = provisioner::up(&place.deployment, &plan, &code, &progress).await?;
    if !plan.is_empty() {
        say("");
        for (name, value) in &outcome.outputs {
            say(&format!("{name:<12} {value}"));
        }
        let environment = &place.deployment.environment;
        let hook_url = place.hook_url.as_deref();
        say("");
        say(&show::hand_over(
            environment,
            &outcome,
            hook_url,
            &place.words(),
        ));
    }
    Ok(outcome)
}

/// The missing secrets that somebody gives now; the others can follow.
fn ask_secrets(plan: &Plan) -> Result<Secrets, Error> {
    let mut given = Secrets::new();
    for missing in &plan.missing_secrets {
        let Some(secret) = Secret::named(missing.name) else {
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
