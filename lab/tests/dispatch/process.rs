//! The function as a process of its own, as Lambda runs it: it asks the Runtime API for one event after the
//! other, and is killed outright in the middle of one.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;
use stacks::names::{ENV_FORGE_ENDPOINT, ENV_NAME};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

use crate::log;
use crate::support::tap::Heard;
use crate::world::{NAME, World, now_ms};

/// How long one invocation may take: a function's own limit.
const INVOCATION: Duration = Duration::from_mins(1);

/// The function: at most one process at a time, which is started when an event comes.
pub(crate) struct Function {
    environment: Vec<(&'static str, String)>,
    /// Every call to AWS and to the forge.
    pub(crate) heard: Heard,
    process: Option<Process>,
    requests: u32,
}

impl Function {
    /// The deployment's, whose calls go through taps.
    pub(crate) async fn of(world: &World) -> Self {
        let heard = Heard::default();
        let file = world.bench.lab.file();
        let environment = vec![
            (ENV_NAME, NAME.to_owned()),
            (ENV_FORGE_ENDPOINT, heard.tap(&file.forge).await),
            ("AWS_ENDPOINT_URL", heard.tap(&file.aws_endpoint).await),
            ("AWS_ENDPOINT_URL_EC2", heard.tap(&file.ec2_endpoint).await),
            ("AWS_REGION", lab::REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", file.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", file.secret_access_key.clone()),
            ("AWS_SESSION_TOKEN", lab::FUNCTION_TOKEN.to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", world.names.function.clone()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            // A test's thread has a smaller stack than a program's own.
            ("RUST_MIN_STACK", "8388608".to_owned()),
        ];
        Self {
            environment,
            heard,
            process: None,
            requests: 0,
        }
    }

    /// What the function answers to one event.
    pub(crate) async fn invoke(&mut self, payload: &Value) -> Value {
        self.requests += 1;
        let id = format!("process-{}", self.requests);
        let process = match &mut self.process {
            Some(process) => process,
            none => none.insert(Process::start(&self.environment).await),
        };
        let Process {
            child,
            events,
            answers,
        } = process;
        events.send((id, payload.clone())).await.unwrap();
        let answer = tokio::select! {
            answer = answers.recv() => answer.unwrap(),
            status = child.wait() => panic!("the function ended by itself: {status:?}"),
            () = tokio::time::sleep(INVOCATION) => panic!("no answer in time to {payload}"),
        };
        answer.unwrap_or_else(|error| panic!("{payload} failed: {error}"))
    }

    /// The same in a process that has just started, which is killed when its call number `at` has taken
    /// effect, before it hears of that: then there is no answer.
    pub(crate) async fn invoke_and_kill(&mut self, payload: &Value, at: usize) -> Option<Value> {
        self.kill().await;
        let gate = self.heard.hold_answer(at);
        let answer = tokio::select! {
            answer = self.invoke(payload) => Some(answer),
            () = gate.reached() => None,
        };
        if answer.is_none() {
            self.kill().await;
        }
        self.heard.hold_none();
        gate.open();
        answer
    }

    async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // SIGKILL, and it is gone.
            process.child.kill().await.unwrap();
        }
    }
}

/// One process, with a Runtime API of its own.
struct Process {
    child: Child,
    events: mpsc::Sender<(String, Value)>,
    answers: mpsc::Receiver<Result<Value, String>>,
}

impl Process {
    /// This program, in the part of [`crate::function`].
    async fn start(environment: &[(&'static str, String)]) -> Self {
        let (address, events, answers) = runtime_api().await;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "function", "--nocapture"])
            .env_clear()
            .envs(
                environment
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            )
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        tokio::spawn(keep(child.stdout.take().unwrap()));
        tokio::spawn(keep(child.stderr.take().unwrap()));
        Self {
            child,
            events,
            answers,
        }
    }
}

/// What it says belongs to the log that is searched for secrets.
async fn keep(mut from: impl AsyncRead + Unpin) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        log::keep(&buffer[..count]);
    }
}

/// What one process asks and tells.
#[derive(Clone)]
struct Api {
    events: Arc<Mutex<mpsc::Receiver<(String, Value)>>>,
    answers: mpsc::Sender<Result<Value, String>>,
}

async fn runtime_api() -> (
    String,
    mpsc::Sender<(String, Value)>,
    mpsc::Receiver<Result<Value, String>>,
) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (events, next) = mpsc::channel(1);
    let (sender, answers) = mpsc::channel(1);
    let invocation = |end: &str| format!("/2018-06-01/runtime/invocation/{end}");
    let router = Router::new()
        .route(&invocation("next"), get(next_event))
        .route(&invocation("{id}/response"), post(responded))
        .route(&invocation("{id}/error"), post(failed))
        .with_state(Api {
            events: Arc::new(Mutex::new(next)),
            answers: sender,
        });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, events, answers)
}

async fn next_event(State(api): State<Api>) -> Response<Body> {
    let Some((id, payload)) = api.events.lock().await.recv().await else {
        // The test is over; so is the process, in a moment.
        return std::future::pending().await;
    };
    let limit_ms = u64::try_from(INVOCATION.as_millis()).unwrap();
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", now_ms() + limit_ms)
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda")
        .body(Body::from(payload.to_string()))
        .unwrap()
}

async fn responded(State(api): State<Api>, body: Bytes) -> StatusCode {
    let answer = serde_json::from_slice(&body).unwrap();
    // A process that was killed is waited for by nobody.
    let _ = api.answers.send(Ok(answer)).await;
    StatusCode::ACCEPTED
}

async fn failed(State(api): State<Api>, body: Bytes) -> StatusCode {
    let error = String::from_utf8_lossy(&body).into_owned();
    let _ = api.answers.send(Err(error)).await;
    StatusCode::ACCEPTED
}
