//! `cargo xtask test`: everything that CI runs, in the order in which it fails fastest.
//!
//! A row of [`STEPS`] is a step: its name, when it runs, and its share of the budget. What takes longer
//! than the budget has room for is a step of `--long`. A step that can't run fails where `CI` is set;
//! elsewhere it is skipped and said so, beside its name and at the end.

mod ami_steps;
mod boot_suite;
mod code;
mod docker_jobs;
mod image_lives;
mod judges;
mod lab_steps;
mod machine;
mod mirror;
mod run;
mod stand_ins;
mod steps;
mod summary;
mod templates;
mod tools;

use std::path::Path;
use std::process::ExitCode;

pub use self::run::TestError;
use self::run::{Ended, Run};
use self::steps::{STEPS, Step, When};
use self::summary::Summary;
use crate::output::say;

/// Which steps are asked for.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// These steps alone; `--list` has their names.
    #[arg(value_name = "NAME", conflicts_with_all = ["quick", "long", "list"])]
    names: Vec<String>,
    /// What says most in a minute: format, rules, clippy, unit and table tests.
    #[arg(long, conflicts_with_all = ["long", "list"])]
    quick: bool,
    /// What does not fit into the budget: more pushes, more runs, more cases.
    #[arg(long, conflicts_with = "list")]
    long: bool,
    /// Name the steps, with when they run and what they may take.
    #[arg(long)]
    list: bool,
}

/// Runs the steps that are asked for, up to the first that fails, and says what each took.
pub fn run(root: &Path, asked: &Asked) -> Result<ExitCode, TestError> {
    if asked.list {
        for line in steps::list() {
            say(&line);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let steps = chosen(asked)?;
    let is_whole = asked.names.is_empty() && !asked.quick && !asked.long;
    let mut summary = Summary::new(is_whole);
    let mut run = Run::new(root)?;
    for step in steps {
        say(&format!("\n== {}", step.name));
        let (took, outcome) = run.step(step.run);
        say(&format!("{}: {:.1} s", step.name, took.as_secs_f64()));
        let (ended, error) = match outcome {
            Ok(ended) => (ended, None),
            Err(error) => (Ended::Failed, Some(error)),
        };
        summary.add(step, took, ended);
        if let Some(error) = error {
            summary.print(&run.prepared, &run.notes);
            return Err(error);
        }
    }
    summary.print(&run.prepared, &run.notes);
    let is_over = summary.is_over_budget();
    Ok(ExitCode::from(u8::from(is_over)))
}

fn chosen(asked: &Asked) -> Result<Vec<&'static Step>, TestError> {
    let is_asked = |step: &&Step| match step.when {
        When::Quick => !asked.long,
        When::Normal => !asked.quick && !asked.long,
        When::Long => asked.long,
    };
    if asked.names.is_empty() {
        return Ok(STEPS.iter().filter(is_asked).collect());
    }
    let step = |name: &String| {
        let named = STEPS.iter().find(|step| step.name == name);
        named.ok_or_else(|| TestError::NoSuchStep(name.clone()))
    };
    asked.names.iter().map(step).collect()
}
