//! Acts on what the planner decided: one match, each arm repeatable. An action whose conditions no
//! longer hold does nothing; the next round sees the new world.

mod issue;
mod put_back;
mod scale_in;
mod terminate;
mod verify;

use super::context::{Context, Progress};
use crate::aws::{Failure, WriteResult};
use crate::ledger::Note;
use crate::model::job::{JobEvent, JobKey};
use crate::model::world::{Launch, World};
use crate::plan::{Action, Claim};
use crate::simulation::{Fault, breaks};

impl Context<'_> {
    /// Carries out one action of a drain.
    pub async fn apply(&self, action: Action, world: &World) -> Result<Progress, Failure> {
        match action {
            Action::PutBack { image, failures } => self.put_back(&image, &failures).await,
            Action::Reissue(launch) => self.reissue(launch).await,
            Action::Launch { launch, claims } => {
                self.claim_and_issue(launch, &claims, world, None).await
            }
            Action::Adopt { claim, launch } => {
                let _result = self.ledger.adopt(&claim, &launch).await?;
                self.note_claimed(&launch, std::slice::from_ref(&claim))
                    .await;
                Ok(Progress::Changed)
            }
            Action::Verify(jobs) => Ok(self.verify(jobs).await),
            Action::Forget(claim) => self.forget(&claim).await,
            Action::Supersede(claim) if !claim.job.is_expected() => {
                let reason = "its repository was renamed: see the job of that number there";
                self.take_off(&claim, reason).await
            }
            Action::Supersede(claim) => {
                let reason = "the forge has told of it: see the job of that name";
                self.drop_expected(&claim.job, reason).await
            }
            Action::GiveUp(claim) => {
                let reason = "every machine launched for it ended without taking it; see the \
                              runners' last words in the ledger";
                self.refuse(&claim, reason).await
            }
            Action::Abandon(claim) => {
                let reason = "the forge could not tell for a day whether it still waits, and gives \
                              up jobs itself after that time";
                self.take_off(&claim, reason).await
            }
            Action::TellHeld { claim, reason } => self.tell_held(&claim, &reason).await,
            Action::ReassignPool(claim) => self.reassign(&claim).await,
            // Their rows go when EC2 says that the instances have ended: nothing to wait for.
            Action::End { instances, reason } => {
                self.end(&instances, &reason).await?;
                Ok(Progress::Waits)
            }
            Action::MarkSurplus { surplus, needed } => self.mark_surplus(&surplus, &needed).await,
            Action::DisableRunners(instances) => self.disable(&instances, world).await,
            Action::EndIdle(instances) => self.end_idle(&instances, world).await,
        }
    }

    /// Takes a job off the list that the forge does not list any more, and says so in its history.
    /// What the forge tells of it later still counts.
    async fn forget(&self, claim: &Claim) -> Result<Progress, Failure> {
        let job = &claim.job;
        if job.is_expected() {
            let reason = "the forge has it waiting no longer";
            return self.drop_expected(job, reason).await;
        }
        let reason = "the forge says that it no longer waits for a runner";
        self.take_off(claim, reason).await
    }

    /// Takes a job off the list as it was seen, and says why in its history.
    async fn take_off(&self, claim: &Claim, reason: &str) -> Result<Progress, Failure> {
        tracing::warn!(job = %claim.job, repository = claim.job.repository, reason, "job taken off the list");
        let now_ms = self.now_ms();
        self.ledger.drop_job(claim, reason, now_ms).await?;
        Ok(Progress::Changed)
    }

    /// Takes a job off the list that was only expected. Nothing is lost: the forge tells of it under
    /// its own key, or did.
    pub(crate) async fn drop_expected(
        &self,
        job: &JobKey,
        reason: &str,
    ) -> Result<Progress, Failure> {
        tracing::info!(%job, repository = job.repository, reason, "job no longer expected");
        let dropped = self.ledger.drop_expected(job, reason, self.now_ms());
        dropped.await.map(|()| Progress::Changed)
    }

    /// Gives a job up, and owes its owner a word about it.
    async fn refuse(&self, claim: &Claim, reason: &str) -> Result<Progress, Failure> {
        tracing::warn!(job = %claim.job, repository = claim.job.repository, reason, "job refused");
        let job = self.ledger.job(&claim.job).await?;
        let now_ms = self.now_ms();
        match &job {
            Some(job) => self.ledger.give_up(claim, job, reason, now_ms).await?,
            None => self.ledger.forget_job(claim).await?,
        }
        Ok(Progress::Changed)
    }

    /// Owes the owner of a job that is held a word about it.
    async fn tell_held(&self, claim: &Claim, reason: &str) -> Result<Progress, Failure> {
        tracing::info!(job = %claim.job, repository = claim.job.repository, reason, "job held, and its commit marked");
        let job = self.ledger.job(&claim.job).await?;
        let told = self
            .ledger
            .tell_paused(claim, job.as_ref(), reason, self.now_ms());
        told.await.map(|()| Progress::Changed)
    }

    /// Gives a job whose pool is gone to another that serves it: a pool may have been renamed.
    async fn reassign(&self, claim: &Claim) -> Result<Progress, Failure> {
        let job = self.ledger.job(&claim.job).await?;
        let heir = job.as_ref().and_then(|job| self.config.pool_for(job));
        let Some(pool) = heir else {
            let reason = "its pool is not configured any more, and no other serves it";
            return self.refuse(claim, reason).await;
        };
        tracing::info!(job = %claim.job, repository = claim.job.repository, pool = pool.name, "job moved to another pool");
        let _result = self
            .ledger
            .reassign_pool(claim, &pool.name, self.now_ms())
            .await?;
        Ok(Progress::Changed)
    }

    /// Claims jobs for a launch and sends it. One who is to `lead` takes the drain's lease with the claim.
    pub(crate) async fn claim_and_issue(
        &self,
        launch: Launch,
        claims: &[Claim],
        world: &World,
        lead: Option<&str>,
    ) -> Result<Progress, Failure> {
        let cap_pool = world.pool(&launch.pool).map_or(0, |pool| pool.max_runners);
        let cap_all = world.max_runners;
        if breaks(Fault::RecordAfterLaunch) {
            let _unrecorded = self.aws.run_instances(&launch).await;
        }
        let turn = self.rate_limit.claiming.lock().await;
        let launch = Launch {
            sent_ms: self.now_ms(),
            ..launch
        };
        let claimed = match lead {
            None => {
                self.ledger
                    .claim(&launch, claims, cap_pool, cap_all)
                    .await?
            }
            Some(holder) => {
                let (caps, by) = ((cap_pool, cap_all), (holder, self.now_ms()));
                let ledger = self.ledger;
                ledger.claim_and_lead(&launch, claims, caps, by).await?
            }
        };
        drop(turn);
        if claimed != WriteResult::Written {
            tracing::info!(
                launch = launch.id,
                pool = launch.pool,
                "claim lost against another writer; planning again"
            );
            return Ok(Progress::Changed);
        }
        // What follows only shows people where the job stands, so EC2 need not wait for it.
        let (progress, ()) = tokio::join!(
            self.issue(launch.clone()),
            self.note_claimed(&launch.id, claims)
        );
        progress
    }

    /// Shows in the jobs' history that they were launched for. Only people read it, so a failure
    /// is logged and no more.
    async fn note_claimed(&self, launch: &str, claims: &[Claim]) {
        let note = Note {
            launch: Some(launch),
            ..Note::of("a machine was asked for")
        };
        for claim in claims {
            let noted = self
                .ledger
                .move_job(&claim.job, None, JobEvent::Claimed, &note, self.now_ms())
                .await;
            if let Err(failure) = noted {
                tracing::warn!(job = %claim.job, repository = claim.job.repository, error = %failure, "claim not noted in the job's history");
            }
        }
    }
}
