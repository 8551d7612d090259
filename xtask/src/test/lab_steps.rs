//! Steps in the lab: a cloud and a forge on this machine.

use lab::ForgeProgram;
use lab::gitea::Programs;

use super::code::{named, tests_of};
use super::run::{Done, Run, TestError, output, pass};
use crate::output::say;

/// The trigger rules against cases of what forges do.
pub fn conformance(run: &mut Run) -> Result<Done, TestError> {
    // One line a case; the sum is the last.
    let cases = "dispatcher/tests/cases/triggers.json";
    let (passed, text) = output(&mut run.xtask(["conformance", cases]))?;
    let is_failed = |line: &&str| line.contains("\"pass\":false");
    for line in text.lines().filter(is_failed).chain(text.lines().last()) {
        say(line);
    }
    let passed = passed.then_some(Done::Passed);
    passed.ok_or_else(|| TestError::Step("conformance".to_owned()))
}

/// The lab's tests boot machines: one test binary at a time keeps two cores responsive.
pub fn tests(run: &mut Run) -> Result<Done, TestError> {
    let tests = tests_of(&run.root.join("lab"));
    let mut command = run.cargo(["test", "--workspace"]);
    pass("lab-tests", command.args(named(&tests)))
}

/// The whole path as a newcomer runs it; it exits non-zero if any promise broke.
pub fn demo(run: &mut Run) -> Result<Done, TestError> {
    pass("demo", &mut run.xtask(["demo"]))?;
    pass("demo", &mut run.xtask(["demo", "--push-only"]))?;
    let other = "xtask/tests/other-workflow.yml";
    pass("demo", &mut run.xtask(["demo", "--workflow", other]))
}

/// Builds the real forge. On a machine that can't, the rest of the tests still says much; CI must.
pub fn gitea(run: &mut Run) -> Result<Done, TestError> {
    let mut built = Ok(());
    if Programs::find().is_none() {
        run.prepare("Gitea and its runner", || {
            built = Programs::build(&mut |step| say(step)).map(|_| ());
            Ok(())
        })?;
    }
    match built {
        Ok(()) => Ok(Done::Passed),
        Err(error) => run.unavailable(error),
    }
}

/// Boot, calls and dispatcher once more, with Gitea and its runner where the stand-ins were.
pub fn tests_on_gitea(run: &mut Run) -> Result<Done, TestError> {
    // The same selection of packages as above: another would compile the SDK again.
    let tests = ["forge_client", "boot", "dispatch"]
        .map(str::to_owned)
        .into();
    let mut command = run.cargo(["test", "--workspace"]);
    command.args(named(&tests));
    command.env("CI_TEST_FORGE", ForgeProgram::Gitea.word());
    with_gitea(run, |_| pass("gitea-tests", &mut command))
}

pub fn demo_on_gitea(run: &mut Run) -> Result<Done, TestError> {
    on_gitea(run, "demo --forge gitea")
}

pub fn soak_on_gitea(run: &mut Run) -> Result<Done, TestError> {
    on_gitea(run, "soak --forge gitea")
}

/// What it queues is what the trigger rules say.
pub fn differential(run: &mut Run) -> Result<Done, TestError> {
    on_gitea(run, "differential --pushes 60 --events 60 --seed 7")
}

pub fn long_soak(run: &mut Run) -> Result<Done, TestError> {
    on_gitea(run, "soak --forge gitea --runs 50")
}

pub fn long_differential(run: &mut Run) -> Result<Done, TestError> {
    on_gitea(run, "differential --pushes 300 --events 300 --seed 8")
}

fn on_gitea(run: &mut Run, command: &str) -> Result<Done, TestError> {
    with_gitea(run, |run| pass(command, &mut run.xtask(command.split(' '))))
}

/// Steps can be named alone, so that each sees to its forge.
fn with_gitea(
    run: &mut Run,
    step: impl FnOnce(&mut Run) -> Result<Done, TestError>,
) -> Result<Done, TestError> {
    match gitea(run)? {
        Done::Passed => step(run),
        skipped @ Done::Skipped(_) => Ok(skipped),
    }
}
