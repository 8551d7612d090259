//! How the forge of a lab is named on command lines.

use std::path::PathBuf;

use clap::Args;
use lab::ForgeProgram;

/// The forge that a lab has: the same options in every command.
#[derive(Debug, Clone, Args)]
pub struct ForgeArg {
    /// stand-in (our own), gitea (a real one, the newest that the lab builds, once), or gitea@1.26.4.
    #[arg(long, value_name = "FORGE", conflicts_with = "forge_programs")]
    forge: Option<ForgeProgram>,
    /// Take the programs in this folder: server, its templates and options, and runner, of a Gitea or a
    /// Forgejo.
    #[arg(long, value_name = "DIR")]
    forge_programs: Option<PathBuf>,
}

impl ForgeArg {
    /// The forge that was asked for, or `default`.
    pub fn or(self, default: ForgeProgram) -> ForgeProgram {
        let ready = self.forge_programs.as_deref().map(ForgeProgram::ready);
        self.forge.or(ready).unwrap_or(default)
    }

    /// The same where the stand-in is the default.
    pub fn program(self) -> ForgeProgram {
        self.or(ForgeProgram::default())
    }
}
