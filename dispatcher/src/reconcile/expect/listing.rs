//! Puts jobs on the list of those that wait for a runner, as their deliveries would.

use std::collections::BTreeSet;

use stacks::pool::{Pool, Scope};

use crate::aws::Failure;
use crate::forge::{SeenJob, SeenState};
use crate::ledger::{Ask, Recorded};
use crate::model::job::{Job, JobKey};
use crate::model::world::WaitingJob;
use crate::reconcile::context::{Context, Stop};

/// Puts a job on the list, or refuses it, as a delivery of it would. Says whether it is new there.
pub(super) async fn list(context: Context<'_>, job: &Job) -> Result<bool, Stop> {
    if context.known_jobs.contains(&job.key) {
        return Ok(false);
    }
    let now_ms = context.now_ms();
    let served = match context.config.pool_for(job) {
        None => Err(context.config.why_no_pool(job)),
        Some(pool) if context.config.settings.accept_reusable_credentials => Ok(pool),
        Some(pool) => context
            .config
            .forge
            .why_reusable()
            .await?
            .map_or(Ok(pool), Err),
    };
    let pool = match served {
        Ok(pool) => pool,
        Err(reason) => {
            tracing::info!(job = %job.key, repository = job.key.repository, name = job.name, reason, "job refused");
            let _result = context.ledger.record_refused(job, &reason, now_ms).await?;
            context.known_jobs.add(&job.key);
            return Ok(false);
        }
    };
    let recorded = context
        .ledger
        .record_waiting(job, pool, Ask::Nobody, now_ms)
        .await?;
    if recorded == Recorded::Before {
        context.known_jobs.add(&job.key);
    } else {
        tracing::info!(job = %job.key, repository = job.key.repository, name = job.name, pool = pool.name, source = ?job.source, "job recorded");
    }
    Ok(recorded != Recorded::Before)
}

/// Puts on the list what waits at the forge and is not there: a delivery may have been lost, a hook
/// may tell of pushes alone, and of runs by the clock no push tells. For forges that have such a
/// list, once a tick. Says whether there was any.
pub(crate) async fn list_missed(context: Context<'_>) -> Result<bool, Stop> {
    let mut grew = false;
    let mut known = None;
    for scope in scopes_of(context, |_| true) {
        if context.out_of_time() {
            break;
        }
        let Some(seen) = context.config.forge.unfinished(scope).await? else {
            break;
        };
        if !seen.iter().any(|one| one.state == SeenState::Waiting) {
            continue;
        }
        let known = match &mut known {
            Some(known) => known,
            None => known.insert(keys_on_list(context).await?),
        };
        grew |= list_waiting(context, &seen, known).await?;
    }
    Ok(grew)
}

/// Puts those of `seen` on the list that wait and are not there. Says whether there was any.
pub(super) async fn list_waiting(
    context: Context<'_>,
    seen: &[SeenJob],
    listed: &BTreeSet<JobKey>,
) -> Result<bool, Stop> {
    let mut grew = false;
    for one in seen.iter().filter(|one| one.state == SeenState::Waiting) {
        // A job that no pool serves is its delivery's to refuse: a word about each of a whole
        // forge's jobs would be one too many.
        if !listed.contains(&one.job.key) && context.config.pool_for(&one.job).is_some() {
            grew |= list(context, &one.job).await?;
        }
    }
    Ok(grew)
}

/// The scopes of the pools that are `meant`, each once.
pub(super) fn scopes_of(context: Context<'_>, meant: impl Fn(&Pool) -> bool) -> Vec<&Scope> {
    let mut scopes = Vec::new();
    for pool in &context.config.pools {
        if meant(pool) && !scopes.contains(&&pool.scope) {
            scopes.push(&pool.scope);
        }
    }
    scopes
}

/// The keys of the jobs that are on the list.
pub(super) async fn keys_on_list(context: Context<'_>) -> Result<BTreeSet<JobKey>, Failure> {
    Ok(keys_of(&context.ledger.live().await?.jobs))
}

/// The keys of `jobs`.
pub(super) fn keys_of(jobs: &[WaitingJob]) -> BTreeSet<JobKey> {
    let mut keys = BTreeSet::new();
    keys.extend(jobs.iter().map(|job| job.key.clone()));
    keys
}
