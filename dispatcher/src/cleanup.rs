//! The tick: ends what is over its limit, sweeps what nobody tracks, closes what is gone, and lets
//! the drain re-issue and launch. Ending by tag and age works with the ledger and the forge down.

use stacks::names::LOG_OLDEST_WAITING_S;

use crate::apply::Hands;
use crate::config::Config;
use crate::drain::{Woken, drain, world};
use crate::owed::{self, Owed};
use crate::plan::{self, EndReason, Sweep};
use crate::predict::heal;
use crate::shell::{Failure, Shell};
use crate::world::World;

/// Runs one tick. The first failure is reported after everything that could be done was done.
pub async fn tick(hands: Hands<'_>, config: &Config, holder: &str) -> Result<(), Failure> {
    let instances = hands.shell.instances().await;
    let ledger = match hands.shell.live().await {
        Ok(live) => Some(world(live, config, (hands.now_ms)())),
        Err(failure) => {
            tracing::error!(%failure, "the ledger can't be read; sweeping by tag and age alone");
            None
        }
    };
    if let Some(world) = &ledger {
        report_waiting(world);
    }
    let swept = match instances {
        Ok(instances) => {
            let sweeps = plan::sweep((hands.now_ms)(), &instances, ledger.as_ref());
            apply_sweep(hands, sweeps, ledger.as_ref()).await
        }
        Err(failure) => Err(failure),
    };
    let drained = drain(hands, config, holder, Woken::Otherwise).await;
    // Last: a slow forge holds up nothing that the ledger knows of.
    let healed = match heal(hands, config).await {
        Ok(false) => Ok(()),
        Ok(true) => drain(hands, config, holder, Woken::Otherwise).await,
        Err(error) => {
            tracing::warn!(%error, "could not ask the forge what waits there; the next tick does");
            Ok(())
        }
    };
    swept.and(drained).and(healed)
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

/// What can be done without the parameters: what is over its limit, by tag and age.
pub async fn sweep_alone(shell: &Shell, now_ms: u64) -> Result<(), Failure> {
    let instances = shell.instances().await?;
    let over: Vec<String> = plan::sweep(now_ms, &instances, None)
        .into_iter()
        .filter_map(|sweep| match sweep {
            Sweep::End { instance, .. } => Some(instance),
            Sweep::Close { .. } => None,
        })
        .collect();
    shell.end_instances(&over).await
}

/// Ends every machine and takes every registration back, so that `down` leaves nothing at the forge
/// either. Launches nothing.
pub async fn retire(hands: Hands<'_>, config: &Config) -> Result<(), Failure> {
    hands.shell.take_last_lease((hands.now_ms)()).await?;
    let instances: Vec<String> = hands
        .shell
        .instances()
        .await?
        .into_iter()
        .filter(|instance| !instance.ended)
        .map(|instance| instance.id)
        .collect();
    hands.end(&instances, EndReason::Retired).await?;
    for runner in hands.shell.live().await?.runners {
        hands.close(&runner, EndReason::Retired.word()).await?;
    }
    // Each round settles some of it; one that settles nothing is the last.
    let mut before = usize::MAX;
    loop {
        let mut live = hands.shell.live().await?;
        let left: Vec<String> = live
            .remains
            .iter()
            .map(|one| one.instance.clone())
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if left.len() >= before {
            return Err(Failure {
                call: "DELETE runner",
                code: "registrations-left".to_owned(),
                message: format!(
                    "{} stay registered at the forge, delete them there: {}",
                    left.len(),
                    left[..left.len().min(LEFT_NAMED_MAX)].join(", ")
                ),
            });
        }
        before = left.len();
        // There is no later.
        for one in &mut live.remains {
            one.not_before_ms = 0;
        }
        owed::settle(hands, config, &Owed::take(&mut live)).await;
    }
}

/// Most registrations that an error names.
const LEFT_NAMED_MAX: usize = 10;

async fn apply_sweep(
    hands: Hands<'_>,
    sweeps: Vec<Sweep>,
    ledger: Option<&World>,
) -> Result<(), Failure> {
    let mut result = Ok(());
    for reason in EndReason::ALL {
        let instances: Vec<String> = sweeps
            .iter()
            .filter_map(|sweep| match sweep {
                Sweep::End {
                    instance,
                    reason: own,
                } if *own == reason => Some(instance.clone()),
                Sweep::End { .. } | Sweep::Close { .. } => None,
            })
            .collect();
        result = result.and(hands.end(&instances, reason).await);
    }
    for sweep in sweeps {
        let Sweep::Close { instance } = sweep else {
            continue;
        };
        let runner = ledger.and_then(|world| {
            world
                .runners
                .iter()
                .find(|runner| runner.instance == instance)
        });
        if let Some(runner) = runner {
            result = result.and(hands.close(runner, "gone").await);
        }
    }
    result
}
