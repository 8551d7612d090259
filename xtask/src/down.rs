//! `cargo xtask down [ENV]`: lists what exists and what of it holds data, asks, ends all of it, and
//! counts what is left.

use provisioner::show;
use provisioner::teardown::{self, Kind};

use crate::place::{Error, OnStderr, Place, colour, consent};
use crate::say;

/// Ends the place's deployment.
pub async fn run(place: &Place, yes: bool) -> Result<(), Error> {
    let progress = OnStderr::default();
    let found = teardown::survey(&place.deployment).await?;
    say(&show::survey(&found, colour()));
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
    let left = teardown::down(&place.deployment, &found, &progress).await?;
    say(&show::survey(&left, colour()));
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::Left {
        count: left.found.len(),
        name: left.name,
    })
}
