//! `docker.socket` and `docker.service`, as Debian's package has them: the socket is there from the start and
//! belongs to the group `docker`, the daemon starts with its first use.

use std::convert::Infallible;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::init::complain;
use crate::init::unit::Unit;
use crate::machine::image::{DOCKER_GROUP, PROGRAM};

const SOCKET: &str = "/run/docker.sock";
const SERVICE: &str = "docker.service";
/// Machines have control groups if they have Docker.
const GROUPS: &str = "/sys/fs/cgroup/cgroup.procs";
/// What the daemon says.
const LOG: &str = "/var/log/docker.log";
/// How systemd hands a socket over: as the first descriptor after the standard ones, with its number and the
/// process that it is for in the environment.
const TAKES_SOCKET: &str =
    "export LISTEN_FDS=1 LISTEN_PID=$$; exec dockerd --host fd:// 3<&0 0</dev/null";
/// systemd's own patience with a unit that starts.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Between two tries.
const LOOK: Duration = Duration::from_millis(20);

/// The unit, on a machine with Docker.
pub(super) fn unit() -> Option<Unit> {
    if !Path::new(GROUPS).exists() {
        return None;
    }
    let words = ["internal", "init", "--as", "docker"];
    let command = std::iter::once(format!("/{PROGRAM}"));
    let command = command.chain(words.map(str::to_owned)).collect();
    let mut unit = Unit::new(SERVICE, command);
    unit.output = Some(LOG.into());
    Some(unit)
}

/// Waits for the first use of the socket, and becomes the daemon.
pub(super) fn main() -> ExitCode {
    let Err(error) = become_daemon();
    complain(&format!("{SERVICE}: {error}"))
}

fn become_daemon() -> io::Result<Infallible> {
    let listener = UnixListener::bind(SOCKET)?;
    chown(SOCKET, Some(0), Some(DOCKER_GROUP))?;
    fs::set_permissions(SOCKET, fs::Permissions::from_mode(0o660))?;
    let mut used = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut used, PollTimeout::NONE)?;
    let mut daemon = Command::new("sh");
    daemon.args(["-c", TAKES_SOCKET]);
    Err(daemon.stdin(OwnedFd::from(listener)).exec())
}

/// `systemctl start UNIT`: which of the two is meant, or nothing.
pub(super) fn start(unit: &str) -> ExitCode {
    let started = match unit {
        "docker" | SERVICE => until_it_answers(),
        "docker.socket" => connect().map(drop),
        _ => Err(io::Error::other(format!("the lab does not know {unit}"))),
    };
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("Failed to start {unit}: {error}")),
    }
}

fn until_it_answers() -> io::Result<()> {
    let mut stream = connect()?;
    stream.set_read_timeout(Some(START_LIMIT))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.contains(" 200 ") {
        return Ok(());
    }
    Err(io::Error::other(format!("it answers {answer:?}")))
}

/// The unit may still be on its way to make the socket.
fn connect() -> io::Result<UnixStream> {
    if unit().is_none() {
        return Err(io::Error::other("Unit not found."));
    }
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match UnixStream::connect(SOCKET) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(LOOK),
            connected => return connected,
        }
    }
}
