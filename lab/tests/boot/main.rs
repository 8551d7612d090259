//! The boot file on real instances of the lab, against a stand-in of the runner route inside them:
//! what it asks, what it tells, how it ends, and that no end of a machine turns a job green.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod smoke_test;
#[path = "../support/mod.rs"]
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stacks::route::{LINE_CLONE_TOKEN, LINE_RUNNER};
use support::{Bench, ask, push};

const TEMPLATE: &str = include_str!("../../../ami/boot/user-data.sh");
/// Where the instance finds the runner route of these tests.
const ROUTE: &str = "http://127.0.0.1:8088/runner";

/// The runner route inside an instance: the first credential request is put off, marks are printed.
const ROUTE_SERVER: &str = r#"
import http.server, json, sys
answers = json.load(open("/run/answers.json"))
class Route(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        signed = "AWS4-HMAC-SHA256" in self.headers.get("authorization", "")
        signed = signed and "x-amz-security-token" in self.headers["authorization"]
        print("route", "signed" if signed else "UNSIGNED", json.dumps(body), flush=True)
        status, text = (200, "") if "mark" in body else answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        pass
print("route listens", flush=True)
http.server.HTTPServer(("127.0.0.1", 8088), Route).serve_forever()
"#;

/// The boot file as the provisioner would render it, for a pool with a clone token.
fn boot_file() -> String {
    boot_file_for("gitea")
}

fn boot_file_for(kind: &str) -> String {
    boot_file_of(kind, &Value::Null)
}

fn boot_file_of(kind: &str, install: &Value) -> String {
    let mut context = tera::Context::new();
    context.insert("names", &stacks::names::Names::of("lab-ci"));
    context.insert("region", lab::REGION);
    context.insert("runner_url", ROUTE);
    context.insert("forge_url", lab::FORGE_URL);
    context.insert("forge_kind", kind);
    context.insert("install", install);
    context.insert("forge_ca", &Value::Null);
    context.insert(
        "pool",
        &json!({
            "name": "base", "max_lifetime_minutes": 10, "boot_timeout_minutes": 1,
            "idle_timeout_minutes": 1, "clone_token": true,
        }),
    );
    let mut tera = tera::Tera::default();
    tera.add_raw_template("user-data.sh", TEMPLATE).unwrap();
    tera.render("user-data.sh", &context).unwrap()
}

/// User-data that first starts the route with these answers to credential requests.
fn user_data(boot_file: &str, answers: &Value) -> String {
    format!(
        "#!/bin/sh\n\
         cat >/run/answers.json <<'ANSWERS'\n{answers}\nANSWERS\n\
         cat >/run/route.py <<'ROUTE'\n{ROUTE_SERVER}\nROUTE\n\
         systemd-run --quiet --unit=route python3 /run/route.py\n\
         until curl -s -o /dev/null http://127.0.0.1:8088/; do sleep 0.1; done\n\
         {}",
        boot_file.strip_prefix("#!/bin/sh\n").unwrap()
    )
}

/// The lab's forge, as its administrator uses it.
struct Forge<'a>(&'a Bench);

