//! The boot file on real instances of the lab, against a stand-in of the runner route inside them:
//! what it asks, what it tells, how it ends, and that no end of a machine turns a job green.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/boot_file.rs"]
mod boot_file;
mod ends;
mod image;
mod job;
mod metadata;
mod rendered;
mod smoke_test;
mod spot;
#[path = "../support/mod.rs"]
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boot_file::{PLAIN, Wanted};
use serde_json::{Value, json};
use stacks::route::{LINE_CLONE_TOKEN, LINE_RUNNER};
use support::{Bench, ask, push};

/// The runner route inside an instance: marks and last words are printed.
const ROUTE_SERVER: &str = r#"
import http.server, json, sys
answers = json.load(open("/run/answers.json"))
class Route(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        signed = "AWS4-HMAC-SHA256" in self.headers.get("authorization", "")
        signed = signed and "x-amz-security-token" in self.headers["authorization"]
        word = "signed" if signed else "UNSIGNED"
        if "x-amz-target" in self.headers:
            for event in body["logEvents"]:
                print("shipped", word, event["message"], flush=True)
            status, text = 200, "{}"
        else:
            print("route", word, json.dumps(body), flush=True)
            status, text = (200, "") if "mark" in body else answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        pass
print("route listens", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", 8088), Route).serve_forever()
"#;

const AT_FORGEJO: Wanted = Wanted {
    kind: "forgejo",
    ..PLAIN
};

/// User-data that first starts the route with these answers to credential requests.
fn user_data(boot_file: &str, answers: &Value) -> String {
    prepared("", boot_file, answers)
}

/// The same on an image that `prepare` changed.
fn prepared(prepare: &str, boot_file: &str, answers: &Value) -> String {
    // All of it has EC2's 16 KB.
    let route = ROUTE_SERVER.replace("    ", " ");
    format!(
        "#!/bin/sh\n{prepare}\n\
         cat >/run/answers.json <<'ANSWERS'\n{answers}\nANSWERS\n\
         cat >/run/route.py <<'ROUTE'\n{route}\nROUTE\n\
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

    /// Ends a task of the runner with this credential, as the runner itself does.
    async fn finish(&self, credential: &Value, task: i64) {
        let lines = credential[1].as_str().unwrap().lines();
        let mut documents = lines.filter_map(|line| line.strip_prefix(LINE_RUNNER));
        let document: Value = serde_json::from_str(documents.next().unwrap()).unwrap();
        let word = |key: &str| document[key].as_str().unwrap().to_owned();
        let runner = [
            ("x-runner-uuid", word("uuid")),
            ("x-runner-token", word("token")),
        ];
        let url = format!(
            "{}/api/actions/runner.v1.RunnerService/UpdateTask",
            self.0.lab.file().forge
        );
        let body = json!({"state": {
            "id": task.to_string(), "result": "RESULT_SUCCESS",
            "stoppedAt": "2026-11-30T12:00:00Z", "steps": [],
        }});
        let (status, answer) = ask("POST", &url, &runner, &body).await;
        assert_eq!(status, 200, "{answer}");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_boot_that_is_refused_or_finds_no_job_says_so_and_ends() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let refused = json!([[410, "this instance has had its credential"]]);
    let id = bench.boot(&user_data(&PLAIN.boot_file(), &refused)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    assert_eq!(marks(&console), ["failed"], "{console}");
    assert!(
        console.contains("credential: refused: this instance has had"),
        "{console}"
    );

    // forgejo-runner waits for its one job for ever: there too the boot file's limit is the end.
    for wanted in [PLAIN, AT_FORGEJO] {
        let idle = wanted
            .boot_file()
            .replace("idle_timeout_s=$((1 * 60))", "idle_timeout_s=2");
        let answers = json!([Forge(&bench)
            .credential(&format!("nobody-of-{}", wanted.kind))
            .await]);
        let id = bench.boot(&user_data(&idle, &answers)).await;
        bench.wait_for(&id, "terminated").await;
        let console = bench.console(&id);
        assert_eq!(marks(&console), ["online", "ending"], "{console}");
        assert!(console.contains("no job within 2 s"), "{console}");
    }

    Forge(&bench).job("one", "echo done").await;
    let answers = json!([Forge(&bench).credential("one").await]);
    let boot_file = AT_FORGEJO.boot_file();
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
