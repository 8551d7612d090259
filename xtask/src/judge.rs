//! `cargo xtask judge`: what Gitea's own code makes of an event is what the trigger rules say.

use std::path::Path;

use conformance::judge::{self, Error, Options, Report};

use crate::output::say;

/// What is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// How many cases chance makes, for each version.
    #[arg(long, default_value_t = 2000)]
    pub cases: usize,
    /// What chance begins with: the same seed makes the same cases.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this version of Gitea.
    #[arg(long, value_name = "V")]
    pub version: Option<String>,
    /// Print the report as one JSON object on the last line.
    #[arg(long)]
    pub json: bool,
}

/// Compares, and prints what differs.
pub fn run(root: &Path, asked: &Asked) -> Result<Report, Error> {
    let options = Options {
        cases: asked.cases,
        seed: asked.seed,
        version: asked.version.clone(),
    };
    judge::run(&options, root, &mut say)
}
