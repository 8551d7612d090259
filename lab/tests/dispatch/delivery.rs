//! Deliveries as API Gateway hands them over: the recorded ones, and such of jobs that a test names.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;

/// A job of the forge, as its deliveries tell of it.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) repository: String,
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) run: u64,
    /// How many attempts went before this one.
    pub(crate) attempt: u64,
    /// Told of by a Gitea from 1.27 on: attempts are numbered otherwise.
    pub(crate) from_one: bool,
    pub(crate) labels: Vec<String>,
    /// Its commit; without one, that of the recording.
    pub(crate) sha: Option<String>,
}

/// A runner as deliveries name it.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) id: u64,
    pub(crate) name: String,
}

/// Somebody's own runner, which may bear any name.
impl From<&str> for Runner {
    fn from(name: &str) -> Self {
        Self {
            id: 4711,
            name: name.to_owned(),
        }
    }
}

impl Job {
    /// Job `id` of `acme/app`, for the pool `base`.
    pub(crate) fn new(id: u64) -> Self {
        Self {
            repository: "acme/app".to_owned(),
            id,
            name: format!("job {id}"),
            run: 1,
            attempt: 0,
            from_one: false,
            labels: vec!["base".to_owned()],
            sha: None,
        }
    }

    pub(crate) fn on(mut self, labels: &[&str]) -> Self {
        self.labels = labels.iter().map(|&label| label.to_owned()).collect();
        self
    }

    /// The same job, run again.
    pub(crate) fn again(mut self) -> Self {
        self.attempt += 1;
        self
    }

    /// The same job, told of by a Gitea from 1.27 on.
    pub(crate) fn by_gitea_1_27(mut self) -> Self {
        self.from_one = true;
        self
    }

    pub(crate) fn queued(&self) -> Value {
        self.body("queued", None, None)
    }

    pub(crate) fn started(&self, runner: impl Into<Runner>) -> Value {
        self.body("in_progress", Some(runner.into()), None)
    }

    pub(crate) fn ended(&self, conclusion: &str, runner: Option<&str>) -> Value {
        self.body("completed", runner.map(Runner::from), Some(conclusion))
    }

    pub(crate) fn ended_on(&self, conclusion: &str, runner: Runner) -> Value {
        self.body("completed", Some(runner), Some(conclusion))
    }

    /// A recorded body that speaks of this job.
    fn body(&self, action: &str, runner: Option<Runner>, conclusion: Option<&str>) -> Value {
        let recording = if self.from_one {
            "gitea-1.27.3/workflow_job.queued"
        } else {
            "workflow_job.queued"
        };
        let mut body: Value = serde_json::from_slice(&body_of(recording)).unwrap();
        body["action"] = json!(action);
        body["repository"]["full_name"] = json!(self.repository);
        let job = &mut body["workflow_job"];
        job["id"] = json!(self.id);
        job["name"] = json!(self.name);
        job["run_id"] = json!(self.run);
        job["labels"] = json!(self.labels);
        job["status"] = json!(action);
        // Made now: what is older than the ledger's history is asked about.
        job["created_at"] = json!(jiff::Timestamp::now());
        let counts_itself = self.from_one || runner.is_some();
        job["run_attempt"] = json!(self.attempt + u64::from(counts_itself));
        if let Some(sha) = &self.sha {
            job["head_sha"] = json!(sha);
        }
        if let Some(runner) = runner {
            job["runner_id"] = json!(runner.id);
            job["runner_name"] = json!(runner.name);
        }
        if let Some(conclusion) = conclusion {
            job["conclusion"] = json!(conclusion);
        }
        body
    }
}

/// `body` as a signed `workflow_job` delivery.
pub(crate) fn delivery(body: &Value) -> Value {
    signed("workflow_job", body.to_string().as_bytes())
}

/// `body` as a delivery of `event`, signed with the secret of the lab's hooks.
pub(crate) fn signed(event: &str, body: &[u8]) -> Value {
    with_signature(event, body, &signature(lab::WEBHOOK_SECRET, body))
}

/// The same delivery by a hook of the forges' other content type, with `more` behind its form.
pub(crate) fn as_form(mut delivery: Value, body: &str, more: &str) -> Value {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    let form = pairs.append_pair("payload", body).finish() + more;
    delivery["headers"]["content-type"] = json!("Application/x-www-form-urlencoded; charset=utf-8");
    delivery["body"] = json!(STANDARD.encode(form));
    delivery["isBase64Encoded"] = json!(true);
    delivery
}

