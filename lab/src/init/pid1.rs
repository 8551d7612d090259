//! Process 1 of an instance: reaps, runs the user-data as cloud-init does, keeps the units, and
//! shuts down as systemd does: units by their own kill signal, then everything by SIGTERM, then
//! everything by SIGKILL. It stays alive as long as the machine is on.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::init::complain::complain;
use crate::init::process::{children, descendants, others_alive, signal_all};
use crate::init::socket::{ReplyTo, listen};
use crate::init::unit::{Force, KillMode, Reply, Request, Unit};
use crate::init::user_data;
use crate::machine::enclosure::enter_root;
use crate::machine::image::{PATH, PROGRAM};

/// How long a unit may take to stop when it does not say: systemd's 90 s, made short, because
/// nobody waits that long for a demo. A unit may ask for less.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long everything else may take after SIGTERM.
const BROADCAST_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a shutdown looks whether everything has ended.
const LOOK: Duration = Duration::from_millis(50);
/// The signal of the power button.
const POWER: i32 = Signal::SIGPWR as i32;

/// Takes `root` for its own and runs the machine.
pub(super) fn main(root: &Path) -> ExitCode {
    if let Err(error) = enter_root(root) {
        return complain(&format!("init: can't enter the root: {error}"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime.and_then(|runtime| runtime.block_on(run()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("init: {error}")),
    }
}

async fn run() -> io::Result<()> {
    let (sender, mut requests) = mpsc::channel(64);
    let mut reap = signal(SignalKind::child())?;
    let mut power = signal(SignalKind::from_raw(POWER))?;
    listen(sender)?;
    let mut machine = Machine::default();
    match user_data::unit() {
        Ok(Some(unit)) => drop(machine.start(unit)),
        Ok(None) => log("no user-data"),
        Err(error) => log(&format!("user-data: {error}")),
    }
    while !machine.off {
        let never = Instant::now() + Duration::from_hours(24);
        tokio::select! {
            _ = reap.recv() => {}
            _ = power.recv() => {
                log("power button pressed");
                machine.power_off(Force::No);
            }
            Some((request, reply)) = requests.recv() => machine.handle(request, reply),
            () = sleep_until(machine.next_look().unwrap_or(never)) => {}
        }
        machine.reap();
        machine.look();
    }
    Ok(())
}

#[derive(Default)]
struct Machine {
    units: BTreeMap<String, Running>,
    timers: BTreeMap<String, (Instant, Unit)>,
    counter: u32,
    shutdown_at: Option<Instant>,
    phase: Phase,
    off: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Up,
    /// Units are being stopped.
    Stopping,
    /// Everything was told to end.
    Broadcast { kill_at: Instant, killed: bool },
}

struct Running {
    unit: Unit,
    supervisor: Pid,
    state: State,
    runtime_end: Option<Instant>,
    waiting: Vec<ReplyTo>,
    stopping: Vec<ReplyTo>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Stopping { kill_at: Instant, killed: bool },
    Failed,
}

impl Machine {
    fn handle(&mut self, request: Request, reply: ReplyTo) {
        let answer = match request {
            Request::Run {
                unit,
                wait,
                on_active,
            } => match self.schedule(*unit, on_active) {
                Err(answer) => answer,
                Ok((name, answer)) => match self.units.get_mut(&name) {
                    Some(running) if wait => return running.waiting.push(reply),
                    Some(_) | None => answer,
                },
            },
            Request::Kill {
                unit,
                signal,
                main_only,
            } => self.kill(&unit, signal, main_only),
            Request::Stop { units } => return self.stop_all(&units, reply),
            Request::IsActive { units, quiet } => self.is_active(&units, quiet),
            Request::PowerOff(force) => {
                self.power_off(force);
                Reply::done()
            }
            Request::Shutdown { after } => {
                self.shutdown_at = Some(Instant::now() + after);
                Reply::done()
            }
            Request::CancelShutdown => {
                self.shutdown_at = None;
                Reply::done()
            }
        };
        let _ = reply.send(answer);
    }

    fn schedule(
        &mut self,
        mut unit: Unit,
        on_active: Option<Duration>,
    ) -> Result<(String, Reply), Reply> {
        if self.phase != Phase::Up {
            return Err(Reply::error(
                1,
                "Failed to start transient service unit: Transaction is destructive.\n".to_owned(),
            ));
        }
        if unit.name.is_empty() {
            self.counter += 1;
            unit.name = format!("run-u{}.service", self.counter);
        }
        let name = unit.name.clone();
        let timer = name.replace(".service", ".timer");
        if self.units.contains_key(&name) || self.timers.contains_key(&timer) {
            return Err(Reply::error(
                1,
                format!(
                    "Failed to start transient service unit: Unit {name} was already loaded or \
                     has a fragment file.\n"
                ),
            ));
        }
        if let Some(after) = on_active {
            let words = format!("Running timer as unit: {timer}\n");
            self.timers.insert(timer, (Instant::now() + after, unit));
            return Ok((name, Reply::error(0, words)));
        }
        let started = self.start(unit);
        started.map_err(|error| Reply::error(1, format!("Failed to start {name}: {error}\n")))?;
        let words = format!("Running as unit: {name}\n");
        Ok((name, Reply::error(0, words)))
    }

    fn start(&mut self, unit: Unit) -> io::Result<()> {
        let mut supervisor = Command::new(format!("/{PROGRAM}"))
            .args(["internal", "init", "--as", "unit"])
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .spawn()?;
        let text = serde_json::to_vec(&unit)?;
        if let Some(mut stdin) = supervisor.stdin.take() {
            stdin.write_all(&text)?;
        }
        let pid = i32::try_from(supervisor.id()).map_err(io::Error::other)?;
        let running = Running {
            supervisor: Pid::from_raw(pid),
            state: State::Active,
            runtime_end: unit.runtime_max.map(|max| Instant::now() + max),
            waiting: Vec::new(),
            stopping: Vec::new(),
            unit,
        };
        self.units.insert(running.unit.name.clone(), running);
        Ok(())
    }

    fn kill(&mut self, name: &str, signal: i32, main_only: bool) -> Reply {
        let Some(running) = self
            .units
            .get(name)
            .filter(|one| one.state != State::Failed)
        else {
            return not_loaded("kill", name, 1);
        };
        if let Ok(signal) = Signal::try_from(signal) {
            let pids = if main_only {
                children(running.supervisor).into_iter().take(1).collect()
            } else {
                descendants(running.supervisor)
            };
            signal_all(&pids, signal);
        }
        Reply::done()
    }

    fn stop_all(&mut self, names: &[String], reply: ReplyTo) {
        let mut answer = Reply::done();
        let mut waits_for = None;
        for name in names {
            if self.timers.remove(name).is_some() {
                continue;
            }
            match self.units.get_mut(name) {
                None => answer = not_loaded("stop", name, 5),
                Some(running) if running.state == State::Failed => {
                    self.units.remove(name);
                }
                Some(running) => {
                    running.stop();
                    waits_for = Some(name);
                }
            }
        }
        // The last of them stands for all: each is stopped within its own time.
        match waits_for.and_then(|name| self.units.get_mut(name)) {
            Some(running) if answer.code == 0 => running.stopping.push(reply),
            Some(_) | None => drop(reply.send(answer)),
        }
    }

    fn is_active(&self, names: &[String], quiet: bool) -> Reply {
        let mut reply = Reply::code(3);
        for name in names {
            let word = match self.units.get(name).map(|one| one.state) {
                _ if self.timers.contains_key(name) => "active",
                Some(State::Active) => "active",
                Some(State::Stopping { .. }) => "deactivating",
                Some(State::Failed) => "failed",
                None => "inactive",
            };
            if word == "active" {
                reply.code = 0;
            }
            if !quiet {
                reply.out.push_str(word);
                reply.out.push('\n');
            }
        }
        reply
    }

    fn power_off(&mut self, force: Force) {
        log(&format!("powering off ({force:?})"));
        match force {
            Force::No if self.phase == Phase::Up => {
                self.phase = Phase::Stopping;
                self.timers.clear();
                for running in self.units.values_mut() {
                    running.stop();
                }
            }
            Force::No => {}
            Force::Once => self.broadcast(),
            Force::Twice => self.off = true,
        }
    }

    fn broadcast(&mut self) {
        if matches!(self.phase, Phase::Broadcast { .. }) {
            return;
        }
        let _ = kill(Pid::from_raw(-1), Signal::SIGTERM);
        // Sleepers that were stopped hear nothing otherwise.
        let _ = kill(Pid::from_raw(-1), Signal::SIGCONT);
        self.phase = Phase::Broadcast {
            kill_at: Instant::now() + BROADCAST_TIMEOUT,
            killed: false,
        };
    }

    fn reap(&mut self) {
        // Bounded by what has died: the kernel gives each corpse once.
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let (pid, code) = match status {
                WaitStatus::Exited(pid, code) => (pid, u8::try_from(code).unwrap_or(255)),
                WaitStatus::Signaled(pid, _, _) => (pid, 255),
                WaitStatus::StillAlive => return,
                WaitStatus::Stopped(..)
                | WaitStatus::PtraceEvent(..)
                | WaitStatus::PtraceSyscall(_)
                | WaitStatus::Continued(_) => continue,
            };
            let name = self
                .units
                .iter()
                .find(|(_, one)| one.supervisor == pid && one.state != State::Failed)
                .map(|(name, _)| name.clone());
            if let Some(name) = name {
                self.unit_ended(&name, code);
            }
        }
    }

    fn unit_ended(&mut self, name: &str, code: u8) {
        let Some(running) = self.units.get_mut(name) else {
            return;
        };
        log(&format!("{name} ended with {code}"));
        for waiting in running.waiting.drain(..) {
            let _ = waiting.send(Reply::code(code));
        }
        for stopping in running.stopping.drain(..) {
            let _ = stopping.send(Reply::done());
        }
        let keep = code != 0 && !running.unit.collect && running.state == State::Active;
        if keep {
            running.state = State::Failed;
        } else {
            self.units.remove(name);
        }
    }

    /// When there is something to do without anybody asking.
    fn next_look(&self) -> Option<Instant> {
        let soon = Instant::now() + LOOK;
        let busy = self.phase != Phase::Up
            || self
                .units
                .values()
                .any(|one| matches!(one.state, State::Stopping { .. }));
        let timers = self.timers.values().map(|(at, _)| *at);
        let runtimes = self.units.values().filter_map(|one| one.runtime_end);
        timers
            .chain(runtimes)
            .chain(self.shutdown_at)
            .chain(busy.then_some(soon))
            .min()
    }

    /// Does what is due.
    fn look(&mut self) {
        let now = Instant::now();
        let due: Vec<String> = self
            .timers
            .iter()
            .filter(|(_, (at, _))| *at <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            if let Some((_, unit)) = self.timers.remove(&name)
                && let Err(error) = self.start(unit)
            {
                log(&format!("{name}: {error}"));
            }
        }
        for running in self.units.values_mut() {
            running.look(now);
        }
        if self.shutdown_at.is_some_and(|at| at <= now) {
            self.shutdown_at = None;
            self.power_off(Force::No);
        }
        match self.phase {
            Phase::Up => {}
            Phase::Stopping => {
                if self.units.values().all(|one| one.state == State::Failed) {
                    self.broadcast();
                }
            }
            Phase::Broadcast { kill_at, killed } => {
                if !others_alive() {
                    self.off = true;
                } else if now >= kill_at && !killed {
                    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
                    self.phase = Phase::Broadcast {
                        kill_at,
                        killed: true,
                    };
                }
            }
        }
    }
}

impl Running {
    fn stop(&mut self) {
        if self.state != State::Active {
            return;
        }
        let pids = match self.unit.kill_mode {
            KillMode::ControlGroup => descendants(self.supervisor),
            KillMode::Mixed | KillMode::Process => {
                children(self.supervisor).into_iter().take(1).collect()
            }
            KillMode::None => Vec::new(),
        };
        if let Ok(signal) = Signal::try_from(self.unit.kill_signal) {
            signal_all(&pids, signal);
        }
        if self.unit.send_hangup {
            signal_all(&pids, Signal::SIGHUP);
        }
        let timeout = self.unit.stop_timeout.unwrap_or(STOP_TIMEOUT);
        self.state = State::Stopping {
            kill_at: Instant::now() + timeout.min(STOP_TIMEOUT),
            killed: false,
        };
        self.runtime_end = None;
    }

    fn look(&mut self, now: Instant) {
        if self.runtime_end.is_some_and(|end| end <= now) {
            self.stop();
        }
        if let State::Stopping { kill_at, killed } = self.state
            && now >= kill_at
            && !killed
        {
            signal_all(&descendants(self.supervisor), Signal::SIGKILL);
            self.state = State::Stopping {
                kill_at,
                killed: true,
            };
        }
    }
}

fn not_loaded(verb: &str, name: &str, code: u8) -> Reply {
    let words = format!("Failed to {verb} {name}: Unit {name} not loaded.\n");
    Reply::error(code, words)
}

/// A line on the console.
fn log(words: &str) {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split(' ').next().unwrap_or_default();
    let _ = writeln!(io::stderr(), "[{seconds}] init: {words}");
}
