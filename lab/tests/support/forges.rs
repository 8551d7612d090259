//! What tests need of any forge: the dispatcher's view of it, a pool for its jobs, requests and pushes.

use std::path::Path;
use std::process::Stdio;

use dispatcher::forge::ForgeConfig;
use serde_json::Value;
use stacks::pool::{CapacityType, ForgeKind, Label, Pool, Scope};

use super::{SUBNET_A, SUBNET_B};

/// What the dispatcher knows of the forge at `url`, without any token.
pub fn forge_config(kind: ForgeKind, url: &str) -> ForgeConfig {
    ForgeConfig {
        kind,
        labels: Vec::new(),
        url: url.to_owned(),
        endpoint: None,
        ca: None,
        token: None,
        registration_token: None,
    }
}

/// A pool of machines in two subnets.
pub fn pool(name: &str, labels: &[&str], template: &str) -> Pool {
    Pool {
        name: name.to_owned(),
        labels: labels
            .iter()
            .map(|label| Label {
                name: (*label).to_owned(),
                serve: "host".to_owned(),
            })
            .collect(),
        accepts_unlabelled: false,
        scope: Scope::Global,
        repositories: vec!["*".to_owned()],
        instance_types: vec!["t3.small".to_owned()],
        subnets: format!("{SUBNET_A},{SUBNET_B}"),
        capacity: CapacityType::Spot,
        cpu_credits: None,
        max_runners: 1000,
        max_lifetime_minutes: 10,
        boot_timeout_minutes: 2,
        idle_timeout_minutes: 1,
        clone_token: false,
        template_id: template.to_owned(),
        template_version: "1".to_owned(),
    }
}

/// Writes `text` to `path` below `work`, commits all that is there and pushes it to `url`; whether git
/// was content.
pub async fn push(work: &Path, path: &str, text: &str, url: &str) -> bool {
    let file = work.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
    let script = "set -e
        [ -d .git ] || git init -q --initial-branch=main
        git add .
        git diff --cached --quiet ||
          git -c user.name=Lab -c user.email=labadmin@forge.lab commit -qm 'a commit'
        git push -q \"$1\" main";
    let status = tokio::process::Command::new("sh")
        .args(["-c", script, "sh", url])
        .current_dir(work)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("HOME", work)
        .stderr(Stdio::null())
        .status();
    status.await.unwrap().success()
}

/// One request with a body of JSON: status and answer, as text where that is no JSON.
pub async fn ask(
    method: &str,
    url: &str,
    headers: &[(&str, String)],
    body: &Value,
) -> (u16, Value) {
    let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
    let headers = headers.iter();
    all.extend(headers.map(|(name, value)| ((*name).to_owned(), value.clone())));
    let body = body.to_string().into();
    let answer = lab::http::send(method.parse().unwrap(), url, &all, body).await;
    let (status, body) = answer.unwrap();
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    let answer = serde_json::from_slice(&body).unwrap_or_else(|_| text());
    (status.as_u16(), answer)
}
