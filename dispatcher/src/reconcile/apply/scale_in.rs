//! The steps towards the end of a machine that nobody needs; see [`crate::plan`] for when each is
//! due.

use crate::aws::Failure;
use crate::forge::{ForgeError, RegisteredRunner};
use crate::model::runner::{EndReason, Runner};
use crate::model::world::World;
use crate::reconcile::context::{Context, Progress};

impl Context<'_> {
    /// Notes which machines became surplus, and which are needed again.
    pub(super) async fn mark_surplus(
        &self,
        surplus: &[String],
        needed: &[String],
    ) -> Result<Progress, Failure> {
        for instance in surplus {
            self.ledger.runner_surplus(instance, self.now_ms()).await?;
        }
        for instance in needed {
            self.ledger.runner_needed(instance).await?;
        }
        Ok(Progress::Waits)
    }

    /// Has the forge give these runners no job any more. One that refuses, or does not answer, is
    /// asked again after the grace: what it can't do, the machine's own limits do.
    pub(super) async fn disable(
        &self,
        instances: &[String],
        world: &World,
    ) -> Result<Progress, Failure> {
        for (runner, scope, id) in registered(instances, world) {
            if self.out_of_time() {
                break;
            }
            let instance = runner.instance.as_str();
            let now_ms = self.now_ms();
            match self.config.forge.disable_runner(scope, id).await {
                Ok(()) => self.ledger.runner_disabled(instance, now_ms).await?,
                Err(error) => {
                    self.ledger.runner_surplus(instance, now_ms).await?;
                    tracing::info!(instance, pool = runner.pool, %error, "runner not disabled: left to its idle timeout");
                    if matches!(error, ForgeError::Unreachable { .. }) {
                        break;
                    }
                }
            }
        }
        Ok(Progress::Waits)
    }

    /// Ends those of these runners that the forge gives no job any more and that have none. Without
    /// a clear word they are left alone and asked about again.
    pub(super) async fn end_idle(
        &self,
        instances: &[String],
        world: &World,
    ) -> Result<Progress, Failure> {
        let mut idle = Vec::new();
        for (runner, scope, id) in registered(instances, world) {
            if self.out_of_time() {
                break;
            }
            let instance = runner.instance.as_str();
            let now_ms = self.now_ms();
            let state = self.config.forge.runner(scope, id).await;
            match &state {
                Ok(RegisteredRunner {
                    busy: false,
                    disabled: true,
                }) => {
                    idle.push(runner.instance.clone());
                    continue;
                }
                Ok(RegisteredRunner { busy: true, .. }) => {
                    self.ledger.runner_started(instance, now_ms).await?;
                }
                Ok(RegisteredRunner {
                    busy: false,
                    disabled: false,
                })
                | Err(_) => self.ledger.runner_disabled(instance, now_ms).await?,
            }
            tracing::info!(
                instance,
                pool = runner.pool,
                ?state,
                "runner not ended as idle"
            );
            if matches!(state, Err(ForgeError::Unreachable { .. })) {
                break;
            }
        }
        self.end(&idle, &EndReason::Idle).await?;
        Ok(Progress::Waits)
    }
}

/// Those of `instances` that are registered, with the scope and the id that they have at the forge.
fn registered<'a>(
    instances: &'a [String],
    world: &'a World,
) -> impl Iterator<Item = (&'a Runner, &'a stacks::pool::Scope, u64)> {
    world
        .runners
        .iter()
        .filter(|runner| instances.contains(&runner.instance))
        .filter_map(|runner| {
            // Its pool may have been edited since.
            let of_pool = || Some(&world.pool(&runner.pool)?.scope);
            let scope = runner.registered_in.as_ref().or_else(of_pool)?;
            Some((runner, scope, runner.forge_id?))
        })
}
