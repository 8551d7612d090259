//! Steps in the lab: a cloud and a forge on this machine.

use lab::ForgeProgram;
use lab::gitea::Programs;

use super::code::{named, tests_of};
use super::run::{Run, TestError, holds, output, pass};
use crate::output::say;

/// The trigger rules against cases of what forges do, and against verdicts of real ones.
pub fn conformance(run: &mut Run) -> Result<(), TestError> {
    // One line a case or event; the sum is the last.
    for path in [
        "dispatcher/tests/cases/triggers.json",
        "workflow/tests/cases",
    ] {
        let (passed, text) = output(&mut run.xtask(["conformance", path]))?;
        let is_told = |line: &&str| line.contains("\"pass\":false") || !line.starts_with('{');
        for line in text.lines().filter(is_told) {
            say(line);
        }
        holds("conformance", passed)?;
    }
    Ok(())
}

/// The lab's tests boot machines: one test binary at a time keeps two cores responsive.
pub fn tests(run: &mut Run) -> Result<(), TestError> {
    let tests = tests_of(&run.root.join("lab"));
    let mut command = run.cargo(["test", "--workspace"]);
    pass("lab-tests", command.args(named(&tests)))
}

/// The whole path as a newcomer runs it; it exits non-zero if any promise broke.
pub fn demo(run: &mut Run) -> Result<(), TestError> {
    pass("demo", &mut run.xtask(["demo"]))?;
    pass("demo", &mut run.xtask(["demo", "--push-only"]))?;
    let other = "xtask/tests/other-workflow.yml";
    pass("demo", &mut run.xtask(["demo", "--workflow", other]))
}

/// Builds the real forge. On a machine that can't, the rest of the tests still says much; CI must.
pub fn gitea(run: &mut Run) -> Result<(), TestError> {
    if Programs::find().is_some() {
        return Ok(());
    }
    run.prepare("Gitea and its runner", || {
        Programs::build(&mut |step| say(step)).map(drop)
    })
}

/// Boot, calls and dispatcher once more, with Gitea and its runner where the stand-ins were.
pub fn tests_on_gitea(run: &mut Run) -> Result<(), TestError> {
    // The same selection of packages as above: another would compile the SDK again.
    let tests = "test --workspace --test forge_client --test boot --test dispatch";
    let mut command = run.cargo(tests.split(' '));
    command.env("CI_TEST_FORGE", ForgeProgram::Gitea.word());
    gitea(run)?;
    pass("gitea-tests", &mut command)
}

pub fn demo_on_gitea(run: &mut Run) -> Result<(), TestError> {
    on_gitea(run, "demo --forge gitea")
}

pub fn soak_on_gitea(run: &mut Run) -> Result<(), TestError> {
    on_gitea(run, "soak --forge gitea")
}

/// What it queues is what the trigger rules say.
pub fn differential(run: &mut Run) -> Result<(), TestError> {
    on_gitea(run, "differential --pushes 60 --events 60 --seed 7")
}

pub fn long_soak(run: &mut Run) -> Result<(), TestError> {
    on_gitea(run, "soak --forge gitea --runs 50")
}

pub fn long_differential(run: &mut Run) -> Result<(), TestError> {
    on_gitea(run, "differential --pushes 300 --events 300 --seed 8")
}

/// Steps can be named alone, so that each sees to its forge.
fn on_gitea(run: &mut Run, command: &str) -> Result<(), TestError> {
    gitea(run)?;
    pass(command, &mut run.xtask(command.split(' ')))
}
