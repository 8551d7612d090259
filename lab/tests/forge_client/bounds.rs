//! A forge whose lists have no end: every question ends, after as many calls as it may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use dispatcher::forge::{Forge, ForgeConfig, ForgeError};
use dispatcher::model::secret::Secret;
use serde_json::{Value, json};
use stacks::pool::{ForgeKind, Scope};
use workflow::trigger::Changed;

use crate::support::forge_config;

/// What one question may cost at most, with the question for the version.
const CALLS_MAX: u64 = 62;

/// Answers every list with a page, of which there are always more, and counts.
async fn endless() -> (Forge, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let app = axum::Router::new().fallback(async move |uri: http::Uri| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Json(answer(uri.path(), number))
    });
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, app).await });
    let forge = Forge::new(ForgeConfig {
        token: Secret::new("token".to_owned()),
        ..forge_config(ForgeKind::Gitea, &url)
    });
    (forge.unwrap(), asked)
}

fn answer(path: &str, number: u64) -> Value {
    let sha = path.rsplit('/').next().unwrap_or_default();
    if path.ends_with("/version") {
        json!({"version": "1.26.0"})
    } else if path.contains("/git/trees/") {
        let folder = |name: &str| {
            let id = format!("{number:040x}");
            json!({"path": name, "mode": "040000", "type": "tree", "sha": id})
        };
        let other = format!("{number}");
        let tree = [folder(".gitea"), folder("workflows"), folder(&other)];
        json!({"sha": sha, "tree": tree, "truncated": true, "total_count": 9000})
    } else if path.contains("/commits/") {
        let status = json!({
            "context": number.to_string(), "status": "pending", "description": "", "target_url": "",
        });
        json!({"sha": "1".repeat(40), "statuses": [status]})
    } else if path.ends_with("/variables") {
        json!([{"name": number.to_string(), "data": ""}])
    } else {
        json!({"jobs": [{"id": number}], "total_count": 2000})
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_an_end_is_given_up_after_a_bounded_number_of_calls() {
    let (forge, asked) = endless().await;
    let (old, new) = ("1".repeat(40), "2".repeat(40));
    let calls = |what: &str| {
        let calls = asked.swap(0, Ordering::Relaxed);
        assert!((1..=CALLS_MAX).contains(&calls), "{what}: {calls}");
    };
    let dirs = [".gitea/workflows".to_owned()];
    let files = forge.workflow_files("acme/app", &new, &dirs).await;
    assert!(files.unwrap().refused.unwrap().contains("more pages"));
    calls("files");
    let changed = forge.changed_files("acme/app", &old, &new).await.unwrap();
    assert!(matches!(changed, Changed::Unknown(why) if why.contains("60 lists")));
    calls("changes");
    let is_too_much = |error| matches!(error, Some(ForgeError::TooMuch(_)));
    assert!(is_too_much(forge.unfinished(&Scope::Global).await.err()));
    calls("jobs");
    assert!(is_too_much(
        forge.commit_states("acme/app", &new).await.err()
    ));
    calls("checks");
    assert!(is_too_much(forge.variables("acme/app").await.err()));
    calls("variables");
}
