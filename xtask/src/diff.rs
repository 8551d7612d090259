//! `cargo xtask diff [ENV]`: what `up` would change. Exit code 0 for nothing, 2 for something.

use provisioner::Plan;
use provisioner::show;
use serde_json::json;

use crate::error::Error;
use crate::output::say;
use crate::target::Target;
use crate::terminal::OnStderr;

/// Nothing differs.
pub const EXIT_SAME: u8 = 0;
/// Something differs.
pub const EXIT_CHANGES: u8 = 2;

/// Prints the plan, and says by the exit code whether it is empty.
pub async fn run(target: &Target, json: bool) -> Result<u8, Error> {
    let progress = OnStderr::default();
    let code = target.code(&progress).await?;
    let plan = provisioner::diff(&target.deployment, &code, &progress).await?;
    if json {
        say(&as_json(&plan).to_string());
    } else {
        say(&show::plan(&plan, &target.presentation()));
        say(&show::summary(&plan));
    }
    Ok(if plan.is_empty() {
        EXIT_SAME
    } else {
        EXIT_CHANGES
    })
}

fn as_json(plan: &Plan) -> serde_json::Value {
    json!({"changes": !plan.is_empty(), "plan": plan})
}
