//! Where the forge sends its deliveries: kept by repository until somebody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::Error;

/// Largest delivery, in bytes: five commits with the names of their files are far smaller.
const BODY_MAX_BYTES: usize = 8 * 1024 * 1024;

/// A running receiver.
#[derive(Debug, Clone)]
pub struct Receiver {
    url: String,
    heard: Arc<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    deliveries: Mutex<BTreeMap<String, Vec<Value>>>,
    more: Notify,
}

impl Receiver {
    /// Starts one; it ends with the runtime.
    pub async fn start() -> Result<Self, Error> {
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
    pub fn hook(&self, repository: &str) -> String {
        format!("{}/{repository}", self.url)
    }

    /// Takes the deliveries of `repository` as soon as they are `enough`, or those that are there
    /// after `limit`.
    pub async fn take(
        &self,
        repository: &str,
        limit: Duration,
        enough: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let all = async {
            loop {
                let more = self.heard.more.notified();
                if enough(self.kept().get(repository).map_or(&[], Vec::as_slice)) {
                    return;
                }
                more.await;
            }
        };
        let _ = tokio::time::timeout(limit, all).await;
        self.kept().remove(repository).unwrap_or_default()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Value>>> {
        self.heard.kept()
    }
}

impl Heard {
    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Value>>> {
        self.deliveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(State(heard): State<Arc<Heard>>, Path(repository): Path<String>, body: Bytes) {
    let delivery = serde_json::from_slice(&body).unwrap_or_default();
    heard.kept().entry(repository).or_default().push(delivery);
    heard.more.notify_waiters();
}
