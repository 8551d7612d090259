//! The stand-in forge and the stand-in runner as others meet them: over HTTP, git and processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod forgejo;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lab::forge;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use world::{ADMIN, ADMIN_BY_PASSWORD, Arrival, Runner, World, listener, until};

const ONE_LONG_JOB: &str = "
on: push
jobs:
  long:
    runs-on: lab
    steps:
      - run: |
          echo begun
          sleep 3
          echo finished
      - run: exit 3
";

/// Build, matrix, a failure on purpose, and a step that the stand-in does not have.
const DEMO: &str = r#"
name: demo
on: {push: {branches: [main]}}
env: {GREETING: hello}
jobs:
  build:
    runs-on: [self-hosted, base]
    outputs: {version: "${{ steps.version.outputs.number }}"}
    steps:
      - run: |
          echo "$GREETING $GITHUB_REPOSITORY $CI ${{ github.ref_name }}"
          env | sort
      - id: version
        run: echo "number=4$GITHUB_RUN_NUMBER" >> "$GITHUB_OUTPUT"
  test:
    needs: build
    runs-on: go
    strategy: {matrix: {part: [a, b]}}
    steps:
      - run: echo "PART=${{ matrix.part }} of ${{ needs.build.outputs.version }}" >> "$GITHUB_ENV"
      - run: echo "part $PART, token ${{ github.token }}"
      - if: failure()
        run: echo never
  fails:
    needs: test
    runs-on: base
    steps:
      - run: echo before; exit 7
      - run: echo never
      - if: always()
        run: echo after
  stranger:
    needs: build
    runs-on: base
    steps: [{uses: actions/checkout@v4}]
"#;

#[tokio::test]
async fn a_pushed_workflow_runs_job_by_job_on_runner_processes() {
    let world = World::new(forge::ZOMBIE_AFTER).await;
    let (url, arrivals) = listener(Duration::ZERO).await;
    world
        .hook(&url, &["push", "workflow_job", "workflow_run"])
        .await;
    assert!(!world.push("wrong", DEMO).await, "a stranger may not push");
    assert!(world.push(ADMIN, DEMO).await);
    assert_eq!(
        world.standing().await,
        [
            "build queued",
            "test (a) waiting",
            "test (b) waiting",
            "fails waiting",
            "stranger waiting"
        ]
    );

    let mut runners = Vec::new();
    for (name, label) in [
        ("i-1", "base"),
        ("i-2", "go"),
        ("i-3", "go"),
        ("i-4", "base"),
        ("i-5", "base"),
    ] {
        let labels = [label, "self-hosted"];
        let config = "runner: {fetch_interval: 100ms}";
        runners.push(world.runner(name, &labels, config).await);
    }
    until("all jobs have ended", async || {
        let standing = world.standing().await;
        standing.iter().all(|job| job.contains("completed"))
    })
    .await;
    for runner in &mut runners {
        assert_eq!(runner.exit_code().await, Some(0), "{}", runner.log());
    }
    assert_eq!(
        world.standing().await,
        [
            "build completed/success",
            "test (a) completed/success",
            "test (b) completed/success",
            "fails completed/failure",
            "stranger completed/failure"
        ]
    );
    assert!(
        runners[0].log().contains("task 1 repo is acme/app"),
        "{}",
        runners[0].log()
    );
    assert_eq!(world.runner_names().await, [""; 0]);

    logs_tell_what_ran(&world).await;
    hooks_heard_everything(arrivals).await;
}

async fn logs_tell_what_ran(world: &World) {
    let jobs = world.jobs().await;
    let mut logs = Vec::new();
    for job in &jobs {
        let log = world
            .get(&format!("repos/acme/app/actions/jobs/{}/logs", job["id"]))
            .await;
        logs.push(log.as_str().unwrap().to_owned());
    }
    assert!(logs[0].contains("hello acme/app true main"), "{}", logs[0]);
    // The trap: whatever the runner was started with is in every job's environment.
    assert!(
        logs[0].contains("CI_TEST_MARK=of the daemon"),
        "{}",
        logs[0]
    );
    assert!(logs[1].contains("part a of 41, token ***"), "{}", logs[1]);
    assert!(
        logs[3].contains("before") && logs[3].contains("after"),
        "{}",
        logs[3]
    );
    assert!(!logs[3].contains("never"), "{}", logs[3]);
    assert!(logs[4].contains("executes run: steps only"), "{}", logs[4]);
}