impl Forge<'_> {
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let file = self.0.lab.file();
        // A token makes no tokens.
        let user = STANDARD.encode(format!("labadmin:{}", file.forge_password));
        let user = [("authorization", format!("Basic {user}"))];
        let (status, answer) = ask(method, &format!("{}{path}", file.forge), &user, body).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// A new private repository whose workflow has one job with this script.
    async fn job(&self, name: &str, script: &str) {
        let repository = json!({"name": name, "private": true});
        self.ask("POST", "/api/v1/user/repos", &repository).await;
        let work = tempfile::tempdir().unwrap();
        let workflow = json!({
            "on": "push",
            "jobs": {"job": {"runs-on": name, "steps": [{"run": script}, {"run": "true"}]}},
        });
        let file = self.0.lab.file();
        let host = file.forge.strip_prefix("http://").unwrap();
        let url = format!(
            "http://labadmin:{}@{host}/labadmin/{name}.git",
            file.forge_token
        );
        let path = ".gitea/workflows/ci.yml";
        assert!(push(work.path(), path, &workflow.to_string(), &url).await);
    }

    /// The credential of a new ephemeral runner, as the dispatcher answers with it.
    async fn credential(&self, label: &str) -> Value {
        let file = self.0.lab.file();
        let body = json!({
            "name": "i-test", "token": file.registration_token, "labels": [label],
            "ephemeral": true,
        });
        let path = "/api/actions/runner.v1.RunnerService/Register";
        let runner = self.ask("POST", path, &body).await["runner"].take();
        let id: i64 = runner["id"].as_str().unwrap().parse().unwrap();
        let document = json!({
            "id": id, "uuid": runner["uuid"], "token": runner["token"], "name": "i-test",
            "address": lab::FORGE_URL, "labels": [format!("{label}:host")], "ephemeral": true,
        });
        let body = json!({"name": format!("clones for {label}"), "scopes": ["read:repository"]});
        let path = "/api/v1/users/labadmin/tokens";
        let made = self.ask("POST", path, &body).await;
        let clone_token = made["sha1"].as_str().unwrap();
        json!([
            200,
            format!("{LINE_RUNNER} {document}\n{LINE_CLONE_TOKEN} {clone_token}\n")
        ])
    }

    /// The repository's only job.
    async fn job_of(&self, name: &str) -> Value {
        let path = format!("/api/v1/repos/labadmin/{name}/actions/jobs");
        self.ask("GET", &path, &Value::Null).await["jobs"][0].take()
    }

    /// `status[/conclusion]` of the repository's job.
    async fn standing(&self, name: &str) -> String {
        let job = self.job_of(name).await;
        let conclusion = job["conclusion"].as_str().map(|word| format!("/{word}"));
        format!(
            "{}{}",
            job["status"].as_str().unwrap(),
            conclusion.unwrap_or_default()
        )
    }

    async fn log(&self, name: &str) -> String {
        let job = &self.job_of(name).await["id"];
        let path = format!("/api/v1/repos/labadmin/{name}/actions/jobs/{job}/logs");
        let log = self.ask("GET", &path, &Value::Null).await;
        log.as_str().unwrap().to_owned()
    }
}

/// The marks on a console, in order.
fn marks(console: &str) -> Vec<&str> {
    console
        .lines()
        .filter_map(|line| line.split_once("\"mark\": \""))
        .filter_map(|(_, rest)| rest.split('"').next())
        .collect()
}

