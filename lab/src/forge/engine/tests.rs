//! Stories of jobs and runners, as timelines of what the hooks hear.

use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::super::model::{Hook, Repository, Scope};
use super::super::rpc;
use super::super::runs::started_by_a_push;
use super::super::state::{Kind, State};
use super::super::version::Version;
use super::NewRun;

const FILE: &str = "
on: push
jobs:
  build:
    runs-on: base
    steps: [{run: make}]
  test:
    needs: build
    runs-on: go
    strategy: {matrix: {part: [a, b]}}
    steps: [{run: make test}]
  report:
    needs: test
    if: always()
    steps: [{run: echo}]
  ship:
    needs: test
    runs-on: base
    steps: [{run: ship}]
";

/// A forge with one repository, and the clock of a story.
struct Story {
    state: State,
    repository: i64,
    now: i64,
}

impl Story {
    fn new() -> Self {
        let mut state = State::new(Version::default(), "admin", "global", 0);
        let owner = state.add_account("acme", true, 0);
        let mut story = Self {
            repository: 0,
            state,
            now: 1_000,
        };
        story.repository = story.add_repository(owner, "app");
        let hook = Hook {
            id: 1,
            scope: Scope::Global,
            url: "http://hook".to_owned(),
            secret: "s".to_owned(),
            authorization: String::new(),
            events: vec!["workflow_job".to_owned(), "workflow_run".to_owned()],
            active: true,
            created: 0,
            full_names: false,
        };
        story.state.hooks.insert(1, hook);
        story
    }

    fn add_repository(&mut self, owner: i64, name: &str) -> i64 {
        let id = self.state.number(Kind::Repository);
        let repository = Repository {
            id,
            owner,
            name: name.to_owned(),
            private: false,
            default_branch: "main".to_owned(),
            size_kb: 1,
            language: String::new(),
            branches: 1,
            created: 0,
            updated: 0,
        };
        self.state.repositories.insert(id, repository);
        id
    }

    fn push(&mut self, file: &str) -> i64 {
        let (mut runs, refused) = started_by_a_push(self.state.version, file);
        assert_eq!(refused, [""; 0]);
        let run = runs.pop().unwrap();
        let github = json!({"ref_name": "main", "repository": "acme/app"});
        let new = NewRun {
            repository: self.repository,
            actor: 1,
            path: ".gitea/workflows/ci.yml".to_owned(),
            name: Some("ci".to_owned()),
            workflow: "ci".to_owned(),
            title: "a commit".to_owned(),
            reference: "refs/heads/main".to_owned(),
            sha: "abc".to_owned(),
            committed: 1,
            jobs: run.jobs,
            group: run.group,
            github,
        };
        self.state.start_run(new, self.now)
    }

    /// What was announced since the last question, one line each.
    fn heard(&mut self) -> Vec<String> {
        self.state
            .outbox
            .drain(..)
            .map(|delivery| {
                let event: Value = serde_json::from_slice(delivery.body()).unwrap();
                let action = event["action"].as_str().unwrap();
                let job = &event["workflow_job"];
                let run = &event["workflow_run"];
                let conclusion = job["conclusion"].as_str().or(run["conclusion"].as_str());
                let conclusion = conclusion
                    .map(|word| format!("/{word}"))
                    .unwrap_or_default();
                match job["name"].as_str() {
                    Some(name) => format!(
                        "{name} #{} {action}{conclusion}{}",
                        job["run_attempt"],
                        job["runner_name"]
                            .as_str()
                            .map(|name| format!(" on {name}"))
                            .unwrap_or_default(),
                    ),
                    None => format!("run {action}{conclusion}"),
                }
            })
            .collect()
    }

    fn call(&mut self, name: &str, runner: Option<&Value>, body: &Value) -> (StatusCode, Value) {
        let mut headers = HeaderMap::new();
        headers.insert(
            "content-type",
            "application/json; charset=utf-8".parse().unwrap(),
        );
        if let Some(runner) = runner {
            for (header, field) in [("x-runner-uuid", "uuid"), ("x-runner-token", "token")] {
                let value = runner[field].as_str().unwrap().parse().unwrap();
                headers.insert(header, value);
            }
        }
        let bytes = body.to_string();
        let (status, answer) = rpc::call(
            &mut self.state,
            name,
            &Method::POST,
            &headers,
            bytes.as_bytes(),
            self.now,
        );
        (status, answer.unwrap_or_default())
    }

    fn register_with(&mut self, token: &str, name: &str, labels: &[&str]) -> Value {
        let body = json!({"name": name, "token": token, "labels": labels, "ephemeral": true});
        let (status, answer) = self.call("Register", None, &body);
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["runner"].clone()
    }

    fn register(&mut self, name: &str, labels: &[&str]) -> Value {
        self.register_with("global", name, labels)
    }

