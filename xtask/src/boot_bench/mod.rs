//! `cargo xtask boot-bench [ENV]`: where the seconds go, from the webhook to a job's first step. Machines come as
//! those of `smoke-test` do, and tell how their boot went; jobs are pushed to a repository and run.
//!
//! With `--lab` it plays in a lab of its own: everything is measured there but EC2's part and the packages that a
//! stock image lacks.

mod jobs;
mod lab_play;
mod machines;
mod table;

use std::path::Path;

use lab::Folder;

use self::jobs::Pushed;
use self::table::{Phase, table};
use crate::error::Error;
use crate::lab_deployment::{PlayError, then_lab_down};
use crate::output::say;
use crate::target::Target;
use crate::terminal::Stop;

/// What is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// Machines of this pool only.
    #[arg(long, value_name = "NAME")]
    pub pool: Option<String>,
    /// How many come first and are not counted: they wake function and forge up.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub warm: usize,
    /// How many are measured, of each pool.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: u16,
    /// Push as many jobs to the branch `boot-bench` of this repository, with a token that may do so and read
    /// their logs in `FORGE_TOKEN`. In the lab they are pushed anyway.
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<String>,
}

impl Asked {
    /// How many there are altogether, and how many of them are not counted.
    fn counts(&self) -> (usize, usize) {
        (self.warm + usize::from(self.runs), self.warm)
    }
}

/// Measures a deployment on AWS.
pub async fn run(target: &Target, asked: &Asked) -> Result<(), Error> {
    let pools = target.pools(asked.pool.as_deref())?;
    let pushed = match &asked.repo {
        Some(repository) => Some(Pushed::of(&target.deployment.environment, repository)?),
        None => None,
    };
    say(&machines::price(&pools, asked));
    let stop = Stop::listen()?;
    for pool in &pools {
        let measured = machines::measure(target, pool, asked, &stop).await?;
        say(&table(&measured.title, &measured.phases));
    }
    let Some(pushed) = pushed else {
        say(
            "\nFrom the webhook to the machine, and from there to a job's first step: --repo OWNER/NAME pushes \
             jobs and measures them",
        );
        return Ok(());
    };
    for pool in &pools {
        let phases = stop.unless(jobs::measure(&pushed, pool, asked)).await?;
        say(&table(&jobs::title(pool, asked), &phases));
    }
    Ok(())
}

/// Measures in a lab of its own, which is gone afterwards.
pub async fn in_lab(root: &Path, asked: &Asked) -> Result<(), PlayError> {
    let folder = Folder::default_one();
    let played = lab_play::play(root, &folder, asked);
    let (told, left) = then_lab_down(&folder, played).await?;
    say(&told);
    if left.total() > 0 {
        say(&format!("left on this machine: {left:?}"));
    }
    Ok(())
}

/// What was measured of one pool.
struct Measured {
    title: String,
    phases: Vec<Phase>,
}
