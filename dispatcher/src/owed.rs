//! What is left to do when every machine is asked for: registrations to delete at the forge, words for
//! the owners of jobs, and events to look into ([`crate::predict`]). All of it stays on their lists until the forge has taken them.

use std::collections::BTreeMap;

use bytes::Bytes;
use stacks::pool::Scope;

use crate::apply::Hands;
use crate::config::Config;
use crate::drain::out_of_time;
use crate::forge::{CommitStatus, ForgeError};
use crate::ledger::{Live, Notice, Remains, Says, Trigger};
use crate::shell::{Failure, Outcome};
use workflow::document::requirements::Requirements;

/// Most debts of each kind that one drain settles: each is a request to the forge.
const SETTLE_MAX: usize = 40;

/// What is owed, as the ledger has it.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    remains: Vec<Remains>,
    notices: Vec<Notice>,
    /// Events that nobody has followed to their end.
    pub(crate) triggers: Vec<Trigger>,
}

impl Owed {
    /// Takes it out of what was read.
    pub(crate) fn take(live: &mut Live) -> Self {
        Self {
            remains: std::mem::take(&mut live.remains),
            notices: std::mem::take(&mut live.notices),
            triggers: std::mem::take(&mut live.triggers),
        }
    }
}

/// Why nothing more is tried now.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Ledger(#[from] Failure),
}

/// Settles what can be settled now. A forge that does not answer is left alone until the next drain,
/// one that refuses keeps nobody else's debt from being settled.
pub(crate) async fn settle(hands: Hands<'_>, config: &Config, owed: &Owed) {
    if let Err(stop) = say(hands, &owed.notices).await {
        tracing::warn!(%stop, "the other owners are told by the next drain");
    }
    if let Err(stop) = delete(hands, config, &owed.remains).await {
        tracing::warn!(%stop, "the other registrations are deleted by the next drain");
    }
}

async fn say(hands: Hands<'_>, notices: &[Notice]) -> Result<(), Stop> {
    let now_ms = (hands.now_ms)();
    let due = notices
        .iter()
        .filter(|notice| notice.not_before_ms <= now_ms);
    let mut workflows = Workflows::new();
    for notice in due.take(SETTLE_MAX) {
        if out_of_time(hands.deadline) {
            break;
        }
        if hands.shell.claim_notice(notice, now_ms).await? != Outcome::Written {
            // Another drain says it.
            continue;
        }
        let said = async {
            if is_to_be_said(hands, notice, &mut workflows).await? {
                say_one(hands, notice).await?;
            }
            Ok(())
        };
        match said.await {
            Ok(()) => hands.shell.clear_notice(notice).await?,
            Err(Stop::Forge(error)) if notice.is_stale(now_ms) => {
                tracing::warn!(job = %notice.job, %error, "its owner is not told");
                hands.shell.clear_notice(notice).await?;
            }
            Err(stop @ (Stop::Ledger(_) | Stop::Forge(ForgeError::Unreachable { .. }))) => {
                hands.shell.unclaim_notice(notice, now_ms).await?;
                return Err(stop);
            }
            Err(Stop::Forge(error)) => {
                tracing::warn!(job = %notice.job, %error, "its owner is told later");
                hands.shell.postpone_notice(notice, now_ms).await?;
            }
        }
    }
    Ok(())
}

/// Workflow files by repository and run: the jobs of one run have one.
type Workflows = BTreeMap<(String, u64), Option<Bytes>>;

/// Whether what is owed is true: of services only the job's workflow tells.
async fn is_to_be_said(
    hands: Hands<'_>,
    notice: &Notice,
    workflows: &mut Workflows,
) -> Result<bool, Stop> {
    match notice.says {
        Says::Unserved | Says::Served => return Ok(true),
        Says::NoServices => {}
    }
    let repository = &notice.job.repository;
    let key = (repository.clone(), notice.run_id);
    if !workflows.contains_key(&key) {
        let workflow = hands
            .forge
            .workflow(repository, notice.run_id, &notice.head_sha)
            .await?;
        workflows.insert(key.clone(), workflow);
    }
    let workflow = workflows.get(&key).and_then(Option::as_ref);
    let asks = workflow.and_then(|text| Requirements::read(text, &notice.name));
    Ok(asks.is_some_and(Requirements::is_silently_lacking))
}

/// Says it.
async fn say_one(hands: Hands<'_>, notice: &Notice) -> Result<(), ForgeError> {
    let state = match notice.says {
        Says::Unserved | Says::NoServices => "error",
        Says::Served => "success",
    };
    tracing::info!(job = %notice.job, state, reason = notice.reason, "told its owner");
    hands
        .forge
        .set_status(&CommitStatus {
            repository: &notice.job.repository,
            sha: &notice.head_sha,
            state,
            context: &format!("{} / {}", hands.shell.names().name, notice.name),
            description: &notice.reason,
            target_url: &notice.html_url,
        })
        .await
}

async fn delete(hands: Hands<'_>, config: &Config, remains: &[Remains]) -> Result<(), Stop> {
    let now_ms = (hands.now_ms)();
    let due = remains.iter().filter(|one| one.not_before_ms <= now_ms);
    for remains in due.take(SETTLE_MAX) {
        if out_of_time(hands.deadline) {
            break;
        }
        match delete_one(hands, config, remains).await {
            Ok(()) => hands.shell.clear_remains(&remains.instance).await?,
            Err(error @ ForgeError::Unreachable { .. }) => return Err(error.into()),
            Err(error) if remains.is_stale(now_ms) => {
                let (instance, pool) = (&remains.instance, &remains.pool);
                tracing::error!(instance, pool, %error, "its registration stays: delete it at the forge");
                hands.shell.clear_remains(instance).await?;
            }
            Err(error) => {
                tracing::warn!(instance = remains.instance, %error, "its registration stays for now");
                hands.shell.postpone_remains(remains, now_ms).await?;
            }
        }
    }
    Ok(())
}

async fn delete_one(
    hands: Hands<'_>,
    config: &Config,
    remains: &Remains,
) -> Result<(), ForgeError> {
    let pool = config.pools.iter().find(|pool| pool.name == remains.pool);
    let of_pool = pool.map(|pool| &pool.scope);
    // Where neither the row nor a pool says it, the forge's own reaches them all.
    let scope = remains.registered_in.as_ref().or(of_pool);
    let scope = scope.unwrap_or(&Scope::Global);
    let mut ids: Vec<u64> = remains.forge_id.into_iter().collect();
    if remains.unsure {
        match hands.forge.runners_named(scope, &remains.instance).await {
            Ok(named) => ids.extend(named),
            // A server that has no such list: its administrator sees the runner as offline.
            Err(ForgeError::Refused {
                status: 404 | 405, ..
            }) => {}
            Err(error) if hands.forge.has_no_list(&error).await => {}
            Err(error) => return Err(error),
        }
    }
    let used = remains.forge_id.filter(|_| remains.used);
    ids.retain(|id| Some(*id) != used);
    for id in ids {
        hands.forge.delete_runner(scope, id).await?;
    }
    Ok(())
}
