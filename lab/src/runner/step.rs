//! One script: written to a file, run by its shell in a process group of its own, its output read
//! line by line; and the files by which it sets variables and outputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::progress::Progress;
use crate::forge::Conclusion;

/// Longest line of a log; longer ones are broken.
const LINE_MAX_BYTES: usize = 16 << 10;
/// How long output is read on after the script's end: a process that it left may hold the pipe.
const DRAIN: Duration = Duration::from_secs(1);
/// The largest file of variables or outputs that is read.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// The files that a step may write to, read and emptied after each.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

/// Variable and file of each.
const FILES: [(&str, &str); 5] = [
    ("GITHUB_ENV", "env"),
    ("GITHUB_PATH", "path"),
    ("GITHUB_OUTPUT", "output"),
    ("GITHUB_STATE", "state"),
    ("GITHUB_STEP_SUMMARY", "summary"),
];

/// Variables, folders for `PATH`, outputs.
type Written = (
    BTreeMap<String, String>,
    Vec<String>,
    BTreeMap<String, String>,
);

impl Files {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        FILES.iter().map(|(variable, file)| {
            let file = self.folder.join(file);
            (*variable, file.to_string_lossy().into_owned())
        })
    }

    /// What the last step wrote.
    pub(super) fn take(&self) -> Written {
        let read = |file: &str| {
            use std::io::Read;
            let path = self.folder.join(file);
            let mut text = String::new();
            if let Ok(open) = std::fs::File::open(&path) {
                // What is not text or too long is cut there.
                let _ = open.take(FILE_MAX_BYTES).read_to_string(&mut text);
            }
            text
        };
        let written = (
            pairs(&read("env")),
            read("path").lines().map(str::to_owned).collect(),
            pairs(&read("output")),
        );
        self.empty();
        written
    }

    fn empty(&self) {
        for (_, file) in FILES {
            // Without the file, the step that writes it says so.
            let _ = std::fs::write(self.folder.join(file), "");
        }
    }
}

/// `KEY=value` lines and `KEY<<END` blocks; whichever mark comes first decides.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let equals = line.find('=').unwrap_or(usize::MAX);
        match line.split_once("<<") {
            Some((key, end)) if key.len() < equals => {
                let block: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
                found.insert(key.to_owned(), block.join("\n"));
            }
            Some(_) | None => {
                if let Some((key, value)) = line.split_once('=') {
                    found.insert(key.to_owned(), value.to_owned());
                }
            }
        }
    }
    found
}

/// What is run.
#[derive(Debug)]
pub(super) struct Script<'a> {
    pub(super) number: usize,
    pub(super) text: &'a str,
    pub(super) shell: &'a str,
    pub(super) folder: PathBuf,
    pub(super) env: &'a BTreeMap<String, String>,
}

/// A shell's command line; `{0}` is the script.
fn command_line(shell: &str) -> Result<&str, String> {
    match shell {
        "bash" => Ok("bash --noprofile --norc -e -o pipefail {0}"),
        "sh" => Ok("sh -e {0}"),
        "python" => Ok("python3 {0}"),
        other if other.contains("{0}") => Ok(other),
        other => Err(format!(
            "the stand-in runner has no shell {other:?}; use bash, sh, python or a command with {{0}}"
        )),
    }
}

pub(super) async fn run_script(
    script: &Script<'_>,
    files: &Files,
    progress: &Progress,
    cancelled: &mut watch::Receiver<bool>,
) -> Result<Conclusion, String> {
    files.empty();
    let file = files.folder.join(format!("{}.sh", script.number));
    std::fs::write(&file, script.text)
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let line = command_line(script.shell)?;
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("bash"));
    for word in words {
        command.arg(word.replace("{0}", &file.to_string_lossy()));
    }
    let mut child = command
        .current_dir(&script.folder)
        .envs(script.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            format!(
                "cannot start {line:?} in {}: {error}",
                script.folder.display()
            )
        })?;
    // A step that is cut short leaves nothing; one that ends may leave services for the next.
    let mut group = Group::of(&child);
    let readers = [
        child
            .stdout
            .take()
            .map(|out| tokio::spawn(pump(out, progress.clone()))),
        child
            .stderr
            .take()
            .map(|err| tokio::spawn(pump(err, progress.clone()))),
    ];
    let status = tokio::select! {
        status = child.wait() => {
            group.0 = None;
            Some(status.map_err(|error| error.to_string())?)
        }
        _ = cancelled.wait_for(|cancelled| *cancelled) => {
            group.kill();
            // Killed: it ends at once, and how is known.
            let _ = child.wait().await;
            None
        }
    };
    for mut reader in readers.into_iter().flatten() {
        if tokio::time::timeout(DRAIN, &mut reader).await.is_err() {
            reader.abort();
        }
    }
    let Some(status) = status else {
        progress.log(
            "##[error]this step has been cancelled: ctx: context canceled, exec: RUN exit code -1",
        );
        return Ok(Conclusion::Cancelled);
    };
    if status.success() {
        return Ok(Conclusion::Success);
    }
    match status.code() {
        Some(code) => progress.log(&format!("##[error]exit status {code}")),
        None => progress.log(&format!("##[error]ended by a signal: {status}")),
    }
    Ok(Conclusion::Failure)
}

/// A running step's process group, killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.map(Pid::from_raw))
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // It may have ended already.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Turns a pipe into lines of the log.
async fn pump(mut pipe: impl AsyncRead + Unpin, progress: Progress) {
    let mut pending = Vec::new();
    let mut part = [0; 8192];
    while let Ok(count @ 1..) = pipe.read(&mut part).await {
        pending.extend_from_slice(&part[..count]);
        while let Some(end) = pending
            .iter()
            .position(|byte| *byte == b'\n')
            .or((pending.len() > LINE_MAX_BYTES).then_some(LINE_MAX_BYTES))
        {
            let line: Vec<u8> = pending.drain(..=end).collect();
            progress.log(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        }
    }
    if !pending.is_empty() {
        progress.log(&String::from_utf8_lossy(&pending));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_pairs_and_blocks() {
        let text = "A=1\n\nB<<END\nx=y\nz\nEND\nC=a<<b\nnothing\n";
        let found = pairs(text);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, [("A", "1"), ("B", "x=y\nz"), ("C", "a<<b")]);
    }

    #[test]
    fn a_shell_is_known_or_says_how_it_is_called() {
        assert!(command_line("bash").is_ok());
        assert_eq!(command_line("perl {0}"), Ok("perl {0}"));
        assert!(command_line("pwsh").is_err());
    }
}
