//! Programs that the daemon supervises: they die with it, and everything they start dies with them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::Error;
use crate::folder::{ENV_MARK, Folder};
use crate::http::HttpClient;
use crate::machine::image;

/// They answer within two seconds; a machine that also compiles gets this long.
const START_LIMIT: Duration = Duration::from_mins(1);
/// Longest that one may take to end when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// One question whether they answer.
const ASK_LIMIT: Duration = Duration::from_secs(2);
/// Between two of them.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// A port is taken by another program once in thousands of times.
pub(crate) const STARTS_MAX: usize = 5;
/// Ports to choose from: Linux hands out 32768 and above by itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// An address that nobody listens on now. The program binds it a moment later, so it is taken at
/// random from below the ports that the kernel gives to whoever asks for any.
pub(crate) fn free_address() -> Option<SocketAddr> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(PORTS)));
    TcpListener::bind(address).ok().map(|_| address)
}

/// The command that runs `program` supervised for the lab in `folder`, with nothing of our environment and
/// nothing to read.
pub(crate) fn command(folder: &Folder, program: &Path) -> Command {
    let mut command = Command::new(folder.image().join(image::PROGRAM));
    command
        .args(["internal", "init", "--as", "supervisor"])
        .arg(program)
        .env_clear()
        .env("LANG", "C.UTF-8")
        .env("PATH", format!("{}:/sbin:/bin", image::PATH))
        .env(ENV_MARK, folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Asks the program of `process` to end, and waits for it. One that does not is cut off.
pub(crate) async fn stop(process: &mut Child) {
    // Around it are the process that made its namespace and the first one in there.
    let first = process.id().and_then(child_of);
    if let Some(program) = first.and_then(child_of) {
        let pid = i32::try_from(program).map(Pid::from_raw);
        let _ = pid.map(|pid| kill(pid, Signal::SIGTERM));
    }
    if timeout(STOP_LIMIT, process.wait()).await.is_err() {
        let _ = process.kill().await;
    }
}

fn child_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Waits until `url` is answered with a yes; false if the program ended instead.
pub(crate) async fn answers(
    what: &'static str,
    url: &str,
    process: &mut Child,
    log: &Path,
) -> Result<bool, Error> {
    let deadline = Instant::now() + START_LIMIT;
    let client = HttpClient::plain();
    while Instant::now() < deadline {
        let request = http::Request::get(url)
            .body(Bytes::new())
            .map_err(|error| Error::bug(&error))?;
        let answer = client.send(request, ASK_LIMIT).await;
        let healthy = answer.is_ok_and(|answer| answer.status().is_success());
        // Asked second: if another program has the port, ours is gone.
        if process.try_wait().is_ok_and(|status| status.is_some()) {
            return Ok(false);
        }
        if healthy {
            return Ok(true);
        }
        sleep(ASK_EVERY).await;
    }
    Err(Error::NotReady {
        what,
        limit_s: START_LIMIT.as_secs(),
        log: log.to_owned(),
    })
}
