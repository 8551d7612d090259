//! Machines of a new image that did not come up, counted by AMI. The rows go by themselves once the image is not
//! new any more.

use stacks::images::NEW_MS;

use super::change::{Change, Key, number, text};
use super::{Ledger, live_key};
use crate::aws::Failure;

fn key_of(ami: &str) -> Key {
    live_key(format!("boot-failures#{ami}"))
}

/// One more of `ami`.
pub(super) fn one_more(ami: &str, instance: &str, now_ms: u64) -> Change {
    Change::update(key_of(ami))
        .assign("boot_failures = if_not_exists(boot_failures, :none) + :one".to_owned())
        .value(":none", number(0))
        .value(":one", number(1))
        .set("ami", text(ami))
        .set("instance", text(instance))
        .kept_for(NEW_MS / 1000, now_ms)
}

impl Ledger {
    /// What there is to do about the machines of `ami` has been done.
    pub(crate) async fn settle_boot_failures(&self, ami: &str, now_ms: u64) -> Result<(), Failure> {
        let settled = Change::update(key_of(ami))
            .set("settled_ms", number(now_ms))
            .only_if_there();
        self.write(settled).await.map(drop)
    }
}
