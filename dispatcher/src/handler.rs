//! What is done about each invocation: the door of every other room.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::aws::{Aws, Failure, WriteResult};
use crate::clock::now_ms;
use crate::config::cache::{ConfigCache, KEEP, RECHECK};
use crate::config::{BadConfig, Config};
use crate::forge::ForgeError;
use crate::invocation::{BadInvocation, Invocation};
use crate::ledger::{Ledger, RunnerNote};
use crate::model::runner::EndReason;
use crate::reconcile::context::{Context, Stop, Woken};
use crate::reconcile::drain::drain;
use crate::reconcile::expect::waited_before;
use crate::reconcile::known_jobs::KnownJobs;
use crate::reconcile::rate_limit::RateLimit;
use crate::reconcile::tick::{retire, sweep_alone, tick};
use crate::rehearsal::{missing_right, rehearse};
use crate::smoke_test::smoke_test;
use crate::webhook::wake::Wake;
use crate::{runner_route, webhook};

/// An invocation that failed. Lambda counts it, the alarm sees it, the next tick tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The event is none of ours.
    #[error(transparent)]
    Event(#[from] BadInvocation),
    /// The parameters can't be used.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// A call to AWS failed.
    #[error(transparent)]
    Call(#[from] Failure),
    /// The forge can't say what it was asked.
    #[error(transparent)]
    Forge(#[from] ForgeError),
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Forge(error) => Self::Forge(error),
            Stop::Ledger(failure) => Self::Call(failure),
        }
    }
}

/// Most jobs that an answer names: a hundred bytes each, and nobody reads more.
const WAITING_NAMED_MAX: usize = 200;

/// The function: one AWS account, one forge, and what is kept from one invocation to the next.
#[derive(Debug)]
pub struct Handler {
    aws: Aws,
    ledger: Ledger,
    parameters: ConfigCache,
    wake: Wake,
    rate_limit: RateLimit,
    known_jobs: KnownJobs,
}

impl Handler {
    /// The function over `aws`; `forge_endpoint` is another address for the forge.
    #[must_use]
    pub fn new(aws: Aws, forge_endpoint: Option<String>) -> Self {
        Self {
            ledger: Ledger::new(&aws),
            aws,
            parameters: ConfigCache::new(forge_endpoint),
            wake: Wake::default(),
            rate_limit: RateLimit::default(),
            known_jobs: KnownJobs::default(),
        }
    }

    /// Handles one invocation, which must be done by `deadline`. `request_id` is unique to it.
    pub async fn handle(
        &self,
        payload: &Value,
        request_id: &str,
        deadline: Instant,
    ) -> Result<Value, Error> {
        let done = match Invocation::parse(payload)? {
            Invocation::Delivery(request) => {
                let answer = webhook::serve(
                    &self.aws,
                    &self.ledger,
                    &self.parameters,
                    &self.wake,
                    &request,
                );
                return Ok(answer.await.into_value());
            }
            Invocation::Runner { caller, request } => {
                let config = self.config().await?;
                let answer =
                    runner_route::serve(&self.aws, &self.ledger, &config, &caller, &request);
                return Ok(answer.await?.into_value());
            }
            Invocation::Nudge => {
                self.drain_after(request_id, deadline).await?;
                "drain"
            }
            Invocation::Tick => {
                let config = match self.config().await {
                    Ok(config) => config,
                    Err(error) => {
                        sweep_alone(&self.aws, now_ms()).await?;
                        return Err(error.into());
                    }
                };
                tick(self.context(&config, deadline), request_id).await?;
                "tick"
            }
            Invocation::Retire => {
                let config = self.config().await?;
                retire(self.context(&config, deadline)).await?;
                "retired"
            }
            Invocation::Rehearse => {
                let config = match self.config().await {
                    Ok(config) => Ok(config),
                    Err(error) => Err(missing_right(error)?),
                };
                let pools = config.as_ref().map(|it| self.context(it, deadline));
                let rehearsal = rehearse(&self.aws, &self.ledger, pools).await;
                return Ok(json!(rehearsal));
            }
            Invocation::SmokeTest(asked) => {
                let config = self.config().await?;
                let state = smoke_test(self.context(&config, deadline), asked).await?;
                return Ok(json!(state));
            }
            Invocation::Pause(pause) => {
                self.ledger.pause(&pause).await?;
                // The owners of what waits already are told.
                self.drain_after(request_id, deadline).await?;
                "paused"
            }
            Invocation::Resume(pause) => {
                let ended = self.ledger.resume(&pause).await?;
                self.drain_after(request_id, deadline).await?;
                match ended {
                    WriteResult::Written => "resumed",
                    WriteResult::Refused => "was not paused",
                }
            }
            Invocation::Waiting { include } => {
                return self.waiting(include, request_id, deadline).await;
            }
            Invocation::InstanceState { instance, state } => {
                self.instance_state(&instance, &state, request_id, deadline)
                    .await?
            }
            Invocation::SpotInterruption { instance } => {
                let note = RunnerNote::Interrupted;
                self.ledger.runner_noted(&instance, note, now_ms()).await?;
                "interruption noted"
            }
        };
        Ok(json!({ "done": done }))
    }

