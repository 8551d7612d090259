//! Both doors, as their callers use them.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::{Ec2, Forge, HookScope, IMAGE, InstanceState, Made, Outgoing, Reason, Stop, Template};
use crate::forge::Version;

const START_MS: u64 = 1_800_000_000_000;
const WORKFLOW: &str = "
name: ci
on: push
jobs:
  build:
    runs-on: base
    steps: [{run: make}]
  test:
    needs: build
    runs-on: base
    steps: [{run: make test}]
";

fn made() -> Made {
    let template = Template {
        image: Some("resolve:ssm:/ci/image".to_owned()),
        profile: Some("runner".to_owned()),
        shutdown: Some("terminate".to_owned()),
        security_groups: vec!["sg-1".to_owned()],
        ..Template::default()
    };
    Made {
        templates: [(("lt-1".to_owned(), "3".to_owned()), template)].into(),
        subnets: [("subnet-a".to_owned(), "eu-west-1a".to_owned())].into(),
        security_groups: ["sg-1".to_owned()].into(),
        profiles: ["runner".to_owned()].into(),
        images: [("/ci/image".to_owned(), IMAGE.to_owned())].into(),
    }
}

fn form(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Version", "2016-11-15")
        .extend_pairs(pairs);
    form.finish().into_bytes()
}

fn launch(token: &str, template: &str) -> Vec<u8> {
    form(&[
        ("Action", "RunInstances"),
        ("ClientToken", token),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("LaunchTemplate.LaunchTemplateId", template),
        ("LaunchTemplate.Version", "3"),
        ("InstanceType", "t3.small"),
        ("SubnetId", "subnet-a"),
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "ci"),
        ("TagSpecification.1.Tag.1.Value", "base"),
    ])
}

fn text(answer: (u16, Vec<u8>)) -> (u16, String) {
    (answer.0, String::from_utf8(answer.1).unwrap())
}

#[test]
fn one_token_is_one_instance_and_lives_as_its_owner_says() {
    let mut ec2 = Ec2::new(made(), START_MS);
    let (status, first) = text(ec2.answer(&launch("t", "lt-1"), START_MS));
    assert_eq!(status, 200, "{first}");
    let (status, again) = text(ec2.answer(&launch("t", "lt-1"), START_MS + 10));
    assert_eq!(status, 200, "{again}");
    let all: Vec<String> = ec2.instances().map(|one| one.id.to_owned()).collect();
    let [id] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert!(first.contains(id) && again.contains(id));
    assert_eq!(ec2.calls().attempts("RunInstances"), 2);

    let describe = form(&[
        ("Action", "DescribeInstances"),
        ("Filter.1.Name", "tag:ci"),
        ("Filter.1.Value.1", "base"),
    ]);
    let shown = |ec2: &mut Ec2, at| text(ec2.answer(&describe, at)).1.contains(id);
    assert!(!shown(&mut ec2, START_MS + 400), "not at once");
    assert!(shown(&mut ec2, START_MS + 600));

    assert!(ec2.booted(id, START_MS + 20_000));
    let end = form(&[
        ("Action", "TerminateInstances"),
        ("InstanceId.1", id),
        ("SkipOsShutdown", "true"),
    ]);
    assert_eq!(ec2.answer(&end, START_MS + 30_000).0, 200);
    let one = ec2.instances().next().unwrap();
    assert_eq!(
        (one.state, one.stop),
        (InstanceState::ShuttingDown, Stop::Outright)
    );
    assert_eq!((one.token, one.reason), ("t", Some(Reason::User)));
    assert_eq!(one.running_ms, Some(START_MS + 20_000));
    assert!(ec2.gone(id, START_MS + 31_000));
    assert!(!ec2.gone(id, START_MS + 32_000), "once");
    let one = ec2.instances().next().unwrap();
    assert_eq!(one.ended_ms, Some(START_MS + 31_000));
}

#[test]
fn what_was_not_made_is_not_found_and_what_is_foreign_can_be_ended_too() {
    let mut ec2 = Ec2::new(made(), START_MS);
    let (status, words) = text(ec2.answer(&launch("t", "lt-2"), START_MS));
    assert_eq!(status, 400);
    assert!(
        words.contains("InvalidLaunchTemplateId.NotFound"),
        "{words}"
    );
    ec2.faults().quota = 0;
    let (_, words) = text(ec2.answer(&launch("t", "lt-1"), START_MS));
    assert!(words.contains("VcpuLimitExceeded"), "{words}");
    let foreign = ec2.add_foreign([("Name".to_owned(), "db".to_owned())].into(), START_MS);
    assert!(ec2.end(&foreign, Reason::Host, START_MS));
    let one = ec2.instances().next().unwrap();
    assert_eq!((one.id, one.stop), (foreign.as_str(), Stop::Outright));
    assert_eq!(one.tags["Name"], "db");
}

