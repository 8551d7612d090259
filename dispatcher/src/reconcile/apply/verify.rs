//! Asks the forge whether jobs still wait whose machines have gone.

use std::time::Duration;

use tokio::time::Instant;

use crate::forge::{CheckState, CommitState};
use crate::model::job::JobKey;
use crate::model::world::ForgeJobState;
use crate::reconcile::context::{Context, Progress};

/// From when on a forge that can't tell has kept us waiting: it answers in tens of milliseconds.
const SLOW: Duration = Duration::from_secs(1);
/// After which time a round asks no more: the next one goes on, and launches first for whom has come meanwhile.
const ASKING: Duration = Duration::from_secs(3);

impl Context<'_> {
    /// Asks about each of `jobs`. A forge that kept us waiting once is not waited for again in this
    /// round; one repository that it does not tell of keeps no other job from being asked about.
    pub(super) async fn verify(&self, jobs: Vec<JobKey>) -> Progress {
        let mut states = Vec::new();
        let mut silent = false;
        let begun = Instant::now();
        for job in jobs {
            if begun.elapsed() > ASKING && !silent {
                break;
            }
            let asked = Instant::now();
            let state = if silent {
                ForgeJobState::Unknown
            } else if job.is_expected() {
                self.state_of_expected(&job).await
            } else {
                self.config.forge.job_state(&job).await
            };
            silent |= state == ForgeJobState::Unknown && asked.elapsed() > SLOW;
            states.push((job, state));
        }
        Progress::Verified(states)
    }

    /// Whether a job that is only expected still waits, by what the forge puts on its commit.
    async fn state_of_expected(&self, key: &JobKey) -> ForgeJobState {
        let job = match self.ledger.job(key).await {
            Ok(Some(job)) => job,
            Ok(None) => return ForgeJobState::Gone,
            Err(failure) => return unknown(key, &failure),
        };
        let forge = &self.config.forge;
        let states = match forge.commit_states(&key.repository, &job.head_sha).await {
            Ok(states) => states,
            Err(error) => return unknown(key, &error),
        };
        let infix = format!("/ {} (", job.name);
        let mut of_job = states.iter().filter(|state| state.context.contains(&infix));
        let has_ended = |state: &CommitState| state.state != CheckState::Pending;
        // Without a word it was not told yet, or is of an event that leaves none on its commit.
        match of_job.next() {
            Some(first) if has_ended(first) && of_job.all(has_ended) => ForgeJobState::Gone,
            Some(_) | None => ForgeJobState::Unknown,
        }
    }
}

fn unknown(job: &JobKey, error: &dyn std::fmt::Display) -> ForgeJobState {
    tracing::warn!(%job, repository = job.repository, %error, "the forge can't tell whether the job waits");
    ForgeJobState::Unknown
}
