//! The lab's forge, asked as its administrator.

use serde_json::{Value, json};
use workflow::{Capability, ForgeKind, Server};

use super::{World, until};
use crate::delivery::Job;
use crate::support::{ask, push};

impl World {
    /// Pushes `workflow` to `acme/app` and gives its jobs, which wait there now.
    pub(crate) async fn push(&self, workflow: &str) -> Vec<Job> {
        let jobs = self.push_any(workflow).await;
        for job in &jobs {
            assert_eq!(self.standing_at_forge(job).await, "queued");
        }
        jobs
    }

    /// The same for a workflow whose jobs may wait for each other.
    pub(crate) async fn push_any(&self, workflow: &str) -> Vec<Job> {
        self.forge("POST", "orgs", &json!({"username": "acme"}))
            .await;
        self.push_to("app", workflow).await
    }

    /// Pushes `workflow` to `acme/app`, and does not look for its jobs: the commit.
    pub(crate) async fn push_without_jobs(&self, workflow: &str) -> String {
        self.forge("POST", "orgs", &json!({"username": "acme"}))
            .await;
        self.push_file("app", workflow).await
    }

    /// Pushes `workflow` to the new repository `name` of the organization `acme`: the commit.
    pub(crate) async fn push_file(&self, name: &str, workflow: &str) -> String {
        self.forge("POST", "orgs/acme/repos", &json!({ "name": name }))
            .await;
        self.push_change(name, workflow).await
    }

    /// The same to a repository that there is.
    pub(crate) async fn push_change(&self, name: &str, workflow: &str) -> String {
        let work = self.bench.path().join("work").join(name);
        let lab = self.bench.lab.file();
        let address = lab.forge.strip_prefix("http://").unwrap();
        let url = format!(
            "http://labadmin:{}@{address}/acme/{name}.git",
            lab.forge_token
        );
        assert!(push(&work, ".gitea/workflows/ci.yml", workflow, &url).await);
        let commit = std::fs::read_to_string(work.join(".git/refs/heads/main"));
        commit.unwrap().trim().to_owned()
    }

    /// The same, and gives its jobs.
    pub(crate) async fn push_to(&self, name: &str, workflow: &str) -> Vec<Job> {
        self.push_file(name, workflow).await;
        let mut jobs = Vec::new();
        // The real forge makes them, all at once, when it has answered the push.
        until("the push has jobs", async || {
            let answer = self
                .forge(
                    "GET",
                    &format!("repos/acme/{name}/actions/jobs"),
                    &Value::Null,
                )
                .await;
            jobs.clone_from(answer["jobs"].as_array().unwrap());
            !jobs.is_empty()
        })
        .await;
        let from_one = self.numbers_from_one();
        jobs.iter()
            .map(|job| {
                let labels = job["labels"].as_array().unwrap();
                let labels: Vec<&str> = labels.iter().map(|one| one.as_str().unwrap()).collect();
                Job {
                    repository: format!("acme/{name}"),
                    sha: Some(job["head_sha"].as_str().unwrap().to_owned()),
                    name: job["name"].as_str().unwrap().to_owned(),
                    run: job["run_id"].as_u64().unwrap(),
                    from_one,
                    ..Job::new(job["id"].as_u64().unwrap()).on(&labels)
                }
            })
            .collect()
    }

    /// Where the forge says that a job stands.
    pub(crate) async fn standing_at_forge(&self, job: &Job) -> String {
        let path = format!("repos/{}/actions/jobs/{}", job.repository, job.id);
        let answer = self.forge("GET", &path, &Value::Null).await;
        answer["status"].as_str().unwrap().to_owned()
    }

    /// Cancels every job of the only run.
    pub(crate) async fn cancel_run(&self) {
        self.bench.lab.cancel_run("acme/app", 1).await.unwrap();
    }