/// A forge with one repository and a hook for jobs, and the clock of a story.
struct Story {
    forge: Forge,
    repository: i64,
    now_ms: u64,
}

impl Story {
    fn new(version: Version) -> Self {
        let mut forge = Forge::new(version, "admin", "register", START_MS);
        let repository = forge.add_repository("acme", "app", START_MS);
        let scope = HookScope::Owner("acme".to_owned());
        assert!(forge.add_hook(
            &scope,
            "https://hook/path",
            "s",
            &["workflow_job"],
            START_MS
        ));
        Self {
            forge,
            repository,
            now_ms: START_MS,
        }
    }

    fn ask(&mut self, method: &Method, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(method, path, &[("authorization", "token admin")], body)
    }

    fn send(
        &mut self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> (StatusCode, Value) {
        self.now_ms += 1_000;
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.to_string())).unwrap();
        let answer = self.forge.answer(&request, self.now_ms);
        let body = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status(), body)
    }

    fn rpc(&mut self, name: &str, headers: &[(&str, &str)], body: &Value) -> Value {
        let path = format!("/api/actions/runner.v1.RunnerService/{name}");
        let (status, answer) = self.send(&Method::POST, &path, headers, body);
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    /// A fresh runner takes the next job and ends it well.
    fn serve(&mut self, name: &str) {
        let body =
            json!({"name": name, "token": "register", "labels": ["base"], "ephemeral": true});
        let runner = self.rpc("Register", &[], &body)["runner"].clone();
        let own = |field: &str| runner[field].as_str().unwrap().to_owned();
        let (uuid, token) = (own("uuid"), own("token"));
        let headers = [("x-runner-uuid", uuid.as_str()), ("x-runner-token", &token)];
        let task = self.rpc("FetchTask", &headers, &json!({}))["task"]["id"].clone();
        assert!(task.is_string(), "a job waits");
        assert!(self.forge.runners().all(|runner| runner.busy));
        let body = json!({"state": {"id": task, "result": "RESULT_SUCCESS"}});
        self.rpc("UpdateTask", &headers, &body);
        assert_eq!(self.forge.runners().count(), 0, "its row goes with its job");
    }

    /// What was told of jobs since the last question, one line each.
    fn heard(&mut self) -> Vec<String> {
        let line = |sent: Outgoing| {
            let event: Value = serde_json::from_slice(&sent.body).unwrap();
            let job = &event["workflow_job"];
            let on = job["runner_name"].as_str();
            let on = on.map(|name| format!(" on {name}")).unwrap_or_default();
            let (name, action) = (&job["name"], &event["action"]);
            format!("{} {name} #{} {action}{on}", job["id"], job["run_attempt"]).replace('"', "")
        };
        self.forge.deliveries().into_iter().map(line).collect()
    }
}

#[test]
fn a_job_is_made_listed_served_and_told_of() {
    let mut story = Story::new(Version::Gitea1_26);
    story
        .forge
        .start_run(story.repository, "main", WORKFLOW, START_MS)
        .unwrap();
    let sent = story.forge.deliveries();
    assert_eq!(sent.len(), 2);
    assert_eq!(
        (sent[0].url.as_str(), sent[0].event),
        ("https://hook/path", "workflow_job")
    );
    assert_eq!(sent[0].headers[0], ("Host", "hook".to_owned()));
    assert!(story.forge.deliveries().is_empty(), "taken out");

    let path = "/api/v1/admin/actions/jobs?status=queued&limit=50&page=1";
    let (status, listed) = story.ask(&Method::GET, path, &Value::Null);
    assert_eq!(
        (status, &listed["total_count"]),
        (StatusCode::OK, &json!(1))
    );
    assert_eq!(listed["jobs"][0]["name"], "build");
    let sha = listed["jobs"][0]["head_sha"].as_str().unwrap().to_owned();
    story.serve("i-1");
    story.serve("i-2");
    let ended: Vec<_> = story
        .forge
        .jobs()
        .map(|job| (job.name, job.conclusion))
        .collect();
    assert_eq!(
        ended,
        [("build", Some("success")), ("test", Some("success"))]
    );
    assert_eq!(
        story.heard(),
        [
            "1 build #1 in_progress on i-1",
            "1 build #1 completed on i-1",
            "2 test #0 queued",
            "2 test #1 in_progress on i-2",
            "2 test #1 completed on i-2",
        ]
    );
    for (commit, status) in [(sha.as_str(), 201), ("0123", 500)] {
        let path = format!("/api/v1/repos/acme/app/statuses/{commit}");
        let body = json!({"state": "success", "context": "ours"});
        assert_eq!(story.ask(&Method::POST, &path, &body).0.as_u16(), status);
    }
    let last = story.forge.statuses().last().unwrap();
    assert_eq!(
        (last.context, last.state, last.sha),
        ("ours", "success", sha.as_str())
    );
}