    async fn drain_after(&self, request_id: &str, deadline: Instant) -> Result<(), Error> {
        let config = self.config().await?;
        let context = self.context(&config, deadline);
        Ok(drain(context, request_id, Woken::Otherwise, None).await?)
    }

    /// What waited at the forge before the deployment was there, as somebody reads it.
    async fn waiting(
        &self,
        include: bool,
        request_id: &str,
        deadline: Instant,
    ) -> Result<Value, Error> {
        let config = self.config().await?;
        let context = self.context(&config, deadline);
        let waiting = waited_before(context, include).await?;
        if include {
            drain(context, request_id, Woken::Otherwise, None).await?;
        }
        let named = waiting.iter().take(WAITING_NAMED_MAX).map(
            |job| json!({ "repository": job.key.repository, "id": job.key.id, "name": job.name }),
        );
        let named: Vec<Value> = named.collect();
        Ok(json!({ "done": "waiting", "count": waiting.len(), "waiting": named }))
    }

    async fn config(&self) -> Result<Arc<Config>, BadConfig> {
        self.parameters.get(&self.aws, KEEP).await
    }

    fn context<'a>(&'a self, config: &'a Config, deadline: Instant) -> Context<'a> {
        Context {
            aws: &self.aws,
            ledger: &self.ledger,
            config,
            rate_limit: &self.rate_limit,
            known_jobs: &self.known_jobs,
            deadline,
            now_ms,
        }
    }

    /// An instance ended: its row is closed, and if jobs wait for a machine they get one. The rule
    /// sees the whole account, so unknown ids are the rule and not the exception.
    async fn instance_state(
        &self,
        instance: &str,
        state: &str,
        request_id: &str,
        deadline: Instant,
    ) -> Result<&'static str, Error> {
        if !matches!(
            state,
            "shutting-down" | "stopping" | "stopped" | "terminated"
        ) {
            return Ok("nothing");
        }
        let Some(runner) = self.ledger.runner(instance).await? else {
            return Ok("not ours");
        };
        // Its image may have been put forward a moment before its launch, and how it came up is to be told of that.
        let age = Duration::from_millis(now_ms().saturating_sub(runner.launched_ms));
        let keep = if runner.had_a_job() && age > KEEP {
            KEEP
        } else {
            RECHECK
        };
        let config = self.parameters.get(&self.aws, keep).await?;
        let context = self.context(&config, deadline);
        let state_reason = context.state_reason(&runner).await;
        let state_reason = state_reason.as_deref();
        context
            .close(&runner, EndReason::Ended, state_reason)
            .await?;
        drain(context, request_id, Woken::ByAnEnd, None).await?;
        Ok("closed")
    }
}
