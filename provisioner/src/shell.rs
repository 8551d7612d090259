//! The only place that calls AWS. It translates to plain data and back, and decides nothing.

mod account;
mod change_sets;
mod function;
mod instances;
mod left;
mod observe;
mod parameters;
mod stacks;
mod storage;

use std::time::Duration;

pub(crate) use account::ambient_region;
pub(crate) use change_sets::{ChangeKind, Request};

use crate::aws::{AwsEndpoint, CallError, Clients};

/// Between two looks at something that takes seconds to minutes.
const POLL: Duration = Duration::from_secs(1);

/// One account and region.
pub(crate) struct Shell {
    clients: Clients,
}

impl Shell {
    pub(crate) async fn connect(endpoint: &AwsEndpoint) -> Result<Self, CallError> {
        Ok(Self {
            clients: Clients::connect(endpoint).await?,
        })
    }
}
