//! The drain's lease: an efficiency, so that a burst becomes few requests. Correctness rests on the
//! claims alone.

use aws_sdk_dynamodb::types::AttributeValue;

use super::change::{Change, Item};
use super::{Ledger, live_key, number, text};
use crate::aws::{Failure, WriteResult};

/// How long one holder may keep the drain's lease without renewing it, in milliseconds: one round
/// with a slow `RunInstances`. A crashed holder delays the next drain by at most this.
pub const LEASE_MS: u64 = 30_000;
/// How long a deployment that is taken down launches nothing, in milliseconds: longer than `down`
/// takes.
const LAST_LEASE_MS: u64 = 15 * 60_000;

impl Ledger {
    /// Takes or renews the drain's lease. A loser leaves the mark that makes the holder look again.
    pub async fn take_lease(&self, holder: &str, now_ms: u64) -> Result<bool, Failure> {
        let taken = self
            .write(Change::Update {
                key: live_key("lease"),
                update: "SET holder = :holder, until_ms = :until, again = :no".to_owned(),
                condition: "attribute_not_exists(pk) OR until_ms < :now OR holder = :holder"
                    .to_owned(),
                values: Item::from([
                    (":holder".to_owned(), text(holder)),
                    (":until".to_owned(), number(now_ms + LEASE_MS)),
                    (":now".to_owned(), number(now_ms)),
                    (":no".to_owned(), AttributeValue::Bool(false)),
                ]),
            })
            .await?;
        if taken == WriteResult::Written {
            return Ok(true);
        }
        let _marked = self
            .write(Change::Update {
                key: live_key("lease"),
                update: "SET again = :yes".to_owned(),
                condition: "attribute_exists(pk)".to_owned(),
                values: Item::from([(":yes".to_owned(), AttributeValue::Bool(true))]),
            })
            .await?;
        Ok(false)
    }

    /// Takes the lease for good, whoever holds it: the deployment is taken down, nothing may be
    /// launched any more. It runs out, in case nobody goes on with that.
    pub async fn take_last_lease(&self, now_ms: u64) -> Result<(), Failure> {
        let _result = self
            .write(Change::Update {
                key: live_key("lease"),
                update: "SET holder = :holder, until_ms = :until, again = :no".to_owned(),
                condition: String::new(),
                values: Item::from([
                    (":holder".to_owned(), text("retired")),
                    (":until".to_owned(), number(now_ms + LAST_LEASE_MS)),
                    (":no".to_owned(), AttributeValue::Bool(false)),
                ]),
            })
            .await?;
        Ok(())
    }

    /// Gives the lease back whatever was asked: this holder has no time to look again, and nobody
    /// should wait for it.
    pub async fn leave_lease(&self, holder: &str) -> Result<(), Failure> {
        let _result = self
            .write(Change::Update {
                key: live_key("lease"),
                update: "SET until_ms = :zero".to_owned(),
                condition: "holder = :holder".to_owned(),
                values: Item::from([
                    (":holder".to_owned(), text(holder)),
                    (":zero".to_owned(), number(0)),
                ]),
            })
            .await?;
        Ok(())
    }

    /// Gives the lease back; `false` says that somebody asked to look again, or has taken it.
    pub async fn release_lease(&self, holder: &str) -> Result<bool, Failure> {
        let released = self
            .write(Change::Update {
                key: live_key("lease"),
                update: "SET until_ms = :zero".to_owned(),
                condition: "holder = :holder AND again = :no".to_owned(),
                values: Item::from([
                    (":holder".to_owned(), text(holder)),
                    (":zero".to_owned(), number(0)),
                    (":no".to_owned(), AttributeValue::Bool(false)),
                ]),
            })
            .await?;
        Ok(released == WriteResult::Written)
    }
}
