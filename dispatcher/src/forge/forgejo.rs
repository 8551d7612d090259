//! What a Forgejo does otherwise. A live 15.0.3 with forgejo-runner 12.8.2 was seen to answer so, and
//! served pushes from end to end; of servers 11 to 14 it is what their source and documentation say.
//!
//! Rules that this file keeps:
//! - Before 15 a registration outlives its job, and a job can read the credential of its machine: it
//!   is deleted once the machine has ended, used or not.
//! - A job is told by the list of those that wait or run, and by nothing else: there is no question
//!   about one job, and none about what a runner does.

use http::Method;
use serde::Deserialize;
use serde_json::json;
use stacks::pool::{ForgeKind, Pool, Scope};

use super::answer::{QueueState, Registered};
use super::job_json::SeenState;
use super::register::Registration;
use super::{Forge, ForgeError, scope_path};
use crate::model::job::JobKey;
use crate::model::secret::Secret;
use workflow::{Capability, Server};

/// Largest list of jobs, in bytes: it has no pages, and some 300 bytes for each.
const LIST_MAX_BYTES: usize = 4 * 1024 * 1024;

/// A job that waits or runs, as Forgejo lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ListedJob {
    /// The forge's id of it.
    pub id: u64,
    /// Which attempt; told from 15 on.
    pub attempt: Option<u64>,
    /// Its repository's id.
    pub repo_id: u64,
    /// Its name, with the combination of its matrix.
    pub name: String,
    /// The labels that it asks for; Go writes an empty list as null.
    pub runs_on: Option<Vec<String>>,
    /// `waiting` or `running`.
    pub status: SeenState,
}

impl Forge {
    /// Whether a used registration stays until somebody deletes it. Asked of the kind alone: from 15
    /// on the server deletes it by itself, and a second deletion finds nothing and harms nothing.
    pub(crate) fn keeps_used_runners(&self) -> bool {
        self.config.kind == ForgeKind::Forgejo
    }

    /// Registers at a Forgejo: by its API where that makes runners for one job, else as
    /// `forgejo-runner register` does.
    pub(super) async fn register_at_forgejo(
        &self,
        pool: &Pool,
        name: &str,
    ) -> Result<Registration, ForgeError> {
        let one_job = self.forgejo().await?.has(Capability::OneJobRunners);
        let registered = match &self.config.token {
            Some(token) if one_job => self.make_runner(&pool.scope, name, token).await?,
            Some(_) | None => self.register_by_rpc(pool, name, one_job).await?,
        };
        // Neither answer says whether it is for one job: the version does.
        Ok(self.registration(pool, name, &registered, one_job))
    }

    async fn make_runner(
        &self,
        scope: &Scope,
        name: &str,
        token: &Secret,
    ) -> Result<Registered, ForgeError> {
        const CALL: &str = "POST runner";
        let path = format!("/api/v1/{}/actions/runners", scope_path(scope));
        let body = json!({"name": name, "ephemeral": true});
        let answer = self
            .call(CALL, Method::POST, &path, Some(token), Some(&body))
            .await?;
        answer.credible(answer.json()?)
    }

    /// Why no machine is launched for a server that makes no runners for one job; `None` where it makes
    /// them.
    pub(crate) async fn why_reusable(&self) -> Result<Option<String>, ForgeError> {
        let one_job = Capability::OneJobRunners;
        let server = self.server().await?;
        Ok((!server.has(one_job)).then(|| {
            let first = one_job.first(server.kind);
            let first = first.map(|first| format!(" to {first} or newer"));
            format!(
                "this forge makes no one-job runners, so any job could read its machine's credential \
                 and take everybody's jobs and secrets with it: update it{}, or accept that with \
                 accept_reusable_credentials = true below [forge] in the environment file and run \
                 `cargo xtask up`",
                first.unwrap_or_default()
            )
        }))
    }

    /// The server, if it is a Forgejo: another has another runner, which the machines don't start.
    async fn forgejo(&self) -> Result<Server, ForgeError> {
        let server = self.server().await?;
        match server.kind {
            ForgeKind::Forgejo => Ok(server),
            ForgeKind::Gitea => Err(ForgeError::OtherKind),
        }
    }

    /// The jobs of `scope` that wait or run and whose labels all are among `labels`.
    pub async fn listed_jobs(
        &self,
        scope: &Scope,
        labels: &[String],
    ) -> Result<Vec<ListedJob>, ForgeError> {
        const CALL: &str = "GET runners/jobs";
        let runners = match scope {
            Scope::Global => "runners",
            Scope::Organization(_) | Scope::Repository(_) => "actions/runners",
        };
        // Before 15 a list without labels is empty, not whole.
        let labels: String = form_urlencoded::byte_serialize(labels.join(",").as_bytes()).collect();
        let path = format!(
            "/api/v1/{}/{runners}/jobs?labels={labels}",
            scope_path(scope)
        );
        let answer = self.get_large(CALL, &path, LIST_MAX_BYTES).await?;
        Ok(answer.json::<Option<Vec<ListedJob>>>()?.unwrap_or_default())
    }

    /// How a job stands: one that is not on the list waits no longer.
    pub(super) async fn standing_at_forgejo(&self, key: &JobKey) -> Result<QueueState, ForgeError> {
        let scope = Scope::Repository(key.repository.clone());
        let jobs = self.listed_jobs(&scope, &self.config.labels).await?;
        let found = jobs.into_iter().find(|job| job.id == key.id);
        let waiting = found.filter(|job| job.status == SeenState::Waiting);
        Ok(waiting.map_or(QueueState::Otherwise, |job| QueueState::Queued(job.attempt)))
    }

    /// Whether a deletion that failed with `error` has nothing left to do. Some versions answer 500
    /// for a runner that is gone, and old ones (Gitea before 1.24 too) have no such endpoint at all:
    /// there the server's own cron `cleanup_offline_runners`, or somebody, deletes it.
    pub(super) async fn needs_no_deletion(
        &self,
        scope: &Scope,
        id: u64,
        error: &ForgeError,
    ) -> bool {
        let runners = format!("/api/v1/{}/actions/runners", scope_path(scope));
        let refused = async |path: String| self.get("GET runner", &path).await.err();
        let is_forgejo = self.config.kind == ForgeKind::Forgejo;
        if is_forgejo && matches!(error, ForgeError::Refused { status: 500, .. }) {
            let found = refused(format!("{runners}/{id}")).await;
            return found.is_some_and(|error| error.is_own_404());
        }
        error.is_no_endpoint()
            && match refused(runners).await {
                Some(error) => self.has_no_list(&error).await,
                None => false,
            }
    }

    /// Whether `error` came of asking an old forge for a list of runners that it does not have. A proxy
    /// in its place knows no version either.
    pub(crate) async fn has_no_list(&self, error: &ForgeError) -> bool {
        let lacks = |server: Server| {
            server.kind == self.config.kind
                && (server.kind == ForgeKind::Forgejo || !server.has(Capability::ListsRunners))
        };
        error.is_no_endpoint() && self.told_server().await.is_ok_and(lacks)
    }
}