    /// Runs every job of the only run again: `job`, which no runner ever had, as it waits now. From
    /// Gitea 1.27 on it is another one.
    pub(crate) async fn rerun(&self, job: &Job) -> Job {
        let path = "repos/acme/app/actions/runs/1/rerun";
        self.forge("POST", path, &Value::Null).await;
        if !self.numbers_from_one() {
            return job.clone();
        }
        let path = "repos/acme/app/actions/jobs?status=queued";
        let answer = self.forge("GET", path, &Value::Null).await;
        let id = answer["jobs"][0]["id"].as_u64().unwrap();
        let again = job.clone().again();
        Job { id, ..again }
    }

    /// Whether it numbers attempts as Gitea does from 1.27 on.
    fn numbers_from_one(&self) -> bool {
        let server = Server::parse(&self.bench.lab.file().forge_version).unwrap();
        server.kind == ForgeKind::Gitea && server.has(Capability::NumbersAttemptsFromOne)
    }

    /// The runners that are registered, as the forge lists them below `place`.
    pub(crate) async fn registered(&self, place: &str) -> Vec<Value> {
        let path = format!("{place}/actions/runners");
        let answer = self.forge("GET", &path, &Value::Null).await;
        answer["runners"].as_array().unwrap().clone()
    }

    /// Our statuses of a job's commit, the newest first; the real forge has its own there too.
    pub(crate) async fn statuses(&self, job: &Job) -> Vec<Value> {
        let sha = job.sha.as_deref().unwrap();
        let path = format!("repos/{}/statuses/{sha}", job.repository);
        let answer = self.forge("GET", &path, &Value::Null).await;
        let mut statuses = answer.as_array().unwrap().clone();
        // The forge's own order is by the second, and two of ours may share one.
        statuses.sort_by_key(|status| std::cmp::Reverse(status["id"].as_u64()));
        statuses.retain(|status| status["context"].as_str().unwrap().starts_with(super::NAME));
        statuses
    }

    /// Registers a runner of the whole forge as the dispatcher does, which hears nothing of it.
    pub(crate) async fn register_unheard(&self, name: &str) -> Value {
        let token = &self.bench.lab.file().registration_token;
        let body = json!({"name": name, "token": token, "labels": ["base"], "ephemeral": true});
        self.rpc("Register", &body, None).await["runner"].clone()
    }

    /// The runner of that document asks for a job; `Null` when it gets none.
    pub(crate) async fn fetch_task(&self, document: &Value) -> Value {
        let body = json!({"tasksVersion": "0"});
        self.rpc("FetchTask", &body, Some(document)).await["task"].clone()
    }

    /// The runner of that document reports that its task ended well.
    pub(crate) async fn finish_task(&self, document: &Value, id: u64) {
        self.end_task(document, id, "RESULT_SUCCESS").await;
    }

    /// The task of the runner of that document ends like this.
    pub(crate) async fn end_task(&self, document: &Value, id: u64, result: &str) {
        let now = jiff::Timestamp::now().to_string();
        let state = json!({
            "id": id.to_string(), "result": result, "startedAt": now, "stoppedAt": now,
            "steps": [],
        });
        self.rpc("UpdateTask", &json!({ "state": state }), Some(document))
            .await;
    }

    pub(crate) async fn rpc(&self, method: &str, body: &Value, runner: Option<&Value>) -> Value {
        let forge = &self.bench.lab.file().forge;
        let url = format!("{forge}/api/actions/runner.v1.RunnerService/{method}");
        let headers = runner.map(|runner| {
            [("x-runner-uuid", "uuid"), ("x-runner-token", "token")]
                .map(|(header, field)| (header, runner[field].as_str().unwrap().to_owned()))
        });
        let headers = headers.iter().flatten().cloned().collect::<Vec<_>>();
        let (status, answer) = ask("POST", &url, &headers, body).await;
        assert_eq!(status, 200, "{method}: {answer}");
        answer
    }

    /// One request to the forge's API, which it must grant.
    pub(crate) async fn forge(&self, method: &str, path: &str, body: &Value) -> Value {
        let lab = self.bench.lab.file();
        let url = format!("{}/api/v1/{path}", lab.forge);
        let token = [("authorization", format!("token {}", lab.forge_token))];
        let (status, answer) = ask(method, &url, &token, body).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }
}
