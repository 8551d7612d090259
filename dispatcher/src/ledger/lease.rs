//! The drain's lease: an efficiency, so that a burst becomes few requests. Correctness rests on the
//! claims alone.

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::{Change, number, text};
use super::{Ledger, live_key};
use crate::aws::{Failure, WriteResult};

/// How long one holder may keep the drain's lease without renewing it, in milliseconds: one round
/// with a slow `RunInstances`. A crashed holder delays the next drain by at most this.
pub(super) const LEASE_MS: u64 = 30_000;
/// How long a deployment that is taken down launches nothing, in milliseconds: longer than `down`
/// takes.
const LAST_LEASE_MS: u64 = 15 * 60_000;

impl Ledger {
    /// Takes or renews the drain's lease. A loser leaves the mark that makes the holder look again.
    pub(crate) async fn take_lease(&self, holder: &str, now_ms: u64) -> Result<bool, Failure> {
        let take = lease()
            .held(holder, now_ms + LEASE_MS)
            .only_if("attribute_not_exists(pk) OR until_ms < :now OR holder = :holder")
            .value(":now", number(now_ms));
        if self.write(take).await? == WriteResult::Written {
            return Ok(true);
        }
        let again = lease().set("again", AttributeValue::Bool(true));
        let _marked = self.write(again.only_if_there()).await?;
        Ok(false)
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
