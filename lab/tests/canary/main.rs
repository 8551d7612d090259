//! Nothing leaked: a whole run with the real commands, function and machines, in which a job succeeds, one
//! fails, and tokens are wrong. Of the planted tokens, and of each credential as it is given away, nothing is
//! in whatever was written or said meanwhile, nor in the arguments or environment of any process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod places;
mod search;
#[path = "../support/mod.rs"]
mod support;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lab::Entry;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stacks::names::Names;

use self::commands::Commands;
use self::places::Text;
use self::search::Search;
use self::support::{Bench, ask};
use self::watch::Watch;

/// The deployment.
const NAME: &str = "canary-ci";
/// Whose jobs have a pool of their own, with a clone token.
const ORGANIZATION: &str = "soak-team";
/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often somebody looks, at the ledger too.
const LOOK: Duration = Duration::from_millis(200);
/// What stands in a text that was looked through: the name of the repository, which is no secret.
const SHOWN_IN: [&str; 7] = [
    "the ledger",
    "log /",
    "the forge's",
    "http://",
    "output of --lab explain",
    "cmdline of",
    "environ of",
];

struct Run {
    bench: Bench,
    commands: Commands,
    names: Names,
    environment: String,
    /// The repository's name, which shows everywhere.
    shown: String,
    /// What must show nowhere, by name.
    secrets: Vec<(&'static str, String)>,
    texts: Vec<Text>,
    work: tempfile::TempDir,
}

fn random(what: &str) -> String {
    let letters = std::iter::repeat_with(fastrand::alphanumeric);
    format!("canary-{what}-{}", letters.take(24).collect::<String>())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_shows_anywhere_in_a_whole_run() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let watch = Watch::begin();
    let mut run = Run::of(bench).await;
    run.deploy_with_wrong_tokens().await;
    run.push().await;
    run.until_machines_are_refused().await;
    run.set_right_tokens().await;
    run.until_jobs_are_over().await;
    run.look_around().await;
    run.down().await;
    let seen = watch.end();

    let given = seen.credentials.len();
    assert!(given >= 2, "{given} credentials were seen");
    let mut search = Search::default();
    for (name, secret) in &run.secrets {
        search.add(name, secret);
    }
    for credential in &seen.credentials {
        search.add("a runner's credential", credential);
    }
    let processes = seen.texts.into_iter().map(|(text, name)| (name, text));
    let mut texts = run.texts;
    texts.extend(run.commands.said);
    texts.extend(processes);
    shows(&texts, &run.shown);
    let mut leaks = Vec::new();
    for (place, text) in &texts {
        let found = search.find(text).into_iter();
        leaks.extend(found.map(|what| format!("{place}: {what}")));
    }
    let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
    eprintln!("{} places, {bytes} bytes, {given} credentials", texts.len());
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    run.bench.down().await;
}

/// The look itself sees: what is no secret is found where it has to be.
fn shows(texts: &[Text], shown: &str) {
    let mut search = Search::default();
    search.add("the repository", shown);
    for place in SHOWN_IN {
        let mut such = texts.iter().filter(|(name, _)| name.starts_with(place));
        let is_shown = such.any(|(_, text)| !search.find(text).is_empty());
        assert!(is_shown, "nothing of the run is in {place}");
    }
}

impl Run {
    /// Plants what is not the forge's own.
    async fn of(bench: Bench) -> Self {
        let work = tempfile::tempdir().unwrap();
        let environment = work.path().join("canary.toml");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stacks/environments/lab.toml");
        let scope = format!("scope = \"organization:{ORGANIZATION}\"\n");
        let source = std::fs::read_to_string(path).unwrap();
        assert!(source.contains(&scope));
        let source = source
            .replace(&scope, &format!("{scope}clone_token = true\n"))
            .replace("\"lab-ci\"", &format!("\"{NAME}\""));
        std::fs::write(&environment, source).unwrap();
        let file = bench.lab.file();
        let secrets = vec![
            ("the webhook secret", format!("{}/+=", random("hook"))),
            ("the forge token", file.forge_token.clone()),
            ("the registration token", file.registration_token.clone()),
            ("a wrong forge token", random("wrong-forge")),
            ("a wrong registration token", random("wrong-registration")),
            ("a refused secret", random("refused")),
        ];
        Self {
            commands: Commands::of(bench.path()).await,
            bench,
            names: Names::of(NAME),
            environment: environment.display().to_string(),
            shown: random("shown").to_lowercase(),
            secrets,
            texts: Vec::new(),
            work,
        }
    }

    async fn deploy_with_wrong_tokens(&mut self) {
        self.lab_tells("webhook_secret", "the webhook secret");
        self.lab_tells("forge_token", "a wrong forge token");
        self.lab_tells("registration_token", "a wrong registration token");
        // Whatever is tried at its end may find out.
        self.command(&["--lab", "up", "ENV", "--yes"]).await;
        self.prepare_forge().await;
        let clone_token = self.secret("the clone token").to_owned();
        let env = self.environment.clone();
        let set = ["--lab", "secret", "set", "clone-token", &env];
        assert!(self.commands.run_with(&set, &clone_token).await);
    }