async fn hooks_heard_everything(arrivals: Arc<Mutex<Vec<Arrival>>>) {
    let count = |arrivals: &[Arrival], wanted: &str| {
        let events = arrivals
            .iter()
            .map(|arrival| arrival.header("x-gitea-event"));
        events.filter(|event| *event == wanted).count()
    };
    // Waiting or queued, queued, in progress, completed; the first has no waiting.
    until("all is delivered", async || {
        count(&arrivals.lock().unwrap(), "workflow_job") == 5 * 4 - 1
    })
    .await;
    let arrivals = std::mem::take(&mut *arrivals.lock().unwrap());
    assert!(arrivals.iter().all(Arrival::is_signed));
    let first = arrivals[..3].iter();
    let first: Vec<&str> = first
        .map(|arrival| arrival.header("x-gitea-event"))
        .collect();
    assert_eq!(first, ["push", "workflow_run", "workflow_job"]);
    let push: Value = serde_json::from_slice(&arrivals[0].body).unwrap();
    assert_eq!(push["head_commit"]["author"]["username"], "labadmin");
    assert_eq!(
        push["head_commit"]["added"],
        json!([".gitea/workflows/ci.yml"])
    );
}

/// A runner that is told to stop in the middle of its job, once that has begun.
async fn stopped(config: &str) -> World {
    let world = World::new(forge::ZOMBIE_AFTER).await;
    assert!(world.push(ADMIN, ONE_LONG_JOB).await);
    let mut runner = world.runner("i-1", &["lab"], config).await;
    until("the job has begun", async || {
        world.standing().await == ["long in_progress"]
            && world.log_of_first().await.contains("begun")
    })
    .await;
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.exit_code().await, Some(0));
    world
}

#[tokio::test]
async fn a_runner_that_is_told_to_stop_in_the_middle_reports_success() {
    let world = stopped("{}").await;
    assert_eq!(world.standing().await, ["long completed/success"]);
    let job = &world.jobs().await[0];
    assert_eq!(
        job["steps"][1]["conclusion"], "success",
        "a step that never ran"
    );
    let log = world.log_of_first().await;
    assert!(
        !log.contains("finished") && log.contains("has been cancelled"),
        "{log}"
    );
}

#[tokio::test]
async fn a_shutdown_timeout_lets_the_job_end_as_it_ends() {
    let world = stopped("runner: {shutdown_timeout: 1m}").await;
    assert_eq!(world.standing().await, ["long completed/failure"]);
    assert!(world.log_of_first().await.contains("finished"));
}

#[tokio::test]
async fn a_killed_runner_s_job_fails_when_the_forge_has_waited_long_enough() {
    let world = World::new(Duration::from_secs(2)).await;
    assert!(world.push(ADMIN, ONE_LONG_JOB).await);
    let mut runner = world.runner("i-1", &["lab"], "{}").await;
    until("the job runs", async || {
        world.standing().await == ["long in_progress"]
    })
    .await;
    runner.signal(Signal::SIGKILL);
    runner.exit_code().await;
    assert_eq!(world.standing().await, ["long in_progress"]);
    until("the job has failed", async || {
        world.standing().await == ["long completed/failure"]
    })
    .await;
    assert_eq!(world.runner_names().await, [""; 0]);
    let again = world
        .post(
            "repos/acme/app/actions/runs/1/jobs/1/rerun",
            &Value::Null,
            201,
        )
        .await;
    assert_eq!(again["status"], "queued");
    assert_eq!(world.jobs().await[0]["run_attempt"], 1);
}

#[tokio::test]
async fn an_idle_runner_stops_with_zero_and_an_unknown_one_with_one() {
    let world = World::new(forge::ZOMBIE_AFTER).await;
    let mut idle = world.runner("i-idle", &["lab"], "{}").await;
    until("it has declared itself", async || {
        idle.log().contains("declare successfully")
    })
    .await;
    idle.signal(Signal::SIGTERM);
    assert_eq!(idle.exit_code().await, Some(0), "{}", idle.log());
    assert_eq!(
        world.runner_names().await,
        ["i-idle"],
        "an unused row stays"
    );

    let id = world.get("admin/actions/runners").await["runners"][0]["id"].clone();
    let path = format!("admin/actions/runners/{id}");
    assert_eq!(world.ask("DELETE", &path, ADMIN, &Value::Null).await.0, 204);
    assert_eq!(world.ask("DELETE", &path, ADMIN, &Value::Null).await.0, 404);
    let folder = world.folder.path().join("i-idle");
    let document = std::fs::read_to_string(folder.join(".runner")).unwrap();
    let document = serde_json::from_str(&document).unwrap();
    let mut unknown = Runner::start(&folder, &document, "{}");
    assert_eq!(unknown.exit_code().await, Some(1));
    assert!(
        unknown.log().contains("unregistered runner"),
        "{}",
        unknown.log()
    );
}