#[test]
fn it_renders_for_every_kind_of_pool_into_a_short_script_that_a_shell_can_read() {
    let binary = json!({"url": "https://x/y", "file": "y", "sha256": "ab", "node": "nodejs24"});
    for (install, kind) in [
        (&Value::Null, "gitea"),
        (&binary, "gitea"),
        (&Value::Null, "forgejo"),
        (&binary, "forgejo"),
    ] {
        let mut context = tera::Context::new();
        context.insert("names", &stacks::names::Names::of("ci"));
        for key in ["region", "runner_url", "forge_url"] {
            context.insert(key, "https://x");
        }
        context.insert("install", install);
        context.insert("forge_kind", kind);
        context.insert("forge_ca", &Value::Null);
        for clone_token in [true, false] {
            let pool = json!({
                "name": "p", "max_lifetime_minutes": 30, "boot_timeout_minutes": 5,
                "idle_timeout_minutes": 2, "clone_token": clone_token,
            });
            context.insert("pool", &pool);
            let mut tera = tera::Tera::default();
            tera.add_raw_template("user-data.sh", TEMPLATE).unwrap();
            let script = tera.render("user-data.sh", &context).unwrap();
            assert!(script.len() < 15_000, "{} bytes", script.len());
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("user-data.sh");
            std::fs::write(&file, &script).unwrap();
            let read = std::process::Command::new("sh")
                .arg("-n")
                .arg(&file)
                .status();
            assert!(read.unwrap().success());
            // The deadline is the first command of all.
            let first = script
                .lines()
                .find(|line| !line.starts_with('#') && !line.is_empty());
            assert!(first.unwrap().starts_with("systemd-run"), "{first:?}");
            assert_eq!(script.contains("sha256sum -c"), !install.is_null());
            assert_eq!(script.contains("insteadOf"), clone_token);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_again_runs_its_one_job_in_a_clean_environment_and_powers_off() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    let script = "env | cut -d= -f1 | sort | tr '\\n' ' '; echo\n\
        git clone -q http://forge.lab:3000/labadmin/good.git copy && ls -A copy\n\
        cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' ' ' >all || true\n\
        grep -c x-amz-security-token all || true\n\
        id -un";
    forge.job("good", script).await;
    let answers = json!([[503, "not yet"], forge.credential("good").await]);
    let id = bench.boot(&user_data(&boot_file(), &answers)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    assert_eq!(
        forge.standing("good").await,
        "completed/success",
        "{console}"
    );
    let asked = console.matches("{\"ask\": \"credential\"}").count();
    assert_eq!(asked, 2, "{console}");
    assert!(!console.contains("UNSIGNED"), "{console}");
    let mut told = marks(&console);
    // Two are sent in the background, so in any order.
    told.sort_unstable();
    assert_eq!(told, ["ending", "online", "started"], "{console}");

    let log = forge.log("good").await;
    // The real forge writes a time before each line.
    let log: String = log.lines().map(without_time).collect();
    let names = log
        .lines()
        .find(|line| line.contains("GITHUB_SHA"))
        .unwrap();
    let own: Vec<&str> = names
        .split(' ')
        .filter(|name| {
            !["ACT", "CI", "ImageOS", "PWD", "OLDPWD", "SHLVL", "_", ""].contains(name)
                && !["ACTIONS_", "GITHUB_", "GITEA_", "RUNNER_"]
                    .iter()
                    .any(|of| name.starts_with(of))
        })
        .collect();
    assert_eq!(own, ["HOME", "LANG", "PATH", "USER"]);
    assert!(
        log.contains("\n.gitea\n"),
        "a private clone by insteadOf: {log}"
    );
    assert!(
        log.lines().any(|line| line == "0"),
        "no key in a command line: {log}"
    );
    assert!(log.lines().any(|line| line == "ci"), "{log}");
    assert_eq!(bench.left().of_instances(), 0);
    bench.down().await;
}

/// A line of a log, without the time that may stand before it.
fn without_time(line: &str) -> String {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let is_time = first.ends_with('Z') && first.starts_with("20");
    format!("{}\n", if is_time { rest } else { line })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boot_that_is_refused_or_finds_no_job_says_so_and_ends() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let refused = json!([[410, "this instance has had its credential"]]);
    let id = bench.boot(&user_data(&boot_file(), &refused)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    assert_eq!(marks(&console), ["failed"], "{console}");
    assert!(
        console.contains("credential: refused: this instance has had"),
        "{console}"
    );

    // forgejo-runner waits for its one job for ever: there too the boot file's limit is the end.
    for kind in ["gitea", "forgejo"] {
        let idle = boot_file_for(kind).replace("idle_timeout_s=$((1 * 60))", "idle_timeout_s=2");
        let answers = json!([Forge(&bench).credential(&format!("nobody-of-{kind}")).await]);
        let id = bench.boot(&user_data(&idle, &answers)).await;
        bench.wait_for(&id, "terminated").await;
        let console = bench.console(&id);
        assert_eq!(marks(&console), ["online", "ending"], "{console}");
        assert!(console.contains("no job within 2 s"), "{console}");
    }

    Forge(&bench).job("one", "echo done").await;
    let answers = json!([Forge(&bench).credential("one").await]);
    let boot_file = boot_file_for("forgejo");
    let id = bench.boot(&user_data(&boot_file, &answers)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    assert!(console.contains("/forgejo-runner started"), "{console}");
    assert_eq!(
        Forge(&bench).standing("one").await,
        "completed/success",
        "{console}"
    );
    let mut told = marks(&console);
    told.sort_unstable();
    assert_eq!(told, ["ending", "online", "started"], "{console}");
    bench.down().await;
}

/// What an image lacks is said on the console: without a curl that signs, nothing else hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_lacks_something_says_what_before_it_asks_for_anything() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let old_curl = "printf '#!/bin/sh\\n[ \"$1\" != --version ] || echo curl 7.61.1\\n' >/usr/local/bin/curl\n\
                    chmod +x /usr/local/bin/curl\n";
    let no_runner = "rm /usr/local/bin/gitea-runner /usr/local/bin/act_runner\n";
    for (spoil, said) in [
        (
            old_curl,
            "the image needs curl 7.75 or newer, which signs, and has curl 7.61.1",
        ),
        (
            no_runner,
            "phase image (exit 1) the image has no gitea-runner",
        ),
    ] {
        let boot_file = boot_file();
        let boot_file = boot_file.strip_prefix("#!/bin/sh\n").unwrap();
        let id = bench.boot(&format!("#!/bin/sh\n{spoil}{boot_file}")).await;
        bench.wait_for(&id, "terminated").await;
        let console = bench.console(&id);
        assert!(console.contains(said), "{console}");
        assert!(!console.contains("phase credential"), "{console}");
    }
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_machine_gets_what_actions_need() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    Forge(&bench).job("stock", "echo done").await;
    let answers = json!([Forge(&bench).credential("stock").await]);
    let install = json!({"url": "https://x/y", "file": "y", "sha256": "ab", "node": "nodejs24"});
    // The host has a Node, and no dnf.
    let boot_file = boot_file_of("gitea", &install);
    let boot_file = boot_file.replace("command -v node", "command -v no-such-node");
    let boot_file = boot_file.replacen(
        "#!/bin/sh\n",
        "#!/bin/sh\nprintf '#!/bin/sh\\necho dnf \"$@\"\\n' >/usr/local/bin/dnf\n\
         chmod +x /usr/local/bin/dnf\n",
        1,
    );
    let id = bench.boot(&user_data(&boot_file, &answers)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    assert!(console.contains("dnf -q -y install nodejs24"), "{console}");
    let standing = Forge(&bench).standing("stock").await;
    assert_eq!(standing, "completed/success", "{console}");
    bench.down().await;
}

/// Every way in which a machine with a running job can end, with and without the boot file's
/// shields. Without them the job turns green: that is what they are for.
#[tokio::test(flavor = "multi_thread")]
async fn no_end_of_a_busy_machine_turns_its_job_green() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    let shielded = boot_file();
    // The runner alone is signalled: a job that dies by the same signal fails, and the trap is that
    // which wins is chance.
    let bare = shielded
        .replace("--property=KillSignal=SIGKILL", "--property=KillMode=mixed")
        .replace("  shutdown_timeout: 10m\n", "");
    assert_ne!(bare, shielded);
    let script = "echo begun\nexec sleep 60";
    let forgejo = boot_file_for("forgejo");
    for (name, boot_file, end) in [
        ("stopped", &shielded, End::Graceful),
        ("one-job", &forgejo, End::Graceful),
        ("bare", &bare, End::Graceful),
        ("late", &shielded, End::Deadline),
        ("halted", &shielded, End::ScriptToldToStop),
    ] {
        forge.job(name, script).await;
        let mut boot_file = boot_file.clone();
        match end {
            End::Graceful => {}
            End::Deadline => {
                boot_file = boot_file.replace("--on-active=10min", "--on-active=4s");
            }
            // Something tells the script to stop, as the machine's shutdown tells cloud-init.
            End::ScriptToldToStop => {
                let stop = "started() {\n  (sleep 1; kill -TERM $$) &\n";
                boot_file = boot_file.replace("started() {\n", stop);
            }
        }
        let answers = json!([forge.credential(name).await]);
        let id = bench.boot(&user_data(&boot_file, &answers)).await;
        bench.wait_for_words(&id, "job started").await;
        if matches!(end, End::Graceful) {
            let ending = bench.ec2.terminate_instances().instance_ids(&id);
            ending.send().await.unwrap();
        }
        bench.wait_for(&id, "terminated").await;
        let expected = if name == "bare" {
            "completed/success"
        } else {
            "in_progress"
        };
        let console = bench.console(&id);
        assert_eq!(forge.standing(name).await, expected, "{name}: {console}");
    }
    bench.down().await;
}

#[derive(Debug, Clone, Copy)]
enum End {
    Graceful,
    Deadline,
    ScriptToldToStop,
}
