//! Acts on what the planner decided: one match, each arm repeatable. An action whose conditions no
//! longer hold does nothing; the next round sees the new world.

mod put_back;
mod scale_in;
mod terminate;
mod verify;

use std::collections::BTreeMap;
use std::time::Duration;

use super::context::{Context, Progress};
use crate::aws::{Failure, LaunchResult, WriteResult};
use crate::ledger::Note;
use crate::model::job::{JobEvent, JobKey};
use crate::model::launch::{NOT_SENT, SENT_WITHIN_MS};
use crate::model::launch_error::{LaunchErrorClass, REQUESTS_EXCEEDED};
use crate::model::runner::{Ending, Runner, RunnerState};
use crate::model::world::{Instance, Launch, World};
use crate::plan::{Action, Claim};
use crate::simulation::{Fault, breaks};

/// How long jobs are held after their pool had no capacity or its request was refused, in
/// milliseconds: capacity changes in minutes, and a fixed configuration should show soon.
pub const HOLD_MS: u64 = 60_000;
/// Waits between tries of one candidate, in milliseconds: EC2's request bucket refills 2 a second.
const ASK_AGAIN_MS: u64 = 700;
/// Longest such wait, in milliseconds.
const ASK_AGAIN_MAX_MS: u64 = 5_000;
/// Most tries of one candidate in one drain: some 15 seconds, so that no launch keeps the others
/// waiting. The next round or drain goes on with the same token. What a candidate refuses for good costs none
/// of them: the list of candidates has an end.
const TRIES_MAX: u32 = 8;
/// How long nothing under a token means that we may not see it yet, in milliseconds: EC2 shows new
/// instances late.
const UNSEEN_MS: u64 = 5 * 60_000;

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

    /// Sends a launch whose outcome nobody has recorded.
    pub(crate) async fn reissue(&self, mut launch: Launch) -> Result<Progress, Failure> {
        if self.send(&mut launch).await? {
            self.issue(launch).await
        } else {
            Ok(Progress::Changed)
        }
    }

    /// Says that the launch is sent now; `false` if another has said so.
    async fn send(&self, launch: &mut Launch) -> Result<bool, Failure> {
        // One millisecond on at least: what was said before is another word.
        let now_ms = self.now_ms().max(launch.sent_ms + 1);
        let said = self.ledger.send_launch(launch, now_ms).await?;
        launch.sent_ms = now_ms;
        Ok(said == WriteResult::Written)
    }

    /// Sends a launch until the answer is definite or the time is out. A launch that is left open
    /// is sent again by the next round or drain, word for word.
    async fn issue(&self, mut launch: Launch) -> Result<Progress, Failure> {
        let issued = self.try_candidates(&mut launch).await;
        if matches!(issued, Ok(Progress::Waits) | Err(_))
            && let Err(failure) = self.ledger.send_launch(&launch, NOT_SENT).await
        {
            tracing::warn!(launch = launch.id, error = %failure, "launch not handed on; it is sent again when its sender has had its time");
        }
        issued
    }

    async fn try_candidates(&self, launch: &mut Launch) -> Result<Progress, Failure> {
        let (mut tries, mut wait_ms) = (0, ASK_AGAIN_MS);
        while tries < TRIES_MAX && !self.out_of_time() {
            self.rate_limit.turn().await;
            // The word may have taken long itself.
            while self.now_ms().saturating_sub(launch.sent_ms) > SENT_WITHIN_MS {
                if self.out_of_time() {
                    return Ok(Progress::Waits);
                }
                if !self.send(launch).await? {
                    return Ok(Progress::Changed);
                }
            }
            let (class, Failure { code, message, .. }) = match self.aws.run_instances(launch).await
            {
                LaunchResult::Launched(made) => return self.record(launch, &made).await,
                LaunchResult::Unknown(failure) => {
                    log_refusal(launch, &failure, "RunInstances without a definite answer");
                    (LaunchErrorClass::AskAgain, failure)
                }
                LaunchResult::Refused(class, failure) => {
                    log_refusal(launch, &failure, "RunInstances refused");
                    (class, failure)
                }
            };
            let elsewhere = match class {
                LaunchErrorClass::TooMany(_) if launch.count > 1 => {
                    return self.split(launch, &code).await;
                }
                LaunchErrorClass::Next(elsewhere) | LaunchErrorClass::TooMany(Some(elsewhere)) => {
                    Some(elsewhere)
                }
                LaunchErrorClass::TooMany(None) | LaunchErrorClass::Hold => {
                    return self.give_back(launch, &format!("{code}: {message}")).await;
                }
                LaunchErrorClass::LookUp => {
                    let made = self.aws.instances_of_token(&launch.token()).await?;
                    // EC2 shows new instances late: nothing yet is no answer.
                    if !made.is_empty() || self.can_be_seen(launch) {
                        return self.record(launch, &made).await;
                    }
                    None
                }
                LaunchErrorClass::AskAgain => {
                    if code == REQUESTS_EXCEEDED {
                        self.rate_limit.is_empty_after_all();
                    }
                    None
                }
            };
            if let Some(elsewhere) = elsewhere {
                let Some(next) = launch.next(elsewhere, self.now_ms()) else {
                    let why = format!("no machine anywhere: {code}: {message}");
                    return self.give_back(launch, &why).await;
                };
                let moved = if breaks(Fault::OutcomeNotPersisted) {
                    WriteResult::Written
                } else {
                    let now_ms = self.now_ms();
                    let moved = self.ledger.next_candidate(launch, next, (&code, now_ms));
                    let moved = moved.await?;
                    launch.sent_ms = now_ms;
                    moved
                };
                if moved != WriteResult::Written {
                    return Ok(Progress::Changed);
                }
                launch.at = next;
                launch.tried.push(code);
                (tries, wait_ms) = (0, ASK_AGAIN_MS);
                continue;
            }
            let wait = Duration::from_millis(wait_ms).mul_f64(0.75 + fastrand::f64() / 2.0);
            if self.out_of_time_in(wait) {
                break;
            }
            tokio::time::sleep(wait).await;
            wait_ms = (wait_ms * 2).min(ASK_AGAIN_MAX_MS);
            tries += 1;
        }
        tracing::warn!(
            launch = launch.id,
            pool = launch.pool,
            "launch left open; the next drain sends it again"
        );
        Ok(Progress::Waits)
    }

    /// Whether EC2 would show by now what it launched for `launch`.
    fn can_be_seen(&self, launch: &Launch) -> bool {
        self.now_ms().saturating_sub(launch.claimed_ms) > UNSEEN_MS
    }

    /// Records the instances of `launch`, those that ended already among them: they are closed by
    /// the next sweep, which finds them ended.
    async fn record(&self, launch: &Launch, made: &[Instance]) -> Result<Progress, Failure> {
        let candidate = launch.candidate();
        let now_ms = self.now_ms();
        let runners: Vec<Runner> = made
            .iter()
            .take(launch.count as usize)
            .map(|launched| Runner {
                state: RunnerState::Booting,
                timeline: BTreeMap::new(),
                surplus_since_ms: None,
                registered_in: None,
                forge_id: None,
                maybe_registered: false,
                job: None,
                found: None,
                ending: launched.ended.then_some(Ending {
                    since_ms: now_ms,
                    reason: None,
                }),
                instance: launched.id.clone(),
                image: launched.image.clone(),
                pool: launch.pool.clone(),
                launch: launch.id.clone(),
                instance_type: candidate
                    .map(|c| c.instance_type.clone())
                    .unwrap_or_default(),
                spot: candidate.is_some_and(|c| c.spot),
                launched_ms: now_ms,
                max_lifetime_minutes: launch.max_lifetime_minutes,
            })
            .collect();
        let recorded = self.ledger.record_launched(launch, &runners).await?;
        if recorded != WriteResult::Written {
            // Another drain recorded it, or moved on to another candidate: its word holds.
            return Ok(Progress::Changed);
        }
        tracing::info!(
            launch = launch.id,
            pool = launch.pool,
            asked = launch.count,
            made = runners.len(),
            instances = ?runners.iter().map(|one| &one.instance).collect::<Vec<_>>(),
            "instances launched"
        );
        for job in launch.jobs.iter().skip(runners.len()) {
            let _result = self.ledger.release_job(job, &launch.id, now_ms).await?;
        }
        Ok(Progress::Changed)
    }

    /// Gives up a launch for now: its reservations are free again and its jobs wait for a while.
    async fn give_back(&self, launch: &Launch, why: &str) -> Result<Progress, Failure> {
        tracing::error!(
            launch = launch.id,
            pool = launch.pool,
            why,
            "launch came to nothing; its jobs wait"
        );
        let recorded = self.ledger.record_launched(launch, &[]).await?;
        if recorded != WriteResult::Written {
            return Ok(Progress::Changed);
        }
        let now_ms = self.now_ms();
        let note = Note::of(why);
        for job in &launch.jobs {
            let released = self
                .ledger
                .release_job(job, &launch.id, now_ms + HOLD_MS)
                .await?;
            if released == WriteResult::Written {
                let _result = self
                    .ledger
                    .move_job(job, None, JobEvent::Released, &note, now_ms)
                    .await?;
            }
        }
        Ok(Progress::GivenBack(why.to_owned()))
    }

    /// Gives back a launch that asks for more machines than the account may have: its jobs get a launch
    /// each, and as many of them as there is room for get a machine.
    async fn split(&self, launch: &Launch, code: &str) -> Result<Progress, Failure> {
        tracing::warn!(
            launch = launch.id,
            pool = launch.pool,
            count = launch.count,
            code,
            "more machines than the account may have; asked for one by one"
        );
        let recorded = self.ledger.record_launched(launch, &[]).await?;
        if recorded != WriteResult::Written {
            return Ok(Progress::Changed);
        }
        let now_ms = self.now_ms();
        for job in &launch.jobs {
            let _result = self.ledger.release_alone(job, &launch.id, now_ms).await?;
        }
        Ok(Progress::Changed)
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

fn log_refusal(launch: &Launch, failure: &Failure, what: &str) {
    let Failure { code, message, .. } = failure;
    let candidate = launch.candidate();
    tracing::warn!(
        launch = launch.id,
        pool = launch.pool,
        instance_type = candidate.map(|one| one.instance_type.as_str()),
        spot = candidate.map(|one| one.spot),
        code,
        words = message,
        "{what}"
    );
}
