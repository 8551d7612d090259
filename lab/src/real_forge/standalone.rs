//! A real forge without the rest of the lab: for what is about the forge's rules and needs no machine.

use std::path::Path;

use super::programs::Programs;
use super::server::{RealForge, log};
use crate::Error;
use crate::folder::Folder;
use crate::forge::ADMIN;
use crate::forge_program::{ForgeProgram, ForgeQueue};
use crate::machine::image;

/// A running forge and its administrator. It ends with this value, and with this process.
pub struct StandaloneForge {
    folder: Folder,
    forge: RealForge,
}

impl StandaloneForge {
    /// Starts `program`, no stand-in, which keeps its things in `folder`, which is nobody else's. The
    /// program that runs needs the `internal` commands. `progress` hears of every step that takes a
    /// while.
    pub async fn start(
        program: &ForgeProgram,
        folder: &Path,
        mut progress: impl FnMut(&str),
    ) -> Result<Self, Error> {
        let programs = Programs::of(program, &mut progress)?;
        let programs = programs.ok_or(Error::StandInAlone)?;
        let folder = Folder::at(folder);
        let program = std::env::current_exe().map_err(|error| Error::bug(&error))?;
        image::install_program(&folder, &program)?;
        progress("starting the forge");
        let forge = RealForge::start(&folder, &programs, ForgeQueue::default()).await?;
        Ok(Self { folder, forge })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.forge.address())
    }

    /// What it answers at `/api/v1/version`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.forge.version
    }

    /// The administrator's name.
    #[must_use]
    pub fn user(&self) -> &'static str {
        ADMIN
    }

    /// The administrator's API token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.forge.admin_token
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> std::path::PathBuf {
        log(&self.folder)
    }
}
