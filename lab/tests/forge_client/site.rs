//! A forge that is asked, its repositories, and a runner in words only.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dispatcher::forge::{Forge, ForgeConfig};
use dispatcher::model::secret::Secret;
use lab::ForgeProgram;
use lab::forge::{self, Version};
use serde_json::{Value, json};
use stacks::pool::ForgeKind;
use workflow::Server;

use crate::support::{self, Bench, ask, forge_config};

/// What a forge calls itself.
const URL: &str = "http://forge.lab:3000";
/// For anything that happens on this machine alone, at its slowest: a Gitea works off pushes one after the
/// other, and one of these has a thousand workflow files (over 30 seconds on a busy machine with 1.26.4).
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at what is about to change.
const LOOK: Duration = Duration::from_millis(50);

/// A forge, with the organization `acme`.
pub(crate) struct Site {
    address: String,
    token: String,
    registration_token: String,
    kind: ForgeKind,
    version: String,
    folder: tempfile::TempDir,
    behind: Behind,
}

/// What it is.
enum Behind {
    StandIn { _forge: forge::Forge },
    Real(Box<Bench>),
}

impl Site {
    /// The forge that the tests run against; `None` where none is possible.
    pub(crate) async fn tested() -> Option<Self> {
        match support::forge() {
            ForgeProgram::StandIn(version) => Some(Self::playing(version).await),
            real @ (ForgeProgram::Gitea(_) | ForgeProgram::Ready(_)) => {
                let bench = Bench::sharing(real).await?;
                let file = bench.lab.file().clone();
                let site = Self {
                    address: file.forge,
                    token: file.forge_token,
                    registration_token: file.registration_token,
                    kind: file.forge_kind,
                    version: file.forge_version,
                    folder: tempfile::tempdir().unwrap(),
                    behind: Behind::Real(Box::new(bench)),
                };
                site.post("orgs", &json!({"username": "acme"})).await;
                Some(site)
            }
        }
    }

