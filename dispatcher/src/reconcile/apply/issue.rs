//! Sends a launch to EC2: candidate by candidate, each outcome written down before the next is tried.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aws::{Failure, LaunchResult, WriteResult};
use crate::ledger::Note;
use crate::model::job::JobEvent;
use crate::model::launch::{NOT_SENT, SENT_WITHIN_MS};
use crate::model::launch_error::{LaunchErrorClass, REQUESTS_EXCEEDED};
use crate::model::runner::{Ending, Runner, RunnerState};
use crate::model::world::{Instance, Launch};
use crate::reconcile::context::{Context, Progress};
use crate::simulation::{Fault, breaks};

/// How long jobs are held after their pool had no capacity or its request was refused, in
/// milliseconds: capacity changes in minutes, and a fixed configuration should show soon.
const HOLD_MS: u64 = 60_000;
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
    pub(super) async fn issue(&self, mut launch: Launch) -> Result<Progress, Failure> {
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
