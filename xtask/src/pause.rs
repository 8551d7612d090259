//! `cargo xtask pause [ENV] --reason TEXT` and `resume`: jobs are recorded and get no machine for a while.
//! And what waited at the forge before the deployment was there, which `up` names.

use provisioner::ask::{self, Paused};

use crate::cli::PausedArg;
use crate::error::Error;
use crate::output::say;
use crate::target::Target;

/// Most jobs that are named: who wants more looks at the forge.
const NAMED_MAX: usize = 20;

/// Pauses.
pub async fn pause(target: &Target, what: PausedArg, reason: &str) -> Result<(), Error> {
    let paused = Paused::from(what);
    // A pool that nobody has would be paused in vain.
    target.pools(paused.pool.as_deref())?;
    ask::pause(&target.deployment, &paused, reason).await?;
    say(&format!(
        "{} paused: they are recorded, what runs goes on, and nothing is launched until `cargo xtask \
         resume` says so.",
        words(&paused)
    ));
    Ok(())
}

/// Goes on.
pub async fn resume(target: &Target, what: PausedArg) -> Result<(), Error> {
    let paused = Paused::from(what);
    let ended = ask::resume(&target.deployment, &paused).await?;
    let verb = if ended { "go on" } else { "were not paused" };
    say(&format!("{} {verb}.", words(&paused)));
    Ok(())
}

/// Names the jobs that waited before the deployment was there, if there are any; with `include` they get
/// machines.
pub async fn waiting(target: &Target, include: bool) -> Result<(), Error> {
    let (named, count) = ask::waiting(&target.deployment, include).await?;
    if count == 0 {
        return Ok(());
    }
    say("");
    say(&if include {
        format!("{count} jobs that waited before this deployment get machines now:")
    } else {
        format!(
            "{count} jobs waited at the forge before this deployment and get no machine; \
             `cargo xtask up {} --include-waiting` launches for them too:",
            target.env
        )
    });
    for job in named.iter().take(NAMED_MAX) {
        say(&format!("  {job}"));
    }
    if count > NAMED_MAX {
        say(&format!("  and {} more", count - NAMED_MAX));
    }
    Ok(())
}

fn words(paused: &Paused) -> String {
    match (&paused.pool, &paused.repository) {
        (Some(pool), _) => format!("jobs of pool {pool}"),
        (None, Some(repository)) => format!("jobs of {repository}"),
        (None, None) => "all jobs".to_owned(),
    }
}

impl From<PausedArg> for Paused {
    fn from(arg: PausedArg) -> Self {
        Self {
            pool: arg.pool,
            repository: arg.repo,
        }
    }
}
