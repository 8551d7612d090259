//! `cargo xtask rehearse [ENV]`, and what `up` ends with: may the function do what it has to?

use provisioner::show;
use stacks::rehearsal::Verdict;

use crate::error::Error;
use crate::output::say;
use crate::target::Target;
use crate::terminal::{OnStderr, palette};

/// Has the function of `target` try its calls, and shows what came of it.
pub async fn run(target: &Target) -> Result<(), Error> {
    let rehearsed = provisioner::rehearse(&target.deployment, &OnStderr::default()).await?;
    say(&show::rehearsal(&rehearsed, palette()));
    let is_denied = rehearsed
        .iter()
        .filter(|one| one.call.verdict == Verdict::Denied);
    match is_denied.count() {
        0 => Ok(()),
        count => Err(Error::Denied(count)),
    }
}
