//! What a delivery asks for is written down. Losing the nudge that follows costs a tick, never a job.

use std::time::Duration;

use workflow::event::Event;

use super::answer::{Decision, decided, recorded_or_duplicate};
use super::delivery::Delivery;
use super::origin::why_foreign;
use super::wake::Wake;
use crate::aws::{Aws, Failure, WriteResult};
use crate::clock::now_ms;
use crate::config::Config;
use crate::http_response::HttpResponse;
use crate::ledger::{Ask, FORGOTTEN_AFTER_S, Ledger, Note, Recorded, event_id};
use crate::model::job::{ForgeRunner, Job, JobEvent};
use crate::model::world::ForgeJobState;
use crate::simulation::{Fault, breaks};

/// How long a delivery waits for the forge's word on a job that is known already, in seconds: the
/// forge itself gives up on a delivery after five, and all its other hooks wait behind this one.
const ASK_LIMIT_S: u64 = 2;

/// What records deliveries.
pub(super) struct Recorder<'a> {
    pub(super) aws: &'a Aws,
    pub(super) ledger: &'a Ledger,
    pub(super) config: &'a Config,
    pub(super) wake: &'a Wake,
}

impl Recorder<'_> {
    /// Records what `delivery` asks for, and says what became of it.
    pub(super) async fn record(&self, delivery: &Delivery) -> Result<HttpResponse, Failure> {
        if let Some(job) = delivery.job()
            && let Some(reason) = why_foreign(&self.config.settings, &job.html_url)
        {
            // Nothing is written: its key may be that of a job of our own forge.
            return Ok(decided(Decision::Refused, &reason, Some(job), None));
        }
        match delivery {
            Delivery::Ignored(reason) => Ok(decided(Decision::Ignored, reason, None, None)),
            Delivery::Event { event, digest } => self.event(event, digest).await,
            Delivery::Queued(job) => self.queued(job).await,
            Delivery::Started { job, runner } => self.started(job, runner).await,
            Delivery::Ended {
                job,
                conclusion,
                runner,
            } => self.ended(job, conclusion, runner.as_ref()).await,
        }
    }

    /// Something that may start workflows: written down; which jobs it starts is found out after the
    /// answer.
    async fn event(&self, event: &Event, digest: &str) -> Result<HttpResponse, Failure> {
        let repository = &event.body.repository.full_name;
        if !self
            .config
            .pools
            .iter()
            .any(|pool| pool.serves_repository(repository))
        {
            let reason = format!(
                "no pool serves {repository}: see the pools' scope and repositories in the \
                 environment file"
            );
            return Ok(decided(Decision::Ignored, &reason, None, None));
        }
        let told_ms = now_ms();
        let id = event_id(event, digest, told_ms);
        let ask = self.wake.ask();
        let recorded = self.ledger.record_event(&id, event, ask, told_ms).await?;
        self.see_to(recorded, ask).await;
        let (decision, reason) = match recorded {
            Recorded::Asked | Recorded::Alone => (
                Decision::Recorded,
                "the workflows that it starts are looked into now; their jobs get machines as soon \
                 as they can start",
            ),
            Recorded::Before => (Decision::Duplicate, "it was recorded before"),
        };
        Ok(decided(decision, reason, None, None))
    }

    async fn queued(&self, job: &Job) -> Result<HttpResponse, Failure> {
        let Some(pool) = self.config.pool_for(job) else {
            let reason = self.config.why_no_pool(job);
            let recorded = self.ledger.record_refused(job, &reason, now_ms()).await?;
            if recorded == WriteResult::Written {
                // Its owner is told after the answer.
                self.wake_drain().await;
            }
            return Ok(decided(Decision::Refused, &reason, Some(job), None));
        };
        if is_forgotten(job) && self.ask(job).await == ForgeJobState::Gone {
            let reason = "it is older than what the ledger keeps, and waits no longer at the forge";
            let pool = Some(pool.name.as_str());
            return Ok(decided(Decision::Duplicate, reason, Some(job), pool));
        }
        let ask = self.wake.ask();
        let mut recorded = self.ledger.record_waiting(job, pool, ask, now_ms()).await?;
        if recorded == Recorded::Before
            && self.is_queued_again(job).await?
            && self
                .ledger
                .record_again(job, &pool.name, JobEvent::Requeued, now_ms())
                .await?
                == WriteResult::Written
        {
            recorded = Recorded::Alone;
        }
        self.see_to(recorded, ask).await;
        let (decision, reason) = match recorded {
            Recorded::Before => (Decision::Duplicate, "the job was recorded before"),
            Recorded::Asked | Recorded::Alone if pool.runs_on_host(&job.labels) => (
                Decision::Recorded,
                "the job waits for a machine and runs on it directly: services: are not started there",
            ),
            Recorded::Asked | Recorded::Alone => {
                (Decision::Recorded, "the job waits for a machine")
            }
        };
        Ok(decided(decision, reason, Some(job), Some(&pool.name)))
    }

    /// Whether a job that we know waits once more. Where runners count attempts, a rerun of a job that no
    /// runner ever had (it was cancelled, skipped or refused) has the key of before, like a late delivery;
    /// everywhere has one that was refused until a pool serves it. The forge knows which it is. If it can't tell, a machine too many is better than a job that hangs.
    async fn is_queued_again(&self, job: &Job) -> Result<bool, Failure> {
        if !self.ledger.ended_unserved(&job.key).await? {
            return Ok(false);
        }
        Ok(match self.ask(job).await {
            ForgeJobState::Waiting | ForgeJobState::Unknown => true,
            ForgeJobState::Gone => false,
        })
    }

    /// Whether the forge still has `job` waiting, if it says so in time.
    async fn ask(&self, job: &Job) -> ForgeJobState {
        let limit = Duration::from_secs(ASK_LIMIT_S);
        let asked = tokio::time::timeout(limit, self.config.forge.job_state(&job.key)).await;
        asked.unwrap_or(ForgeJobState::Unknown)
    }

    async fn started(&self, job: &Job, runner: &ForgeRunner) -> Result<HttpResponse, Failure> {
        let moved = self.ledger.start_job(job, runner, now_ms()).await?;
        let reason = format!("a runner has it: {}", runner.name);
        Ok(recorded_or_duplicate(moved, &reason, job))
    }

    async fn ended(
        &self,
        job: &Job,
        conclusion: &str,
        runner: Option<&ForgeRunner>,
    ) -> Result<HttpResponse, Failure> {
        let cancelled = conclusion == "cancelled";
        // First, so that a replay repeats what a crash in between has lost. A runner has one job
        // only, so whatever else happened to it, it has no other to finish.
        if let Some(runner) = runner.filter(|_| cancelled) {
            let marked = self.ledger.runner_cancelled(runner, now_ms()).await?;
            if marked == WriteResult::Written {
                self.wake_drain().await;
            }
        }
        let reason = format!("the forge says: {conclusion}");
        let note = Note {
            instance: runner.map(|runner| runner.name.as_str()),
            conclusion: Some(conclusion),
            ..Note::of(&reason)
        };
        let moved = self.ledger.end_job(job, cancelled, &note, now_ms()).await?;
        let waited = cancelled && runner.is_none() && moved == WriteResult::Written;
        // It may leave a machine over. That has its grace, so of many one is looked at now.
        if waited && self.wake.is_first_cancelled() {
            self.wake_drain().await;
        }
        Ok(recorded_or_duplicate(moved, &reason, job))
    }

    /// Has somebody look at what was `recorded`, if no drain was asked to with it.
    async fn see_to(&self, recorded: Recorded, ask: Ask) {
        match recorded {
            Recorded::Before | Recorded::Asked => {}
            Recorded::Alone => {
                if ask == Ask::TheDrain {
                    self.wake.found_none();
                }
                self.nudge().await;
            }
        }
    }

    /// Has somebody look at what was written.
    async fn wake_drain(&self) {
        let ask = self.wake.ask();
        let is_asked = ask == Ask::TheDrain
            && matches!(
                self.ledger.ask_again(now_ms()).await,
                Ok(WriteResult::Written)
            );
        if !is_asked {
            self.see_to(Recorded::Alone, ask).await;
        }
    }

    /// A lost nudge costs a tick, so it fails no delivery.
    async fn nudge(&self) {
        match self.aws.nudge().await {
            Ok(()) => self.wake.nudged(),
            Err(failure) => {
                tracing::warn!(error = %failure, "the nudge failed; the next reconcile launches");
            }
        }
    }
}

/// Whether the ledger may have known `job` and forgotten it, so that an old delivery that is sent
/// again looks new.
fn is_forgotten(job: &Job) -> bool {
    let known = !breaks(Fault::ExpiredHistoryLaunches);
    let created_ms = job.created_ms.filter(|_| known);
    created_ms.is_some_and(|created| created + FORGOTTEN_AFTER_S * 1000 < now_ms())
}
