//! Runners: registered for one job each, and deleted where nobody used them.

use http::Method;
use serde_json::json;
use stacks::pool::{ForgeKind, Pool, Scope};

use super::answer::Registered;
use super::{ANSWER_MAX_BYTES, Forge, ForgeError, scope_path};
use crate::model::secret::Secret;
use workflow::Capability;

/// A runner that is registered for one job.
#[derive(Debug)]
pub struct Registration {
    /// The forge's id of it.
    pub id: u64,
    /// The `.runner` document, on one line.
    pub document: Secret,
    /// Whether the forge says that it takes one job and is gone. Any other outlives its job, which can
    /// read it.
    pub one_job: bool,
}

impl Forge {
    /// Registers a runner of `pool` called `name` for one job. The reusable registration token stays
    /// here.
    pub async fn register(&self, pool: &Pool, name: &str) -> Result<Registration, ForgeError> {
        match self.config.kind {
            ForgeKind::Gitea => {
                let registered = self.register_by_rpc(pool, name, true).await?;
                let one_job = registered.ephemeral;
                Ok(self.registration(pool, name, &registered, one_job))
            }
            ForgeKind::Forgejo => self.register_at_forgejo(pool, name).await,
        }
    }

    /// Registers by the public RPC that the runners' own `register` command uses.
    pub(super) async fn register_by_rpc(
        &self,
        pool: &Pool,
        name: &str,
        ephemeral: bool,
    ) -> Result<Registered, ForgeError> {
        const CALL: &str = "Register";
        let token = self.registration_token(&pool.scope).await?;
        let labels: Vec<&str> = pool.labels.iter().map(|l| l.name.as_str()).collect();
        let mut body = json!({
            "name": name,
            "token": token.reveal(),
            "version": concat!("tinqs-ci ", env!("CARGO_PKG_VERSION")),
            "labels": labels,
        });
        if ephemeral {
            body["ephemeral"] = json!(true);
        }
        self.call(
            CALL,
            Method::POST,
            "/api/actions/runner.v1.RunnerService/Register",
            None,
            Some(&body),
        )
        .await
        .inspect_err(|_| self.forget_scope_token(&pool.scope))?
        .registered(name)
    }

    /// The `.runner` document of a registration. Each label says how it is served: what a bare one
    /// means, each runner has its own opinion.
    pub(super) fn registration(
        &self,
        pool: &Pool,
        name: &str,
        runner: &Registered,
        one_job: bool,
    ) -> Registration {
        let labels: Vec<String> = pool
            .labels
            .iter()
            .map(|label| format!("{}:{}", label.name, label.serve))
            .collect();
        let mut document = json!({
            "id": runner.id,
            "uuid": runner.uuid,
            "name": name,
            "token": runner.token,
            "address": self.config.url,
            "labels": labels,
        });
        // forgejo-runner learns from its server whether it is.
        if self.config.kind == ForgeKind::Gitea {
            document["ephemeral"] = json!(true);
        }
        Registration {
            id: runner.id,
            document: Secret::new(document.to_string()).expect("an object is not blank"),
            one_job,
        }
    }

    /// Deletes a registration; one that is gone already counts as deleted, and one that may only be hidden does
    /// not.
    pub async fn delete_runner(&self, scope: &Scope, id: u64) -> Result<(), ForgeError> {
        let path = format!("/api/v1/{}/actions/runners/{id}", scope_path(scope));
        let deleted = self
            .exchange(
                "DELETE runner",
                Method::DELETE,
                &path,
                Some(self.token()?),
                None,
                ANSWER_MAX_BYTES,
            )
            .await;
        match deleted.and_then(|answer| answer.nothing()) {
            Err(error) if error.is_own_404() => {
                if self.may_be_hidden(scope).await {
                    return Err(error);
                }
                Ok(())
            }
            Err(error) if self.needs_no_deletion(scope, id, &error).await => {
                tracing::info!(forge_id = id, %error, "registration is gone already, or left to the forge");
                Ok(())
            }
            other => other,
        }
    }

    /// A token that registers at `scope`: a registration token is good for the scope that it was
    /// issued for, so only the global one can be configured.
    async fn registration_token(&self, scope: &Scope) -> Result<Secret, ForgeError> {
        const CALL: &str = "registration-token";
        if let (Scope::Global, Some(token)) = (scope, &self.config.registration_token) {
            return Ok(token.clone());
        }
        if self.config.token.is_none() && *scope == Scope::Global {
            return Err(ForgeError::NoToken("registration-token"));
        }
        let key = scope_path(scope);
        if let Some(token) = self.lock_scope_tokens().get(&key) {
            return Ok(token.clone());
        }
        let (method, path) = self.registration_token_call(scope).await?;
        let answer = self
            .call(CALL, method, &path, Some(self.token()?), None)
            .await?;
        let token = Secret::new(answer.token()?).ok_or_else(|| answer.unreadable())?;
        self.lock_scope_tokens().insert(key, token.clone());
        Ok(token)
    }

    fn forget_scope_token(&self, scope: &Scope) {
        self.lock_scope_tokens().remove(&scope_path(scope));
    }

    /// Where a registration token is had, and how: a POST beside the list of runners, where there is
    /// one; before that a GET, for the whole forge at another place.
    async fn registration_token_call(&self, scope: &Scope) -> Result<(Method, String), ForgeError> {
        const TOKEN: &str = "registration-token";
        let path = scope_path(scope);
        let is_new = match self.config.kind {
            ForgeKind::Gitea => self.server().await?.has(Capability::ListsRunners),
            ForgeKind::Forgejo => false,
        };
        Ok(match scope {
            Scope::Global if !is_new => (Method::GET, format!("/api/v1/{path}/runners/{TOKEN}")),
            Scope::Global | Scope::Organization(_) | Scope::Repository(_) => (
                if is_new { Method::POST } else { Method::GET },
                format!("/api/v1/{path}/actions/runners/{TOKEN}"),
            ),
        })
    }
}