    /// An organization with a private repository and a hook, and the tokens that the forge makes for it.
    async fn prepare_forge(&mut self) {
        let organization = json!({ "username": ORGANIZATION });
        self.forge("POST", "/orgs", &organization).await;
        let repository = json!({ "name": self.shown, "private": true });
        let path = format!("/orgs/{ORGANIZATION}/repos");
        self.forge("POST", &path, &repository).await;
        let url = format!("{}/dispatch", self.bench.lab.file().front_door);
        let hook = json!({
            "type": "gitea",
            "active": true,
            "events": ["push", "workflow_job"],
            "config": {
                "url": url, "content_type": "json", "secret": self.secret("the webhook secret"),
            },
        });
        let path = format!("/orgs/{ORGANIZATION}/hooks");
        self.forge("POST", &path, &hook).await;
        let path = format!("/orgs/{ORGANIZATION}/actions/runners/registration-token");
        let made = self.forge("POST", &path, &json!({})).await;
        let token = made["token"].as_str().unwrap().to_owned();
        self.secrets
            .push(("the organization's registration token", token));
        let wanted = json!({ "name": "clones", "scopes": ["read:repository"] });
        let made = self.forge("POST", "/users/labadmin/tokens", &wanted).await;
        let token = made["sha1"].as_str().unwrap().to_owned();
        self.secrets.push(("the clone token", token));
    }

    /// One job that succeeds, with a clone of its own repository, and one that fails; both try to clone what is
    /// not there.
    async fn push(&self) {
        let url = |name: &str| format!("{}/{ORGANIZATION}/{name}.git", lab::FORGE_URL);
        let nowhere = url("nowhere");
        let clones = format!(
            "git clone -q {} copy && {{ git clone {nowhere} || sleep 2; }}",
            url(&self.shown)
        );
        let fails = format!("git clone {nowhere} || sleep 2; exit 7");
        let job = |pool: &str, script: &str| json!({"runs-on": pool, "steps": [{"run": script}]});
        let workflow = json!({
            "on": "push",
            "jobs": {"green": job("team", &clones), "red": job("base", &fails)},
        });
        let work = self.work.path().join("checkout");
        let folder = work.join(".gitea/workflows");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ci.yml"), workflow.to_string()).unwrap();
        // Neither in arguments nor in an environment.
        let file = self.bench.lab.file();
        let address = file.forge.strip_prefix("http://").unwrap();
        let store = self.work.path().join("store");
        let line = format!("http://labadmin:{}@{address}\n", file.forge_token);
        std::fs::write(&store, line).unwrap();
        let script = "set -e
            git init -q --initial-branch=main
            git add .
            git -c user.name=Lab -c user.email=labadmin@forge.lab commit -qm 'a commit'
            git -c credential.helper=\"store --file=$2\" push -q \"$1\" main";
        let pushed = tokio::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(format!("{}/{ORGANIZATION}/{}.git", file.forge, self.shown))
            .arg(store)
            .current_dir(work)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("HOME", self.work.path())
            .stdin(Stdio::null())
            .status();
        assert!(pushed.await.unwrap().success());
    }

    async fn until_machines_are_refused(&mut self) {
        self.until("both machines are refused", async |run: &Self| {
            let machines = run.bench.lab.status().await.unwrap().instances;
            let refused = machines.iter().filter(|one| {
                let console = run.bench.console(&one.id);
                console.contains("the runner route answered 502")
            });
            refused.count() == 2
        })
        .await;
    }

    async fn set_right_tokens(&mut self) {
        self.lab_tells("forge_token", "the forge token");
        self.lab_tells("registration_token", "the registration token");
        assert!(self.command(&["--lab", "up", "ENV", "--yes"]).await);
        // Its process would keep the wrong ones for a while.
        assert!(end_function(self.bench.lab.folder().path()) > 0);
    }

    async fn until_jobs_are_over(&mut self) {
        let path = format!("/repos/{ORGANIZATION}/{}/actions/jobs", self.shown);
        self.until(
            "both jobs are over and no machine is left",
            async |run: &Self| {
                let jobs = run.forge("GET", &path, &Value::Null).await;
                let machines = run.bench.lab.status().await.unwrap().instances;
                let jobs = jobs["jobs"].as_array().unwrap().iter();
                let mut ends: Vec<&str> =
                    jobs.filter_map(|job| job["conclusion"].as_str()).collect();
                ends.sort_unstable();
                ends == ["failure", "success"]
                    && machines.iter().all(|one| one.state == "terminated")
            },
        )
        .await;
    }

