//! How machines end: why is written down first, the row is closed once, the job is told.

use std::time::Duration;

use super::Hands;
use crate::job::Fact;
use crate::ledger::{Note, number, text};
use crate::plan::EndReason;
use crate::shell::{Failure, Outcome};
use crate::world::Runner;

/// Most tries to close a row that changes meanwhile: a runner registers once and starts once.
const CLOSE_TRIES: u32 = 4;
/// Time for the notes that go before an end, in seconds: the machine must go even while the ledger
/// hangs.
const NOTES_TIMEOUT_S: u64 = 3;

impl Hands<'_> {
    /// Ends instances for one reason and writes it where they are tracked. A reason with a condition
    /// ends only what the ledger has marked: another machine may have a job by now.
    pub async fn end(&self, instances: &[String], reason: EndReason) -> Result<(), Failure> {
        let limit = Duration::from_secs(NOTES_TIMEOUT_S);
        let instances = match tokio::time::timeout(limit, self.note_ends(instances, reason)).await {
            Ok(noted) => noted,
            Err(_) if reason.condition().is_empty() => {
                tracing::warn!("the ledger hangs; ending without notes");
                instances.to_vec()
            }
            Err(_) => {
                tracing::warn!(reason = reason.word(), "the ledger hangs; ending nothing");
                return Ok(());
            }
        };
        if instances.is_empty() {
            return Ok(());
        }
        tracing::info!(?instances, reason = reason.word(), "ending");
        self.shell.end_instances(&instances).await
    }

    /// Notes why each of `instances` ends, and gives those that are to be ended.
    async fn note_ends(&self, instances: &[String], reason: EndReason) -> Vec<String> {
        let condition = reason.condition();
        let mut noted = Vec::new();
        for instance in instances {
            let sets = [
                ("ending_ms", number((self.now_ms)())),
                ("end_reason", text(reason.word())),
            ];
            let ends = match self.shell.set_runner(instance, &sets, condition).await {
                Ok(outcome) => outcome == Outcome::Written || condition.is_empty(),
                Err(failure) => {
                    tracing::warn!(instance, %failure, "could not note why the instance ends");
                    condition.is_empty()
                }
            };
            if ends {
                noted.push(instance.clone());
            }
        }
        noted
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
            let closed = self.shell.close_runner(&ended, (self.now_ms)()).await?;
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
