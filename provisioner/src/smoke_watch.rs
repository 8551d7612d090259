//! A smoke test as whoever deploys sees it: the function launches one machine and ends it, and EC2 itself
//! tells when it runs and when it is gone. Whatever happens, the machine is asked to end, and so is one that
//! EC2 may have launched without anybody having seen its answer.

use std::time::{Duration, Instant};

use stacks::rehearsal::{RehearsedCall, Verdict};
use stacks::smoke_test::{SmokeMachine, SmokeState, SmokeStep, SmokeTest};

use crate::aws::CallError;
use crate::deployment::Deployment;
use crate::error::Error;
use crate::progress::Progress;
use crate::rehearsal::{Rehearsed, explained};
use crate::shell::{EXPERIMENT_LIMIT_S, ROLE_LIMIT_S, Shell};
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

/// Longest that the function is asked to end a machine until it could.
const END_LIMIT: Duration = Duration::from_secs(30);
/// How long nothing must be seen of a launch whose answer nobody has: the function writes its claim down within
/// seconds, a cold start included.
const UNSEEN: Duration = Duration::from_secs(10);

/// Longest that a machine lives which nobody ends, once it should have said what it found: it waits ten minutes,
/// and EC2 takes its time.
const UNENDED: Duration = Duration::from_mins(11);

impl Asked {
    /// Longest that its machine may live if nothing goes as it should, with `tick` between two scheduled
    /// reconciles: what it may cost follows from that.
    #[must_use]
    pub fn most(&self, tick: Duration) -> Duration {
        let ended = match self.ends {
            Ends::WhenFound => GONE_LIMIT,
            Ends::ByInterruption => {
                let experiment = Duration::from_secs(ROLE_LIMIT_S + EXPERIMENT_LIMIT_S);
                experiment + INTERRUPTION_LIMIT + GONE_LIMIT
            }
            Ends::BySweep(minutes) => swept_within(minutes, tick) + GONE_LIMIT,
        };
        self.wait + ended.max(UNENDED)
    }
}

/// Longest until the sweep has ended a machine whose limit is `minutes`.
fn swept_within(minutes: u32, tick: Duration) -> Duration {
    Duration::from_secs(u64::from(minutes) * 60) + tick + SWEEP_LIMIT
}

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
    let gone = if watch.refused {
        Ok(None)
    } else {
        watch.go(matches!(came, Ok(None))).await
    };
    if let (Err(_), Ok(Some((_, left)))) = (&came, &gone) {
        // The error is what is answered.
        shell.step(left);
    }
    let failed = match (came?, gone?) {
        (Some((stage, why)), Some((_, left))) => Some((stage, format!("{why}; then {left}"))),
        (one, other) => one.or(other),
    };
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

/// Ends what a smoke test that was broken off has launched, whether or not EC2's answer has come. Says what is
/// left of it, if anything is.
pub async fn end_smoke_test(
    deployment: &Deployment,
    asked: &Asked,
    progress: &dyn Progress,
) -> Result<Option<String>, Error> {
    let shell = Shell::open(deployment, progress).await?;
    let mut watch = Watch::of(&shell, deployment, asked);
    let failed = watch.told_to_end().await;
    if asked.ends == Ends::ByInterruption {
        shell.end_interruption(&deployment.environment).await?;
    }
    let left = failed?.map(|(_, why)| match &watch.life.machine {
        Some(machine) => format!("machine {} is left: {why}", machine.instance),
        None => why,
    });
    Ok(left)
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
    /// Whether it was refused, so that none comes.
    refused: bool,
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
            refused: false,
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
                self.refused = true;
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
        let tick = self.deployment.environment.tick();
        let mut gone_limit = GONE_LIMIT;
        let mut looks = 0;
        match self.asked.ends {
            Ends::BySweep(minutes) if came => {
                gone_limit += swept_within(minutes, tick);
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

    /// Tells the function to end it, until it could or there is nothing to end; that is the rehearsal of the
    /// right to. While EC2's answer is not known there is nothing to end yet.
    async fn told_to_end(&mut self) -> Result<Failed, Error> {
        let begun = Instant::now();
        let unseen = match &self.life.machine {
            Some(_) => Duration::ZERO,
            None => UNSEEN,
        };
        loop {
            let is_late = begun.elapsed() > END_LIMIT;
            match self.step(SmokeStep::End).await {
                // It may not be called, or is not there: then it has launched nothing either.
                Err(error) if is_late || error.is_denial() || error.is_absence() => {
                    return Err(error.into());
                }
                Err(_) => {}
                Ok(state) => {
                    if let Some(call) = state.end
                        && (is_late || call.verdict != Verdict::Unknown)
                    {
                        self.seen(state.machine);
                        return Ok(self.ended(call).await);
                    }
                    let is_over = match &state.machine {
                        // A job's machine is the job's.
                        Some(machine) => machine.closed || machine.timeline.contains_key("busy"),
                        None => !state.open && begun.elapsed() >= unseen,
                    };
                    self.seen(state.machine);
                    if is_over {
                        return Ok(None);
                    }
                    if is_late {
                        return Ok(Some((Stage::Gone, self.left())));
                    }
                }
            }
            self.wait("until the machine is told to end").await;
        }
    }

    /// What came of the call that ends it.
    async fn ended(&mut self, call: RehearsedCall) -> Failed {
        let end = explained(self.shell, call).await;
        let is_allowed = end.call.verdict == Verdict::Allowed;
        let words = end.call.words.clone();
        self.end = Some(end);
        (!is_allowed).then_some((Stage::Gone, words))
    }

    /// Why something may be left, for people.
    fn left(&self) -> String {
        if self.life.machine.is_some() {
            return "it could not be told to end, and ends itself ten minutes after it looked"
                .to_owned();
        }
        let tag = self.deployment.environment.names().tag_launch;
        format!(
            "EC2 has not said whether a machine comes; one with the tag {tag} = {} ends itself ten minutes after \
             it looked",
            self.asked.id
        )
    }

    fn seen(&mut self, machine: Option<SmokeMachine>) {
        if let Some(machine) = machine {
            self.life.machine = Some(machine);
        }
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
        self.seen(state.machine);
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

    async fn step(&self, step: SmokeStep) -> Result<SmokeState, CallError> {
        let id = self.asked.id.clone();
        let asked = SmokeTest { id, step };
        self.shell.smoke_test(&self.function, &asked).await
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
        let (marks, found) = self.life.told();
        SmokeTested {
            pool: self.asked.pool.clone(),
            spot: self.asked.spot,
            seconds: self.life.seconds(),
            marks,
            found,
            machine: self
                .life
                .machine
                .map(|machine| (machine.instance_type, machine.instance)),
            end: self.end,
            refused: self.refused,
            failed,
        }
    }
}
