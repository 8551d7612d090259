//! Steps over what is rendered, by those who know the formats.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::run::{Run, TestError, files, pass};
use super::tools::{from_debian, from_pypi};
use super::{ami_steps, machine, stand_ins};

/// What judges templates; pinned, since a newer one may know other rules.
pub const CFN_LINT: &str = "cfn-lint==1.58.0";

/// The boot file as it is after rendering, since the template itself is no shell, and every script that
/// makes or tries an image.
pub fn shellcheck(run: &mut Run) -> Result<(), TestError> {
    from_debian(run, "shellcheck", "shellcheck")?;
    let check = |file: &Path| {
        let mut shellcheck = run.program("shellcheck", ["-s", "sh"]);
        pass("shellcheck", shellcheck.arg(file))
    };
    each_rendered(run, "sh", check)?;
    for file in ami_steps::rendered(run)? {
        check(&file)?;
    }
    for script in [
        stand_ins::STAND_IN,
        ami_steps::AMAZON,
        machine::PACKAGES_RECIPE,
    ] {
        check(&run.root.join(script))?;
    }
    Ok(())
}

pub fn cfn_lint(run: &mut Run) -> Result<(), TestError> {
    let linter = from_pypi(run, CFN_LINT, "cfn-lint")?;
    let args = "--regions eu-west-1 --non-zero-exit-code warning -t";
    each_rendered(run, "json", |file| {
        let mut lint = run.program(&linter, args.split(' '));
        pass("cfn-lint", lint.arg(file))
    })
}

/// The folder with a folder for each environment, as it is rendered now.
pub fn render_all(run: &Run) -> Result<PathBuf, TestError> {
    let out = run.root.join("target/rendered");
    // One that was renamed is no environment any more.
    let _ = std::fs::remove_dir_all(&out);
    for name in environments(run) {
        let mut render = run.xtask(["render", "--out"]);
        pass("render", render.arg(out.join(&name)).arg(&name))?;
    }
    Ok(out)
}

fn environments(run: &Run) -> Vec<OsString> {
    let files = files(&run.root.join("stacks/environments"), "toml");
    let names = files.iter().filter_map(|file| file.file_stem());
    names.map(OsStr::to_owned).collect()
}

/// Every file with this extension of every environment.
fn each_rendered(
    run: &Run,
    extension: &str,
    check: impl Fn(&Path) -> Result<(), TestError>,
) -> Result<(), TestError> {
    let out = render_all(run)?;
    for environment in environments(run) {
        let rendered = files(&out.join(environment), extension);
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
