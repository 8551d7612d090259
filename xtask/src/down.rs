//! `cargo xtask down ENV`: lists what exists and what of it holds data, asks, ends all of it, and
//! counts what is left.

use provisioner::show;
use provisioner::teardown::{self, Kind};

use crate::error::Error;
use crate::output::say;
use crate::target::Target;
use crate::terminal::{OnStderr, consent, palette};

/// Ends the deployment of `target`.
pub async fn run(target: &Target, yes: bool) -> Result<(), Error> {
    let progress = OnStderr::default();
    let found = teardown::survey(&target.deployment).await?;
    say(&show::survey(&found, palette()));
    if found.is_empty() {
        return Ok(());
    }
    let instances = found.of(Kind::Instance).count();
    consent(
        &format!(
            "End all of {} in account {}, with its data and its {instances} instances?",
            found.name, found.account
        ),
        yes,
    )?;
    let left = teardown::down(&target.deployment, &found, &progress).await?;
    say(&show::survey(&left, palette()));
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::Left {
        count: left.found.len(),
        name: left.name,
    })
}
