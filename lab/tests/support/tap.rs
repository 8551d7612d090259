//! A way to AWS that keeps a list of what goes through it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// As IAM spells it: `dynamodb:Query`. What names no operation is told by its method and path.
    pub name: String,
    /// What was asked.
    pub body: Bytes,
    /// When.
    pub sent: Instant,
    /// Status and time of its answer; `None` while there is none.
    pub answered: Option<(u16, Duration)>,
    id: u64,
}

impl Call {
    /// A parameter of a call to EC2.
    pub fn param(&self, name: &str) -> Option<String> {
        let mut params = form_urlencoded::parse(&self.body);
        let found = params.find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    }
}

/// What went through any of its taps, in the order in which it was sent.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    calls: Arc<Mutex<Vec<Call>>>,
    /// Each holds up the first call that it is about.
    gates: Arc<Mutex<Vec<(IsAbout, Gate)>>>,
    /// Holds up the answer to the call that is so many calls away.
    answer: Arc<Mutex<Option<(usize, Gate)>>>,
    /// How much longer every call takes.
    delay: Arc<Mutex<Duration>>,
}

type IsAbout = fn(&Call) -> bool;

/// What a call, or its answer, waits for.
#[derive(Debug, Clone)]
pub struct Gate {
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn shut() -> Self {
        Self {
            reached: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits for the call, which waits from now on.
    pub async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets it pass.
    pub fn open(&self) {
        self.open.add_permits(1);
    }

    async fn pass(&self) {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }
}

impl Heard {
    /// An address that passes everything on to `upstream`, as it came.
    pub async fn tap(&self, upstream: &str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let (heard, upstream) = (self.clone(), upstream.to_owned());
        let router = Router::new().fallback(async move |request: Request| {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            heard.pass(&client, &upstream, parts, body).await
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// The calls since the last look.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// Holds up the next call that is so.
    pub fn hold(&self, is_about: IsAbout) -> Gate {
        let gate = Gate::shut();
        self.gates.lock().unwrap().push((is_about, gate.clone()));
        gate
    }

    /// Has every call take so much longer from now on.
    pub fn delay(&self, by: Duration) {
        *self.delay.lock().unwrap() = by;
    }

    /// Holds up the answer to call number `at` from now on, counted from 1. When that is reached, the call
    /// has taken effect.
    pub fn hold_answer(&self, at: usize) -> Gate {
        let gate = Gate::shut();
        *self.answer.lock().unwrap() = Some((at, gate.clone()));
        gate
    }

    /// Holds up no answer any more.
    pub fn hold_none(&self) {
        *self.answer.lock().unwrap() = None;
    }

    /// What holds up the answer to this call.
    fn held_answer(&self) -> Option<Gate> {
        let mut answer = self.answer.lock().unwrap();
        let (left, _) = answer.as_mut()?;
        *left = left.saturating_sub(1);
        answer.take_if(|(left, _)| *left == 0).map(|(_, gate)| gate)
    }

    /// Their names.
    pub fn take_names(&self) -> Vec<String> {
        self.take().into_iter().map(|call| call.name).collect()
    }

    async fn pass(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        upstream: &str,
        parts: Parts,
        body: Bytes,
    ) -> http::Response<Body> {
        let id = fastrand::u64(..);
        let call = Call {
            name: name_of(&parts, &body),
            body: body.clone(),
            sent: Instant::now(),
            answered: None,
            id,
        };
        self.calls.lock().unwrap().push(call.clone());
        let held_answer = self.held_answer();
        let gate = {
            let mut gates = self.gates.lock().unwrap();
            let at = gates.iter().position(|(is_about, _)| is_about(&call));
            at.map(|at| gates.remove(at).1)
        };
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        let answer = if call.name == INVOKE {
            // The function is the test's own: who listens invokes it.
            let accepted = http::Response::builder().status(202);
            accepted.body(Body::empty()).unwrap()
        } else {
            self.ask(client, upstream, parts, body, id).await
        };
        if let Some(gate) = held_answer {
            gate.pass().await;
        }
        answer
    }

    async fn ask(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        upstream: &str,
        mut parts: Parts,
        body: Bytes,
        id: u64,
    ) -> http::Response<Body> {
        let begun = Instant::now();
        // The host stays the one that was signed.
        parts.uri = format!("{upstream}{}", parts.uri).parse().unwrap();
        let request = http::Request::from_parts(parts, Full::new(body));
        let (parts, body) = client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut calls = self.calls.lock().unwrap();
        // Somebody may have looked meanwhile.
        if let Some(call) = calls.iter_mut().find(|call| call.id == id) {
            call.answered = Some((parts.status.as_u16(), begun.elapsed()));
        }
        drop(calls);
        http::Response::from_parts(parts, Body::from(body))
    }
}

/// The call by which a function wakes itself.
pub const INVOKE: &str = "lambda:Invoke";

fn name_of(parts: &Parts, body: &[u8]) -> String {
    if let Some(target) = parts.headers.get("x-amz-target") {
        let (service, operation) = target.to_str().unwrap().split_once('.').unwrap();
        let service = match service {
            "DynamoDB_20120810" => "dynamodb",
            "AmazonSSM" => "ssm",
            other => other,
        };
        return format!("{service}:{operation}");
    }
    if parts.uri.path().ends_with("/invocations") {
        return INVOKE.to_owned();
    }
    let action = form_urlencoded::parse(body).find(|(name, _)| name == "Action");
    let path = || format!("http:{} {}", parts.method, parts.uri);
    action.map_or_else(path, |(_, value)| format!("ec2:{value}"))
}
