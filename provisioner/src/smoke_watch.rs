//! A smoke test as whoever deploys sees it: the function launches one machine and ends it, and EC2 itself
//! tells when it runs and when it is gone. Whatever happens, the machine is asked to end.

use std::time::{Duration, Instant};

use stacks::rehearsal::Verdict;
use stacks::smoke_test::{SmokeState, SmokeStep, SmokeTest};

use crate::deployment::Deployment;
use crate::error::Error;
use crate::progress::{Progress, Silent};
use crate::rehearsal::{Rehearsed, explained};
use crate::shell::Shell;
use crate::smoke_test::{Asked, Ends, Failed, Life, SmokeTested, Stage};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Longest until EC2 says yes: two invocations of the function, each of which tries for its time.
const LAUNCH_LIMIT: Duration = Duration::from_mins(2);
/// Longest until EC2 has ended a machine: it takes a minute or two.
const GONE_LIMIT: Duration = Duration::from_mins(5);
/// Longest after that until its row is closed and the forge has deleted its registration, beside the time
/// between two scheduled reconciles: by then one has run if EC2's event was lost.
const CLOSED_LIMIT: Duration = Duration::from_secs(90);
/// How long EC2 may take from its warning to the end.
const INTERRUPTION_LIMIT: Duration = Duration::from_mins(3);
/// How many looks pass between two sweeps that are asked for.
const SWEEP_EVERY: u32 = 5;
/// How late the sweep may be, beside the time between two scheduled reconciles.
const SWEEP_LIMIT: Duration = Duration::from_secs(90);

/// Has one machine launched, looked at and ended. `interrupt` has EC2 take a machine back, by its id, where
/// that is to end it: [`interrupt`], unless something stands in for EC2.
pub async fn smoke_test(
    deployment: &Deployment,
    asked: &Asked,
    progress: &dyn Progress,
    interrupt: impl AsyncFnOnce(&str) -> Result<(), Error>,
) -> Result<SmokeTested, Error> {
    let shell = Shell::open(deployment, progress).await?;
    let mut watch = Watch::of(&shell, deployment, asked);
    let mut came = watch.come().await;
    if let (Ok(None), Ends::ByInterruption, Some(machine)) =
        (&came, asked.ends, &watch.life.machine)
    {
        let interrupted = interrupt(&machine.instance).await;
        came = interrupted.map(|()| None);
    }
    let gone = match watch.life.machine {
        Some(_) => watch.go(matches!(came, Ok(None))).await,
        None => Ok(None),
    };
    let failed = came?;
    let failed = failed.or(gone?);
    Ok(watch.tested(failed))
}

/// Has EC2 take the Spot machine back, after its usual warning.
pub async fn interrupt(
    deployment: &Deployment,
    instance: &str,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let shell = Shell::open(deployment, progress).await?;
    shell.interrupt(&deployment.environment, instance).await
}

/// Ends the machine of a smoke test that was left.
pub async fn end_smoke_test(deployment: &Deployment, id: &str) -> Result<(), Error> {
    let shell = Shell::open(deployment, &Silent).await?;
    let end = SmokeTest {
        id: id.to_owned(),
        step: SmokeStep::End,
    };
    let function = deployment.environment.names().function;
    shell.smoke_test(&function, &end).await?;
    Ok(())
}

/// One machine, as it is watched.
struct Watch<'a> {
    shell: &'a Shell<'a>,
    deployment: &'a Deployment,
    function: String,
    asked: &'a Asked,
    /// When EC2 said yes.
    begun: Instant,
    life: Life,
    end: Option<Rehearsed>,
}

impl<'a> Watch<'a> {
    fn of(shell: &'a Shell<'a>, deployment: &'a Deployment, asked: &'a Asked) -> Self {
        Self {
            function: deployment.environment.names().function,
            shell,
            deployment,
            asked,
            begun: Instant::now(),
            life: Life::default(),
            end: None,
        }
    }

    /// Until it has said what it found, or is to be swept.
    async fn come(&mut self) -> Result<Failed, Error> {
        if let Some(failed) = self.launch().await? {
            return Ok(Some(failed));
        }
        if let Ends::BySweep(_) = self.asked.ends {
            return Ok(None);
        }
        loop {
            self.look().await?;
            if self.life.has_come() {
                return Ok(self.life.unusable());
            }
            let missing = self.life.missing();
            if let Some(why) = self.life.cut_short() {
                return Ok(Some((missing, why)));
            }
            if self.begun.elapsed() > self.asked.wait {
                let limit = self.asked.wait.as_secs();
                return Ok(Some((missing, format!("not within {limit} seconds"))));
            }
            self.wait(&format!("for the stage \"{}\"", missing.word()))
                .await;
        }
    }

    async fn launch(&mut self) -> Result<Failed, Error> {
        let Asked { pool, spot, .. } = self.asked;
        let market = if *spot { "Spot" } else { "On-Demand" };
        self.shell
            .step(&format!("{pool}: launching a machine, {market}"));
        let max_lifetime_minutes = match self.asked.ends {
            Ends::WhenFound | Ends::ByInterruption => None,
            Ends::BySweep(minutes) => Some(minutes),
        };
        let asked = Instant::now();
        loop {
            let state = self
                .step(SmokeStep::Launch {
                    pool: pool.clone(),
                    spot: *spot,
                    max_lifetime_minutes,
                })
                .await?;
            if state.machine.is_some() {
                self.begun = Instant::now();
                self.life.machine = state.machine;
                return Ok(None);
            }
            if !state.refused.is_empty() {
                return Ok(Some((Stage::Launched, state.refused)));
            }
            if asked.elapsed() > LAUNCH_LIMIT {
                let why =
                    "EC2 gave no definite answer; what it still launches ends itself when idle";
                return Ok(Some((Stage::Launched, why.to_owned())));
            }
            self.wait("for EC2's answer").await;
        }
    }

