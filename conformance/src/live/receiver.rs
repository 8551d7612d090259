//! Where the forge sends its deliveries: kept by repository until somebody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::Error;

/// Largest delivery, in bytes: five commits with the names of their files are far smaller.
const BODY_MAX_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Received {
    /// The forge's own name of its event.
    pub(crate) event: String,
    pub(crate) body: Value,
}

#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    url: String,
    heard: Arc<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    deliveries: Mutex<BTreeMap<String, Vec<Received>>>,
    more: Notify,
}

impl Receiver {
    /// Starts one; it ends with the runtime.
    pub(crate) async fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let heard = Arc::new(Heard::default());
        let router = Router::new()
            .route("/{repository}", post(take))
            .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
            .with_state(Arc::clone(&heard));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, heard })
    }

    /// The hook's address for `repository`.
    pub(crate) fn hook(&self, repository: &str) -> String {
        format!("{}/{repository}", self.url)
    }

    /// Takes the deliveries of `repository` as soon as they are `enough`, or those that are there
    /// after `limit`.
    pub(crate) async fn take(
        &self,
        repository: &str,
        limit: Duration,
        enough: impl Fn(&[Received]) -> bool,
    ) -> Vec<Received> {
        let all = async {
            loop {
                let more = self.heard.more.notified();
                if enough(self.heard.kept().get(repository).map_or(&[], Vec::as_slice)) {
                    return;
                }
                more.await;
            }
        };
        let _ = tokio::time::timeout(limit, all).await;
        self.heard.kept().remove(repository).unwrap_or_default()
    }
}

impl Heard {
    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Received>>> {
        self.deliveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(
    State(heard): State<Arc<Heard>>,
    Path(repository): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) {
    let event = headers.get("x-gitea-event-type");
    let received = Received {
        event: event
            .and_then(|event| event.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    heard.kept().entry(repository).or_default().push(received);
    heard.more.notify_waiters();
}
