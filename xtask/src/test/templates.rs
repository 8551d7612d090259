//! Steps over what is rendered, by those who know the formats.

use std::path::Path;

use super::run::{Run, TestError, files, pass};
use super::tools::{from_debian, from_pypi};

/// What judges templates; pinned, since a newer one may know other rules.
const CFN_LINT: &str = "cfn-lint==1.58.0";

/// The boot file as it is after rendering: the template itself is no shell.
pub fn shellcheck(run: &mut Run) -> Result<(), TestError> {
    from_debian(run, "shellcheck")?;
    each_rendered(run, "sh", |file| {
        let mut shellcheck = run.program("shellcheck", ["-s", "sh"]);
        pass("shellcheck", shellcheck.arg(file))
    })
}

pub fn cfn_lint(run: &mut Run) -> Result<(), TestError> {
    let linter = from_pypi(run, CFN_LINT, "cfn-lint")?;
    let args = "--regions eu-west-1 --non-zero-exit-code warning -t";
    each_rendered(run, "json", |file| {
        let mut lint = run.program(&linter, args.split(' '));
        pass("cfn-lint", lint.arg(file))
    })
}

/// Every file with this extension of every environment.
fn each_rendered(
    run: &Run,
    extension: &str,
    check: impl Fn(&Path) -> Result<(), TestError>,
) -> Result<(), TestError> {
    for environment in files(&run.root.join("stacks/environments"), "toml") {
        let name = environment.file_stem().unwrap_or_default();
        let out = run.root.join("target/rendered").join(name);
        let mut render = run.xtask(["render", "--out"]);
        pass("render", render.arg(&out).arg(name))?;
        let rendered = files(&out, extension);
        if rendered.is_empty() {
            return Err(TestError::Step(format!(
                "no .{extension} is rendered: render"
            )));
        }
        for file in rendered {
            check(&file)?;
        }
    }
    Ok(())
}
