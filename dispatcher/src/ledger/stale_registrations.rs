//! Registrations that nobody will use any more, until the forge has deleted them.

use serde::{Deserialize, Serialize};
use stacks::pool::Scope;

use super::change::{Change, Key, number};
use super::{Ledger, item, live_key};
use crate::aws::Failure;
use crate::model::runner::{Runner, RunnerState};

/// How long the forge is asked to delete a registration, in milliseconds: a token or a scope that is
/// set right within a week still has it deleted.
const KEEP_MS: u64 = 7 * 24 * 3600 * 1000;
/// Shortest time between two tries, in milliseconds: a tick.
const AGAIN_MS: u64 = 60_000;

/// A registration at the forge whose instance ended without a job: a Gitea deletes only used ones
/// (measured), a Forgejo before 15 none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleRegistration {
    /// The instance, which is the registration's name.
    pub(crate) instance: String,
    pub(crate) pool: String,
    /// The forge's id, if its answer reached us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) forge_id: Option<u64>,
    /// Whether the one of that id had a job: the forge deletes it itself.
    pub(crate) used: bool,
    /// Whether there may be more of that name: an answer got lost.
    pub(crate) unsure: bool,
    /// Where it was registered, if the ledger knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registered_in: Option<Scope>,
    pub(crate) since_ms: u64,
    pub(crate) not_before_ms: u64,
}

impl Ledger {
    /// Puts a registration that nobody will use on the list of those to delete.
    pub(crate) async fn add_stale_registration(
        &self,
        stale: &StaleRegistration,
    ) -> Result<(), Failure> {
        self.write(stale.put()).await.map(drop)
    }

    /// Leaves what the forge did not delete for later, each time as long again as it is to be deleted:
    /// one that it will never delete keeps no other waiting.
    pub(crate) async fn postpone_stale_registration(
        &self,
        stale: &StaleRegistration,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let until_ms = now_ms + now_ms.saturating_sub(stale.since_ms).max(AGAIN_MS);
        self.hold_stale_registration(stale, until_ms).await
    }

    /// Leaves one at which the forge did not answer to the next drain, behind the others.
    pub(crate) async fn put_stale_registration_last(
        &self,
        stale: &StaleRegistration,
        now_ms: u64,
    ) -> Result<(), Failure> {
        self.hold_stale_registration(stale, now_ms).await
    }

    async fn hold_stale_registration(
        &self,
        stale: &StaleRegistration,
        until_ms: u64,
    ) -> Result<(), Failure> {
        let later = Change::update(key_of(&stale.instance))
            .set("not_before_ms", number(until_ms))
            .only_if_there();
        self.write(later).await.map(drop)
    }

    /// Strikes what remained at the forge off the list.
    pub(crate) async fn clear_stale_registration(&self, instance: &str) -> Result<(), Failure> {
        let struck = Change::delete(key_of(instance));
        self.write(struck).await.map(drop)
    }
}

impl StaleRegistration {
    /// Whether it was tried for long enough.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.since_ms) > KEEP_MS
    }

    /// The change that puts it on the list.
    pub(super) fn put(&self) -> Change {
        Change::put(item(key_of(&self.instance), self))
    }
}

/// What the forge may still hold of a runner whose machine has ended. A registration without an
/// answer, and one whose answer was not recorded, is known by its name alone.
pub(super) fn stale_of(
    runner: &Runner,
    keeps_used: bool,
    now_ms: u64,
) -> Option<StaleRegistration> {
    let used = runner.state == RunnerState::Busy && !keeps_used;
    let unanswered = runner.state != RunnerState::Booting && runner.forge_id.is_none();
    let unsure = runner.maybe_registered || unanswered;
    let unused = runner.forge_id.is_some() && !used;
    (unsure || unused).then(|| StaleRegistration {
        instance: runner.instance.clone(),
        pool: runner.pool.clone(),
        forge_id: runner.forge_id,
        used,
        unsure,
        registered_in: runner.registered_in.clone(),
        since_ms: now_ms,
        not_before_ms: 0,
    })
}

fn key_of(instance: &str) -> Key {
    live_key(format!("registration#{instance}"))
}