/// The HMAC of `body`, as the forge writes it.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// A delivery with the headers of the forge, whatever `signature` is worth.
pub(crate) fn with_signature(event: &str, body: &[u8], signature: &str) -> Value {
    let headers = json!({
        "content-type": "application/json",
        "user-agent": "Go-http-client/1.1",
        "x-gitea-delivery": "4b2f0d22-e5e6-473a-a661-aa1c381992f1",
        "x-gitea-event": event,
        "x-gitea-event-type": event,
        "x-gitea-hook-installation-target-type": "repository",
        "x-gitea-signature": signature,
        "x-github-event": event,
        "x-hub-signature-256": format!("sha256={signature}"),
    });
    payload("POST /dispatch", &headers, body, &json!({}))
}

/// The names of all recordings in one folder of them.
pub(crate) fn names(below: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder().join(below)).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".headers.json").map(str::to_owned)
    };
    entries.filter_map(name).collect()
}

/// The bytes of a recording's body.
pub(crate) fn body_of(name: &str) -> Vec<u8> {
    let file = |end: &str| std::fs::read(folder().join(format!("{name}.body.{end}")));
    file("json").or_else(|_| file("form")).unwrap()
}

/// A recording, with its own headers and every byte of its body.
pub(crate) fn recorded(name: &str) -> Value {
    let headers = std::fs::read(folder().join(format!("{name}.headers.json"))).unwrap();
    let headers: Value = serde_json::from_slice(&headers).unwrap();
    let headers: Map<String, Value> = headers["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].as_str().unwrap().to_lowercase(), pair[1].clone()))
        .collect();
    payload(
        "POST /dispatch",
        &Value::Object(headers),
        &body_of(name),
        &json!({}),
    )
}

/// A delivery that a hook of the lab's forge sent to the lab's own witness.
pub(crate) fn witnessed(entry: &lab::Entry) -> Value {
    let lower = |(name, value): &(String, String)| (name.to_lowercase(), json!(value));
    let headers: Map<String, Value> = entry.headers.iter().map(lower).collect();
    let body = entry.body.as_bytes();
    payload("POST /dispatch", &Value::Object(headers), body, &json!({}))
}

/// A request of an instance that signed it with its own credentials, as `role`.
pub(crate) fn from_runner(role: &str, session: &str, body: &[u8]) -> Value {
    let account = lab::ACCOUNT;
    let iam = json!({ "authorizer": { "iam": {
        "accountId": account,
        "callerId": format!("AROALAB00000000000000:{session}"),
        "userArn": format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
        "userId": format!("AROALAB00000000000000:{session}"),
    }}});
    let headers = json!({ "content-type": "application/json" });
    payload("POST /runner", &headers, body, &iam)
}

/// EC2's event about one instance.
pub(crate) fn state_change(instance: &str, state: &str) -> Value {
    ec2_event(
        "EC2 Instance State-change Notification",
        &json!({ "instance-id": instance, "state": state }),
    )
}

/// EC2's warning that it takes a Spot instance back.
pub(crate) fn interruption(instance: &str) -> Value {
    ec2_event(
        "EC2 Spot Instance Interruption Warning",
        &json!({ "instance-id": instance, "instance-action": "terminate" }),
    )
}

fn ec2_event(kind: &str, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": kind,
        "source": "aws.ec2",
        "account": lab::ACCOUNT,
        "region": lab::REGION,
        "detail": detail,
    })
}

/// An HTTP API's event, format 2.0. What is text arrives as text, all else in base64.
fn payload(route: &str, headers: &Value, body: &[u8], context: &Value) -> Value {
    let (method, path) = route.split_once(' ').unwrap();
    let is_form = headers["content-type"] == "application/x-www-form-urlencoded";
    let text = std::str::from_utf8(body).ok().filter(|_| !is_form);
    let mut event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": lab::ACCOUNT,
            "apiId": "a1b2c3d4e5",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "Go-http-client/1.1",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": "$default",
        },
        "body": text.map_or_else(|| STANDARD.encode(body), str::to_owned),
        "isBase64Encoded": text.is_none(),
    });
    if let Some(authorizer) = context.get("authorizer") {
        event["requestContext"]["authorizer"] = authorizer.clone();
    }
    event
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/deliveries")
}