    /// The id of the task that this runner gets, if any.
    fn fetch(&mut self, runner: &Value) -> Option<String> {
        let (status, answer) = self.call("FetchTask", Some(runner), &json!({"tasksVersion": "0"}));
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["task"]["id"].as_str().map(str::to_owned)
    }

    fn end(&mut self, runner: &Value, task: &str, result: &str) -> (StatusCode, Value) {
        let body = json!({"state": {"id": task, "result": result, "steps": []}});
        self.call("UpdateTask", Some(runner), &body)
    }

    /// A fresh runner takes the next job for `labels` and ends it so.
    fn serve(&mut self, name: &str, labels: &[&str], result: &str) {
        let runner = self.register(name, labels);
        let task = self.fetch(&runner).expect("a job waits");
        self.end(&runner, &task, result);
    }
}

#[test]
fn a_push_queues_what_can_run_and_frees_the_rest_when_its_needs_have_ended() {
    let mut story = Story::new();
    story.push(FILE);
    assert_eq!(
        story.heard(),
        [
            "run requested",
            "build #0 queued",
            "test (a) #0 waiting",
            "test (b) #0 waiting",
            "report #0 waiting",
            "ship #0 waiting",
        ]
    );
    story.serve("i-1", &["base"], "RESULT_SUCCESS");
    assert_eq!(
        story.heard(),
        [
            "run in_progress",
            "build #1 in_progress on i-1",
            "build #1 completed/success on i-1",
            "test (a) #0 queued",
            "test (b) #0 queued",
        ]
    );
    story.serve("i-2", &["go"], "RESULT_SUCCESS");
    story.serve("i-3", &["go"], "RESULT_FAILURE");
    assert_eq!(
        story.heard(),
        [
            "test (a) #1 in_progress on i-2",
            "test (a) #1 completed/success on i-2",
            "test (b) #1 in_progress on i-3",
            "test (b) #1 completed/failure on i-3",
            // Measured: said before the job with `always()` is queued.
            "run completed/failure",
            "report #0 queued",
            "ship #0 completed/skipped",
        ]
    );
    story.serve("i-4", &["anything"], "RESULT_SUCCESS");
    assert_eq!(
        story.heard(),
        [
            "report #1 in_progress on i-4",
            "report #1 completed/success on i-4",
            "run completed/failure",
        ]
    );
    assert!(story.state.runners.is_empty(), "each row went with its job");
}

#[test]
fn labels_are_exact_and_a_job_without_any_goes_to_whoever_asks() {
    let mut story = Story::new();
    for (runs_on, labels, takes) in [
        ("lab", vec!["lab"], true),
        ("lab", vec!["Lab"], false),
        ("[lab, big]", vec!["lab"], false),
        ("[lab, big]", vec!["big", "lab", "more"], true),
        ("lab:host", vec!["lab"], false),
        ("[]", vec!["other"], true),
        ("${{ vars.NONE }}", vec!["other"], false),
    ] {
        let run = story.push(&format!(
            "on: push\njobs:\n  j:\n    runs-on: {runs_on}\n    steps: []\n"
        ));
        let runner = story.register("r", &labels);
        assert_eq!(
            story.fetch(&runner).is_some(),
            takes,
            "{runs_on} {labels:?}"
        );
        story.state.cancel(run, story.now);
    }
}

#[test]
fn a_runner_takes_the_oldest_job_in_its_scope_only() {
    let mut story = Story::new();
    let other = story.add_repository(story.state.account("acme").unwrap().id, "other");
    let own = rpc::registration_token(&mut story.state, Scope::Repository(other));
    let of_acme = story.state.account("acme").unwrap().id;
    let organization = rpc::registration_token(&mut story.state, Scope::Owner(of_acme));
    let one = "on: push\njobs:\n  j:\n    runs-on: x\n    steps: []\n";
    let first = story.push(one);
    story.now += 5;
    story.push(one);

    let stranger = story.register_with(&own, "i-stranger", &["x"]);
    assert_eq!(story.fetch(&stranger), None);
    let runner = story.register_with(&organization, "i-1", &["x"]);
    story.fetch(&runner).unwrap();
    let job = story.state.jobs_of(first)[0];
    assert_eq!(story.state.jobs[&job].attempt, 1, "the oldest was taken");
    assert_eq!(story.fetch(&runner), None, "and no second one");
}

#[test]
fn an_ephemeral_runner_is_forgotten_when_its_task_ends_and_kept_while_unused() {
    let mut story = Story::new();
    story.push("on: push\njobs:\n  j:\n    runs-on: x\n    steps: []\n");
    let used = story.register("i-used", &["x"]);
    story.register("i-unused", &["x"]);
    let task = story.fetch(&used).unwrap();
    assert_eq!(story.end(&used, &task, "RESULT_SUCCESS").0, StatusCode::OK);

    let names: Vec<&str> = story
        .state
        .runners
        .values()
        .map(|runner| runner.name.as_str())
        .collect();
    assert_eq!(names, ["i-unused"]);
    let (status, answer) = story.call("FetchTask", Some(&used), &json!({}));
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .ends_with("desc = unregistered runner")
    );
}

