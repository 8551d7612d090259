//! Pools whose runners the forge refused to register. Nothing is launched for them, so no machine would find out
//! that it is mended: each reconcile tries, without one.

use super::context::Context;
use crate::aws::Failure;
use crate::forge::{ForgeError, Registration};
use crate::ledger::StaleRegistration;
use crate::model::world::Refusal;
use crate::runner_route::may_have_registered;
use stacks::pool::Pool;

/// Tries to register a runner of each of those pools. Says whether one of them can be launched for again.
pub(super) async fn try_again(context: Context<'_>, refusals: &[Refusal]) -> Result<bool, Failure> {
    let mut mended = false;
    for Refusal { pool: name, .. } in refusals {
        if context.out_of_time() {
            break;
        }
        let pool = context.config.pools.iter().find(|pool| pool.name == *name);
        if let Some(pool) = pool {
            if let Err(why) = registers(context, pool).await? {
                tracing::warn!(
                    pool = name,
                    why,
                    "the forge registers no runner of the pool: nothing is launched for it"
                );
                continue;
            }
            tracing::info!(pool = name, "the forge registers runners of the pool again");
        }
        mended = true;
        let _result = context.ledger.clear_refusal(name).await?;
    }
    Ok(mended)
}

/// Whether a runner of `pool` is registered as a machine's would be, or why not. It is taken back at once.
async fn registers(context: Context<'_>, pool: &Pool) -> Result<Result<(), String>, Failure> {
    let forge = &context.config.forge;
    let accepts_reusable = context.config.settings.accept_reusable_credentials;
    if !accepts_reusable {
        match forge.why_reusable().await {
            Ok(None) => {}
            Ok(Some(why)) => return Ok(Err(why)),
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
    let now_ms = context.now_ms();
    let name = format!("{}-try-{now_ms}", context.aws.names().name);
    let registered = forge.register(pool, &name).await;
    let stale = StaleRegistration {
        instance: name,
        pool: pool.name.clone(),
        forge_id: registered.as_ref().ok().map(|one| one.id),
        used: false,
        unsure: registered.as_ref().is_err_and(may_have_registered),
        registered_in: Some(pool.scope.clone()),
        since_ms: now_ms,
        not_before_ms: 0,
    };
    let is_left = match stale.forge_id {
        Some(id) => forge.delete_runner(&pool.scope, id).await.is_err(),
        None => stale.unsure,
    };
    if is_left {
        context.ledger.add_stale_registration(&stale).await?;
    }
    Ok(usable(registered, accepts_reusable))
}

/// Whether a machine may have what was registered, or why not.
fn usable(
    registered: Result<Registration, ForgeError>,
    accepts_reusable: bool,
) -> Result<(), String> {
    match registered {
        Ok(registration) if registration.one_job || accepts_reusable => Ok(()),
        Ok(_) => Err("it makes no one-job runners".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
