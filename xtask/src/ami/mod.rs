//! `cargo xtask ami`: the images of the fleet.

pub mod images;
mod pins;
#[cfg(test)]
mod pins_tests;
mod script;

use std::path::Path;
use std::process::ExitCode;

use crate::env_arg::EnvArg;
use crate::output::{Failure, hinted};
use crate::target::Target;

/// What can be done with images.
#[derive(Debug, clap::Subcommand)]
pub enum AmiCommand {
    /// What is done with images in an account.
    #[command(flatten)]
    Images(images::ImagesCommand),
    /// Show the checksum of every tool in them, its age and where it was read; or read them anew.
    Pins(pins::Asked),
    /// Print the script that makes an image, which runs as root on a machine in your account.
    Script(script::Asked),
}

/// Does it with the checkout at `root`. What needs an account is done to the deployment that `target` finds by the
/// environment and the command's name.
pub async fn run(
    root: &Path,
    command: AmiCommand,
    target: impl FnOnce(EnvArg, &'static str) -> Result<Target, Failure>,
) -> Result<ExitCode, Failure> {
    match command {
        AmiCommand::Images(mut command) => {
            let (env, word) = command.about();
            let target = target(env, word)?;
            images::run(&target, command).await.map_err(hinted)?;
            Ok(ExitCode::SUCCESS)
        }
        AmiCommand::Pins(asked) => Ok(pins::run(root, &asked).await?),
        AmiCommand::Script(asked) => Ok(script::run(root, &asked)?),
    }
}
