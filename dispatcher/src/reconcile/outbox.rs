//! Calls that are owed to the forge when every machine is asked for: commit statuses to set,
//! registrations to delete. Each stays on its list in the ledger until the forge has taken it.

use std::collections::BTreeMap;

use bytes::Bytes;
use stacks::pool::Scope;

use super::context::{Context, Stop};
use crate::aws::WriteResult;
use crate::forge::{CommitStatus, ForgeError};
use crate::ledger::{Live, StaleRegistration, StatusKind, StatusUpdate};
use workflow::Requirements;

/// Most calls of each kind that one drain makes.
const CALLS_MAX: usize = 40;

/// Makes the calls that are due. A forge that does not answer is left alone until the next drain; a call
/// that it refuses keeps no other from being made.
pub(crate) async fn flush(context: Context<'_>, owed: &Live) {
    if let Err(stop) = set_statuses(context, &owed.status_updates).await {
        tracing::warn!(error = %stop, "commit statuses wait for the next drain");
    }
    if let Err(stop) = delete_registrations(context, &owed.stale_registrations).await {
        tracing::warn!(error = %stop, "stale registrations wait for the next drain");
    }
}

/// Those of `owed` that are due in this drain. What was tried a moment ago comes last: the forge may hang at that
/// one alone.
fn due<T>(owed: &[T], now_ms: u64, not_before_ms: fn(&T) -> u64) -> impl Iterator<Item = &T> {
    let mut due: Vec<&T> = owed.iter().collect();
    due.retain(|one| not_before_ms(one) <= now_ms);
    due.sort_by_key(|one| not_before_ms(one));
    due.into_iter().take(CALLS_MAX)
}

async fn set_statuses(context: Context<'_>, updates: &[StatusUpdate]) -> Result<(), Stop> {
    let now_ms = context.now_ms();
    let mut workflows = Workflows::new();
    for update in due(updates, now_ms, |update| update.not_before_ms) {
        if context.out_of_time() {
            break;
        }
        if context.ledger.claim_status_update(update, now_ms).await? != WriteResult::Written {
            // Another drain sets it.
            continue;
        }
        let sent = async {
            if is_true(context, update, &mut workflows).await? {
                set_status(context, update).await?;
            }
            Ok(())
        };
        match sent.await {
            Ok(()) => context.ledger.clear_status_update(update).await?,
            Err(stop @ (Stop::Ledger(_) | Stop::Forge(ForgeError::Unreachable { .. }))) => {
                context.ledger.unclaim_status_update(update, now_ms).await?;
                return Err(stop);
            }
            Err(Stop::Forge(error)) => {
                let (ledger, repository) = (context.ledger, &update.job.repository);
                let may_be_gone = error.is_own_404() && !context.out_of_time();
                let is_gone = || context.config.forge.is_gone(repository);
                if update.is_expired(now_ms) || (may_be_gone && is_gone().await) {
                    tracing::warn!(job = %update.job, repository, %error, "commit status given up");
                    ledger.clear_status_update(update).await?;
                } else {
                    tracing::warn!(job = %update.job, repository, %error, "commit status refused; tried again later");
                    ledger.postpone_status_update(update, now_ms).await?;
                }
            }
        }
    }
    Ok(())
}

/// Workflow files by repository and run: the jobs of one run have one.
type Workflows = BTreeMap<(String, u64), Option<Bytes>>;

/// Whether what the status would say is true: of services only the job's workflow tells.
async fn is_true(
    context: Context<'_>,
    update: &StatusUpdate,
    workflows: &mut Workflows,
) -> Result<bool, Stop> {
    match update.kind {
        StatusKind::NotServed | StatusKind::Served | StatusKind::Paused => return Ok(true),
        StatusKind::NoServices => {}
    }
    let repository = &update.job.repository;
    let key = (repository.clone(), update.run_id);
    if !workflows.contains_key(&key) {
        let workflow = context
            .config
            .forge
            .workflow(repository, update.run_id, &update.head_sha)
            .await?;
        workflows.insert(key.clone(), workflow);
    }
    let Some(workflow) = workflows.get(&key).and_then(Option::as_ref) else {
        return Ok(false);
    };
    let server = context.config.forge.server().await?;
    let requirements = Requirements::read(workflow, &update.name, server);
    Ok(requirements.is_some_and(Requirements::is_silently_lacking))
}

