//! Our bodies against the recordings, byte for byte: the few facts of each recording are read into
//! the model, everything else must come out of it again.

use std::path::Path;

use serde_json::Value;

use super::super::model::{Account, Repository, Run, Site, Status};
use super::super::model::{Conclusion, Job, StepTimes, Task};
use super::super::version::Version;
use super::push::{Commit, Person, Pushed};
use super::{HostedRepository, actions, bytes, push};

/// Before the names of what a newer server sent.
const NEWER: &str = "gitea-1.27.3/";

fn recording(event: &str, name: &str) -> (String, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/deliveries");
    let (folder, name) = match name.strip_prefix(NEWER) {
        Some(name) => (folder.join(NEWER), name),
        None => (folder, name),
    };
    let file = folder.join(format!("{event}.{name}.body.json"));
    let mut text = std::fs::read_to_string(file).unwrap();
    // What the stand-in never has: forks, pull requests, releases.
    for counter in ["forks_count", "open_pr_counter", "release_counter"] {
        text = text.replace(&format!("\"{counter}\": 1"), &format!("\"{counter}\": 0"));
    }
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

/// Equal to the byte; the first line that is not is what one wants to see.
fn assert_same(name: &str, ours: &[u8], recorded: &str) {
    let ours = String::from_utf8(ours.to_vec()).unwrap();
    for (ours, recorded) in ours.lines().zip(recorded.lines()) {
        assert_eq!(ours, recorded, "{name}");
    }
    assert_eq!(ours.len(), recorded.len(), "{name}");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn seconds(value: &Value) -> i64 {
    let time: jiff::Timestamp = text(value).parse().unwrap();
    time.as_second()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(text).collect()
}

fn account(value: &Value, organization: bool) -> Account {
    Account {
        id: value["id"].as_i64().unwrap(),
        login: text(&value["login"]),
        organization,
        email: text(&value["email"]),
        avatar: text(&value["avatar_url"])
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned(),
        created: seconds(&value["created"]),
    }
}

fn repository(value: &Value) -> Repository {
    Repository {
        id: value["id"].as_i64().unwrap(),
        owner: value["owner"]["id"].as_i64().unwrap(),
        name: text(&value["name"]),
        private: value["private"] == true,
        default_branch: text(&value["default_branch"]),
        size_kb: value["size"].as_u64().unwrap(),
        language: text(&value["language"]),
        branches: usize::try_from(value["branch_count"].as_u64().unwrap()).unwrap(),
        created: seconds(&value["created_at"]),
        updated: seconds(&value["updated_at"]),
    }
}

/// Whom and what a recording is about.
struct Recorded {
    site: Site,
    version: Version,
    owner: Account,
    sender: Account,
    repository: Repository,
}

impl Recorded {
    fn of(name: &str, value: &Value) -> Self {
        let is_newer = name.starts_with(NEWER);
        let page = text(&value["repository"]["html_url"]);
        let full_name = text(&value["repository"]["full_name"]);
        let (ssh, _) = value["repository"]["ssh_url"]
            .as_str()
            .and_then(|url| url.split_once(':'))
            .unwrap();
        Self {
            site: Site {
                root: page
                    .strip_suffix(&format!("/{full_name}"))
                    .unwrap()
                    .to_owned(),
                ssh: ssh.to_owned(),
            },
            version: if is_newer {
                Version::Gitea1_27
            } else {
                Version::default()
            },
            owner: account(&value["repository"]["owner"], true),
            sender: account(&value["sender"], false),
            repository: repository(&value["repository"]),
        }
    }

    fn hosted(&self) -> HostedRepository<'_> {
        HostedRepository {
            site: &self.site,
            version: self.version,
            owner: &self.owner,
            repository: &self.repository,
        }
    }
}

fn status(value: &Value) -> Status {
    match (
        value["status"].as_str().unwrap(),
        value["conclusion"].as_str(),
    ) {
        ("queued", None) => Status::Waiting,
        ("waiting", None) => Status::Blocked,
        ("in_progress", None) => Status::Running,
        ("completed", Some("success")) => Status::Done(Conclusion::Success),
        ("completed", Some("failure")) => Status::Done(Conclusion::Failure),
        ("completed", Some("cancelled")) => Status::Done(Conclusion::Cancelled),
        ("completed", Some("skipped")) => Status::Done(Conclusion::Skipped),
        other => panic!("{other:?}"),
    }
}

/// A run of which only `fields` of the recorded object are known.
fn run(of: &Value, id: i64, status: Status) -> Run {
    let reference = match of["head_branch"].as_str() {
        Some(branch) => format!("refs/heads/{branch}"),
        None => "refs/pull/1/head".to_owned(),
    };
    Run {
        name: None,
        id,
        repository: 1,
        number: of["run_number"].as_i64().unwrap_or_default(),
        path: ".gitea/workflows/ci.yml".to_owned(),
        workflow: "ci".to_owned(),
        title: text(&of["display_title"]),
        reference,
        sha: text(&of["head_sha"]),
        actor: 1,
        status,
        said_running: false,
        started: seconds(&of["started_at"]),
        stopped: seconds(&of["completed_at"]),
        committed: 0,
        github: Value::Null,
        group: None,
        attempt: of["run_attempt"].as_i64().unwrap(),
    }
}

#[test]
fn job_events_are_the_recorded_bytes() {
    for name in [
        "queued",
        "waiting_matrix_needs",
        "queued_unblocked_by_needs",
        "in_progress",
        "completed_success",
        "completed_failure",
        "completed_failure_zombie_runner_lost",
        "completed_skipped_by_runner_if_false",
        "completed_cancelled_never_run",
        "completed_cancelled_while_running",
        "queued_rerun_attempt1",
        "queued_labels_empty_no_runs_on",
        "queued_labels_object_group",
        "queued_pull_request",
        "gitea-1.27.3/queued",
        "gitea-1.27.3/waiting_matrix_needs",
    ] {
        let (recorded, value) = recording("workflow_job", name);
        let (about, of) = (Recorded::of(name, &value), &value["workflow_job"]);
        let steps = of["steps"].as_array().unwrap();
        let task = of["runner_id"].as_i64().map(|runner| Task {
            id: 1,
            job: 1,
            runner,
            runner_name: text(&of["runner_name"]),
            token: String::new(),
            steps: steps
                .iter()
                .map(|step| StepTimes {
                    started: seconds(&step["started_at"]),
                    stopped: seconds(&step["completed_at"]),
                })
                .collect(),
            log: Vec::new(),
            heartbeat: 0,
            running: false,
        });
        let run = run(of, of["run_id"].as_i64().unwrap(), Status::Waiting);
        let job = Job {
            id: of["id"].as_i64().unwrap(),
            run: run.id,
            repository: about.repository.id,
            key: String::new(),
            name: text(&of["name"]),
            labels: texts(&of["labels"]),
            needs: Vec::new(),
            condition: None,
            matrix: workflow::expression::Value::Map(None),
            steps: steps.iter().map(|step| text(&step["name"])).collect(),
            payload: String::new(),
            status: status(of),
            attempt: of["run_attempt"].as_i64().unwrap(),
            task: None,
            outputs: std::collections::BTreeMap::new(),
            created: seconds(&of["created_at"]),
            started: seconds(&of["started_at"]),
            stopped: seconds(&of["completed_at"]),
            queued: 0,
        };
        let body = actions::job(about.hosted(), &run, &job, task.as_ref());
        let event = actions::job_event(about.hosted(), &about.sender, body);
        assert_same(name, &bytes(&event), &recorded);
    }
}

#[test]
fn run_events_are_the_recorded_bytes() {
    for name in [
        "requested",
        "in_progress",
        "completed_success",
        "gitea-1.27.3/requested",
    ] {
        let (recorded, value) = recording("workflow_run", name);
        let (about, of) = (Recorded::of(name, &value), &value["workflow_run"]);
        let mut run = run(of, of["id"].as_i64().unwrap(), status(of));
        run.workflow = text(&value["workflow"]["name"]);
        let action = actions::run_action(run.status).unwrap();
        let committed = seconds(&value["workflow"]["created_at"]);
        let event = actions::run_event(about.hosted(), &about.sender, &run, action, committed);
        assert_same(name, &bytes(&event), &recorded);
    }
}

fn commit(value: &Value) -> Commit {
    let person = |value: &Value| Person {
        name: text(&value["name"]),
        email: text(&value["email"]),
        username: text(&value["username"]),
    };
    Commit {
        id: text(&value["id"]),
        message: text(&value["message"]),
        author: person(&value["author"]),
        committer: person(&value["committer"]),
        timestamp: text(&value["timestamp"]),
        committed: 0,
        added: texts(&value["added"]),
        removed: texts(&value["removed"]),
        modified: texts(&value["modified"]),
    }
}

#[test]
fn push_events_are_the_recorded_bytes() {
    for name in [
        "branch_update",
        "new_branch_one_commit",
        "eight_commits_truncated_to_five",
        "force",
        "tag_lightweight",
        "tag_annotated",
        "tag_delete",
        "gitea-1.27.3/branch_update",
        "gitea-1.27.3/tag_annotated",
    ] {
        let (recorded, value) = recording("push", name);
        let about = Recorded::of(name, &value);
        let compare = text(&value["compare_url"]);
        let base = compare
            .rsplit_once('/')
            .and_then(|(_, range)| range.split_once("..."));
        let pushed = Pushed {
            reference: text(&value["ref"]),
            before: text(&value["before"]),
            after: text(&value["after"]),
            base: base.map(|(base, _)| base.to_owned()).unwrap_or_default(),
            commits: value["commits"]
                .as_array()
                .unwrap()
                .iter()
                .map(commit)
                .collect(),
            total: usize::try_from(value["total_commits"].as_u64().unwrap()).unwrap(),
            head: Some(&value["head_commit"])
                .filter(|head| !head.is_null())
                .map(commit),
            files: Vec::new(),
        };
        let event = push::push_event(about.hosted(), &about.sender, &pushed);
        assert_same(name, &bytes(&event), &recorded);
    }
}

#[test]
fn html_s_characters_are_escaped_as_go_escapes_them() {
    let ours = String::from_utf8(bytes(&serde_json::json!({"a": "<&>"}))).unwrap();
    assert_eq!(ours, "{\n  \"a\": \"\\u003c\\u0026\\u003e\"\n}");
}
