//! One instance as a machine: namespaces with an overlay root, its metadata service, its way out.
//!
//! A machine is three things. The *enclosure* (a process of the host) makes the namespaces and
//! waits. Process 1 inside is [`crate::init`]. The daemon serves what the machine may reach, on
//! listeners bound inside its network namespace, which has nothing but a loopback: what is not
//! forwarded here can't be reached.

pub(crate) mod debian;
pub(crate) mod docker;
pub(crate) mod enclosure;
pub(crate) mod groups;
mod host;
pub(crate) mod image;
mod netlink;
mod network;
pub(crate) mod user_namespace;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::{JoinHandle, JoinSet};

use crate::Error;
use crate::ec2::{Instance, Shutdown, catalog};
use crate::folder::ENV_MARK;
use crate::machine::enclosure::Spec;
use crate::machine::groups::Group;

pub(crate) use self::host::{Forwarders, MachineHost, logs_host};

/// Mounts and namespaces take milliseconds; a machine under load gets this long.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Longest copy of one part of a disk, of two gigabytes at most.
const SAVE_LIMIT: Duration = Duration::from_mins(2);
/// Marks an enclosure and its process 1 with the instance's id.
pub(crate) const ENV_INSTANCE: &str = "CI_LAB_INSTANCE";

/// How a machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By its own shutdown.
    PoweredOff,
    /// Killed from outside, or fallen over.
    CutOff,
}

/// A running machine. Dropped, it is cut off.
pub(crate) struct Machine {
    id: String,
    enclosure: Child,
    /// Closed, it lets the enclosure go.
    stdin: Option<ChildStdin>,
    /// Where its disk is to be kept, if it is.
    disk: Option<PathBuf>,
    /// The copy of its disk that is being made.
    saving: Option<JoinHandle<std::io::Result<()>>>,
    lines: Lines<BufReader<ChildStdout>>,
    init: Pid,
    outcome: Ended,
    services: JoinSet<()>,
    group: Option<Group>,
}

impl Machine {
    /// Boots `instance`. From inside, the APIs with these ids are reached at their AWS names.
    pub(crate) async fn start(
        host: &MachineHost,
        instance: &Instance,
        apis: &[String],
    ) -> Result<Self, Error> {
        let image = host.image.path().await?;
        let boot = async {
            let mut machine = Self::enclose(host, instance, image, apis)?;
            machine.expect("ready").await?;
            let pid = machine.enclosure.id().unwrap_or_default();
            machine.services = network::open(host, instance, pid).await?;
            if let Some(stdin) = &mut machine.stdin {
                let go = stdin.write_all(b"go\n").await;
                go.map_err(|error| Error::machine(&instance.id, error))?;
            }
            let init = machine.expect("init").await?;
            let init: i32 = init.parse().map_err(|error| Error::bug(&error))?;
            machine.init = Pid::from_raw(init);
            Ok(machine)
        };
        tokio::time::timeout(START_LIMIT, boot)
            .await
            .map_err(|_| Error::machine(&instance.id, "its namespaces were not ready in time"))?
    }

    /// Presses the power button: the machine shuts down as it likes.
    pub(crate) fn press_power_button(&self) {
        self.signal(Signal::SIGPWR);
    }