    /// The stand-in as this forge.
    pub(crate) async fn playing(version: Version) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = forge::Config {
            data: folder.path().join("forge"),
            admin_token: "admin-token".to_owned(),
            admin_password: "a password".to_owned(),
            registration_token: "registration-token".to_owned(),
            zombie_after: forge::ZOMBIE_AFTER,
            version,
        };
        let forge = forge::start(config).await.unwrap();
        let site = Self {
            address: forge.url(),
            token: "admin-token".to_owned(),
            registration_token: "registration-token".to_owned(),
            kind: version.kind(),
            version: version.told().to_owned(),
            folder,
            behind: Behind::StandIn { _forge: forge },
        };
        site.post("orgs", &json!({"username": "acme"})).await;
        site
    }

    pub(crate) async fn down(self) {
        match self.behind {
            Behind::StandIn { .. } => {}
            Behind::Real(bench) => bench.down().await,
        }
    }

    /// What it says that it is.
    pub(crate) fn server(&self) -> Server {
        Server::parse(&self.version).unwrap()
    }

    pub(crate) fn client(&self) -> Forge {
        self.client_at(&self.address)
    }

    /// The same forge, as something at `endpoint` answers for it.
    pub(crate) fn client_at(&self, endpoint: &str) -> Forge {
        self.client_of(URL, endpoint)
    }

    pub(crate) fn client_of(&self, url: &str, endpoint: &str) -> Forge {
        Forge::new(ForgeConfig {
            labels: vec!["base".to_owned(), "self-hosted".to_owned()],
            endpoint: Some(endpoint.to_owned()),
            token: Secret::new(self.token.clone()),
            ..forge_config(self.kind, url)
        })
        .unwrap()
    }

    /// A new repository `acme/NAME` and where its files are worked on.
    pub(crate) async fn repository(&self, name: &str) -> Work {
        self.post("orgs/acme/repos", &json!({ "name": name })).await;
        let folder = self.folder.path().join("work").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let host = self.address.strip_prefix("http://").unwrap();
        let work = Work {
            name: name.to_owned(),
            folder,
            remote: format!("http://labadmin:{}@{host}/acme/{name}.git", self.token),
        };
        work.git(&["init", "-q", "--initial-branch=main"]);
        work
    }

    /// Pushes `refs`, and waits until the forge knows that the repository is not empty any more: for
    /// a moment after the first push it does not, and some of its pages break (measured on 1.26).
    pub(crate) async fn push(&self, work: &Work, refs: &[&str]) {
        let mut args = vec!["push", "-q", "--force", &work.remote];
        args.extend(refs);
        work.git(&args);
        let path = format!("/api/v1/repos/acme/{}", work.name);
        until("the forge has the push", async || {
            let (_, repository) = self.ask("GET", &path, &[], &Value::Null).await;
            (repository["empty"] == false).then_some(())
        })
        .await;
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self
            .ask("POST", &format!("/api/v1/{path}"), &[], body)
            .await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// Registers a runner with these labels, and gives it the oldest job: the runner's credential and
    /// the task's number.
    pub(crate) async fn take_job(&self, labels: &[&str]) -> Taken {
        self.try_job(labels).await.unwrap()
    }

    /// The same, if there is one.
    pub(crate) async fn try_job(&self, labels: &[&str]) -> Option<Taken> {
        let body = json!({
            "name": "i-asked", "token": self.registration_token, "labels": labels,
            "version": "1", "ephemeral": true,
        });
        let answer = self.rpc("Register", &[], &body).await;
        let text = |field: &str| answer["runner"][field].as_str().unwrap().to_owned();
        let headers = [
            ("x-runner-uuid", text("uuid")),
            ("x-runner-token", text("token")),
        ];
        self.rpc(
            "Declare",
            &headers,
            &json!({"version": "1", "labels": labels}),
        )
        .await;
        let answer = self
            .rpc("FetchTask", &headers, &json!({"tasksVersion": "0"}))
            .await;
        let task = answer["task"]["id"].as_str()?.to_owned();
        Some(Taken { headers, task })
    }

    /// The job of that task has succeeded.
    pub(crate) async fn succeed(&self, taken: &Taken) {
        let state = json!({
            "id": taken.task, "result": "RESULT_SUCCESS",
            "startedAt": "2026-11-24T09:15:00Z", "stoppedAt": "2026-11-24T09:15:02Z", "steps": [],
        });
        let body = json!({ "state": state });
        self.rpc("UpdateTask", &taken.headers, &body).await;
    }

    async fn rpc(&self, method: &str, headers: &[(&str, String)], body: &Value) -> Value {
        let path = format!("/api/actions/runner.v1.RunnerService/{method}");
        let (status, answer) = self.ask("POST", &path, headers, body).await;
        assert_eq!(status, 200, "{method}: {answer}");
        answer
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: &Value,
    ) -> (u16, Value) {
        let mut headers = headers.to_vec();
        if headers.is_empty() && path.starts_with("/api/v1/") {
            headers.push(("authorization", format!("token {}", self.token)));
        }
        ask(method, &format!("{}{path}", self.address), &headers, body).await
    }
}

/// A job that a runner in words only has.
pub(crate) struct Taken {
    headers: [(&'static str, String); 2],
    task: String,
}

/// Asks again until there is an answer.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A clone of a repository.
pub(crate) struct Work {
    name: String,
    folder: PathBuf,
    remote: String,
}

impl Work {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// Takes away whatever is at `name`, and whatever is a file on the way there.
    pub(crate) fn clear(&self, name: &str) {
        for (end, _) in name.match_indices('/') {
            let _ = std::fs::remove_file(self.folder.join(&name[..end]));
        }
        let path = self.folder.join(name);
        let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
    }

    /// Writes `files`, commits everything, and gives the commit's name.
    pub(crate) fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            self.write(name, text);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Lab", "-c", "user.email=labadmin@forge.lab"])
            .args(["-c", "core.quotePath=false"])
            .args(args)
            .current_dir(&self.folder)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("HOME", Path::new("/nowhere"))
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {words}");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }
}
