//! How machines end: why is written down first, the row is closed once, the job is told.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;

use super::Hands;
use crate::job::Fact;
use crate::ledger::{Note, number, text};
use crate::plan::EndReason;
use crate::shell::{Failure, Outcome};
use crate::world::Runner;

/// Most tries to close a row that changes meanwhile: a runner registers once and starts once.
const CLOSE_TRIES: u32 = 4;
/// Time for all the notes that go before an end: the machines must go even while the ledger hangs.
const NOTES_LIMIT: Duration = Duration::from_secs(3);
/// Notes at a time: hundreds of machines may be at their limit at once.
const NOTES_AT_ONCE: usize = 16;

impl Hands<'_> {
    /// Ends instances for one reason and writes it where they are tracked. A reason with a condition
    /// ends only what the ledger has marked: another machine may have a job by now.
    pub async fn end(&self, instances: &[String], reason: EndReason) -> Result<(), Failure> {
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
        tracing::info!(?instances, reason = reason.word(), "ending");
        self.shell.end_instances(&instances).await
    }

    /// Notes why `instance` ends, if the ledger takes that before `until`; gives it if it is to end.
    async fn note_end_by(
        &self,
        until: Instant,
        instance: &str,
        reason: EndReason,
    ) -> Option<String> {
        let noted = tokio::time::timeout_at(until, self.note_end(instance, reason)).await;
        let ends = noted.unwrap_or_else(|_| {
            tracing::warn!(instance, "the ledger hangs; no note of why it ends");
            reason.condition().is_empty()
        });
        ends.then(|| instance.to_owned())
    }

    /// Notes why an instance ends. Says whether it is to be ended.
    async fn note_end(&self, instance: &str, reason: EndReason) -> bool {
        let condition = reason.condition();
        let sets = [
            ("ending_ms", number((self.now_ms)())),
            ("end_reason", text(reason.word())),
        ];
        match self.shell.set_runner(instance, &sets, condition).await {
            Ok(outcome) => outcome == Outcome::Written || condition.is_empty(),
            Err(failure) => {
                tracing::warn!(instance, %failure, "could not note why the instance ends");
                condition.is_empty()
            }
        }
    }

    /// Closes the row of a runner whose instance has ended, and tells its job. The row may change
    /// while it is closed (the machine registers, the forge reports a start): then it is read again.
    pub async fn close(&self, runner: &Runner, word: &str) -> Result<(), Failure> {
        let mut current = Some(runner.clone());
        for _ in 0..CLOSE_TRIES {
            let Some(mut ended) = current else {
                return Ok(());
            };
            ended.end_reason.get_or_insert_with(|| word.to_owned());
            let keeps_used = self.forge.keeps_used_runners();
            let closed = self
                .shell
                .close_runner(&ended, keeps_used, (self.now_ms)())
                .await?;
            if closed == Outcome::Written {
                tracing::info!(
                    instance = ended.instance,
                    reason = ended.end_reason,
                    "runner ended"
                );
                return self.tell_job(&ended).await;
            }
            current = self.shell.runner(&runner.instance).await?;
        }
        tracing::warn!(
            instance = runner.instance,
            "its row kept changing; the tick closes it"
        );
        Ok(())
    }

    /// Tells a job that its machine is gone. Refused when the forge has reported its end already,
    /// which is the usual case.
    async fn tell_job(&self, ended: &Runner) -> Result<(), Failure> {
        let Some(job) = &ended.job else {
            return Ok(());
        };
        let over_limit = ended.end_reason.as_deref() == Some(EndReason::OverLimit.word());
        let (fact, reason) = if over_limit {
            (
                Fact::OverLimit,
                "its machine was ended: over the pool's limit",
            )
        } else {
            (Fact::MachineLost, "its machine went away")
        };
        let note = Note {
            reason,
            instance: Some(&ended.instance),
            ..Note::default()
        };
        let _outcome = self
            .shell
            .move_job(job, None, fact, &note, (self.now_ms)())
            .await?;
        Ok(())
    }
}
