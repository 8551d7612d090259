//! The forges' runners: one table of versions for images, for boot and for the lab.

use stacks::pool::ForgeKind;

use super::error::AmiError;
use super::manifest::Tool;
use super::read::{raw, tool_of};

/// The manifest as this program was built with it: what boot installs follows from it too.
const MANIFEST: &str = include_str!("../../../ami/images.toml");

/// The runner of one forge.
struct Runner {
    tool: Tool,
    lab: Option<String>,
}

/// The runner of a forge that images and boot install.
#[must_use]
pub fn pinned_runner(forge: ForgeKind) -> Tool {
    runner(forge).tool
}

/// The version of a forge's runner that the lab runs where no other is given to it; none if it can build none.
#[must_use]
pub fn lab_runner(forge: ForgeKind) -> Option<String> {
    runner(forge).lab
}

fn runner(forge: ForgeKind) -> Runner {
    let word = match forge {
        ForgeKind::Gitea => "gitea",
        ForgeKind::Forgejo => "forgejo",
    };
    runner_of(MANIFEST, word)
        .expect("a test reads the manifest of this checkout, and both runners in it")
}

/// The runner of a forge, from a manifest whose images nobody asks for.
fn runner_of(text: &str, forge: &str) -> Result<Runner, AmiError> {
    let raw = raw(text)?;
    let mut problems = Vec::new();
    let found = raw.runners.get(forge).and_then(|runner| {
        let tool = raw.tools.get(&runner.pinned)?;
        Some(Runner {
            tool: tool_of(&runner.pinned, tool, &mut problems),
            lab: runner.lab.clone(),
        })
    });
    match found {
        Some(runner) if problems.is_empty() => Ok(runner),
        Some(_) => Err(AmiError::Invalid(problems)),
        None => {
            let problem = format!("there is no runner of {forge}");
            Err(AmiError::Invalid(vec![problem]))
        }
    }
}
