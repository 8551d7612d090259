//! Where the lab keeps its things, and the file that tells other commands how to reach it.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use workflow::ForgeKind;

use crate::Error;
use crate::forge_program::ForgeProgram;

/// Overrides the folder, so that several labs (tests) live side by side.
pub const ENV_FOLDER: &str = "CI_LAB_DIR";
/// Marks every process that the lab starts, with the lab's folder as its value: `down` and the
/// count of what is left find them by it after a crash.
pub(crate) const ENV_MARK: &str = "CI_LAB";
/// The lab's one account. `ministack` takes a 12-digit access key for the account itself.
pub const ACCOUNT: &str = "111111111111";
/// The lab's region, that of the reference.
pub const REGION: &str = "eu-west-1";
/// The secret of the recorded deliveries, so that they can be replayed against the lab.
pub const WEBHOOK_SECRET: &str = "lab-webhook-secret-0123456789";
/// The forge's address as environments and runners know it.
pub const FORGE_URL: &str = "http://forge.lab:3000";

/// What is fetched once and serves all checkouts.
#[must_use]
pub fn cache_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || {
            let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
            PathBuf::from(home).join(".cache")
        },
        PathBuf::from,
    );
    cache.join("tinqs-ci")
}

/// Where that is kept which the file `listing` pins, installed as `kind` has it: another content of the file is
/// another folder.
pub fn cache_folder_for(kind: &str, listing: &Path) -> io::Result<PathBuf> {
    let digest = Sha256::digest(fs::read(listing)?);
    Ok(cache_folder().join(format!("{kind}-{}", hex::encode(&digest[..6]))))
}

/// The lab's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// `CI_LAB_DIR`, else `.lab` in the checkout.
    #[must_use]
    pub fn default_one() -> Self {
        let path = std::env::var_os(ENV_FOLDER).map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.lab")),
            PathBuf::from,
        );
        Self::at(&path)
    }

    /// The folder at `path`, which need not exist yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let parent = absolute.parent().and_then(|up| up.canonicalize().ok());
        match (parent, absolute.file_name()) {
            (Some(parent), Some(name)) => Self(parent.join(name)),
            (None, _) | (_, None) => Self(absolute),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `lab.json`, there while a lab runs.
    #[must_use]
    pub fn lab_file(&self) -> PathBuf {
        self.0.join("lab.json")
    }

    /// The daemon's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("serve.log")
    }

    /// What a real forge says. A stand-in says nothing here.
    #[must_use]
    pub fn forge_log(&self) -> PathBuf {
        self.0.join("forge.log")
    }

    /// What every instance's root is made of.
    pub(crate) fn image(&self) -> PathBuf {
        self.0.join("image")
    }

    /// What the lab lays over a Debian.
    pub(crate) fn debian(&self) -> PathBuf {
        self.0.join("debian")
    }

    /// One folder per instance.
    pub(crate) fn instances(&self) -> PathBuf {
        self.0.join("instances")
    }

    /// The emulator's home, with its temporary files.
    pub(crate) fn emulator(&self) -> PathBuf {
        self.0.join("ministack")
    }

    /// The emulator's log.
    pub(crate) fn emulator_log(&self) -> PathBuf {
        self.0.join("ministack.log")
    }

    /// The forge's repositories, and the real one's database.
    pub(crate) fn forge(&self) -> PathBuf {
        self.0.join("forge")
    }

    /// Removes everything but the logs, which tell what went wrong.
    pub(crate) fn clear(&self) -> io::Result<()> {
        for gone in [
            self.image(),
            self.debian(),
            self.instances(),
            self.emulator(),
            self.forge(),
        ] {
            match fs::remove_dir_all(&gone) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        match fs::remove_file(self.lab_file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// How other commands reach a running lab.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabFile {
    /// The daemon.
    pub pid: i32,
    /// All of AWS but EC2.
    pub aws_endpoint: String,
    /// EC2, and the lab's own `/_lab` endpoints.
    pub ec2_endpoint: String,
    /// What stands for API Gateway: `POST /dispatch`, `POST /runner`.
    pub front_door: String,
    /// Which forge it has.
    pub forge_program: ForgeProgram,
    /// What the forge answers at `/api/v1/version`.
    pub forge_version: String,
    /// What an environment calls it.
    pub forge_kind: ForgeKind,
    /// The forge as the host reaches it; instances know it as [`FORGE_URL`].
    pub forge: String,
    /// Access key for both endpoints.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The account; [`ACCOUNT`] where the lab has an emulator of its own.
    pub account: String,
    /// [`REGION`].
    pub region: String,
    /// API token of the forge's administrator.
    pub forge_token: String,
    /// Password of that administrator, `labadmin`, for the forge's web pages.
    pub forge_password: String,
    /// The forge's reusable registration token.
    pub registration_token: String,
    /// [`WEBHOOK_SECRET`].
    pub webhook_secret: String,
}

impl std::fmt::Debug for LabFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LabFile")
            .field("pid", &self.pid)
            .field("aws_endpoint", &self.aws_endpoint)
            .field("ec2_endpoint", &self.ec2_endpoint)
            .field("front_door", &self.front_door)
            .field("forge", &self.forge)
            .finish_non_exhaustive()
    }
}

impl LabFile {
    /// The file of `folder`, when there is one that can be read.
    #[must_use]
    pub fn read(folder: &Folder) -> Option<Self> {
        let text = fs::read(folder.lab_file()).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Puts the file in place in one step: who sees it sees all of it.
    pub(crate) fn write(&self, folder: &Folder) -> Result<(), Error> {
        let path = folder.lab_file();
        let draft = path.with_extension("draft");
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::bug(&error))?;
        let write = || -> io::Result<()> {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)?;
            io::Write::write_all(&mut file, &text)?;
            fs::rename(&draft, &path)
        };
        write().map_err(|source| Error::file(&path, source))
    }
}
