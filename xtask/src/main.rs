//! `cargo xtask`: the command line. It parses, calls and prints; each command is a file.

#![expect(
    unreachable_pub,
    reason = "a program has no public items; `pub` here means: for the other commands"
)]

mod conformance;
mod demo;
mod diff;
mod differential;
mod down;
mod explain;
mod forge;
mod lab_command;
mod locate;
mod place;
mod render;
mod replay;
mod secret;
mod soak;
mod stage;
mod test;
mod tidy;
mod up;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lab::ForgeProgram;

use crate::place::{Place, environment_path};

/// A self-cleaning CI fleet for Gitea and Forgejo on EC2 Spot.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    /// Act on the local lab instead of AWS; ENV is then `lab` unless named.
    #[arg(long, global = true)]
    lab: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole path on this machine: stacks up, push, machines, green, gone.
    Demo {
        /// Print the report as one JSON object on the last line.
        #[arg(long)]
        json: bool,
        /// Push this workflow instead of the demo's own.
        #[arg(long, value_name = "FILE")]
        workflow: Option<PathBuf>,
        /// stand-in (our own), or gitea: a real one, which is built once.
        #[arg(long, default_value_t)]
        forge: ForgeProgram,
        /// Tell the dispatcher of the push alone, as older forges and many webhooks do.
        #[arg(long)]
        push_only: bool,
    },
    /// Play many runs of what makes trouble (reruns, cancellations, needs, a large matrix) in the
    /// lab, and count what got lost.
    Soak {
        /// stand-in (our own), or gitea: a real one, which is built once.
        #[arg(long, default_value_t)]
        forge: ForgeProgram,
        /// How many; ten kinds take turns.
        #[arg(long, default_value_t = 10)]
        runs: usize,
        /// Print the report as one JSON object on the last line.
        #[arg(long)]
        json: bool,
    },
    /// Push and do other things at random at a real Gitea, and compare what it queues with what their
    /// deliveries foretell.
    Differential(differential::Asked),
    /// Write the templates and user-data of an environment as files.
    Render {
        /// Name in stacks/environments, or a path.
        env: Option<String>,
        /// Folder to write to.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Show what `up` would change. Exit code 0: nothing, 2: something, 1: error.
    Diff {
        /// Name in stacks/environments, or a path.
        env: Option<String>,
        /// Print the plan as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Deploy an environment: show, ask, do exactly that.
    Up {
        /// Name in stacks/environments, or a path.
        env: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// End a deployment with everything that it made.
    Down {
        /// Name in stacks/environments, or a path.
        env: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Manage the secrets in the Parameter Store.
    Secret {
        #[command(subcommand)]
        command: SecretCommand,
    },
    /// Send a stored delivery to the deployed endpoint and print its answer.
    Replay {
        /// The raw body.
        body: PathBuf,
        /// Headers as recorded: {"headers": [[name, value], …]}.
        #[arg(long, value_name = "FILE")]
        headers: Option<PathBuf>,
        /// Sign anew with this secret instead.
        #[arg(long, value_name = "S")]
        secret: Option<String>,
        /// Name in stacks/environments, or a path.
        #[arg(long)]
        env: Option<String>,
    },
    /// Say what the forge makes of an event: which workflows it starts, rule by rule, which jobs they
    /// have, and what would be launched.
    Explain(explain::Explain),
    /// Put cases of what forges do to the trigger rules, one line of JSON each.
    Conformance {
        /// The cases.
        file: PathBuf,
    },
    /// The local lab: a cloud and a forge on this machine.
    Lab {
        #[command(subcommand)]
        command: LabCommand,
    },
    /// Run everything that CI runs.
    Test(test::Asked),
    /// Check the rules of the house that no compiler checks.
    Tidy,
}

#[derive(Debug, Subcommand)]
enum SecretCommand {
    /// Set one from a prompt, standard input or a file.
    Set {
        /// webhook, forge-token, registration-token or clone-token.
        name: String,
        /// Name in stacks/environments, or a path.
        env: Option<String>,
        /// Read the value from this file.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum LabCommand {
    /// Start it.
    Up {
        /// stand-in (our own), or gitea: a real one, which is built once.
        #[arg(long, default_value_t)]
        forge: ForgeProgram,
    },
    /// End it with everything in it.
    Down,
    /// Show what runs in it.
    Status,
}

/// What went wrong, as people read it.
#[derive(Debug)]
struct Failure {
    message: String,
    hint: Option<String>,
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Self {
            message,
            hint: None,
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|word| word == "internal") {
        return lab::internal(&args[2..]);
    }
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads and epoll are there on every Linux");
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(failure) => {
            let mut stderr = std::io::stderr();
            let _ = writeln!(stderr, "error: {}", failure.message);
            if let Some(hint) = failure.hint {
                let _ = writeln!(stderr, " hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let root = root();
    let lab = cli.lab;
    match cli.command {
        Command::Demo {
            json,
            workflow,
            forge,
            push_only,
        } => {
            let hook = if push_only {
                demo::Hook::PushOnly
            } else {
                demo::Hook::Jobs
            };
            let report = demo::run(&root, workflow.as_deref(), forge, hook).await?;
            if json {
                say(&serde_json::to_string(&report)?);
            }
            return Ok(ExitCode::from(u8::from(!report.ok)));
        }
        Command::Soak { forge, runs, json } => {
            let report = soak::run(&root, forge, runs).await?;
            if json {
                say(&serde_json::to_string(&report)?);
            }
            return Ok(ExitCode::from(u8::from(!report.ok)));
        }
        Command::Differential(asked) => {
            let report = differential::run(asked).await?;
            if asked.json {
                say(&serde_json::to_string(&report)?);
            }
            return Ok(ExitCode::from(u8::from(!report.ok)));
        }
        Command::Render { env, out } => {
            render::run(&environment_path(&root, &named(env, lab)), &out)?;
        }
        Command::Diff { env, json } => {
            let place = place_of(&root, env, lab)?;
            let code = diff::run(&place, json).await.map_err(hinted)?;
            return Ok(ExitCode::from(code));
        }
        Command::Up { env, yes } => {
            up::run(&place_of(&root, env, lab)?, yes)
                .await
                .map_err(hinted)?;
        }
        Command::Down { env, yes } => {
            down::run(&place_of(&root, env, lab)?, yes)
                .await
                .map_err(hinted)?;
        }
        Command::Secret {
            command: SecretCommand::Set { name, env, file },
        } => {
            let source = file.map_or(secret::Source::Asked, secret::Source::File);
            secret::set(&place_of(&root, env, lab)?, &name, &source)
                .await
                .map_err(hinted)?;
        }
        Command::Replay {
            body,
            headers,
            secret,
            env,
        } => {
            let place = place_of(&root, env, lab)?;
            let replay = replay::Replay {
                body,
                headers,
                secret,
            };
            return Ok(replay::run(&place, &replay).await?);
        }
        Command::Explain(explain) => {
            let place = place_of(&root, explain.env.clone(), lab)?;
            return Ok(explain::run(&place, &explain).await?);
        }
        Command::Conformance { file } => return Ok(conformance::run(&file)?),
        Command::Lab { command } => match command {
            LabCommand::Up { forge } => lab_command::up(forge).await?,
            LabCommand::Down => lab_command::down().await?,
            LabCommand::Status => lab_command::status().await?,
        },
        Command::Test(asked) => return Ok(test::run(&root, &asked)?),
        Command::Tidy => {
            let found = tidy::print(&root)?;
            return Ok(ExitCode::from(u8::from(found > 0)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The environment that is meant when none is named.
fn named(env: Option<String>, lab: bool) -> String {
    env.unwrap_or_else(|| if lab { "lab" } else { "tinqs" }.to_owned())
}

fn place_of(root: &Path, env: Option<String>, lab: bool) -> Result<Place, Failure> {
    locate::of(root, &named(env, lab), lab).map_err(hinted)
}

fn hinted(error: place::Error) -> Failure {
    let hint = error.hint();
    Failure {
        hint,
        ..Failure::from(error)
    }
}

/// The checkout, which is where this program was built.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// One line of output. A closed pipe is nobody's error.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
