//! Puts jobs on the list of those that wait for a runner, as their deliveries would.

use std::collections::BTreeSet;

use stacks::pool::{Pool, Scope};

use crate::aws::{Failure, WriteResult};
use crate::forge::{ForgeError, SeenJob, SeenState};
use crate::ledger::{Ask, Birth, Recorded, WhyListed};
use crate::model::job::{Job, JobKey, JobSource};
use crate::model::world::WaitingJob;
use crate::reconcile::context::{Context, Stop};
use crate::simulation::{Fault, breaks};

/// How long before its first reconcile a deployment may have begun, in milliseconds: who deploys pushes
/// right after.
const BIRTH_MARGIN_MS: u64 = 5 * 60_000;
/// How long after a job's start or end the forge's list is believed that it waits, in milliseconds: longer than
/// anybody works with one list. From 1.27 on Gitea takes a job back from a runner that went away while
/// it was given the job, after it has told of the start, and tells nobody. Before, the rerun of a job that no
/// runner ever had is the same to us as that job, and what tells of it may be lost.
const BELIEVED_AFTER_MS: u64 = 60_000;

/// Puts a job on the list, or refuses it, as a delivery of it would. Says whether it is new there.
pub(super) async fn list(context: Context<'_>, job: &Job) -> Result<bool, Stop> {
    if context.known_jobs.contains(&job.key) && !breaks(Fault::RefusedLookedAtForEver) {
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
    let ledger = context.ledger;
    let mut recorded = ledger
        .record_waiting(job, pool, Ask::Nobody, now_ms)
        .await?;
    if recorded == Recorded::Before && job.source == JobSource::List {
        match ledger.why_listed(&job.key).await? {
            WhyListed::InVain => context.known_jobs.add(&job.key),
            // That may have been told after the list.
            WhyListed::Again(event, told_ms)
                if now_ms.saturating_sub(told_ms) >= BELIEVED_AFTER_MS =>
            {
                let again = ledger.record_again(job, &pool.name, event, now_ms);
                if again.await? == WriteResult::Written {
                    recorded = Recorded::Alone;
                }
            }
            WhyListed::Again(..) | WhyListed::Unsure => {}
        }
    }
    if recorded == Recorded::Before && job.source != JobSource::List {
        context.known_jobs.add(&job.key);
    }
    if recorded != Recorded::Before {
        tracing::info!(job = %job.key, repository = job.key.repository, name = job.name, pool = pool.name, source = ?job.source, "job recorded");
    }
    Ok(recorded != Recorded::Before)
}

/// Puts on the list what waits at the forge and is not there: a delivery may have been lost, a hook
/// may tell of pushes alone, and of runs by the clock no push tells. For forges that have such a
/// list, once a tick. Says whether there was any.
///
/// What waited before the deployment was there is left alone. The first tick, which finds no `birth`
/// written down, says when that was.
pub(crate) async fn list_missed(context: Context<'_>, birth: Option<Birth>) -> Result<bool, Stop> {
    let birth = match birth {
        Some(birth) => birth,
        None => begin(context).await?,
    };
    let waiting = waiting(context).await?;
    let birth = with_last_job(context, birth, &waiting).await?;
    if waiting.is_empty() {
        return Ok(false);
    }
    let listed = keys_on_list(context).await?;
    list_waiting(context, &waiting, &listed, Some(birth)).await
}

/// What waited at the forge before the deployment was there. With `include` it is put on the list.
pub(crate) async fn waited_before(context: Context<'_>, include: bool) -> Result<Vec<Job>, Stop> {
    let mut waiting = waiting(context).await?;
    let live = context.ledger.live().await?;
    let birth = match live.birth {
        Some(birth) => birth,
        None => begin(context).await?,
    };
    let birth = with_last_job(context, birth, &waiting).await?;
    let listed = keys_of(&live.jobs);
    if include {
        context.ledger.include_waiting().await?;
        list_waiting(context, &waiting, &listed, None).await?;
    }
    waiting.retain(|one| birth.is_after(&one.job) && !listed.contains(&one.job.key));
    Ok(waiting.into_iter().map(|one| one.job).collect())
}

/// What waits at the forge in the pools' scopes; nothing where it has no such list. A scope that can't be
/// asked, since its organization is gone or the token may not see it, hides no other's jobs; it fails where
/// none can.
async fn waiting(context: Context<'_>) -> Result<Vec<SeenJob>, Stop> {
    let mut waiting = Vec::new();
    let mut failure = None;
    let mut asked = false;
    for scope in scopes_of(context, |_| true) {
        if context.out_of_time() {
            break;
        }
        match context.config.forge.unfinished(scope).await {
            Ok(None) => return Ok(waiting),
            Ok(Some(seen)) => {
                asked = true;
                let waits = |one: &SeenJob| one.state == SeenState::Waiting;
                waiting.extend(seen.into_iter().filter(waits));
            }
            Err(error) => {
                tracing::warn!(?scope, %error, "the forge does not list its waiting jobs; the next reconcile asks again");
                let is_gone = matches!(error, ForgeError::Unreachable { .. });
                failure = Some(error);
                if is_gone {
                    break;
                }
            }
        }
    }
    match failure {
        Some(error) if !asked => Err(error.into()),
        Some(_) | None => Ok(waiting),
    }
}

/// Writes down when the deployment began to serve, and gives it. One that has launched or recorded
/// something has begun before this was written down anywhere.
async fn begin(context: Context<'_>) -> Result<Birth, Failure> {
    let live = context.ledger.live().await?;
    let birth = if live.counters.is_empty() && live.jobs.is_empty() {
        Birth {
            at_ms: context.now_ms().saturating_sub(BIRTH_MARGIN_MS),
            job_id: None,
        }
    } else {
        Birth::ALWAYS
    };
    match context.ledger.begin(birth).await? {
        WriteResult::Written => Ok(birth),
        // Another invocation has said it.
        WriteResult::Refused => Ok(context.ledger.live().await?.birth.unwrap_or(birth)),
    }
}

/// The same with the last job that waits now, if the forge could not be asked before.
async fn with_last_job(
    context: Context<'_>,
    birth: Birth,
    waiting: &[SeenJob],
) -> Result<Birth, Failure> {
    if birth.job_id.is_some() {
        return Ok(birth);
    }
    let ids = waiting.iter().map(|one| one.job.key.id);
    let last = ids.max().unwrap_or_default();
    context.ledger.note_last_job(last).await?;
    Ok(Birth {
        job_id: Some(last),
        ..birth
    })
}

/// Puts those of `seen` on the list that wait, are not there, and came after the deployment's `birth`.
/// Says whether there was any.
pub(super) async fn list_waiting(
    context: Context<'_>,
    seen: &[SeenJob],
    listed: &BTreeSet<JobKey>,
    birth: Option<Birth>,
) -> Result<bool, Stop> {
    let mut grew = false;
    let mut before = 0;
    for one in seen.iter().filter(|one| one.state == SeenState::Waiting) {
        // A job that no pool serves is its delivery's to refuse: a word about each of a whole
        // forge's jobs would be one too many.
        if listed.contains(&one.job.key) || context.config.pool_for(&one.job).is_none() {
            continue;
        }
        if birth.is_some_and(|birth| birth.is_after(&one.job)) {
            before += 1;
        } else {
            grew |= list(context, &one.job).await?;
        }
    }
    if before > 0 {
        tracing::info!(
            waiting = before,
            "jobs waited at the forge before this deployment and get no machine: \
             cargo xtask up --include-waiting"
        );
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
