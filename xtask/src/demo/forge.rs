//! What the demo does at the forge, as its users do: a repository, a webhook, a push.

use std::path::Path;
use std::process::Command;

use http::Method;
use serde_json::{Value, json};

use super::DemoError;
use crate::http::{HttpError, json as call};

/// The organization and the repository that the demo makes.
const ORGANIZATION: &str = "demo";
const REPOSITORY: &str = "app";

/// The forge, as its administrator sees it.
pub struct Forge<'a> {
    /// Its address from this machine.
    pub url: &'a str,
    /// The administrator's token.
    pub token: &'a str,
}

/// A job as the forge's API shows it.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct ForgeJob {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: String,
    /// How it ended.
    #[serde(default)]
    pub conclusion: Option<String>,
}

impl Forge<'_> {
    async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value, HttpError> {
        let url = format!("{}/api/v1{path}", self.url);
        call(method, &url, Some(self.token), &body).await
    }

    /// Makes the repository and the webhook that sends its events to `hook`.
    pub async fn prepare(&self, hook: &str, secret: &str) -> Result<(), HttpError> {
        self.call(Method::POST, "/orgs", json!({ "username": ORGANIZATION }))
            .await?;
        self.call(
            Method::POST,
            &format!("/orgs/{ORGANIZATION}/repos"),
            json!({ "name": REPOSITORY, "default_branch": "main" }),
        )
        .await?;
        self.call(
            Method::POST,
            &format!("/repos/{ORGANIZATION}/{REPOSITORY}/hooks"),
            json!({
                "type": "gitea",
                "active": true,
                "events": ["push", "workflow_job"],
                "config": { "url": hook, "content_type": "json", "secret": secret },
            }),
        )
        .await?;
        Ok(())
    }

    /// All jobs of the repository, oldest first.
    pub async fn jobs(&self) -> Result<Vec<ForgeJob>, HttpError> {
        let path = format!("/repos/{ORGANIZATION}/{REPOSITORY}/actions/jobs?limit=50");
        let answer = self.call(Method::GET, &path, Value::Null).await?;
        Ok(serde_json::from_value(answer["jobs"].clone()).unwrap_or_default())
    }

    /// How many runners are registered anywhere.
    pub async fn runners(&self) -> Result<u64, HttpError> {
        let answer = self
            .call(Method::GET, "/admin/actions/runners", Value::Null)
            .await?;
        Ok(answer["total_count"].as_u64().unwrap_or_default())
    }

    /// Pushes `workflow` with a small source tree.
    pub fn push(&self, workflow: &str) -> Result<(), DemoError> {
        let folder = tempfile::tempdir().map_err(|source| DemoError::File { source })?;
        let write = |path: &str, text: &str| -> Result<(), DemoError> {
            let path = folder.path().join(path);
            let parent = path.parent().unwrap_or(folder.path());
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|source| DemoError::File { source })
        };
        write(".gitea/workflows/demo.yml", workflow)?;
        write("build.sh", "echo \"built $1 on $(hostname)\"\n")?;
        let remote = format!("{}/{ORGANIZATION}/{REPOSITORY}.git", self.url);
        self.git(folder.path(), &["init", "--quiet", "--initial-branch=main"])?;
        self.git(folder.path(), &["add", "."])?;
        self.git(
            folder.path(),
            &["commit", "--quiet", "-m", "Build, test, fail once"],
        )?;
        self.git(folder.path(), &["push", "--quiet", &remote, "main"])
    }

    /// Runs git without the user's settings; the token travels in the environment.
    fn git(&self, folder: &Path, args: &[&str]) -> Result<(), DemoError> {
        let output = Command::new("git")
            .args(args)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", "demo")
            .env("GIT_AUTHOR_EMAIL", "demo@forge.lab")
            .env("GIT_COMMITTER_NAME", "demo")
            .env("GIT_COMMITTER_EMAIL", "demo@forge.lab")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env(
                "GIT_CONFIG_VALUE_0",
                format!("Authorization: token {}", self.token),
            )
            .output()
            .map_err(|source| DemoError::File { source })?;
        if output.status.success() {
            return Ok(());
        }
        Err(DemoError::Git(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}
