//! What is done about each event.
//!
//! A delivery is answered 2xx only after what it asks for is durable, and before anything else: a
//! small forge sends its deliveries one after the other and never twice, so a slow answer holds up
//! every hook that it has.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use stacks::names::Names;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::answer::{Answer, Decision, broken, decided, recorded_or_duplicate};
use crate::apply::Hands;
use crate::cleanup::{retire, sweep_alone, tick};
use crate::config::{BadConfig, Config};
use crate::delivery::{BadDelivery, Delivery};
use crate::drain::{Woken, drain};
use crate::event::{BadEvent, Event, HttpRequest};
use crate::forge::Known;
use crate::home::why_foreign;
use crate::job::{Fact, ForgeRunner, Job};
use crate::ledger::{FORGOTTEN_AFTER_S, Note, number};
use crate::pace::Pace;
use crate::plan::EndReason;
use crate::predict::{self, KnownJobs};
use crate::runner;
use crate::shell::{Failure, Outcome, Shell};
use crate::world::Verdict;

/// How long parameters are kept, in seconds: `up` and a rotated token show within a minute.
const CONFIG_KEEP_S: u64 = 60;
/// How long a delivery waits for the forge's word on a job that is known already, in seconds: the
/// forge itself gives up on a delivery after five, and all its other hooks wait behind this one.
const ASK_LIMIT_S: u64 = 2;
/// A signature that does not match makes us read the parameters again, if they are older than
/// this, in seconds: a rotated secret works at once, and a flood of bad ones costs little.
const CONFIG_RECHECK_S: u64 = 5;