    /// Until nothing is left of it.
    async fn go(&mut self, came: bool) -> Result<Failed, Error> {
        let begun = Instant::now();
        let tick_s = u64::from(self.deployment.environment.tick_minutes) * 60;
        let tick = Duration::from_secs(tick_s);
        let mut gone_limit = GONE_LIMIT;
        let mut looks = 0;
        match self.asked.ends {
            Ends::BySweep(minutes) if came => {
                gone_limit += Duration::from_secs(u64::from(minutes) * 60) + tick + SWEEP_LIMIT;
            }
            Ends::ByInterruption if came => gone_limit += INTERRUPTION_LIMIT,
            Ends::BySweep(_) | Ends::ByInterruption | Ends::WhenFound => {
                if let Some(failed) = self.told_to_end().await? {
                    return Ok(Some(failed));
                }
            }
        }
        loop {
            self.look().await?;
            let (Some(machine), now_s) = (&self.life.machine, self.begun.elapsed().as_secs_f64())
            else {
                return Ok(None);
            };
            if self.life.gone_s.is_some() && machine.closed && !machine.registered {
                self.life.forgotten_s = Some(now_s);
                return Ok(self.ended_as_asked(came));
            }
            let missing = if self.life.gone_s.is_some() {
                Stage::Forgotten
            } else {
                Stage::Gone
            };
            let is_over = match self.life.gone_s {
                Some(gone_s) => now_s - gone_s > (CLOSED_LIMIT + tick).as_secs_f64(),
                None => begun.elapsed() > gone_limit,
            };
            if is_over {
                let why = match (missing, machine.closed) {
                    (Stage::Forgotten, true) => "the forge has not deleted its registration",
                    (Stage::Forgotten, false) => "the ledger does not know that it has ended",
                    (_, _) => "EC2 still has it",
                };
                return Ok(Some((missing, why.to_owned())));
            }
            if machine.timeline.contains_key("busy") {
                // Its job is somebody's, and ends it.
                return Ok(None);
            }
            let is_swept = matches!(self.asked.ends, Ends::BySweep(_)) && came;
            if is_swept && machine.reason.is_empty() && looks % SWEEP_EVERY == 0 {
                // Before its limit it does nothing; the schedule does the same a little later.
                self.shell.tick(&self.function).await?;
            }
            looks += 1;
            self.wait("for the machine's end").await;
        }
    }

    /// Tells the function to end it; that is the rehearsal of the right to.
    async fn told_to_end(&mut self) -> Result<Failed, Error> {
        let state = self.step(SmokeStep::End).await?;
        let Some(call) = state.end else {
            return Ok(None);
        };
        let end = explained(self.shell, call).await;
        let is_allowed = end.call.verdict == Verdict::Allowed;
        let words = end.call.words.clone();
        self.end = Some(end);
        Ok((!is_allowed).then_some((Stage::Gone, words)))
    }

    async fn look(&mut self) -> Result<(), Error> {
        let Some(known) = &self.life.machine else {
            return Ok(());
        };
        let instance = known.instance.clone();
        let step = SmokeStep::Look {
            instance: Some(instance.clone()),
        };
        let closed = known.closed;
        let state = self.step(step).await?;
        let now_s = self.begun.elapsed().as_secs_f64();
        if let Some(machine) = state.machine {
            self.life.machine = Some(machine);
        }
        if self.life.gone_s.is_none() {
            let names = self.deployment.environment.names();
            let all = self.shell.instances(&names).await?;
            let state = all.iter().find(|one| one.id == instance);
            match state.map(|one| one.state.as_str()) {
                Some("running") => {
                    self.life.running_s.get_or_insert(now_s);
                }
                // EC2 shows new machines late: one that it never showed may yet come.
                None if closed || self.life.running_s.is_some() => self.life.gone_s = Some(now_s),
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    async fn step(&self, step: SmokeStep) -> Result<SmokeState, Error> {
        let id = self.asked.id.clone();
        let asked = SmokeTest { id, step };
        Ok(self.shell.smoke_test(&self.function, &asked).await?)
    }

    async fn wait(&self, what: &str) {
        let what = format!("{}: waiting {what}", self.asked.pool);
        self.shell.waiting(what, self.begun.elapsed().as_secs());
        tokio::time::sleep(LOOK).await;
    }

    /// Whether what ended it is what was asked for.
    fn ended_as_asked(&self, came: bool) -> Failed {
        let machine = self.life.machine.as_ref().filter(|_| came)?;
        match self.asked.ends {
            Ends::BySweep(_) if machine.reason != "max-lifetime" => {
                let why = format!("not ended by the sweep but as {}", machine.reason);
                Some((Stage::Gone, why))
            }
            Ends::ByInterruption if !machine.timeline.contains_key("interrupted") => {
                let why = "the function was not told of the warning";
                Some((Stage::Warned, why.to_owned()))
            }
            Ends::WhenFound | Ends::BySweep(_) | Ends::ByInterruption => None,
        }
    }

    fn tested(self, failed: Failed) -> SmokeTested {
        SmokeTested {
            pool: self.asked.pool.clone(),
            spot: self.asked.spot,
            seconds: self.life.seconds(),
            found: self.life.found(),
            machine: self
                .life
                .machine
                .map(|machine| (machine.instance_type, machine.instance)),
            end: self.end,
            failed,
        }
    }
}