    /// Whatever people do to see how things stand, with what goes wrong then.
    async fn look_around(&mut self) {
        let entries = format!("{}/_lab/deliveries", self.bench.lab.file().front_door);
        let (_, entries) = ask("GET", &entries, &[], &Value::Null).await;
        let entries: Vec<Entry> = serde_json::from_value(entries).unwrap();
        let is_push = |entry: &&Entry| {
            let mut headers = entry.headers.iter();
            headers.any(|(name, value)| name.to_lowercase() == "x-gitea-event" && value == "push")
        };
        let push = entries.iter().find(is_push).unwrap();
        let body = self.work.path().join("push.json");
        std::fs::write(&body, &push.body).unwrap();
        let body = body.display().to_string();
        let body = body.as_str();
        for args in [
            &["--lab", "explain", "ENV", "--event", body][..],
            &["--lab", "explain", "ENV", "--event", body, "--json"],
            &["--lab", "rehearse", "ENV"],
            &["lab", "status"],
        ] {
            assert!(self.command(args).await, "{args:?}");
        }
        self.refuses(&push.body).await;

        let path = PathBuf::from(&self.environment);
        let source = std::fs::read_to_string(&path).unwrap();
        let changed = source.replace("memory_mb = 256", "memory_mb = 512");
        std::fs::write(&path, changed).unwrap();
        for args in [
            &["--lab", "diff", "ENV"][..],
            &["--lab", "diff", "ENV", "--json"],
            &["--lab", "replay", body, "ENV"],
        ] {
            // That there are changes is no success.
            self.command(args).await;
        }
        std::fs::write(&path, source).unwrap();
        let repository = format!("{ORGANIZATION}/{}", self.shown);
        let texts = places::all(&self.bench, &self.names, &repository).await;
        self.texts.extend(texts);
        for words in [
            "runner not registered",
            "runner registration token not found",
        ] {
            let mut texts = self.texts.iter();
            let is_told = texts.any(|(_, text)| String::from_utf8_lossy(text).contains(words));
            assert!(is_told, "no error of a wrong token: {words}");
        }
    }

    /// A delivery with another signature, and a secret that is none.
    async fn refuses(&mut self, body: &str) {
        let url = format!("{}/dispatch", self.bench.lab.file().front_door);
        let headers = [
            ("x-gitea-event", "push".to_owned()),
            ("x-gitea-signature", "0".repeat(64)),
        ];
        let body: Value = serde_json::from_str(body).unwrap();
        let (status, answer) = ask("POST", &url, &headers, &body).await;
        assert_eq!(status, 401, "{answer}");
        let refused = format!("{} with blanks", self.secret("a refused secret"));
        let env = self.environment.clone();
        let set = ["--lab", "secret", "set", "forge-token", &env];
        assert!(!self.commands.run_with(&set, &refused).await);
        assert!(self.commands.text().contains("forge-token"));
    }

    async fn down(&mut self) {
        assert!(self.command(&["--lab", "down", "ENV", "--yes"]).await);
        self.texts.extend(places::of_lab(&self.bench).await);
    }

    /// Runs a command about the environment, `ENV`.
    async fn command(&mut self, args: &[&str]) -> bool {
        let env = self.environment.clone();
        let args = args
            .iter()
            .map(|&arg| if arg == "ENV" { env.as_str() } else { arg });
        self.commands.run(&args.collect::<Vec<_>>()).await
    }

    fn secret(&self, name: &str) -> &str {
        let mut secrets = self.secrets.iter();
        &secrets.find(|(one, _)| *one == name).unwrap().1
    }

    /// Changes what the commands are told of the lab.
    fn lab_tells(&self, field: &str, secret: &str) {
        let path = self.bench.lab.folder().lab_file();
        let text = std::fs::read(&path).unwrap();
        let mut file: Value = serde_json::from_slice(&text).unwrap();
        file[field] = json!(self.secret(secret));
        std::fs::write(&path, file.to_string()).unwrap();
    }

    /// One request to the forge, as its administrator.
    async fn forge(&self, method: &str, path: &str, body: &Value) -> Value {
        let file = self.bench.lab.file();
        // A token makes no tokens.
        let user = STANDARD.encode(format!("labadmin:{}", file.forge_password));
        let user = [("authorization", format!("Basic {user}"))];
        let url = format!("{}/api/v1{path}", file.forge);
        let (status, answer) = ask(method, &url, &user, body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// Waits, and keeps what is in the ledger meanwhile.
    async fn until(&mut self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(&*self).await {
            let rows = places::ledger(&self.bench, &self.names).await;
            self.texts.extend(rows);
            let machines = self.bench.lab.status().await.unwrap().instances;
            let consoles = machines.iter().map(|one| self.bench.console(&one.id));
            let consoles = consoles.collect::<Vec<_>>().join("\n");
            assert!(begun.elapsed() < PATIENCE, "never: {what}: {consoles}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Kills the function's processes in the lab of this folder, and says how many there were.
fn end_function(lab: &Path) -> usize {
    let mark = format!("CI_LAB={}\0", lab.display());
    let mut ended = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let read = |what: &str| {
            let text = std::fs::read(process.path().join(what)).unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        };
        if read("cmdline").contains("/bootstrap\0") && read("environ").contains(&mark) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            ended += 1;
        }
    }
    ended
}
