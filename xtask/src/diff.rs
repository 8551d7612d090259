//! `cargo xtask diff [ENV]`: what `up` would change. Exit code 0 for nothing, 2 for something.

use provisioner::show;
use serde_json::json;

use crate::error::Error;
use crate::output::say;
use crate::target::Target;
use crate::terminal::OnStderr;

/// Prints the plan, and says by the exit code whether it is empty.
pub async fn run(target: &Target, json: bool) -> Result<u8, Error> {
    let progress = OnStderr::default();
    let code = target.code(&progress).await?;
    let plan = provisioner::diff(&target.deployment, &code, &progress).await?;
    if json {
        say(&json!({"changes": !plan.is_empty(), "plan": plan}).to_string());
    } else {
        say(&show::plan(&plan, &target.presentation()));
        say(&show::summary(&plan));
    }
    Ok(if plan.is_empty() { 0 } else { 2 })
}
