//! The tick: ends what is over its limit, sweeps what nobody tracks, closes what is gone, and lets
//! the drain re-issue and launch. Ending by tag and age works with the ledger and the forge down.

use stacks::names::{LOG_IMAGE_AGE_DAYS, LOG_OLDEST_WAITING_S};

use super::context::{Context, Woken};
use super::drain::drain;
use super::expect::list_missed;
use super::observe::observe;
use super::outbox;
use super::refusals;
use crate::aws::{Aws, Failure};
use crate::model::runner::EndReason;
use crate::model::world::World;
use crate::plan::{self, Sweep};

/// Runs one tick. The first failure is reported after everything that could be done was done.
pub async fn tick(context: Context<'_>, holder: &str) -> Result<(), Failure> {
    let instances = context.aws.instances().await;
    let mut seen = match observe(context).await {
        Ok(seen) => Some(seen),
        Err(failure) => {
            tracing::error!(error = %failure, "the ledger can't be read; sweeping by tag and age alone");
            None
        }
    };
    let birth = seen.as_ref().and_then(|seen| seen.live.birth);
    let refused = seen.as_ref().map(|seen| seen.world.refusals.clone());
    if let Some(seen) = &seen {
        report_waiting(&seen.world);
        report_old_image(&seen.world);
    }
    let swept = match instances {
        Ok(instances) => {
            let world = seen.as_ref().map(|seen| &seen.world);
            let sweep = plan::sweep(context.now_ms(), &instances, world);
            let changes = sweep != Sweep::default();
            let swept = apply_sweep(context, sweep).await;
            if changes {
                // The drain decides about what is there now.
                seen = None;
            }
            swept
        }
        Err(failure) => Err(failure),
    };
    let drained = drain(context, holder, Woken::Otherwise, seen).await;
    // Last: a slow forge holds up nothing that the ledger knows of.
    let mended = refusals::try_again(context, &refused.unwrap_or_default()).await;
    let missed = list_missed(context, birth).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "what no delivery told of is looked for by the next reconcile");
        false
    });
    let launched = if missed || matches!(mended, Ok(true)) {
        drain(context, holder, Woken::Otherwise, None).await
    } else {
        Ok(())
    };
    swept.and(drained).and(mended.map(drop)).and(launched)
}

/// Says how long jobs have waited, for the alarm: a metric filter of the stack reads this line. With
/// nothing waiting there is no line, hence no metric to pay for.
fn report_waiting(world: &World) {
    if let Some(oldest_waiting_s) = world.oldest_waiting_s() {
        let waiting = world.jobs.len();
        tracing::info!(
            { LOG_OLDEST_WAITING_S } = oldest_waiting_s,
            waiting,
            "jobs wait"
        );
    }
}

/// Says how old the oldest image is that machines start from, for the alarm, once it is old.
fn report_old_image(world: &World) {
    if let Some((image, image_age_days)) = world.old_image() {
        tracing::warn!(
            { LOG_IMAGE_AGE_DAYS } = image_age_days,
            parameter = image.parameter,
            "an image is old and lacks the updates since: `cargo xtask ami build --all`"
        );
    }
}

/// What can be done without the parameters: what is over its limit, by tag and age.
pub async fn sweep_alone(aws: &Aws, now_ms: u64) -> Result<(), Failure> {
    let instances = aws.instances().await?;
    let over = plan::sweep(now_ms, &instances, None).end.into_iter();
    let over: Vec<String> = over.map(|(instance, _)| instance).collect();
    aws.end_instances(&over).await
}

/// Ends every machine and takes every registration back, so that `down` leaves nothing at the forge
/// either. Launches nothing.
pub async fn retire(context: Context<'_>) -> Result<(), Failure> {
    context.ledger.take_last_lease(context.now_ms()).await?;
    let instances: Vec<String> = context
        .aws
        .instances()
        .await?
        .into_iter()
        .filter(|instance| !instance.ended)
        .map(|instance| instance.id)
        .collect();
    context.end(&instances, &EndReason::Retired).await?;
    let mut closed = Ok(());
    for runner in context.ledger.live().await?.runners {
        let one = context.close(&runner, EndReason::Retired, None);
        closed = closed.and(one.await);
    }
    // Each round settles some of it, unless the forge hangs at the first.
    let (mut before, mut in_vain) = (usize::MAX, 0);
    loop {
        let mut live = context.ledger.live().await?;
        let left: Vec<String> = live
            .stale_registrations
            .iter()
            .map(|one| one.instance.clone())
            .collect();
        if left.is_empty() {
            return closed;
        }
        in_vain = if left.len() < before { 0 } else { in_vain + 1 };
        if in_vain > IN_VAIN_MAX || context.out_of_time() {
            let message = format!(
                "{} stay registered at the forge, delete them there: {}",
                left.len(),
                left[..left.len().min(LEFT_NAMED_MAX)].join(", ")
            );
            return Err(Failure::new("DELETE runner", "registrations-left", message));
        }
        before = left.len();
        let now_ms = context.now_ms();
        for one in &mut live.stale_registrations {
            // There is no later. What is given up is named.
            one.since_ms = now_ms;
            if one.not_before_ms > now_ms {
                one.not_before_ms = 0;
            }
        }
        outbox::flush(context, &live).await;
    }
}

/// Most registrations that an error names.
const LEFT_NAMED_MAX: usize = 10;
/// Most rounds in a row that settle nothing: then the forge does not answer, or refuses them all.
const IN_VAIN_MAX: usize = 1;

async fn apply_sweep(context: Context<'_>, sweep: Sweep<'_>) -> Result<(), Failure> {
    let mut result = Ok(());
    for reason in EndReason::OURS {
        let of_reason = sweep.end.iter().filter(|(_, own)| *own == reason);
        let instances: Vec<String> = of_reason.map(|(instance, _)| instance.clone()).collect();
        result = result.and(context.end(&instances, &reason).await);
    }
    for (runner, state_reason) in sweep.close {
        let closed = context.close(runner, EndReason::Gone, state_reason);
        result = result.and(closed.await);
    }
    result
}
