//! Machines of a new image that did not come up, counted by AMI, and that one did. The rows go by themselves once
//! the image is not new any more.

use stacks::images::NEW_MS;

use super::change::{Change, Key, number, text};
use super::{Ledger, live_key};
use crate::aws::Failure;
use crate::model::runner::Boot;

fn key_of(ami: &str) -> Key {
    live_key(format!("boot-failures#{ami}"))
}

/// What a machine of `ami` that ended tells of it.
pub(super) fn told(ami: &str, boot: Boot, instance: &str, now_ms: u64) -> Option<Change> {
    let row = Change::update(key_of(ami))
        .set("ami", text(ami))
        .kept_for(NEW_MS / 1000, now_ms);
    match boot {
        Boot::CameUp => {
            let first = "came_up_ms = if_not_exists(came_up_ms, :now)".to_owned();
            Some(row.assign(first).value(":now", number(now_ms)))
        }
        Boot::Failed => Some(
            row.assign("boot_failures = if_not_exists(boot_failures, :none) + :one".to_owned())
                .value(":none", number(0))
                .value(":one", number(1))
                .set("instance", text(instance)),
        ),
        Boot::Unexplained | Boot::Nothing => None,
    }
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