/// An invocation that failed. Lambda counts it, the alarm sees it, the next tick tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The event is none of ours.
    #[error(transparent)]
    Event(#[from] BadEvent),
    /// The parameters can't be used.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// A call to AWS failed.
    #[error(transparent)]
    Call(#[from] Failure),
}

/// The function: one AWS account, one forge, and the parameters as last read.
#[derive(Debug)]
pub struct Handler {
    shell: Shell,
    forge_endpoint: Option<String>,
    config: Mutex<Option<Arc<Config>>>,
    pace: Pace,
    known: Arc<Known>,
    known_jobs: KnownJobs,
}

impl Handler {
    /// The function over `shell`; `forge_endpoint` is another address for the forge.
    #[must_use]
    pub fn new(shell: Shell, forge_endpoint: Option<String>) -> Self {
        Self {
            shell,
            forge_endpoint,
            config: Mutex::new(None),
            pace: Pace::default(),
            known: Arc::default(),
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
        let event = Event::parse(payload)?;
        match event {
            Event::Delivery(request) => Ok(self.delivery(&request).await.into_value()),
            Event::Runner { caller, request } => {
                let config = self.config(Duration::from_secs(CONFIG_KEEP_S)).await?;
                let answer = runner::serve(
                    &self.shell,
                    &config.forge,
                    &config,
                    &caller,
                    &request,
                    now_ms(),
                )
                .await?;
                Ok(answer.into_value())
            }
            Event::Tick => {
                let config = match self.config(Duration::from_secs(CONFIG_KEEP_S)).await {
                    Ok(config) => config,
                    Err(error) => {
                        sweep_alone(&self.shell, now_ms()).await?;
                        return Err(error.into());
                    }
                };
                tick(self.hands(&config, deadline), &config, request_id).await?;
                Ok(json!({"done": "tick"}))
            }
            Event::Nudge => {
                let config = self.config(Duration::from_secs(CONFIG_KEEP_S)).await?;
                let hands = self.hands(&config, deadline);
                drain(hands, &config, request_id, Woken::Otherwise).await?;
                Ok(json!({"done": "drain"}))
            }
            Event::Retire => {
                let config = self.config(Duration::from_secs(CONFIG_KEEP_S)).await?;
                retire(self.hands(&config, deadline), &config).await?;
                Ok(json!({"done": "retired"}))
            }
            Event::InstanceState { instance, state } => {
                self.instance_state(&instance, &state, request_id, deadline)
                    .await
            }
            Event::SpotInterruption { instance } => {
                let _outcome = self
                    .shell
                    .set_runner(&instance, &[("interrupted_ms", number(now_ms()))], "")
                    .await?;
                Ok(json!({"done": "interruption noted"}))
            }
        }
    }

    fn hands<'a>(&'a self, config: &'a Config, deadline: Instant) -> Hands<'a> {
        Hands {
            shell: &self.shell,
            forge: &config.forge,
            pace: &self.pace,
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
    ) -> Result<Value, Error> {
        if !matches!(
            state,
            "shutting-down" | "stopping" | "stopped" | "terminated"
        ) {
            return Ok(json!({"done": "nothing"}));
        }
        let Some(runner) = self.shell.runner(instance).await? else {
            return Ok(json!({"done": "not ours"}));
        };
        let config = self.config(Duration::from_secs(CONFIG_KEEP_S)).await?;
        let hands = self.hands(&config, deadline);
        hands.close(&runner, "ended").await?;
        drain(hands, &config, request_id, Woken::ByAnEnd).await?;
        Ok(json!({"done": "closed"}))
    }

    async fn delivery(&self, request: &HttpRequest) -> Answer {
        let config = match self.config(Duration::from_secs(CONFIG_KEEP_S)).await {
            Ok(config) => config,
            Err(error) => return broken(&error),
        };
        let mut verified = Delivery::verify(request, config.webhook.as_ref());
        if verified == Err(BadDelivery::BadSignature)
            && let Ok(config) = self.config(Duration::from_secs(CONFIG_RECHECK_S)).await
        {
            verified = Delivery::verify(request, config.webhook.as_ref());
        }
        let delivery = match verified {
            Ok(delivery) => delivery,
            Err(error) => {
                tracing::warn!(%error, "delivery not taken");
                return Answer::not_taken(&error);
            }
        };
        match self.record(&config, &delivery).await {
            Ok(answer) => answer,
            Err(error) => broken(&error),
        }
    }

    async fn record(&self, config: &Config, delivery: &Delivery) -> Result<Answer, Failure> {
        if let Some(job) = delivery.job()
            && let Some(reason) = why_foreign(&config.settings, job)
        {
            // Nothing is written: its key may be that of a job of our own forge.
            return Ok(decided(Decision::Refused, &reason, Some(job), None));
        }
        match delivery {
            Delivery::Ignored(reason) => Ok(decided(Decision::Ignored, reason, None, None)),
            Delivery::Happened { happened, digest } => {
                self.happened(config, happened, digest).await
            }
            Delivery::Queued(job) => self.queued(config, job).await,
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
    async fn happened(
        &self,
        config: &Config,
        happened: &workflow::event::Event,
        digest: &str,
    ) -> Result<Answer, Failure> {
        let repository = &happened.body.repository.full_name;
        if !config
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
        let id = predict::id_of(happened, digest, told_ms);
        let recorded = self.shell.record_trigger(&id, happened, told_ms).await?;
        let (decision, reason) = match recorded {
            Outcome::Written => (
                Decision::Recorded,
                "the workflows that it starts are looked into now; their jobs get machines as soon \
                 as they can start",
            ),
            Outcome::Refused(_) => (Decision::Duplicate, "it was recorded before"),
        };
        if decision == Decision::Recorded {
            self.nudge().await;
        }
        Ok(decided(decision, reason, None, None))
    }

    async fn queued(&self, config: &Config, job: &Job) -> Result<Answer, Failure> {
        let Some(pool) = config.pool_for(job) else {
            let reason = config.why_no_pool(job);
            let recorded = self.shell.record_refused(job, &reason, now_ms()).await?;
            if recorded == Outcome::Written {
                // Its owner is told after the answer.
                self.nudge().await;
            }
            return Ok(decided(Decision::Refused, &reason, Some(job), None));
        };
        if is_forgotten(job) && self.ask(config, job).await == Verdict::Gone {
            let reason = "it is older than what the ledger keeps, and waits no longer at the forge";
            let pool = Some(pool.name.as_str());
            return Ok(decided(Decision::Duplicate, reason, Some(job), pool));
        }
        let mut recorded = self.shell.record_waiting(job, pool, now_ms()).await?;
        if recorded != Outcome::Written && self.is_queued_again(config, job).await? {
            recorded = self.shell.record_again(job, &pool.name, now_ms()).await?;
        }
        let (decision, reason) = match recorded {
            Outcome::Written if pool.runs_on_host(&job.labels) => (
                Decision::Recorded,
                "the job waits for a machine and runs on it directly: services: are not started there",
            ),
            Outcome::Written => (Decision::Recorded, "the job waits for a machine"),
            Outcome::Refused(_) => (Decision::Duplicate, "the job was recorded before"),
        };
        if decision == Decision::Recorded {
            self.nudge().await;
        }
        Ok(decided(decision, reason, Some(job), Some(&pool.name)))
    }

    /// Whether a job that we know waits once more. A rerun of a job that no runner ever had (it was
    /// cancelled, skipped or refused) has the key of before, like a late delivery: the forge knows
    /// which it is. If it can't tell, a machine too many is better than a job that hangs.
    async fn is_queued_again(&self, config: &Config, job: &Job) -> Result<bool, Failure> {
        if !self.shell.ended_unserved(&job.key).await? {
            return Ok(false);
        }
        Ok(match self.ask(config, job).await {
            Verdict::Waiting | Verdict::Unknown => true,
            Verdict::Gone => false,
        })
    }

    /// Whether the forge still has `job` waiting, if it says so in time.
    async fn ask(&self, config: &Config, job: &Job) -> Verdict {
        let limit = Duration::from_secs(ASK_LIMIT_S);
        let asked = tokio::time::timeout(limit, config.forge.verdict(&job.key)).await;
        asked.unwrap_or(Verdict::Unknown)
    }

    async fn started(&self, job: &Job, runner: &ForgeRunner) -> Result<Answer, Failure> {
        let moved = self.shell.start_job(job, runner, now_ms()).await?;
        let reason = format!("a runner has it: {}", runner.name);
        Ok(recorded_or_duplicate(&moved, &reason, job))
    }

    async fn ended(
        &self,
        job: &Job,
        conclusion: &str,
        runner: Option<&ForgeRunner>,
    ) -> Result<Answer, Failure> {
        let cancelled = conclusion == "cancelled";
        // First, so that a replay repeats what a crash in between has lost. A runner has one job
        // only, so whatever else happened to it, it has no other to finish.
        if let Some(runner) = runner.filter(|_| cancelled) {
            let reason = EndReason::JobCancelled.word();
            let sets = [
                ("ending_ms", number(now_ms())),
                ("end_reason", crate::ledger::text(reason)),
            ];
            let marked = self.shell.set_runner_of_forge(runner, &sets, "").await?;
            if marked == Outcome::Written {
                self.nudge().await;
            }
        }
        let reason = format!("the forge says: {conclusion}");
        let note = Note {
            reason: &reason,
            instance: runner.map(|runner| runner.name.as_str()),
            conclusion: Some(conclusion),
            ..Note::default()
        };
        let moved = self
            .shell
            .move_job(
                &job.key,
                Some(job),
                Fact::Ended { cancelled },
                &note,
                now_ms(),
            )
            .await?;
        if cancelled && runner.is_none() && moved == Outcome::Written {
            // It may leave a machine over.
            self.nudge().await;
        }
        Ok(recorded_or_duplicate(&moved, &reason, job))
    }

    /// A lost nudge costs a tick, so it fails no delivery.
    async fn nudge(&self) {
        if let Err(failure) = self.shell.nudge().await {
            tracing::warn!(%failure, "the nudge failed; the next tick launches");
        }
    }

    /// The parameters, read again when older than `keep`.
    async fn config(&self, keep: Duration) -> Result<Arc<Config>, BadConfig> {
        let mut held = self.config.lock().await;
        if let Some(config) = held.as_ref().filter(|c| c.read_at.elapsed() < keep) {
            return Ok(Arc::clone(config));
        }
        let read = async {
            let read_at = Instant::now();
            let parameters = self.shell.parameters().await?;
            Config::parse(
                self.shell.names(),
                parameters,
                self.forge_endpoint.as_deref(),
                &self.known,
                read_at,
            )
        };
        match (read.await, held.as_ref()) {
            (Ok(config), _) => {
                let config = Arc::new(config);
                *held = Some(Arc::clone(&config));
                Ok(config)
            }
            // What was good a minute ago serves better than nothing while AWS is not at its best.
            (Err(error), Some(old)) => {
                tracing::error!(%error, "using the parameters as last read");
                Ok(Arc::clone(old))
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// Whether the ledger may have known `job` and forgotten it, so that an old delivery that is sent
/// again looks new.
fn is_forgotten(job: &Job) -> bool {
    job.created_ms
        .is_some_and(|created| created + FORGOTTEN_AFTER_S * 1000 < now_ms())
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The deployment that this process serves, from its environment.
pub fn names_from_env() -> Result<Names, crate::shell::MissingVariable> {
    std::env::var(stacks::names::ENV_NAME)
        .ok()
        .filter(|name| !name.is_empty())
        .map(|name| Names::of(&name))
        .ok_or(crate::shell::MissingVariable(stacks::names::ENV_NAME))
}
