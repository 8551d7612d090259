//! `cargo xtask diff [ENV]`: what `up` would change. Exit code 0 for nothing, 2 for something.

use provisioner::{Plan, show};
use serde_json::json;

use crate::error::Error;
use crate::output::say;
use crate::target::Target;
use crate::terminal::OnStderr;

/// What follows the page that needs no code.
pub const BEFORE_CODE: &str = "\nThis is without the function's code, which is built now.\n";

/// Prints the plan, and says by the exit code whether it is empty.
pub async fn run(target: &Target, json: bool) -> Result<u8, Error> {
    let progress = OnStderr::default();
    if let Some(preview) = target.preview(&progress).await? {
        if preview.blocked().is_some() {
            print(&preview, target, json);
            return Ok(2);
        }
        if !json {
            say(&show::plan(&preview, &target.presentation()));
            say(BEFORE_CODE);
        }
    }
    let code = target.code(&progress).await?;
    let plan = provisioner::diff(&target.deployment, &code, &progress).await?;
    print(&plan, target, json);
    Ok(if plan.is_empty() { 0 } else { 2 })
}

fn print(plan: &Plan, target: &Target, json: bool) {
    if json {
        say(&json!({"changes": !plan.is_empty(), "plan": plan}).to_string());
    } else {
        say(&show::plan(plan, &target.presentation()));
        say(&show::summary(plan));
    }
}
