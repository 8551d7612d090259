//! A real Gitea without the rest of the lab: for what is about the forge's rules and needs no machine.

use std::path::Path;

use crate::Error;
use crate::folder::Folder;
use crate::forge::ADMIN;
use crate::gitea::build::Programs;
use crate::gitea::server::{Gitea, log};
use crate::machine::image;

/// A running Gitea and its administrator. It ends with this value, and with this process.
pub struct StandaloneGitea {
    folder: Folder,
    gitea: Gitea,
}

impl StandaloneGitea {
    /// Starts one that keeps its things in `folder`, which is nobody else's. The program that runs
    /// needs the `internal` commands. `progress` hears of every step that takes a while.
    pub async fn start(folder: &Path, mut progress: impl FnMut(&str)) -> Result<Self, Error> {
        let programs = Programs::build(&mut progress)?;
        let folder = Folder::at(folder);
        let program = std::env::current_exe().map_err(|error| Error::bug(&error))?;
        image::install_program(&folder, &program)?;
        progress("starting Gitea");
        let gitea = Gitea::start(&folder, &programs).await?;
        Ok(Self { folder, gitea })
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.gitea.address())
    }

    /// The administrator's name.
    #[must_use]
    pub fn user(&self) -> &'static str {
        ADMIN
    }

    /// The administrator's API token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.gitea.admin_token
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> std::path::PathBuf {
        log(&self.folder)
    }
}
