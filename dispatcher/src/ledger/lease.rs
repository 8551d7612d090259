//! The drain's lease: an efficiency, so that a burst becomes few requests. Correctness rests on the
//! claims alone.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::{Change, number, text};
use super::{Ledger, live_key};
use crate::aws::{Failure, WriteResult};

/// How often a drain tries to take the lease from one that just gives it back.
const TAKES_MAX: usize = 3;
/// How long one holder may keep the drain's lease without renewing it, in milliseconds. What a drain that
/// dies was asked meanwhile waits for the next reconcile, so it is a few of its [`RENEW`]s and no more.
pub(super) const LEASE_MS: u64 = 15_000;
/// How often a drain that works for long renews it.
pub(crate) const RENEW: Duration = Duration::from_secs(4);
/// How long a deployment that is taken down launches nothing, in milliseconds: longer than `down`
/// takes.
const LAST_LEASE_MS: u64 = 15 * 60_000;

/// Who drains, as it was read.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    pub(super) holder: String,
    pub(super) until_ms: u64,
}

impl Lease {
    /// Whether somebody else than `holder` has it.
    pub(crate) fn is_of_another(&self, holder: &str, now_ms: u64) -> bool {
        self.until_ms >= now_ms && self.holder != holder
    }
}

/// Whether the drain that is at work is asked to look again in the same transaction as a write. What was
/// written is then seen by that drain for certain: the lease is given back only if nobody has asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// It is not.
    Nobody,
    /// It is, if there is one.
    TheDrain,
}

/// What became of something that somebody has to launch for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Recorded {
    /// It was recorded before.
    Before,
    /// It is written, and the drain that is at work looks again.
    Asked,
    /// It is written, and a drain has to be woken.
    Alone,
}

impl Ledger {
    /// Takes or renews the drain's lease. What was asked until now is answered by the look that follows.
    /// Where another has it, that one is asked to look again: `false`.
    pub(crate) async fn take_lease(&self, holder: &str, now_ms: u64) -> Result<bool, Failure> {
        for _ in 0..TAKES_MAX {
            if self.write(taken(holder, now_ms)).await? == WriteResult::Written {
                return Ok(true);
            }
            if self.ask_again(now_ms).await? == WriteResult::Written {
                return Ok(false);
            }
            // Between the two the other has given it back.
        }
        Ok(false)
    }

    /// Asks the drain that is at work to look again; refused where there is none.
    pub(crate) async fn ask_again(&self, now_ms: u64) -> Result<WriteResult, Failure> {
        self.write(asked_again(now_ms)).await
    }

    /// Writes all of `changes` or none.
    pub(super) async fn write_asking(
        &self,
        changes: Vec<Change>,
        ask: Ask,
        now_ms: u64,
    ) -> Result<Recorded, Failure> {
        if ask == Ask::TheDrain {
            let asking = changes.iter().cloned().chain([asked_again(now_ms)]);
            if self.write_all(asking.collect()).await? == WriteResult::Written {
                return Ok(Recorded::Asked);
            }
            // Either no drain is at work, or it was written before.
        }
        Ok(match self.write_all(changes).await? {
            WriteResult::Written => Recorded::Alone,
            WriteResult::Refused => Recorded::Before,
        })
    }

    /// Keeps the lease of a drain that works for long.
    pub(crate) async fn renew_lease(&self, holder: &str, now_ms: u64) -> Result<(), Failure> {
        let renewed = lease()
            .set("until_ms", number(now_ms + LEASE_MS))
            .only_from("holder", text(holder))
            .only_if("until_ms > :none")
            .value(":none", number(0));
        self.write(renewed).await.map(drop)
    }

    /// Takes the lease for good, whoever holds it: the deployment is taken down, nothing may be
    /// launched any more. It runs out, in case nobody goes on with that.
    pub(crate) async fn take_last_lease(&self, now_ms: u64) -> Result<(), Failure> {
        let taken = lease().held("retired", now_ms + LAST_LEASE_MS);
        self.write(taken).await.map(drop)
    }

    /// Gives the lease back whatever was asked: this holder has no time to look again, and nobody
    /// should wait for it.
    pub(crate) async fn leave_lease(&self, holder: &str) -> Result<(), Failure> {
        self.write(lease().left_by(holder)).await.map(drop)
    }

    /// Gives the lease back; `false` says that somebody asked to look again, or has taken it.
    pub(crate) async fn release_lease(&self, holder: &str) -> Result<bool, Failure> {
        let released = lease()
            .left_by(holder)
            .only_from("again", AttributeValue::Bool(false));
        Ok(self.write(released).await? == WriteResult::Written)
    }
}

fn lease() -> Change {
    Change::update(live_key("lease".to_owned()))
}

/// Takes the lease if nobody else has it.
pub(super) fn taken(holder: &str, now_ms: u64) -> Change {
    lease()
        .held(holder, now_ms + LEASE_MS)
        .only_if("attribute_not_exists(pk) OR until_ms < :now OR holder = :holder")
        .value(":now", number(now_ms))
}

/// Asks the drain that is at work to look again, if there is one.
fn asked_again(now_ms: u64) -> Change {
    lease()
        .set("again", AttributeValue::Bool(true))
        .only_if("until_ms >= :now")
        .value(":now", number(now_ms))
}

impl Change {
    fn held(self, holder: &str, until_ms: u64) -> Self {
        self.set("holder", text(holder))
            .set("until_ms", number(until_ms))
            .set("again", AttributeValue::Bool(false))
    }

    fn left_by(self, holder: &str) -> Self {
        self.set("until_ms", number(0))
            .only_from("holder", text(holder))
    }
}
