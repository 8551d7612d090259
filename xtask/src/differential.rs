//! `cargo xtask differential`: what a real forge queues is what the trigger rules foretell.

use conformance::live::{self, Error, Options, Report};
use lab::ForgeProgram;
use lab::real_forge::Release;

use crate::forge_arg::ForgeArg;
use crate::output::say;

/// What is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    #[command(flatten)]
    pub forge: ForgeArg,
    /// How many pushes; each moves one to four refs.
    #[arg(long, default_value_t = 300)]
    pub pushes: usize,
    /// How many other things are done, in a repository of their own: pull requests, issues, releases…
    #[arg(long, default_value_t = 100)]
    pub events: usize,
    /// What chance begins with: the same seed pushes the same.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Leave the forge up afterwards, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,
    /// Print the report as one JSON object on the last line.
    #[arg(long)]
    pub json: bool,
}

/// Compares, and prints on the way.
pub async fn run(asked: Asked) -> Result<Report, Error> {
    let options = Options {
        pushes: asked.pushes,
        events: asked.events,
        seed: asked.seed,
        keep: asked.keep,
    };
    let program = asked.forge.or(ForgeProgram::Gitea(Release::NEWEST));
    live::run(options, &program, say).await
}
