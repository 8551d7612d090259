//! tinqs-ci, run as `cargo xtask`: the command line. It parses, calls and prints; each command is a
//! file.

#![expect(
    unreachable_pub,
    reason = "a program has no public items; `pub` here means: for the other commands"
)]

mod acceptance;
mod ami;
mod boot_bench;
mod cli;
mod demo;
mod diff;
mod differential;
mod docker_jobs;
mod down;
mod env_arg;
mod environments;
mod error;
mod explain;
mod forge;
mod forge_arg;
mod judge;
mod lab_command;
mod lab_deployment;
mod output;
mod pause;
mod permissions;
mod rehearse;
mod render;
mod replay;
mod secret;
mod simulate;
mod smoke_test;
mod soak;
mod target;
mod terminal;
mod test;
mod tidy;
mod up;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{Cli, Command, LabCommand, Played, SecretCommand};
use crate::env_arg::EnvArg;
use crate::environments::Unnamed;
use crate::output::{Failure, hinted, say};
use crate::target::Target;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|word| word == "internal") {
        return lab::internal(&args[2..]);
    }
    let cli = cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads and epoll are there on every Linux");
    runtime
        .block_on(run(cli))
        .unwrap_or_else(|failure| failure.report())
}

async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let checkout = Checkout {
        root: root(),
        lab: cli.lab,
    };
    let root = &checkout.root;
    match cli.command {
        Command::Played(played) => return play(root, played).await,
        Command::Render { env, out } => {
            let env = checkout.environment(env, "render", Unnamed::Default)?;
            render::run(&environments::path(root, &env), &out)?;
        }
        Command::Ami { command } => {
            let target = |env, word| checkout.target(env, word, Unnamed::Default);
            return ami::run(root, command, target).await;
        }
        Command::Permissions { env, images } => {
            let env = checkout.environment(env, "permissions", Unnamed::Default)?;
            permissions::run(&environments::path(root, &env), images)?;
        }
        Command::Diff { env, json } => {
            let target = checkout.target(env, "diff", Unnamed::Default)?;
            let code = diff::run(&target, json).await.map_err(hinted)?;
            return Ok(ExitCode::from(code));
        }
        Command::Up {
            env,
            yes,
            include_waiting,
        } => {
            let target = checkout.target(env, "up", Unnamed::Ask { yes })?;
            up::run(&target, yes).await.map_err(hinted)?;
            tell_waiting(&target, include_waiting).await?;
        }
        Command::Pause { env, what, reason } => {
            let target = checkout.target(env, "pause", Unnamed::Default)?;
            let paused = pause::pause(&target, what, &reason);
            paused.await.map_err(hinted)?;
        }
        Command::Resume { env, what } => {
            let target = checkout.target(env, "resume", Unnamed::Default)?;
            pause::resume(&target, what).await.map_err(hinted)?;
        }
        Command::Rehearse { env } => {
            let target = checkout.target(env, "rehearse", Unnamed::Default)?;
            rehearse::run(&target).await.map_err(hinted)?;
        }
        Command::SmokeTest { env, which } => {
            let target = checkout.target(env, "smoke-test", Unnamed::Default)?;
            smoke_test::run(&target, &which).await.map_err(hinted)?;
        }
        Command::BootBench { env, asked } => checkout.boot_bench(env, &asked).await?,
        Command::Acceptance { env, asked } => {
            let unnamed = Unnamed::Ask { yes: asked.yes };
            let target = checkout.target(env, "acceptance", unnamed)?;
            acceptance::run(&target, &asked).await.map_err(hinted)?;
        }
        Command::Down { env, yes } => {
            let target = checkout.target(env, "down", Unnamed::Refuse)?;
            down::run(&target, yes).await.map_err(hinted)?;
        }
        Command::Secret {
            command: SecretCommand::Set { name, env, file },
        } => {
            let target = checkout.target(env, "secret set", Unnamed::Default)?;
            let set = secret::set(&target, &name, file.as_deref());
            set.await.map_err(hinted)?;
        }
        Command::Replay {
            body,
            env,
            headers,
            secret,
        } => {
            let target = checkout.target(env, "replay", Unnamed::Default)?;
            let replay = replay::Replay {
                body,
                headers,
                secret,
            };
            return Ok(replay::run(&target, &replay).await?);
        }
        Command::Explain { env, explain } => {
            let target = checkout.target(env, "explain", Unnamed::Default)?;
            return Ok(explain::run(&target, &explain).await?);
        }
        Command::Conformance { path } => return conform(&path),
        Command::Lab { command } => match command {
            LabCommand::Up { forge } => lab_command::up(forge.program()).await?,
            LabCommand::Down => lab_command::down().await?,
            LabCommand::Status => lab_command::status().await?,
        },
        Command::Test(asked) => return Ok(test::run(root, &asked)?),
        Command::Tidy => return Ok(ExitCode::from(u8::from(tidy::print(root)? > 0))),
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares the rules with a folder of verdicts, or with a file of cases.
fn conform(path: &Path) -> Result<ExitCode, Failure> {
    let ok = if path.is_dir() {
        conformance::verdicts::run(path, say)?
    } else {
        conformance::cases::run(path, say)?
    };
    Ok(ExitCode::from(u8::from(!ok)))
}

/// What is played in a lab or with the rules, and ends with a report.
async fn play(root: &Path, what: Played) -> Result<ExitCode, Failure> {
    match what {
        Played::Demo {
            json,
            workflow,
            forge,
            push_only,
        } => {
            let report = demo::run(root, workflow.as_deref(), forge.program(), push_only).await?;
            played(report.ok, json.then_some(&report))
        }
        Played::Soak(asked) => {
            let json = asked.json;
            match soak::run(root, asked).await? {
                soak::Played::Runs(report) => played(report.ok, json.then_some(&report)),
                soak::Played::Update(report) => played(report.ok, json.then_some(&report)),
            }
        }
        Played::DockerJobs(asked) => {
            let json = asked.json;
            let report = docker_jobs::run(root, asked).await?;
            played(report.ok, json.then_some(&report))
        }
        Played::Differential(asked) => {
            let json = asked.json;
            let report = differential::run(asked).await?;
            played(report.ok, json.then_some(&report))
        }
        Played::Simulate(asked) => {
            let report = simulate::run(&asked)?;
            played(report.ok, asked.json.then_some(&report))
        }
        Played::Judge(asked) => {
            let report = judge::run(root, &asked)?;
            played(report.ok, asked.json.then_some(&report))
        }
    }
}

/// Says which jobs waited before the deployment was there. Who has not asked for them is not kept from
/// anything if the forge can't say: it may have no token yet.
async fn tell_waiting(target: &Target, include: bool) -> Result<(), Failure> {
    match pause::waiting(target, include).await {
        Err(error) if include => Err(hinted(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The exit code of what was played, after its report as JSON, if that was asked for.
fn played(ok: bool, report: Option<&impl serde::Serialize>) -> Result<ExitCode, Failure> {
    if let Some(report) = report {
        say(&serde_json::to_string(report)?);
    }
    Ok(ExitCode::from(u8::from(!ok)))
}

/// Where commands find environments, and where those are deployed.
struct Checkout {
    root: PathBuf,
    lab: bool,
}

impl Checkout {
    /// Measures a deployment on AWS, or the lab's, in a lab of its own.
    async fn boot_bench(&self, env: EnvArg, asked: &boot_bench::Asked) -> Result<(), Failure> {
        if self.lab {
            boot_bench::in_lab(&self.root, asked).await?;
        } else {
            let target = self.target(env, "boot-bench", Unnamed::Default)?;
            boot_bench::run(&target, asked).await.map_err(hinted)?;
        }
        Ok(())
    }

    fn environment(
        &self,
        env: EnvArg,
        command: &'static str,
        unnamed: Unnamed,
    ) -> Result<String, Failure> {
        environments::choose(&self.root, env.name(), self.lab, command, unnamed).map_err(hinted)
    }

    fn target(
        &self,
        env: EnvArg,
        command: &'static str,
        unnamed: Unnamed,
    ) -> Result<Target, Failure> {
        let env = self.environment(env, command, unnamed)?;
        target::of(&self.root, &env, self.lab).map_err(hinted)
    }
}

/// The checkout, which is where this program was built.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
