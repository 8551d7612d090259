//! The process: its database, administrator and token made first, then started until it answers.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Error;
use crate::folder::{FORGE_URL, Folder};
use crate::forge::ADMIN;
use crate::gitea::build::{Programs, run};
use crate::ids::secret;
use crate::supervised::{self, STARTS_MAX, free_address};

/// What is filled in for one lab.
const CONFIGURATION: &str = include_str!("../../gitea/app.ini");

/// A running Gitea. It ends when this is dropped.
pub(crate) struct Gitea {
    address: SocketAddr,
    process: tokio::process::Child,
    /// The administrator's API token, for everything.
    pub(crate) admin_token: String,
    /// The administrator's password, for what only the web pages can do.
    pub(crate) password: String,
    /// Registers runners for the whole forge.
    pub(crate) registration_token: String,
}

impl Gitea {
    /// Starts one in `folder` and waits until it answers.
    pub(crate) async fn start(folder: &Folder, programs: &Programs) -> Result<Self, Error> {
        for _ in 0..STARTS_MAX {
            let Some(address) = free_address() else {
                continue;
            };
            let site = Site {
                folder,
                programs,
                address,
            };
            let (admin_token, password) = site.prepare()?;
            let registration_token = secret();
            let mut process = site.spawn(&registration_token)?;
            let health = format!("http://{address}/api/healthz");
            if supervised::answers("Gitea", &health, &mut process, &log(folder)).await? {
                return Ok(Self {
                    address,
                    process,
                    admin_token,
                    password,
                    registration_token,
                });
            }
        }
        Err(Error::Gitea {
            step: "start",
            output: format!("it ends at once, see {}", log(folder).display()),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for its end, which nobody wants while the lab is up.
    pub(crate) async fn ended(&mut self) -> String {
        format!("{:?}", self.process.wait().await)
    }
}

/// One Gitea that is about to be.
struct Site<'a> {
    folder: &'a Folder,
    programs: &'a Programs,
    address: SocketAddr,
}

impl Site<'_> {
    fn home(&self) -> PathBuf {
        self.folder.forge()
    }

    fn configuration(&self) -> PathBuf {
        self.home().join("app.ini")
    }

    /// Database, administrator and token: token and password.
    fn prepare(&self) -> Result<(String, String), Error> {
        let home = self.home();
        let _ = fs::remove_dir_all(&home);
        let text = CONFIGURATION
            .replace("@FOLDER@", &home.display().to_string())
            .replace("@PORT@", &self.address.port().to_string())
            .replace("@ROOT_URL@", FORGE_URL)
            .replace("@ASSETS@", &self.programs.assets().display().to_string())
            .replace("@SECRET_KEY@", &secret());
        fs::create_dir_all(&home)
            .and_then(|()| fs::write(self.configuration(), text))
            .map_err(|error| Error::file(&home, error))?;
        self.command("migrate", &["migrate"])?;
        let user = [
            "admin",
            "user",
            "create",
            "--admin",
            "--username",
            ADMIN,
            "--random-password",
            "--email",
            "labadmin@forge.lab",
            "--must-change-password=false",
        ];
        let printed = self.command("admin user create", &user)?;
        let password = quoted(&printed).ok_or_else(|| Error::Gitea {
            step: "admin user create",
            output: "it printed no password".to_owned(),
        })?;
        let token = [
            "admin",
            "user",
            "generate-access-token",
            "--username",
            ADMIN,
            "--scopes",
            "all",
            "--raw",
        ];
        let printed = self.command("generate-access-token", &token)?;
        let token = token_in(&printed).ok_or_else(|| Error::Gitea {
            step: "generate-access-token",
            output: "it printed no token".to_owned(),
        })?;
        Ok((token.to_owned(), password.to_owned()))
    }

    fn command(&self, step: &'static str, arguments: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(self.programs.server());
        command
            .arg("--config")
            .arg(self.configuration())
            .args(arguments);
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        run(step, &mut command)
    }

    fn environment(&self) -> [(&'static str, std::ffi::OsString); 3] {
        let home = self.home();
        [
            // It has no rights beyond those of the lab, which is root or thinks that it is.
            ("GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT", "true".into()),
            ("GITEA_WORK_DIR", home.clone().into()),
            ("HOME", home.into()),
        ]
    }

    fn spawn(&self, registration_token: &str) -> Result<tokio::process::Child, Error> {
        let log = log(self.folder);
        let failed = |error| Error::file(&log, error);
        let out = fs::File::create(&log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let program = self.programs.server();
        supervised::command(self.folder, &program)
            .arg("--config")
            .arg(self.configuration())
            .arg("web")
            .envs(self.environment())
            .env("GITEA_RUNNER_REGISTRATION_TOKEN", registration_token)
            .current_dir(self.home())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| Error::file(&program, error))
    }
}

/// The token among lines of the log, which goes to the same place.
fn token_in(text: &str) -> Option<&str> {
    let is_token = |line: &&str| line.len() == 40 && line.bytes().all(|b| b.is_ascii_hexdigit());
    text.lines().map(str::trim).find(is_token)
}

/// The password in quotes, after the words that announce it.
fn quoted(text: &str) -> Option<&str> {
    let announced = text.lines().find(|line| line.contains("password is"))?;
    announced.split('\'').nth(1)
}

/// Its log.
pub(super) fn log(folder: &Folder) -> PathBuf {
    folder.path().join("gitea.log")
}
