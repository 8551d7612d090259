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

use crate::ids::random_hex;
use crate::init::complain;
use crate::init::docker;
use crate::init::process::{descendants, first_child, others_alive, signal_all};
use crate::init::socket::{ReplyTo, listen};
use crate::init::unit::{Force, KillMode, Reply, Request, Unit};
use crate::init::user_data;
use crate::machine::debian::Debian;
use crate::machine::enclosure::enter_root;
use crate::machine::image::{PATH, PROGRAM};

/// How long a unit may take to stop: systemd's 90 s, made short, because nobody waits that long for a
/// demo.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long everything else may take after SIGTERM.
const BROADCAST_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a shutdown looks whether everything has ended.
const LOOK: Duration = Duration::from_millis(50);
/// The signal of the power button.
const POWER: i32 = Signal::SIGPWR as i32;

/// Takes `root` for its own and runs the machine.
pub(super) fn main(root: &Path) -> ExitCode {
    match enter_root(root) {
        Ok(spec) if spec.debian.is_some() => {
            let error = Debian::become_process_1();
            return complain(&format!("init: can't become systemd: {error}"));
        }
        Ok(_) => {}
        Err(error) => return complain(&format!("init: can't enter the root: {error}")),
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
    if let Err(error) = give_an_id() {
        log(&format!("machine-id: {error}"));
    }
    let mut machine = Machine::default();
    if let Some(docker) = docker::unit() {
        machine.start(docker)?;
    }
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

/// A machine whose image has no id gets one of its own, as systemd does it.
fn give_an_id() -> io::Result<()> {
    const PATH: &str = "/etc/machine-id";
    if fs::read_to_string(PATH).is_ok_and(|id| !id.trim().is_empty()) {
        return Ok(());
    }
    fs::write(PATH, format!("{}\n", random_hex(16)))
}

#[derive(Default)]
struct Machine {
    units: BTreeMap<String, Running>,
    /// Units that start later.
    timers: BTreeMap<String, (Instant, Unit)>,
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
    /// Once it is told to stop: when it is killed.
    stopping: Option<Instant>,
}

impl Machine {
    fn handle(&mut self, request: Request, reply: ReplyTo) {
        let outcome = match request {
            Request::Run { unit, on_active } => self.schedule(*unit, on_active),
            Request::Kill { unit, signal } => self.kill(&unit, signal),
            Request::IsActive { unit } => {
                let _ = reply.send(self.is_active(&unit));
                return;
            }
            Request::PowerOff(force) => {
                self.power_off(force);
                Ok(())
            }
        };
        let _ = reply.send(match outcome {
            Ok(()) => Reply::default(),
            Err(words) => Reply::error(words + "\n"),
        });
    }

    fn schedule(&mut self, unit: Unit, on_active: Option<Duration>) -> Result<(), String> {
        let name = unit.name.clone();
        let failed = |why: &str| format!("Failed to start transient service unit: {name}: {why}");
        if self.phase != Phase::Up {
            return Err(failed("Transaction is destructive."));
        }
        if self.units.contains_key(&name) || self.timers.contains_key(&name) {
            return Err(failed("it was already loaded."));
        }
        match on_active {
            Some(after) => {
                self.timers.insert(name, (Instant::now() + after, unit));
                Ok(())
            }
            None => self.start(unit).map_err(|error| failed(&error.to_string())),
        }
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
            stopping: None,
            unit,
        };
        self.units.insert(running.unit.name.clone(), running);
        Ok(())
    }

    fn kill(&self, name: &str, signal: i32) -> Result<(), String> {
        let running = self.units.get(name);
        let running = running.ok_or(format!("Failed to kill {name}: Unit {name} not loaded."))?;
        if let Ok(signal) = Signal::try_from(signal) {
            signal_all(&descendants(running.supervisor), signal);
        }
        Ok(())
    }

    fn is_active(&self, name: &str) -> Reply {
        let (code, word) = match self.units.get(name).map(|one| one.stopping) {
            Some(None) => (0, "active"),
            Some(Some(_)) => (3, "deactivating"),
            None => (3, "inactive"),
        };
        Reply {
            code,
            out: format!("{word}\n"),
            err: String::new(),
        }
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
            let ended = self.units.values().find(|one| one.supervisor == pid);
            if let Some(name) = ended.map(|one| one.unit.name.clone()) {
                log(&format!("{name} ended with {code}"));
                self.units.remove(&name);
            }
        }
    }

    /// When there is something to do without anybody asking.
    fn next_look(&self) -> Option<Instant> {
        let busy = self.phase != Phase::Up;
        let soon = busy.then(|| Instant::now() + LOOK);
        let timers = self.timers.values().map(|(at, _)| *at);
        timers.chain(soon).min()
    }

    /// Does what is due.
    fn look(&mut self) {
        let now = Instant::now();
        let due = |(at, _): &(Instant, Unit)| *at <= now;
        let due = self.timers.extract_if(.., |_, timer| due(timer));
        for (name, (_, unit)) in due.collect::<Vec<_>>() {
            if let Err(error) = self.start(unit) {
                log(&format!("{name}: {error}"));
            }
        }
        for running in self.units.values() {
            if running.stopping.is_some_and(|kill_at| kill_at <= now) {
                signal_all(&descendants(running.supervisor), Signal::SIGKILL);
            }
        }
        match self.phase {
            Phase::Up => {}
            Phase::Stopping => {
                if self.units.is_empty() {
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
        let pids = match self.unit.kill_mode {
            KillMode::ControlGroup => descendants(self.supervisor),
            KillMode::Mixed | KillMode::Process => {
                first_child(self.supervisor).into_iter().collect()
            }
        };
        if let Ok(signal) = Signal::try_from(self.unit.kill_signal) {
            signal_all(&pids, signal);
        }
        self.stopping = Some(Instant::now() + STOP_TIMEOUT);
    }
}

/// A line on the console.
fn log(words: &str) {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split(' ').next().unwrap_or_default();
    let _ = writeln!(io::stderr(), "[{seconds}] init: {words}");
}
