//! A judge as a process: cases in, answers out, one line each.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use super::Error;
use super::build::Judged;
use super::case::Case;

/// Longest wait for an answer; a millisecond is usual.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);
/// Lines that wait to be read: one is asked at a time.
const LINES_MAX: usize = 1;

/// What becomes of a case.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    pub(super) files: Vec<FileAnswer>,
    /// The judge itself ended, and the server would have ended too.
    #[serde(skip)]
    pub(super) died: Option<String>,
}

/// What becomes of a file.
#[derive(Debug, Deserialize)]
pub(super) struct FileAnswer {
    pub(super) name: String,
    /// It is of the branch that a pull request goes to.
    #[serde(default)]
    pub(super) base: bool,
    /// Why it is skipped.
    #[serde(default)]
    pub(super) invalid: String,
    /// With what the server's code panics at it, before any run is made.
    #[serde(default)]
    pub(super) panic: String,
    pub(super) runs: Vec<RunAnswer>,
}

/// A run.
#[derive(Debug, Deserialize)]
pub(super) struct RunAnswer {
    pub(super) on: String,
    /// Why there is none after all.
    #[serde(default)]
    pub(super) error: String,
    /// With what the server's code panics when it is made.
    #[serde(default)]
    pub(super) panic: String,
    #[serde(default)]
    pub(super) group: String,
    pub(super) jobs: Vec<JobAnswer>,
}

/// A job.
#[derive(Debug, Deserialize)]
pub(super) struct JobAnswer {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) needs: Vec<String>,
    pub(super) runs_on: Vec<String>,
    #[serde(default)]
    pub(super) group: String,
    /// It calls a workflow of another repository, and stands for its jobs.
    #[serde(default)]
    pub(super) elsewhere: bool,
    /// What becomes of it when all that it needs have ended so.
    #[serde(default)]
    pub(super) after: BTreeMap<String, String>,
}

/// A judge that runs.
pub(super) struct Judge {
    judged: &'static Judged,
    running: Running,
}

struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// Its repository; it goes with it.
    _folder: tempfile::TempDir,
}

impl Judge {
    pub(super) fn start(judged: &'static Judged) -> Result<Self, Error> {
        let running = Running::start(judged)?;
        Ok(Self { judged, running })
    }

    /// Puts a case to it. It may end by that, and is started again.
    pub(super) fn ask(&mut self, case: &Case) -> Result<Answer, Error> {
        let mut line = case.line();
        line.push('\n');
        let written = self.running.stdin.write_all(line.as_bytes());
        let why = match written {
            Err(error) => error.to_string(),
            Ok(()) => match self.running.lines.recv_timeout(ANSWER_LIMIT) {
                Ok(line) => {
                    return serde_json::from_str(&line)
                        .map_err(|error| Error::Answer(self.judged.version, error.to_string()));
                }
                Err(RecvTimeoutError::Timeout) => format!("no answer in {ANSWER_LIMIT:?}"),
                Err(RecvTimeoutError::Disconnected) => "it ended".to_owned(),
            },
        };
        self.running = Running::start(self.judged)?;
        Ok(Answer {
            died: Some(why),
            ..Answer::default()
        })
    }
}

impl Running {
    fn start(judged: &Judged) -> Result<Self, Error> {
        let program = judged.program();
        let failed = |source| Error::file(&program, source);
        let folder = tempfile::tempdir().map_err(failed)?;
        let mut child = Command::new(&program)
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdin = stdin.expect("it is piped");
        let stdout = BufReader::new(stdout.expect("it is piped"));
        let (tell, lines) = sync_channel(LINES_MAX);
        thread::spawn(move || forward(stdout, &tell));
        Ok(Self {
            child,
            stdin,
            lines,
            _folder: folder,
        })
    }
}

fn forward(stdout: BufReader<std::process::ChildStdout>, tell: &SyncSender<String>) {
    for line in stdout.lines() {
        let Ok(line) = line else { return };
        if tell.send(line).is_err() {
            return;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
