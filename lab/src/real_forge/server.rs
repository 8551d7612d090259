//! The process: its database, administrator and token made first, then started until it answers.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use http::Method;
use serde_json::Value;
use workflow::{ForgeKind, Server};

use super::build::run;
use super::programs::Programs;
use crate::Error;
use crate::folder::{FORGE_URL, Folder};
use crate::forge::ADMIN;
use crate::forge_program::ForgeQueue;
use crate::http::json;
use crate::ids::secret;
use crate::supervised::{self, STARTS_MAX, free_address};

/// What is filled in for one lab.
const CONFIGURATION: &str = include_str!("../../gitea/app.ini");

/// A running Gitea or Forgejo. It ends when this is dropped.
pub(crate) struct RealForge {
    address: SocketAddr,
    process: tokio::process::Child,
    secret_key: String,
    queue: ForgeQueue,
    /// What it answers at `/api/v1/version`.
    pub(crate) version: String,
    /// The administrator's API token, for everything.
    pub(crate) admin_token: String,
    /// The administrator's password, for what only the web pages can do.
    pub(crate) password: String,
    /// Registers runners for the whole forge.
    pub(crate) registration_token: String,
}

impl RealForge {
    /// Starts one in `folder` and waits until it answers.
    pub(crate) async fn start(
        folder: &Folder,
        programs: &Programs,
        queue: ForgeQueue,
    ) -> Result<Self, Error> {
        for _ in 0..STARTS_MAX {
            let Some(address) = free_address() else {
                continue;
            };
            let site = Site {
                folder,
                programs,
                address,
                queue,
            };
            let secret_key = secret();
            let (admin_token, password) = site.prepare(&secret_key)?;
            let chosen = secret();
            let mut process = site.spawn(&chosen)?;
            let health = format!("http://{address}/api/healthz");
            if supervised::answers("the forge", &health, &mut process, &log(folder)).await? {
                let registration_token = match programs.server_kind() {
                    ForgeKind::Gitea => chosen,
                    ForgeKind::Forgejo => site.registration_token(&admin_token).await?,
                };
                return Ok(Self {
                    address,
                    process,
                    secret_key,
                    queue,
                    version: site.version().await?,
                    admin_token,
                    password,
                    registration_token,
                });
            }
        }
        Err(Error::RealForge {
            step: "start",
            output: format!("it ends at once, see {}", log(folder).display()),
        })
    }

    /// Goes on with other programs over the same data, as somebody updates a server: it is stopped, and
    /// what is started then migrates the database.
    pub(crate) async fn update(
        &mut self,
        folder: &Folder,
        programs: &Programs,
    ) -> Result<(), Error> {
        supervised::stop(&mut self.process).await;
        let site = Site {
            folder,
            programs,
            address: self.address,
            queue: self.queue,
        };
        site.configure(&self.secret_key)?;
        self.process = site.spawn(&self.registration_token)?;
        let health = format!("http://{}/api/healthz", self.address);
        let log = log(folder);
        if !supervised::answers("the forge", &health, &mut self.process, &log).await? {
            return Err(Error::RealForge {
                step: "start of the new version",
                output: format!("it ends at once, see {}", log.display()),
            });
        }
        self.version = site.version().await?;
        Ok(())
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

/// One forge that is about to be.
struct Site<'a> {
    folder: &'a Folder,
    programs: &'a Programs,
    address: SocketAddr,
    queue: ForgeQueue,
}

impl Site<'_> {
    fn home(&self) -> PathBuf {
        self.folder.forge()
    }

    fn configuration(&self) -> PathBuf {
        self.home().join("app.ini")
    }

    fn configure(&self, secret_key: &str) -> Result<(), Error> {
        let home = self.home();
        let text = CONFIGURATION
            .replace("@FOLDER@", &home.display().to_string())
            .replace("@PORT@", &self.address.port().to_string())
            .replace("@ROOT_URL@", FORGE_URL)
            .replace("@QUEUE@", self.queue.word())
            .replace("@ASSETS@", &self.programs.assets().display().to_string())
            .replace("@SECRET_KEY@", secret_key);
        fs::create_dir_all(&home)
            .and_then(|()| fs::write(self.configuration(), text))
            .map_err(|error| Error::file(&home, error))
    }

    /// Database, administrator and token: token and password.
    fn prepare(&self, secret_key: &str) -> Result<(String, String), Error> {
        let _ = fs::remove_dir_all(self.home());
        self.configure(secret_key)?;
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
        let password = quoted(&printed).ok_or_else(|| Error::RealForge {
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
        let token = token_in(&printed).ok_or_else(|| Error::RealForge {
            step: "generate-access-token",
            output: "it printed no token".to_owned(),
        })?;
        Ok((token.to_owned(), password.to_owned()))
    }

    /// What it says that it is, which must be what its program said.
    async fn version(&self) -> Result<String, Error> {
        let path = "/api/v1/version";
        let answer = self.get(path, None).await?;
        let version = answer["version"].as_str().unwrap_or_default();
        let server = Server::parse(version);
        if server.is_some_and(|server| server.kind == self.programs.server_kind()) {
            return Ok(version.to_owned());
        }
        let program = self.programs.server().display();
        Err(Error::RealForge {
            step: "ask the server for its version",
            output: format!("{program} says {version:?} at {path}"),
        })
    }

    /// Forgejo makes its own; it is in nobody's environment.
    async fn registration_token(&self, admin_token: &str) -> Result<String, Error> {
        let path = "/api/v1/admin/runners/registration-token";
        let answer = self.get(path, Some(admin_token)).await?;
        let token = answer["token"].as_str().map(str::to_owned);
        token.ok_or_else(|| Error::RealForge {
            step: "ask for a registration token",
            output: format!("there is none at {path}"),
        })
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Result<Value, Error> {
        let url = format!("http://{}{path}", self.address);
        Ok(json(Method::GET, &url, token, &Value::Null).await?)
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

    fn environment(&self) -> [(&'static str, std::ffi::OsString); 2] {
        let home = self.home();
        [
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
        supervised::command(self.folder, program)
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
            .map_err(|error| Error::file(program, error))
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
    folder.forge_log()
}
