//! Steps in the lab: a cloud and a forge on this machine.

use std::process::Command;

use conformance::judge;
use lab::ForgeProgram;
use lab::real_forge::{Programs, Release};

use super::boot_suite;
use super::code::{named, tests_of};
use super::judges::{also_recorded, recorded};
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

/// Gitea's own rules beside ours.
pub fn judge(run: &mut Run) -> Result<(), TestError> {
    judged(run, "judge --cases 2000 --seed 7")
}

pub fn long_judge(run: &mut Run) -> Result<(), TestError> {
    judged(run, "judge --cases 50000 --seed 8")
}

fn judged(run: &mut Run, command: &str) -> Result<(), TestError> {
    if !judge::are_built() {
        run.prepare("Gitea's own rules", || judge::build(&mut |step| say(step)))?;
    }
    pass(command, &mut run.xtask(command.split(' ')))
}

/// Stories of the lab beside each other on two cores: they wait for machines, calls and pauses more than they compute.
const STORIES: (&str, &str) = ("RUST_TEST_THREADS", "5");

/// The lab's tests, one binary at a time.
pub fn tests(run: &mut Run) -> Result<(), TestError> {
    let mut tests = tests_of(&run.root.join("lab"));
    // It has a step of its own.
    tests.remove(boot_suite::TEST);
    let mut command = run.cargo(["test", "--workspace"]);
    command.env(STORIES.0, STORIES.1);
    pass(
        "lab-tests",
        recorded(run, "lab-tests", command.args(named(&tests))),
    )
}

/// The whole path as a newcomer runs it; it exits non-zero if any promise broke.
pub fn demo(run: &mut Run) -> Result<(), TestError> {
    let demo = "demo";
    pass(demo, recorded(run, demo, &mut run.xtask([demo])))?;
    let mut push_only = run.xtask([demo, "--push-only"]);
    pass(demo, also_recorded(run, demo, &mut push_only))?;
    let other = "xtask/tests/other-workflow.yml";
    pass("demo", &mut run.xtask(["demo", "--workflow", other]))
}

/// What a real account is tried with.
pub fn acceptance(run: &mut Run) -> Result<(), TestError> {
    let mut up = run.xtask(["lab", "up"]);
    accepted(run, recorded(run, ACCEPTANCE, &mut up))
}

/// The same with the newest Gitea.
pub fn acceptance_on_gitea(run: &mut Run) -> Result<(), TestError> {
    build(run, Release::NEWEST)?;
    let mut up = run.xtask(["lab", "up", "--forge", Release::NEWEST.word()]);
    accepted(run, &mut up)
}

const ACCEPTANCE: &str = "acceptance";

/// Deploys to the lab that `up` starts, and tries it by both commands. The lab is taken down whatever comes of
/// it.
fn accepted(run: &Run, up: &mut Command) -> Result<(), TestError> {
    pass(ACCEPTANCE, up)?;
    let folder = run.root.join("target");
    let mut accept = run.xtask(["--lab", ACCEPTANCE, "--max-dollars", "1", "--yes", "--down"]);
    let tried = pass(ACCEPTANCE, &mut run.xtask(["--lab", "up", "--yes"]))
        .and_then(|()| {
            pass(
                ACCEPTANCE,
                &mut run.xtask(["--lab", "smoke-test", "--pool", "go"]),
            )
        })
        .and_then(|()| pass(ACCEPTANCE, accept.arg("--out").arg(folder)));
    let down = pass(ACCEPTANCE, &mut run.xtask(["lab", "down"]));
    tried.and(down)
}

/// Builds the newest Gitea.
pub fn gitea(run: &mut Run) -> Result<(), TestError> {
    build(run, Release::NEWEST)
}

/// Boot, calls and dispatcher once more, with Gitea and its runner where the stand-ins were.
pub fn tests_on_gitea(run: &mut Run) -> Result<(), TestError> {
    tests_on(run, Release::NEWEST)
}

pub fn demo_on_gitea(run: &mut Run) -> Result<(), TestError> {
    on_gitea(run, Release::NEWEST, "demo")
}

pub fn soak_on_gitea(run: &mut Run) -> Result<(), TestError> {
    on_gitea(run, Release::NEWEST, "soak")
}

/// What it queues is what the trigger rules say.
pub fn differential(run: &mut Run) -> Result<(), TestError> {
    let command = "differential --pushes 60 --events 60 --seed 7";
    on_gitea(run, Release::NEWEST, command)
}

/// Builds the Gitea of the line before.
pub fn older_gitea(run: &mut Run) -> Result<(), TestError> {
    build(run, Release::Gitea1_26)
}

pub fn tests_on_older_gitea(run: &mut Run) -> Result<(), TestError> {
    tests_on(run, Release::Gitea1_26)
}

pub fn demo_on_older_gitea(run: &mut Run) -> Result<(), TestError> {
    on_gitea(run, Release::Gitea1_26, "demo")
}

/// Nobody gets a second machine because the forge was updated.
pub fn update(run: &mut Run) -> Result<(), TestError> {
    build(run, Release::NEWEST)?;
    let command = format!("soak --update-to {}", Release::NEWEST.word());
    on_gitea(run, Release::Gitea1_26, &command)
}

/// Both ways of counting attempts, with hooks that come at once and late.
pub fn long_soak(run: &mut Run) -> Result<(), TestError> {
    on_every_gitea(run, "soak --runs 50")?;
    on_every_gitea(run, "soak --runs 50 --forge-queue level")
}

/// Both sets of rules.
pub fn long_differential(run: &mut Run) -> Result<(), TestError> {
    on_every_gitea(run, "differential --pushes 300 --events 300 --seed 8")
}

fn on_every_gitea(run: &mut Run, command: &str) -> Result<(), TestError> {
    let mut all = Release::ALL.into_iter();
    all.try_for_each(|release| on_gitea(run, release, command))
}

/// Steps can be named alone, so that each sees to its forge.
fn on_gitea(run: &mut Run, release: Release, command: &str) -> Result<(), TestError> {
    build(run, release)?;
    let words = command.split(' ').chain(["--forge", release.word()]);
    pass(command, &mut run.xtask(words))
}

fn tests_on(run: &mut Run, release: Release) -> Result<(), TestError> {
    build(run, release)?;
    // The same selection of packages as above: another would compile the SDK again.
    // The function dies at the same calls whatever forge it is, and once is long enough.
    let tests =
        "test --workspace --test forge_client --test boot --test dispatch -- --skip crashes::";
    let mut command = run.cargo(tests.split(' '));
    command.env("CI_TEST_FORGE", release.word());
    pass("gitea-tests", command.env(STORIES.0, STORIES.1))
}

/// Builds the real forge. On a machine that can't, the rest of the tests still says much; CI must.
fn build(run: &mut Run, release: Release) -> Result<(), TestError> {
    if Programs::are_built(release) {
        return Ok(());
    }
    run.prepare(
        &format!("Gitea {} and its runner", release.version()),
        || {
            let program = ForgeProgram::Gitea(release);
            Programs::of(&program, &mut |step| say(step)).map(drop)
        },
    )
}