#[tokio::test]
async fn a_slow_hook_holds_every_other_and_nothing_is_sent_twice() {
    let world = World::new(forge::ZOMBIE_AFTER).await;
    let delay = Duration::from_millis(700);
    let (slow, _) = listener(delay).await;
    let (quick, arrivals) = listener(Duration::ZERO).await;
    world.hook(&slow, &["push"]).await;
    world.hook("http://127.0.0.1:9/refused", &["push"]).await;
    world.hook(&quick, &["push"]).await;
    let pushed = Instant::now();
    assert!(world.push(ADMIN, "on: push").await);
    until("the quick hook is called", async || {
        !arrivals.lock().unwrap().is_empty()
    })
    .await;
    assert!(arrivals.lock().unwrap()[0].at - pushed >= delay);
}

#[tokio::test]
async fn the_api_refuses_as_the_forge_does() {
    let world = World::new(forge::ZOMBIE_AFTER).await;
    let tokens = json!({"name": "git", "scopes": ["read:repository"]});
    let path = "users/labadmin/tokens";
    let by_token = world.ask("POST", path, ADMIN, &tokens).await;
    assert_eq!(by_token.0, 401, "a token makes no token");
    let (_, reader) = world.ask("POST", path, ADMIN_BY_PASSWORD, &tokens).await;
    let reader = reader["sha1"].as_str().unwrap().to_owned();
    let no_body = Value::Null;
    for (method, path, token, expected) in [
        ("GET", "version", "none", 200),
        ("GET", "user", "none", 401),
        ("GET", "user", reader.as_str(), 200),
        ("GET", "repos/acme/app", ADMIN, 200),
        ("GET", "repos/ACME/App", ADMIN, 200),
        ("GET", "repos/acme/none", ADMIN, 404),
        (
            "GET",
            "repos/acme/app/actions/jobs?status=running",
            ADMIN,
            400,
        ),
        (
            "GET",
            "repos/acme/app/actions/jobs?status=queued&status=waiting",
            ADMIN,
            200,
        ),
        ("GET", "admin/actions/jobs", reader.as_str(), 403),
        ("POST", "orgs", reader.as_str(), 403),
        (
            "GET",
            "admin/actions/runners/registration-token",
            ADMIN,
            404,
        ),
        (
            "POST",
            "admin/actions/runners/registration-token",
            ADMIN,
            200,
        ),
        ("POST", "/acme/app/actions/runs/1/cancel", ADMIN, 303),
    ] {
        let (status, body) = world.ask(method, path, token, &no_body).await;
        assert_eq!(status, expected, "{method} {path}: {body}");
    }
    assert!(
        !world.push(&reader, "on: push").await,
        "a reader may not push"
    );
    let again = json!({"name": "app"});
    world.post("orgs/acme/repos", &again, 409).await;
    let (_, answer) = world
        .ask("GET", "admin/actions/runners", ADMIN, &no_body)
        .await;
    assert_eq!(answer, json!({"runners": [], "total_count": 0}));
    let workflow = "on: push\njobs: {one: {runs-on: one, steps: [{run: 'true'}]}}";
    assert!(world.push(ADMIN, workflow).await);
    let refused = json!({"state": "failure", "context": "ci", "description": "no pool"});
    world
        .post("repos/acme/app/statuses/abc", &refused, 500)
        .await;
    let jobs = world.jobs().await;
    let sha = jobs[0]["head_sha"].as_str().unwrap();
    let path = format!("repos/acme/app/statuses/{sha}");
    world.post(&path, &refused, 201).await;
    let statuses = world.get(&path).await;
    assert_eq!(statuses[0]["description"], "no pool");
}