#[test]
fn an_attempt_is_numbered_as_its_server_does() {
    let heard = |version| {
        let mut story = Story::new(version);
        let run = story
            .forge
            .start_run(story.repository, "main", WORKFLOW, START_MS);
        let run = run.unwrap();
        story.serve("i-1");
        story.serve("i-2");
        let first = story.heard();
        let test = story.forge.jobs().last().unwrap().id;
        story.forge.rerun(run, Some(test), story.now_ms).unwrap();
        story.serve("i-3");
        story.forge.rerun(run, None, story.now_ms).unwrap();
        (first, story.heard())
    };
    let (first, then) = heard(Version::Gitea1_26);
    assert_eq!(first[..2], ["1 build #0 queued", "2 test #0 waiting"]);
    assert_eq!(
        then,
        [
            "2 test #1 queued",
            "2 test #2 in_progress on i-3",
            "2 test #2 completed on i-3",
            "1 build #1 queued",
            "2 test #2 waiting",
        ]
    );
    let (first, then) = heard(Version::Gitea1_27);
    assert_eq!(
        first,
        [
            "1 build #1 queued",
            "2 test #1 waiting",
            "1 build #1 in_progress on i-1",
            "1 build #1 completed on i-1",
            "2 test #1 queued",
            "2 test #1 in_progress on i-2",
            "2 test #1 completed on i-2",
        ]
    );
    assert_eq!(
        then,
        [
            "3 build #2 completed on i-1",
            "4 test #2 queued",
            "4 test #2 in_progress on i-3",
            "4 test #2 completed on i-3",
            "5 build #3 queued",
            "6 test #3 waiting",
        ]
    );
}

#[test]
fn a_repository_moves_and_goes() {
    let mut story = Story::new(Version::Gitea1_27);
    story
        .forge
        .start_run(story.repository, "main", WORKFLOW, START_MS)
        .unwrap();
    let (status, missing) = story.ask(
        &Method::GET,
        "/api/v1/repos/acme/app/contents/x",
        &json!(null),
    );
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(missing["message"].is_string(), "the forge's own 404");
    story.forge.rename_repository(story.repository, "new");
    let request = Request::get("/api/v1/repos/acme/app/actions/jobs?status=queued")
        .header("authorization", "token admin")
        .body(Bytes::new())
        .unwrap();
    let answer = story.forge.answer(&request, START_MS);
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    let to = "/api/v1/repos/acme/new/actions/jobs?status=queued";
    assert_eq!(answer.headers()["location"], to);
    assert_eq!(
        story.ask(&Method::GET, to, &json!(null)).1["total_count"],
        1
    );
    let by_number = format!("/api/v1/repositories/{}", story.repository);
    let (_, named) = story.ask(&Method::GET, &by_number, &json!(null));
    assert_eq!(named["full_name"], "acme/new");
    story.forge.delete_repository(story.repository);
    assert_eq!(story.forge.jobs().count(), 0);
    let gone = story.ask(&Method::GET, to, &json!(null));
    assert_eq!(gone.0, StatusCode::NOT_FOUND);
    let listed = story.ask(&Method::GET, "/api/v1/admin/actions/jobs", &json!(null));
    assert_eq!(listed.1["total_count"], 0);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let told = |seed| {
        fastrand::seed(seed);
        let mut told = Vec::new();
        let mut ec2 = Ec2::new(made(), START_MS);
        for token in ["a", "b", "a", "c"] {
            told.push(ec2.answer(&launch(token, "lt-1"), START_MS).1);
        }
        let all = form(&[("Action", "DescribeInstances")]);
        told.push(ec2.answer(&all, START_MS + 1_000).1);
        let mut story = Story::new(Version::Gitea1_26);
        for branch in ["main", "side"] {
            let run = story
                .forge
                .start_run(story.repository, branch, WORKFLOW, START_MS);
            run.unwrap();
            story.serve(branch);
        }
        let listed = story.ask(&Method::GET, "/api/v1/admin/actions/jobs", &json!(null));
        told.push(listed.1.to_string().into_bytes());
        for sent in story.forge.deliveries() {
            told.push(format!("{:?}", sent.headers).into_bytes());
            told.push(sent.body);
        }
        told
    };
    assert_eq!(told(7), told(7));
    assert_ne!(told(7), told(8));
}
