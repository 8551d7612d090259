//! A deployment that serves jobs: its function is the real one, its machines boot, and the forge tells it
//! of its jobs.

use std::time::{Duration, Instant};

use aws_sdk_lambda::primitives::Blob;
use provisioner::Deployment;
use provisioner::package::Code;
use provisioner::secrets::{SecretValue, Secrets};
use serde_json::{Value, json};
use stacks::names::{ACTION_CLEANUP, OUTPUT_API_ID, SecretName};

use crate::support::deployments::{code, deployment, up};
use crate::support::{Bench, ask, push, sdk_config};

/// Longest that a job may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often somebody looks.
const LOOK: Duration = Duration::from_millis(100);
/// The schedule's minute, for tests: a job whose nudge was refused waits for the next reconcile.
const TICK: Duration = Duration::from_secs(3);

pub(crate) struct Serving<'b> {
    bench: &'b Bench,
    pub(crate) deployment: Deployment,
    /// Its jobs' label, and its organization at the forge.
    label: &'static str,
    work: tempfile::TempDir,
}

impl<'b> Serving<'b> {
    /// Deploys an environment of one pool for `label`, with one machine at most, and has the forge tell it
    /// of the jobs of an organization.
    pub(crate) async fn up(bench: &'b Bench, name: &str, label: &'static str) -> Self {
        let deployment = deployment(bench, |source| {
            let of_base = source.split("[pool.go]").next().unwrap();
            let (source, _) = of_base.split_once("base = \"host\"").unwrap();
            source
                .replace("\"lab-ci\"", &format!("\"{name}\""))
                .replace("max_runners = 20", "max_runners = 1")
                .replace("accepts_unlabelled = true\n", "")
                + &format!("{label} = \"host\"\n")
        });
        let serving = Self {
            deployment: deployment.with_secrets(secrets(bench)),
            bench,
            label,
            work: tempfile::tempdir().unwrap(),
        };
        up(&serving.deployment, &this_program()).await;
        serving.hook().await;
        // What waited before its first reconcile would get no machine.
        serving.reconcile().await;
        serving
    }

    /// A job of it is served from push to nothing.
    pub(crate) async fn serves_a_job(&self) {
        let before = self.jobs().await.len();
        self.push("true").await;
        self.until("the job is done", async || {
            let jobs = self.jobs().await;
            jobs.len() > before && jobs.iter().all(|job| job["conclusion"] == "success")
        })
        .await;
        self.until("its machine is gone", async || {
            self.machines().await.is_empty()
        })
        .await;
    }

    /// A machine of it that runs a job.
    pub(crate) async fn busy_machine(&self) -> String {
        self.push("sleep 300").await;
        let mut machine = None;
        self.until("a machine runs the job", async || {
            let jobs = self.jobs().await;
            let is_running = jobs.iter().any(|job| job["status"] == "in_progress");
            machine = self.machines().await.pop().filter(|_| is_running);
            machine.is_some()
        })
        .await;
        machine.unwrap()
    }

    /// Its scheduled reconcile, which sweeps, is done without a failure.
    pub(crate) async fn reconcile(&self) {
        let file = self.bench.lab.file();
        let lambda = aws_sdk_lambda::Client::new(&sdk_config(file, &file.aws_endpoint));
        let tick = json!({ "action": ACTION_CLEANUP }).to_string();
        let function = self.deployment.environment.names().function;
        let sent = lambda.invoke().function_name(function);
        let answer = sent.payload(Blob::new(tick)).send().await.unwrap();
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        let said: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(said, json!({ "done": "tick" }));
    }

    /// Runners that the forge knows, of anybody.
    pub(crate) async fn registrations(&self) -> u64 {
        let runners = self.forge("GET", "/admin/actions/runners", &json!(null));
        runners.await["total_count"].as_u64().unwrap()
    }

    /// Its machines that are not over.
    async fn machines(&self) -> Vec<String> {
        let all = self.bench.lab.status().await.unwrap().instances;
        let launch = self.deployment.environment.names().tag_launch;
        let own = all.into_iter().filter(|one| one.tags.contains_key(&launch));
        own.filter(|one| one.state != "terminated")
            .map(|one| one.id)
            .collect()
    }

    async fn jobs(&self) -> Vec<Value> {
        let path = format!("/repos/{}/app/actions/jobs", self.label);
        let jobs = self.forge("GET", &path, &json!(null)).await["jobs"].take();
        serde_json::from_value(jobs).unwrap_or_default()
    }

    async fn hook(&self) {
        let organization = json!({ "username": self.label });
        self.forge("POST", "/orgs", &organization).await;
        let outputs = provisioner::outputs(&self.deployment).await.unwrap();
        let file = self.bench.lab.file();
        let api = &outputs.by_name[OUTPUT_API_ID];
        let url = format!("{}/dispatch?api={api}", file.front_door);
        let hook = json!({
            "type": "gitea",
            "active": true,
            "events": ["push", "workflow_job"],
            "config": { "url": url, "content_type": "json", "secret": file.webhook_secret },
        });
        let own = |what: &str| format!("/orgs/{}/{what}", self.label);
        self.forge("POST", &own("hooks"), &hook).await;
        let repository = json!({ "name": "app", "default_branch": "main" });
        self.forge("POST", &own("repos"), &repository).await;
    }

    async fn push(&self, script: &str) {
        let workflow = json!({
            "name": fastrand::u64(..).to_string(),
            "on": "push",
            "jobs": {"job": {"runs-on": self.label, "steps": [{"run": script}]}},
        });
        let file = self.bench.lab.file();
        let host = file.forge.strip_prefix("http://").unwrap();
        let url = format!(
            "http://labadmin:{}@{host}/{}/app.git",
            file.forge_token, self.label
        );
        let path = ".gitea/workflows/ci.yml";
        let work = self.work.path();
        assert!(push(work, path, &workflow.to_string(), &url).await);
    }

    async fn forge(&self, method: &str, path: &str, body: &Value) -> Value {
        let file = self.bench.lab.file();
        let url = format!("{}/api/v1{path}", file.forge);
        let token = [("authorization", format!("token {}", file.forge_token))];
        let (status, answer) = ask(method, &url, &token, body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        let mut ticked = begun;
        while !holds().await {
            if ticked.elapsed() > TICK {
                self.reconcile().await;
                ticked = Instant::now();
            }
            let name = &self.deployment.environment.name;
            let jobs = self.jobs().await;
            assert!(
                begun.elapsed() < PATIENCE,
                "{name}: never: {what}: {jobs:?}"
            );
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn secrets(bench: &Bench) -> Secrets {
    let file = bench.lab.file();
    [
        (SecretName::Webhook, &file.webhook_secret),
        (SecretName::ForgeToken, &file.forge_token),
        (SecretName::RegistrationToken, &file.registration_token),
    ]
    .into_iter()
    .map(|(secret, value)| (secret, SecretValue::new(secret, value).unwrap()))
    .collect()
}

/// The function's code: this program, in the part of [`crate::function`]. A test's thread has a smaller
/// stack than a program's own, which is what the function runs on.
fn this_program() -> Code {
    let program = std::env::current_exe().unwrap();
    let program = program.display();
    code(&format!(
        "#!/bin/sh\nRUST_MIN_STACK=8388608 exec '{program}' --ignored --exact function --nocapture\n"
    ))
}
