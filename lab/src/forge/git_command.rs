//! git as a child process.
//!
//! Invariant: it runs with a clean environment and a time limit; its arguments are ids and paths
//! that git or we made, never texts of users.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// For one git command, a clone of a lab's repository included.
const GIT_TIMEOUT: Duration = Duration::from_mins(1);
/// What one git command may print: a pack of anything that a demo pushes.
const OUTPUT_MAX_BYTES: u64 = 256 << 20;

/// git did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("git cannot be run; install git (apt-get install git)")]
    Spawn(#[source] std::io::Error),
    #[error("git {command} failed: {stderr}")]
    Failed { command: String, stderr: String },
    #[error("git {command} took longer than {} s", GIT_TIMEOUT.as_secs())]
    Slow { command: String },
    #[error("git printed what cannot be read: {0}")]
    Strange(String),
}

/// The command, not yet started.
pub(super) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs one command to its end, with `input` on its standard input.
pub(super) async fn run(mut command: Command, what: &str, input: Bytes) -> Result<Vec<u8>, Error> {
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().map_err(Error::Spawn)?;
    let stdin = child.stdin.take();
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::Strange("it has no output".to_owned()));
    };
    let feed = async move {
        if let Some(mut stdin) = stdin {
            // A git that has read enough closes its end; its exit code tells.
            let _ = stdin.write_all(&input).await;
        }
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (stdout.take(OUTPUT_MAX_BYTES), stderr.take(1 << 16));
    let all = async {
        let ((), read, _) = tokio::join!(
            feed,
            stdout.read_to_end(&mut out),
            stderr.read_to_end(&mut err)
        );
        read.and(child.wait().await)
    };
    let status = tokio::time::timeout(GIT_TIMEOUT, all)
        .await
        .map_err(|_| Error::Slow {
            command: what.to_owned(),
        })?
        .map_err(Error::Spawn)?;
    if status.success() {
        Ok(out)
    } else {
        Err(Error::Failed {
            command: what.to_owned(),
            stderr: String::from_utf8_lossy(&err).trim().to_owned(),
        })
    }
}

/// Runs one command that reads nothing; what it printed.
pub(super) async fn git(folder: &Path, args: &[&str]) -> Result<String, Error> {
    let what = args.first().copied().unwrap_or_default();
    let out = run(command(folder, args), what, Bytes::new()).await?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