#[test]
fn cancelling_ends_the_jobs_and_shuts_the_runner_out() {
    let mut story = Story::new();
    let run = story.push(FILE);
    let runner = story.register("i-1", &["base"]);
    let task = story.fetch(&runner).unwrap();
    story.heard();
    story.state.cancel(run, story.now);
    assert_eq!(
        story.heard(),
        [
            "build #1 completed/cancelled on i-1",
            "run completed/cancelled",
            "test (a) #0 completed/skipped",
            "test (b) #0 completed/skipped",
            "report #0 queued",
            "ship #0 completed/skipped",
            "report #0 completed/cancelled",
        ]
    );
    let (status, answer) = story.end(&runner, &task, "RESULT_SUCCESS");
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{answer}");
}

#[test]
fn a_silent_runner_s_job_fails_and_is_not_queued_again() {
    let mut story = Story::new();
    story.push("on: push\njobs:\n  j:\n    runs-on: x\n    steps: []\n");
    let runner = story.register("i-gone", &["x"]);
    story.fetch(&runner).unwrap();
    story.heard();
    story.state.fail_zombies(600, story.now + 600);
    assert_eq!(story.heard(), [""; 0]);
    story.state.fail_zombies(600, story.now + 601);
    assert_eq!(
        story.heard(),
        ["j #1 completed/failure on i-gone", "run completed/failure"]
    );
    assert!(story.state.runners.is_empty());
}

#[test]
fn a_rerun_keeps_ids_and_says_the_old_attempt_until_it_is_taken() {
    let mut story = Story::new();
    let run = story.push(FILE);
    assert!(story.state.rerun(run, None, 1).is_err(), "not done yet");
    story.serve("i-1", &["base"], "RESULT_FAILURE");
    story.serve("i-2", &["x"], "RESULT_SUCCESS");
    story.heard();
    let build = story.state.jobs_of(run)[0];
    story.state.rerun(run, Some(build), story.now).unwrap();
    assert_eq!(
        story.heard(),
        [
            "run requested",
            "build #1 queued",
            "test (a) #0 waiting",
            "test (b) #0 waiting",
            "report #1 waiting",
            "ship #0 waiting",
        ]
    );
    let runner = story.register("i-3", &["base"]);
    story.fetch(&runner).unwrap();
    assert_eq!(
        story.heard(),
        ["run in_progress", "build #2 in_progress on i-3"]
    );
}

#[test]
fn refusals_have_the_measured_codes_and_words() {
    let mut story = Story::new();
    for (body, status, message) in [
        (
            json!({"name": "r", "token": "wrong"}),
            500,
            "runner registration token not found",
        ),
        (json!({"name": "r"}), 500, "missing runner token, name"),
        (
            json!({"token": "global"}),
            500,
            "missing runner token, name",
        ),
    ] {
        let (code, answer) = story.call("Register", None, &body);
        assert_eq!(
            (code.as_u16(), &answer["message"]),
            (status, &json!(message))
        );
        assert_eq!(answer["code"], "unknown");
    }
    let mut headers = HeaderMap::new();
    let mut bare = |headers: &HeaderMap, method: Method, body: &[u8]| {
        rpc::call(&mut story.state, "Register", &method, headers, body, 0)
            .0
            .as_u16()
    };
    assert_eq!(bare(&headers, Method::GET, b""), 405);
    headers.insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(bare(&headers, Method::POST, b"{}"), 415);
    headers.insert("content-type", "application/json".parse().unwrap());
    assert_eq!(bare(&headers, Method::POST, b"{"), 400);
}

#[test]
fn registration_answers_as_recorded() {
    let mut story = Story::new();
    let runner = story.register("i-0aaa", &["lab:host"]);
    assert_eq!(runner["id"], "1", "a 64-bit number is text");
    assert_eq!(
        runner["labels"],
        json!(["lab:host"]),
        "labels are stored verbatim"
    );
    assert_eq!(runner["token"].as_str().unwrap().len(), 40);
    assert_eq!(runner["ephemeral"], true);
    assert!(runner.get("version").is_none(), "empty fields are absent");
    let long = story.register(&"x".repeat(300), &[]);
    assert!(long["name"].as_str().unwrap().ends_with('…'));
}

#[test]
fn a_runner_that_saw_the_newest_version_is_not_searched_for() {
    let mut story = Story::new();
    story.push("on: push\njobs:\n  j:\n    runs-on: x\n    steps: []\n");
    let runner = story.register("i-1", &["x"]);
    let version = json!({"tasksVersion": story.state.tasks_version.to_string()});
    let (_, answer) = story.call("FetchTask", Some(&runner), &version);
    assert!(answer.get("task").is_none());
    assert!(story.fetch(&runner).is_some());
}
