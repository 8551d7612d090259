//! The steps towards the end of a machine that nobody needs; see [`crate::plan`] for when each is
//! due.

use super::{Hands, Progress};
use crate::forge::{ForgeError, RunnerState};
use crate::ledger::number;
use crate::plan::EndReason;
use crate::shell::Failure;
use crate::world::{Runner, World};

impl Hands<'_> {
    /// Notes which machines are too many from now on, and which are not any more.
    pub(super) async fn mark(
        &self,
        spare: &[String],
        needed: &[String],
    ) -> Result<Progress, Failure> {
        for instance in spare {
            let sets = [("spare_ms", number((self.now_ms)()))];
            let condition = "attribute_not_exists(ending_ms)";
            let _outcome = self.shell.set_runner(instance, &sets, condition).await?;
        }
        for instance in needed {
            self.shell.unset_spare(instance).await?;
        }
        Ok(Progress::Waits)
    }

    /// Has the forge give these runners no job any more. One that refuses, or does not answer, is
    /// asked again after the grace: what it can't do, the machine's own limits do.
    pub(super) async fn take_out(
        &self,
        instances: &[String],
        world: &World,
    ) -> Result<Progress, Failure> {
        for (runner, scope, id) in registered(instances, world) {
            let disabled = self.forge.disable_runner(scope, id).await;
            let mark = if disabled.is_ok() {
                "disabled_ms"
            } else {
                "spare_ms"
            };
            let sets = [(mark, number((self.now_ms)()))];
            let condition = "attribute_not_exists(ending_ms)";
            let _outcome = self
                .shell
                .set_runner(&runner.instance, &sets, condition)
                .await?;
            if let Err(error) = disabled {
                tracing::info!(instance = runner.instance, %error, "left to its own idle limit");
                if matches!(error, ForgeError::Unreachable { .. }) {
                    break;
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
            let state = self.forge.runner(scope, id).await;
            let (mark, condition) = match &state {
                Ok(RunnerState {
                    busy: false,
                    disabled: true,
                }) => {
                    idle.push(runner.instance.clone());
                    continue;
                }
                Ok(RunnerState { busy: true, .. }) => ("busy_ms", "attribute_not_exists(busy_ms)"),
                Ok(RunnerState {
                    busy: false,
                    disabled: false,
                })
                | Err(_) => ("disabled_ms", "attribute_exists(disabled_ms)"),
            };
            let sets = [(mark, number((self.now_ms)()))];
            let _outcome = self
                .shell
                .set_runner(&runner.instance, &sets, condition)
                .await?;
            tracing::info!(instance = runner.instance, ?state, "not ended as idle");
            if matches!(state, Err(ForgeError::Unreachable { .. })) {
                break;
            }
        }
        self.end(&idle, EndReason::Idle).await?;
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
            let pool = world.pool(&runner.pool)?;
            Some((runner, &pool.scope, runner.forge_id?))
        })
}
