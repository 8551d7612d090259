//! Steps by judges that others wrote, over what the lab's steps recorded and what is rendered: `judges/`
//! has the programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{ENV_RECORDING, ENV_RIGHTS};

use super::run::{Run, TestError, files, output, pass};
use super::templates::{CFN_LINT, render_all};
use super::tools::{from_lock, from_pypi, from_requirements, read, written};

/// What judges templates beside cfn-lint; pinned, since a newer one may know other rules.
const CHECKOV: &str = "checkov==3.3.30";
/// What its packages are called while they are installed.
const NODE: &str = "IAM's simulator";
/// Has the table of handlers written anew.
const ENV_WRITE: &str = "CI_WRITE_HANDLERS";
/// The steps that record.
const RECORDED: [&str; 3] = ["lab-tests", "demo", "acceptance"];

/// Has `command` record its calls to AWS for the judges, as part of a step of this name. What an earlier
/// run of the step left is gone.
pub fn recorded<'c>(run: &Run, step: &str, command: &'c mut Command) -> &'c mut Command {
    let folder = recordings(&run.root, step);
    // Not there, as a rule.
    let _ = std::fs::remove_dir_all(&folder);
    also_recorded(run, step, command)
}

/// The same for a step's further commands: what was recorded before stays.
pub fn also_recorded<'c>(run: &Run, step: &str, command: &'c mut Command) -> &'c mut Command {
    command.env(ENV_RECORDING, recordings(&run.root, step))
}

fn recordings(root: &Path, step: &str) -> PathBuf {
    root.join("target/recordings").join(step)
}

/// Every recorded request, by the model of its service; its signature, by botocore's own signer.
pub fn requests(run: &mut Run) -> Result<(), TestError> {
    let mut judge = judge(run, "requests")?;
    pass("requests", with_recordings(run, &mut judge)?)
}

/// What machines on real systemd asked of AWS, in the same way.
pub fn judge_machines(run: &mut Run, recordings: &Path) -> Result<(), TestError> {
    let mut judge = judge(run, "machines")?;
    pass("machines", judge.arg(recordings))
}

/// Every recorded call, by the policies of who sent it; then the same live, with rights taken out.
pub fn rights(run: &mut Run) -> Result<(), TestError> {
    let simulator = from_lock(run, &run.root.join("judges"), NODE)?;
    let rendered = render_all(run)?;
    let people = run.root.join("target/people.json");
    let (_, text) = output(&mut run.xtask(["permissions", "lab"]))?;
    written(&people, &text)?;
    let mut judge = judge(run, "rights")?;
    judge.arg("--rendered").arg(rendered);
    judge.arg("--people").arg(people);
    judge.arg("--node").arg(simulator);
    pass("rights", with_recordings(run, &mut judge)?)?;
    // What it installed is what the lab asks live.
    let live = "test --workspace --test deploy rights:: -- --ignored";
    pass(
        "live rights",
        run.cargo(live.split(' ')).env(ENV_RIGHTS, "1"),
    )
}

/// Every rendered policy and template, by linters.
pub fn policies(run: &mut Run) -> Result<(), TestError> {
    let checkov = from_pypi(run, CHECKOV, "checkov")?;
    let rendered = render_all(run)?;
    let mut judge = judge(run, "policies")?;
    judge.arg("--rendered").arg(rendered);
    pass("policies", judge.arg("--checkov").arg(checkov))?;
    handlers(run)
}

/// What `cargo xtask permissions` takes of the resource types' schemas is what those say.
fn handlers(run: &mut Run) -> Result<(), TestError> {
    let linter = from_pypi(run, CFN_LINT, "cfn-lint")?;
    let judges = run.root.join("judges");
    let packages = from_lock(run, &judges, NODE)?;
    let source = read(&judges.join("handlers.mjs"))?;
    let mut node = run.program("node", ["--input-type=module", "--eval", &source, "--"]);
    // From the text, so that modules are looked for where they are installed.
    node.current_dir(packages);
    let installed = linter.ancestors().nth(2);
    node.args(installed);
    node.arg(run.root.join("stacks/templates"));
    node.arg(run.root.join("xtask/src/permissions/handlers.json"));
    if std::env::var_os(ENV_WRITE).is_some() {
        node.arg("--write");
    }
    pass("handlers", &mut node)
}

fn judge(run: &mut Run, which: &str) -> Result<Command, TestError> {
    let requirements = run.root.join("judges/requirements.txt");
    let python = from_requirements(run, &requirements, "the judges' libraries")?;
    Ok(run.program(python, ["judges/judge.py", which]))
}

/// Nothing is right because it was not recorded.
fn with_recordings<'c>(run: &Run, command: &'c mut Command) -> Result<&'c mut Command, TestError> {
    for step in RECORDED {
        let folder = recordings(&run.root, step);
        if files(&folder, "jsonl").is_empty() {
            let names = RECORDED.join(" ");
            return Err(TestError::Step(format!(
                "nothing is recorded by {step} (`cargo xtask test {names}` records): judging"
            )));
        }
        command.arg(folder);
    }
    Ok(command)
}
