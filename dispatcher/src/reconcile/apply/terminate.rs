//! How machines end: why is written down first, the row is closed once, the job is told.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use crate::aws::{Failure, WriteResult};
use crate::ledger::Note;
use crate::model::job::JobEvent;
use crate::model::runner::{Boot, EndReason, Ending, Runner};
use crate::reconcile::context::Context;

/// Most tries to close a row that changes meanwhile: a runner registers once and starts once.
const CLOSE_TRIES: u32 = 4;
/// Time for all the notes that go before an end: the machines must go even while the ledger hangs.
const NOTES_LIMIT: Duration = Duration::from_secs(3);
/// Notes at a time: hundreds of machines may be at their limit at once.
const NOTES_AT_ONCE: usize = 16;
/// How long EC2 may take to say why a machine ended, after its event has come: it shows new things late.
const SAID_LIMIT: Duration = Duration::from_secs(3);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

impl Context<'_> {
    /// Ends instances for one reason and writes it where they are tracked. A reason with a condition
    /// ends only what the ledger has marked: another machine may have a job by now.
    pub async fn end(&self, instances: &[String], reason: &EndReason) -> Result<(), Failure> {
        let until = Instant::now() + NOTES_LIMIT;
        let mut notes = Vec::new();
        for instance in instances {
            notes.push(self.note_end_by(until, instance, reason));
        }
        let mut notes = stream::iter(notes).buffer_unordered(NOTES_AT_ONCE);
        let mut instances = Vec::new();
        while let Some(ends) = notes.next().await {
            instances.extend(ends);
        }
        if instances.is_empty() {
            return Ok(());
        }
        tracing::info!(?instances, reason = reason.word(), "terminating instances");
        self.aws.end_instances(&instances).await
    }

    /// Notes why `instance` ends, if the ledger takes that before `until`; gives it if it is to end.
    async fn note_end_by(
        &self,
        until: Instant,
        instance: &str,
        reason: &EndReason,
    ) -> Option<String> {
        let noted = tokio::time::timeout_at(until, self.note_end(instance, reason)).await;
        let ends = noted.unwrap_or_else(|_| {
            tracing::warn!(
                instance,
                reason = reason.word(),
                "the ledger does not answer: why the instance ends is not noted"
            );
            reason.ends_only().is_none()
        });
        ends.then(|| instance.to_owned())
    }

    /// Notes why an instance ends. Says whether it is to be ended: for some reasons only if its row says
    /// that it has no job.
    async fn note_end(&self, instance: &str, reason: &EndReason) -> bool {
        let is_unconditional = reason.ends_only().is_none();
        let noted = self
            .ledger
            .end_runner(instance, reason, self.now_ms())
            .await;
        match noted {
            Ok(result) => result == WriteResult::Written || is_unconditional,
            Err(failure) => {
                tracing::warn!(instance, reason = reason.word(), error = %failure, "why the instance ends is not noted");
                is_unconditional
            }
        }
    }

    /// EC2's code for why the machine ended, which is asked for where its image may be why. The next machine waits
    /// for it.
    pub async fn state_reason(&self, runner: &Runner) -> Option<String> {
        if runner.boot() != Boot::Unexplained {
            return None;
        }
        self.new_image(runner)?;
        let instance = runner.instance.as_str();
        let begun = Instant::now();
        let failure = loop {
            let shown = self.aws.instance(instance).await;
            let failure = match shown.map(|shown| shown.and_then(|shown| shown.state_reason)) {
                // Until it says why it ended, it may still say why it is in the state before.
                Ok(Some(code)) if code.starts_with("Client.") || code.starts_with("Server.") => {
                    return Some(code);
                }
                Ok(_) => None,
                Err(failure) => Some(failure),
            };
            if begun.elapsed() > SAID_LIMIT {
                break failure;
            }
            tokio::time::sleep(LOOK).await;
        };
        tracing::warn!(
            instance,
            pool = runner.pool,
            error = failure.map(|failure| failure.to_string()),
            "EC2 does not say why the machine ended; it is not counted against its image"
        );
        None
    }

    /// Tells the job of a runner whose instance has ended, for which EC2 gives this code, and closes its row. The
    /// row may change while it is closed (the machine registers, the forge reports a start): then it is read again.
    pub async fn close(
        &self,
        runner: &Runner,
        reason: EndReason,
        state_reason: Option<&str>,
    ) -> Result<(), Failure> {
        let mut current = Some(runner.clone());
        for _ in 0..CLOSE_TRIES {
            let Some(mut ended) = current else {
                return Ok(());
            };
            let now_ms = self.now_ms();
            let ending = ended.ending.get_or_insert(Ending {
                since_ms: now_ms,
                reason: None,
            });
            ending.reason.get_or_insert(reason.clone());
            let keeps_used = self.config.forge.keeps_used_runners();
            let image = self.new_image(&ended);
            let boot = image.map(|ami| (ami, ended.boot().explained(state_reason)));
            // Before its row goes: without it nobody would know of the job after a crash in between.
            self.tell_job(&ended).await?;
            let closed = self.ledger.close_runner(&ended, keeps_used, boot, now_ms);
            let closed = closed.await?;
            if closed == WriteResult::Written {
                tracing::info!(
                    instance = ended.instance,
                    pool = ended.pool,
                    reason = ended.end_reason().map(EndReason::word),
                    "runner ended"
                );
                return Ok(());
            }
            current = self.ledger.runner(&runner.instance).await?;
        }
        tracing::warn!(
            instance = runner.instance,
            pool = runner.pool,
            "runner's row kept changing; the next reconcile closes it"
        );
        Ok(())
    }

    /// The new image from which this machine started. A pool that was taken out tells of none: its machines are
    /// refused, whatever they started from.
    fn new_image<'r>(&self, runner: &'r Runner) -> Option<&'r str> {
        let mut pools = self.config.pools.iter();
        let has_pool = pools.any(|pool| pool.name == runner.pool);
        let ami = runner.image.as_deref().filter(|_| has_pool)?;
        let mut images = self.config.images.iter();
        let is_new = images.any(|image| image.ami == ami && image.is_new(self.now_ms()));
        is_new.then_some(ami)
    }

    /// Tells a job that its machine is gone. Refused when the forge has reported its end already,
    /// which is the usual case, or has given it to another runner since.
    async fn tell_job(&self, ended: &Runner) -> Result<(), Failure> {
        let Some(job) = &ended.job else {
            return Ok(());
        };
        let over_limit = ended.end_reason() == Some(&EndReason::MaxLifetime);
        let (fact, reason) = if over_limit {
            (
                JobEvent::OverLimit,
                "its machine was ended: over the pool's limit",
            )
        } else {
            (JobEvent::MachineLost, "its machine went away")
        };
        let note = Note {
            instance: Some(&ended.instance),
            ..Note::of(reason)
        };
        let _result = self
            .ledger
            .move_job(job, None, fact, &note, self.now_ms())
            .await?;
        Ok(())
    }
}
