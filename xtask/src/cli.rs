//! What can be typed: commands, options, and the help that lists them.

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::ami::AmiCommand;
use crate::env_arg::EnvArg;
use crate::forge_arg::ForgeArg;
use crate::{
    acceptance, boot_bench, differential, docker_jobs, explain, judge, simulate, smoke_test, soak,
    test,
};

/// A self-cleaning CI fleet for Gitea and Forgejo on EC2 Spot.
#[derive(Debug, Parser)]
#[command(name = "tinqs-ci", bin_name = "tinqs-ci", version)]
pub struct Cli {
    /// Act on the local lab instead of AWS; ENV is then `lab` unless named.
    #[arg(long, global = true)]
    pub lab: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order in which help lists them: hidden ones are developers' and stand below
/// the others.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What is played, and ends with a report.
    #[command(flatten)]
    Played(Played),
    /// Write the templates and user-data of an environment as files.
    Render {
        #[command(flatten)]
        env: EnvArg,
        /// Folder to write to.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// The images that pools start from: build them, try them, put one back.
    Ami {
        #[command(subcommand)]
        command: AmiCommand,
    },
    /// Print the least policies of whoever deploys an environment.
    Permissions {
        #[command(flatten)]
        env: EnvArg,
        /// Those of whoever builds its images, and does nothing else.
        #[arg(long)]
        images: bool,
    },
    /// Show what `up` would change. Exit code 0: nothing, 2: something, 1: error.
    Diff {
        #[command(flatten)]
        env: EnvArg,
        /// Print the plan as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Deploy an environment: show, ask, do exactly that.
    Up {
        #[command(flatten)]
        env: EnvArg,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Launch also for the jobs that waited at the forge before the deployment was there.
        #[arg(long)]
        include_waiting: bool,
    },
    /// Record jobs and launch for none of them, until `resume`. What runs goes on.
    Pause {
        #[command(flatten)]
        env: EnvArg,
        #[command(flatten)]
        what: PausedArg,
        /// Why: the jobs' owners read it on their commits.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Launch again for what waits and what comes.
    Resume {
        #[command(flatten)]
        env: EnvArg,
        #[command(flatten)]
        what: PausedArg,
    },
    /// Have the deployed function try every call that it makes, under its own role, without effect.
    Rehearse {
        #[command(flatten)]
        env: EnvArg,
    },
    /// Launch one machine of each pool as for a job, see what a job would find, and end it.
    SmokeTest {
        #[command(flatten)]
        env: EnvArg,
        #[command(flatten)]
        which: smoke_test::Which,
    },
    /// Measure where the seconds go, from the webhook to a job's first step. With --lab: in a lab of its own.
    BootBench {
        #[command(flatten)]
        env: EnvArg,
        #[command(flatten)]
        asked: boot_bench::Asked,
    },
    /// Try all that only a real account can prove, within a bound of money, and write a report of it.
    Acceptance {
        #[command(flatten)]
        env: EnvArg,
        #[command(flatten)]
        asked: acceptance::Asked,
    },
    /// End a deployment with everything that it made. ENV has to be named.
    Down {
        #[command(flatten)]
        env: EnvArg,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Manage the secrets in the Parameter Store.
    Secret {
        /// What to do with them.
        #[command(subcommand)]
        command: SecretCommand,
    },
    /// Send a stored delivery to the deployed endpoint and print its answer.
    Replay {
        /// The raw body.
        body: PathBuf,
        #[command(flatten)]
        env: EnvArg,
        /// Headers as recorded: {"headers": [[name, value], …]}.
        #[arg(long, value_name = "FILE")]
        headers: Option<PathBuf>,
        /// Sign anew with this secret instead.
        #[arg(long, value_name = "S")]
        secret: Option<String>,
    },
    /// Say what the forge makes of an event: which workflows it starts, rule by rule, which jobs they
    /// have, and what would be launched.
    Explain {
        #[command(flatten)]
        env: EnvArg,
        #[command(flatten)]
        explain: explain::Explain,
    },
    /// The local lab: a cloud and a forge on this machine.
    Lab {
        /// What to do with it.
        #[command(subcommand)]
        command: LabCommand,
    },
    /// Put cases of what forges do, or recorded verdicts of real ones, to the trigger rules, one line of
    /// JSON each.
    #[command(hide = true)]
    Conformance {
        /// A file of cases, or a folder of verdicts.
        path: PathBuf,
    },
    /// Run everything that CI runs, or parts of it.
    #[command(hide = true)]
    Test(test::Asked),
    /// Check the rules of the house that no compiler checks.
    #[command(hide = true)]
    Tidy,
}

/// What is played in a lab or with the rules, and ends with a report.
#[derive(Debug, Subcommand)]
pub enum Played {
    /// Show the whole path on this machine: stacks up, push, machines, green, gone.
    Demo {
        /// Print the report as one JSON object on the last line.
        #[arg(long)]
        json: bool,
        /// Push this workflow instead of the demo's own.
        #[arg(long, value_name = "FILE")]
        workflow: Option<PathBuf>,
        #[command(flatten)]
        forge: ForgeArg,
        /// Tell the dispatcher of the push alone, as older forges and many webhooks do.
        #[arg(long)]
        push_only: bool,
    },
    /// Play many runs of what makes trouble (reruns, cancellations, needs, a large matrix) in the
    /// lab, and count what got lost.
    #[command(hide = true)]
    Soak(soak::Asked),
    /// Push jobs with `services:` and `container:` in the lab, whose machines have a real Docker, and hold what
    /// came of them against the docs. `cargo xtask test docker-jobs` makes what it needs.
    #[command(hide = true)]
    DockerJobs(docker_jobs::Asked),
    /// Push and do other things at random at a real forge, and compare what it queues with what their
    /// deliveries foretell.
    #[command(hide = true)]
    Differential(differential::Asked),
    /// Compare the trigger rules with Gitea's own, built from its module in several versions, on workflow
    /// files and events made at random.
    #[command(hide = true)]
    Judge(judge::Asked),
    /// Play the real dispatcher in a world of faults, in virtual time, and hold it to its promises.
    #[command(hide = true)]
    Simulate(simulate::Asked),
}

/// Whose jobs are paused: everybody's, unless it says whose.
#[derive(Debug, Args)]
pub struct PausedArg {
    /// Those of this pool only.
    #[arg(long, value_name = "NAME", conflicts_with = "repo")]
    pub pool: Option<String>,
    /// Those of this repository only.
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: Option<String>,
}

/// What can be done with secrets.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Set one from a prompt, standard input or a file.
    Set {
        /// webhook, forge-token, registration-token or clone-token.
        name: String,
        #[command(flatten)]
        env: EnvArg,
        /// Read the value from this file.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// What can be done with the lab.
#[derive(Debug, Clone, Subcommand)]
pub enum LabCommand {
    /// Start it.
    Up {
        #[command(flatten)]
        forge: ForgeArg,
    },
    /// End it with everything in it.
    Down,
    /// Show what runs in it.
    Status,
}

/// What was typed. Ends the program where that is no command, or asks for help.
pub fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The commands, with the hidden ones under a heading of their own: clap has one heading for all.
fn command() -> clap::Command {
    let command = Cli::command();
    let styles = command.get_styles();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let hidden = command.get_subcommands().filter(|it| it.is_hide_set());
    let rows = hidden.map(|it| {
        let about = it.get_about().map(ToString::to_string);
        let name = it.get_name();
        format!(
            "\n  {literal}{name:<14}{literal:#}{}",
            about.unwrap_or_default()
        )
    });
    let help = format!(
        "{header}For developers of tinqs-ci:{header:#}{}",
        rows.collect::<String>()
    );
    command.after_help(help)
}
