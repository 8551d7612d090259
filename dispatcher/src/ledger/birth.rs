//! When the deployment began to serve: what waited at the forge before that is not launched for, unless
//! somebody says so. A forge may have hundreds of jobs that nobody waits for any more.

use serde::{Deserialize, Serialize};

use super::change::{Change, Key, number};
use super::{Ledger, item, live_key};
use crate::aws::{Failure, WriteResult};
use crate::model::job::Job;

/// The sort key of its row.
pub(super) const SK: &str = "birth";

/// When the deployment began to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Birth {
    /// In milliseconds since 1970; 0: whatever waits is served.
    pub(crate) at_ms: u64,
    /// The last job that the forge listed when it could first be asked: some list no times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job_id: Option<u64>,
}

impl Birth {
    /// From where on everything is served.
    pub(crate) const ALWAYS: Self = Self {
        at_ms: 0,
        job_id: Some(0),
    };

    /// Whether `job` is older.
    pub(crate) fn is_after(self, job: &Job) -> bool {
        match job.created_ms {
            Some(created_ms) => created_ms < self.at_ms,
            None => self.job_id.is_some_and(|last| job.key.id <= last),
        }
    }
}

impl Ledger {
    /// Writes down when the deployment began to serve, once.
    pub(crate) async fn begin(&self, birth: Birth) -> Result<WriteResult, Failure> {
        self.write(row(birth).only_if_new()).await
    }

    /// Writes down the last job that waited when the forge could first be asked, once.
    pub(crate) async fn note_last_job(&self, job_id: u64) -> Result<(), Failure> {
        let noted = Change::update(key())
            .set("job_id", number(job_id))
            .only_if_there()
            .only_if("attribute_not_exists(job_id)");
        self.write(noted).await.map(drop)
    }

    /// Has everything served that waits, whenever it came.
    pub(crate) async fn include_waiting(&self) -> Result<(), Failure> {
        self.write(row(Birth::ALWAYS)).await.map(drop)
    }
}

fn row(birth: Birth) -> Change {
    Change::put(item(key(), &birth))
}

fn key() -> Key {
    live_key(SK.to_owned())
}
