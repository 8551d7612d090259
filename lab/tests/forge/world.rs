//! A forge of a test's own, its repository, runner processes and hook listeners.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use lab::forge::{self, Forge, Version};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::process::{Child, Command};

use crate::support::{ask, push};

pub(crate) const ADMIN: &str = "admin-token";
pub(crate) const PASSWORD: &str = "a password";
/// Who makes tokens: a token can't.
pub(crate) const ADMIN_BY_PASSWORD: &str = "labadmin:a password";
pub(crate) const REGISTRATION: &str = "registration-token";
const SECRET: &str = "lab-webhook-secret-0123456789";
/// For anything that happens on this machine alone, at its slowest.
const PATIENCE: Duration = Duration::from_secs(30);

/// A token, or `user:password`.
fn authorization(token: &str) -> String {
    if token.contains(':') {
        return format!("Basic {}", STANDARD.encode(token));
    }
    format!("token {token}")
}

/// A forge with the repository `acme/app`, and a folder for everything.
pub(crate) struct World {
    pub(crate) forge: Forge,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(zombie_after: Duration) -> Self {
        Self::playing(Version::default(), zombie_after).await
    }

    /// The stand-in as another forge.
    pub(crate) async fn playing(version: Version, zombie_after: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = forge::Config {
            data: folder.path().join("repositories"),
            admin_token: ADMIN.to_owned(),
            admin_password: PASSWORD.to_owned(),
            registration_token: REGISTRATION.to_owned(),
            zombie_after,
            version,
        };
        let forge = forge::start(config).await.unwrap();
        let world = Self { forge, folder };
        world.post("orgs", &json!({"username": "acme"}), 201).await;
        let repository = json!({"name": "app", "private": true});
        world.post("orgs/acme/repos", &repository, 201).await;
        world
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, ADMIN, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: &Value, expected: u16) -> Value {
        let (status, answer) = self.ask("POST", path, ADMIN, body).await;
        assert_eq!(status, expected, "{path}: {answer}");
        answer
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> (u16, Value) {
        let path = match path.strip_prefix('/') {
            Some(path) => path.to_owned(),
            None => format!("api/v1/{path}"),
        };
        let url = format!("{}/{path}", self.forge.url());
        let token = [("authorization", authorization(token))];
        ask(method, &url, &token, body).await
    }

    pub(crate) async fn hook(&self, url: &str, events: &[&str]) {
        let hook = json!({
            "type": "gitea", "active": true, "events": events,
            "config": {"url": url, "content_type": "json", "secret": SECRET},
        });
        self.post("repos/acme/app/hooks", &hook, 201).await;
    }

    /// Commits `workflow` as the repository's and pushes it; whether git was content.
    pub(crate) async fn push(&self, token: &str, workflow: &str) -> bool {
        let work = self.folder.path().join("work");
        let address = self.forge.address();
        let url = format!("http://lab:{token}@{address}/acme/app.git");
        push(&work, ".gitea/workflows/ci.yml", workflow, &url).await
    }

    /// Writes a file that the next push brings.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.folder.path().join("work").join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// A folder of the test's own.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn log_of_first(&self) -> String {
        let (status, log) = self
            .ask(
                "GET",
                "repos/acme/app/actions/jobs/1/logs",
                ADMIN,
                &Value::Null,
            )
            .await;
        match status {
            200 => log.as_str().unwrap_or_default().to_owned(),
            _ => String::new(),
        }
    }

    pub(crate) async fn jobs(&self) -> Vec<Value> {
        let answer = self.get("repos/acme/app/actions/jobs").await;
        answer["jobs"].as_array().unwrap().clone()
    }

    /// `name status[/conclusion]` of every job.
    pub(crate) async fn standing(&self) -> Vec<String> {
        self.jobs()
            .await
            .iter()
            .map(|job| {
                let conclusion = job["conclusion"].as_str();
                let conclusion = conclusion.map(|word| format!("/{word}"));
                format!(
                    "{} {}{}",
                    job["name"].as_str().unwrap(),
                    job["status"].as_str().unwrap(),
                    conclusion.unwrap_or_default()
                )
            })
            .collect()
    }

    pub(crate) async fn runner_names(&self) -> Vec<String> {
        let answer = self.get("admin/actions/runners").await;
        let runners = answer["runners"].as_array().unwrap();
        runners
            .iter()
            .map(|runner| runner["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Registers an ephemeral runner and starts its process.
    pub(crate) async fn runner(&self, name: &str, labels: &[&str], config: &str) -> Runner {
        let register = json!({
            "name": name, "token": REGISTRATION, "labels": labels, "ephemeral": true,
        });
        let path = "/api/actions/runner.v1.RunnerService/Register";
        let answer = self.post(path, &register, 200).await;
        let of = &answer["runner"];
        let labels: Vec<String> = labels.iter().map(|label| format!("{label}:host")).collect();
        let document = json!({
            "id": of["id"].as_str().unwrap().parse::<i64>().unwrap(),
            "uuid": of["uuid"], "token": of["token"], "name": of["name"],
            "address": self.forge.url(), "labels": labels, "ephemeral": true,
        });
        let folder = self.folder.path().join(name);
        Runner::start(&folder, &document, config)
    }
}

pub(crate) struct Runner {
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
}

impl Runner {
    pub(crate) fn start(folder: &Path, document: &Value, config: &str) -> Self {
        Self::start_as(&["gitea-runner", "daemon"], folder, document, config)
    }

    /// Another program, for another task.
    pub(crate) fn start_as(
        program: &[&str],
        folder: &Path,
        document: &Value,
        config: &str,
    ) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(".runner"), document.to_string()).unwrap();
        std::fs::write(folder.join("config.yaml"), config).unwrap();
        let log = folder.join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_lab-internal"))
            .arg("internal")
            .args(program)
            .args(["--config", "config.yaml"])
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", folder)
            .env("CI_TEST_MARK", "of the daemon")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        status.expect("the runner ends").unwrap().code()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

/// Asks again until it is so.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A hook's other end: keeps what arrives, answers after `delay`.
pub(crate) async fn listener(delay: Duration) -> (String, Arc<Mutex<Vec<Arrival>>>) {
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&arrivals);
    let app = axum::Router::new().fallback(async move |headers: http::HeaderMap, body: Bytes| {
        kept.lock().unwrap().push(Arrival {
            at: Instant::now(),
            headers,
            body,
        });
        tokio::time::sleep(delay).await;
        http::StatusCode::ACCEPTED
    });
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/dispatch", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, app).await });
    (url, arrivals)
}

pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Arrival {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn is_signed(&self) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(&self.body);
        self.header("x-gitea-signature") == hex::encode(mac.finalize().into_bytes())
    }
}