    /// Pulls the plug.
    pub(crate) fn cut_off(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Waits until nothing of the machine is left. May be cancelled and called again.
    pub(crate) async fn ended(&mut self) -> Result<Ended, Error> {
        loop {
            if let Some(saving) = &mut self.saving {
                let saved = saving.await;
                self.saving = None;
                self.stdin = None;
                let saved = saved.map_err(|error| Error::bug(&error))?;
                saved.map_err(|error| Error::machine(&self.id, error))?;
            }
            let Some(line) = self.next_line().await? else {
                break;
            };
            if line == "exit 0" {
                self.outcome = Ended::PoweredOff;
            }
            self.saving = match (&self.disk, self.enclosure.id()) {
                (Some(disk), Some(enclosure)) => {
                    Some(tokio::spawn(save_disk(enclosure, disk.clone())))
                }
                (_, _) => None,
            };
        }
        self.services.abort_all();
        let wait = self.enclosure.wait().await;
        wait.map_err(|error| Error::machine(&self.id, error))?;
        // An enclosure that was killed could not.
        if let Some(group) = self.group.take() {
            let removed = tokio::task::spawn_blocking(move || group.remove());
            removed.await.map_err(|error| Error::bug(&error))?;
        }
        Ok(self.outcome)
    }

    fn enclose(
        host: &MachineHost,
        instance: &Instance,
        image: PathBuf,
        apis: &[String],
    ) -> Result<Self, Error> {
        let id = &instance.id;
        let folder = host.folder.instances().join(id);
        fs::create_dir_all(folder.join("root")).map_err(|e| Error::file(&folder, e))?;
        fs::create_dir_all(folder.join("scratch")).map_err(|e| Error::file(&folder, e))?;
        let console_path = host.console(id);
        let console = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&console_path)
            .map_err(|error| Error::file(&console_path, error))?;
        let program = image.join(image::PROGRAM);
        let blueprint = &instance.blueprint;
        let disk = (blueprint.shutdown == Shutdown::Stop).then(|| host.disk(id));
        let debian = host.debian.as_ref();
        let debian = debian.filter(|_| catalog::is_ubuntu(&blueprint.image.stock));
        let docker = host.docker.as_ref().filter(|_| debian.is_none());
        let wants_group = debian.is_some() || docker.is_some();
        let groups = host.groups.as_ref().filter(|_| wants_group);
        let group = groups.map(|groups| groups.of_machine(id));
        let spec = Spec {
            image,
            layers: blueprint.image.layers.clone(),
            keeps_disk: disk.is_some(),
            docker: docker.cloned(),
            debian: debian.cloned(),
            group: group.clone(),
            console: console_path,
            hostname: id.clone(),
            hosts: Forwarders::hosts(apis),
        };
        spec.write(&folder)?;
        let mut enclosure = Command::new(program)
            .args(["internal", "init", "--as", "enclosure"])
            .arg(&folder)
            .env_clear()
            .env("PATH", image::PATH)
            .env(ENV_MARK, host.folder.path())
            .env(ENV_INSTANCE, id)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(console)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Error::machine(id, error))?;
        let (Some(stdin), Some(stdout)) = (enclosure.stdin.take(), enclosure.stdout.take()) else {
            return Err(Error::Bug("a piped child without pipes".to_owned()));
        };
        Ok(Self {
            id: id.clone(),
            enclosure,
            stdin: Some(stdin),
            disk,
            saving: None,
            lines: BufReader::new(stdout).lines(),
            init: Pid::from_raw(0),
            outcome: Ended::CutOff,
            services: JoinSet::new(),
            group,
        })
    }

    async fn expect(&mut self, word: &str) -> Result<String, Error> {
        match self.next_line().await? {
            Some(line) if line.starts_with(word) => Ok(line[word.len()..].trim().to_owned()),
            Some(line) => Err(Error::machine(&self.id, format!("said {line}, not {word}"))),
            None => Err(Error::machine(
                &self.id,
                "its enclosure failed, its console says why",
            )),
        }
    }

    async fn next_line(&mut self) -> Result<Option<String>, Error> {
        let line = self.lines.next_line().await;
        line.map_err(|error| Error::machine(&self.id, error))
    }

    fn signal(&self, signal: Signal) {
        // The enclosure reaps process 1 and then ends at once: while it lives, the id is ours.
        if self.init.as_raw() > 0 && self.enclosure.id().is_some() {
            let _ = kill(self.init, signal);
        }
    }
}

/// Copies what was written to the disk of the machine in this enclosure, with the marks of what was deleted.
async fn save_disk(enclosure: u32, to: PathBuf) -> std::io::Result<()> {
    fs::create_dir_all(&to)?;
    for part in enclosure::disk_parts() {
        let from = format!("/proc/{enclosure}/cwd/{}", enclosure::upper(part));
        if !fs::exists(&from)? {
            continue;
        }
        // `cp` knows device nodes and extended attributes, which is what such marks are.
        let copy = Command::new("cp")
            .args(["-a", "--", &from])
            .arg(to.join(part))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output();
        let copied = tokio::time::timeout(SAVE_LIMIT, copy).await??;
        if !copied.status.success() {
            let words = String::from_utf8_lossy(&copied.stderr);
            return Err(std::io::Error::other(format!("its disk: {}", words.trim())));
        }
    }
    Ok(())
}