async fn set_status(context: Context<'_>, update: &StatusUpdate) -> Result<(), ForgeError> {
    let state = match update.kind {
        StatusKind::NotServed | StatusKind::NoServices => "error",
        StatusKind::Served => "success",
        StatusKind::Paused => "pending",
    };
    tracing::info!(job = %update.job, repository = update.job.repository, state, reason = update.reason, "commit status set");
    context
        .config
        .forge
        .set_status(&CommitStatus {
            repository: &update.job.repository,
            sha: &update.head_sha,
            state,
            context: &check_of(&context.aws.names().name, update),
            description: &update.reason,
            target_url: &update.html_url,
        })
        .await
}

/// What the status is called. Two workflows of a commit may have a job of one name each, in a run each; of a job that
/// is only expected nobody knows the run yet.
fn check_of(deployment: &str, update: &StatusUpdate) -> String {
    let StatusUpdate { run_id, name, .. } = update;
    if *run_id == 0 {
        return format!("{deployment} / {name}");
    }
    format!("{deployment} / run {run_id} / {name}")
}

async fn delete_registrations(
    context: Context<'_>,
    stale: &[StaleRegistration],
) -> Result<(), Stop> {
    let now_ms = context.now_ms();
    for one in due(stale, now_ms, |one| one.not_before_ms) {
        if context.out_of_time() {
            break;
        }
        match delete_one(context, one).await {
            Ok(()) => {
                context
                    .ledger
                    .clear_stale_registration(&one.instance)
                    .await?;
            }
            Err(error @ ForgeError::Unreachable { .. }) => {
                context
                    .ledger
                    .put_stale_registration_last(one, now_ms)
                    .await?;
                return Err(error.into());
            }
            Err(error) if one.is_expired(now_ms) => {
                let (instance, pool) = (&one.instance, &one.pool);
                tracing::error!(instance, pool, %error, "stale registration given up: delete it at the forge");
                context.ledger.clear_stale_registration(instance).await?;
            }
            Err(error) => {
                tracing::warn!(instance = one.instance, pool = one.pool, %error, "stale registration not deleted; tried again later");
                context
                    .ledger
                    .postpone_stale_registration(one, now_ms)
                    .await?;
            }
        }
    }
    Ok(())
}

async fn delete_one(context: Context<'_>, stale: &StaleRegistration) -> Result<(), ForgeError> {
    let pool = context
        .config
        .pools
        .iter()
        .find(|pool| pool.name == stale.pool);
    let of_pool = pool.map(|pool| &pool.scope);
    // Where neither the row nor a pool says it, the scope of the whole forge reaches them all.
    let scope = stale.registered_in.as_ref().or(of_pool);
    let scope = scope.unwrap_or(&Scope::Global);
    let mut ids: Vec<u64> = stale.forge_id.into_iter().collect();
    if stale.unsure {
        match context
            .config
            .forge
            .runners_named(scope, &stale.instance)
            .await
        {
            Ok(named) => ids.extend(named),
            // A server that has no such list: its administrator sees the runner as offline.
            Err(ForgeError::Refused {
                status: 404 | 405, ..
            }) => {}
            Err(error) if context.config.forge.has_no_list(&error).await => {}
            Err(error) => return Err(error),
        }
    }
    let used = stale.forge_id.filter(|_| stale.used);
    ids.retain(|id| Some(*id) != used);
    for id in ids {
        context.config.forge.delete_runner(scope, id).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_last_is_tried_after_all_others() {
        let now_ms = 1_000;
        // Never tried, tried at 900, later, never tried.
        let owed = [(1, 0), (2, 900), (3, 1_001), (4, 0)];
        let order: Vec<u64> = due(&owed, now_ms, |one| one.1).map(|one| one.0).collect();
        assert_eq!(order, [1, 4, 2]);
        let many: Vec<u64> = (0..100).collect();
        assert_eq!(due(&many, now_ms, |_| 0).count(), CALLS_MAX);
    }
}
